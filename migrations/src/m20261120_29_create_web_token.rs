//! Fans who let an account know them: one row for each scope they granted. The tokens themselves are
//! rows of `tokens`.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "web_tokens";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.id("authorizer_id").required())
            .col(schema.exact("openid", 128).required())
            .col(schema.exact("scope", 128).required())
            .col(schema.exact("unionid", 128))
            .col(schema.instant("refresh_until").required())
            .col(schema.instant("created_at").required())
            .col(schema.instant("updated_at").required())
            .foreign_key(&mut refers(TABLE, "authorizer_id", "authorizers"))
            .take();
        schema.create(table).await?;
        schema.unique(TABLE, &["authorizer_id", "openid", "scope"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
