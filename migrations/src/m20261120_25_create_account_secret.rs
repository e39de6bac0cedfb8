//! What tenants entered to connect accounts by their own secrets. Each account is connected once.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "account_secrets";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("authorizer_id").required().primary_key().take())
            .col(schema.appid("appid").required())
            .col(schema.sealed("appsecret_sealed").required())
            .col(schema.word("token_api").required())
            .col(schema.sealed("push_token_sealed"))
            .col(schema.sealed("encoding_aes_key_sealed"))
            .col(schema.instant("created_at").required())
            .foreign_key(&mut refers(TABLE, "authorizer_id", "authorizers"))
            .take();
        schema.create(table).await?;
        schema.unique(TABLE, &["appid"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
