//! The present `component_access_token` of each component and how its last refresh went.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "component_tokens";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("component_id").required().primary_key().take())
            .col(schema.sealed("access_token_sealed"))
            .col(schema.instant("expires_at"))
            .col(schema.instant("obtained_at"))
            .col(schema.instant("failed_at"))
            .col(schema.text("failure_reason"))
            .foreign_key(&mut refers(TABLE, "component_id", "components"))
            .take();
        schema.create(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
