//! Components with their sealed secrets.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "components";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.appid("appid").required())
            .col(schema.text("name").required())
            .col(schema.sealed("appsecret_sealed").required())
            .col(schema.sealed("push_token_sealed").required())
            .col(schema.sealed("encoding_aes_key_sealed").required())
            .col(schema.sealed("previous_encoding_aes_key_sealed"))
            .col(schema.instant("created_at").required())
            .col(schema.instant("updated_at").required())
            .take();
        schema.create(table).await?;
        schema.unique(TABLE, &["appid"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
