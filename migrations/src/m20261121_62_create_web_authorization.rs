//! Web authorizations: attempts of fans, found by the state that went to WeChat with them.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "web_authorizations";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.id("tenant_id").required())
            .col(schema.id("authorizer_id").required())
            .col(schema.text("redirect_uri").required())
            .col(schema.exact("scope", 128).required())
            .col(schema.text("tenant_state"))
            .col(schema.digest("state_digest").required())
            .col(schema.digest("browser_digest").required())
            .col(schema.word("state").required())
            .col(schema.instant("state_at"))
            .col(schema.sealed("wechat_code_sealed"))
            .col(schema.instant("created_at").required())
            .col(schema.instant("expires_at").required())
            .foreign_key(&mut refers(TABLE, "tenant_id", "tenants"))
            .foreign_key(&mut refers(TABLE, "authorizer_id", "authorizers"))
            .take();
        schema.create(table).await?;
        schema.unique(TABLE, &["state_digest"]).await?;
        schema.index(TABLE, &["expires_at"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
