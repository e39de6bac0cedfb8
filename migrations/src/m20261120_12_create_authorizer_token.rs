//! The present tokens of each authorizer, of one generation.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "authorizer_tokens";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("authorizer_id").required().primary_key().take())
            .col(schema.number("generation").required())
            .col(schema.sealed("access_token_sealed"))
            .col(schema.instant("expires_at"))
            .col(schema.instant("obtained_at"))
            .col(schema.instant("failed_at"))
            .col(schema.text("failure_reason"))
            .col(schema.sealed("refresh_token_sealed"))
            .foreign_key(&mut refers(TABLE, "authorizer_id", "authorizers"))
            .take();
        schema.create(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
