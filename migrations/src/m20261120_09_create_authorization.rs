//! Authorizations: attempts of administrators, found by their link and by their `pre_auth_code`.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "authorizations";

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
            .col(schema.id("component_id").required())
            .col(schema.word("account_kind").required())
            .col(schema.appid("appid"))
            .col(schema.text("category_ids_json").required())
            .col(schema.text("return_url"))
            .col(schema.text("reference"))
            .col(schema.text("purpose"))
            .col(schema.digest("link_digest").required())
            .col(schema.digest("pre_auth_code_digest").required())
            .col(schema.sealed("pre_auth_code_sealed").required())
            .col(schema.word("state").required())
            .col(schema.appid("authorizer_appid"))
            .col(schema.instant("state_at"))
            .col(schema.instant("created_at").required())
            .col(schema.instant("expires_at").required())
            .foreign_key(&mut refers(TABLE, "tenant_id", "tenants"))
            .foreign_key(&mut refers(TABLE, "component_id", "components"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["tenant_id", "id"]).await?;
        schema.index(TABLE, &["component_id", "pre_auth_code_digest"]).await?;
        schema.unique(TABLE, &["link_digest"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
