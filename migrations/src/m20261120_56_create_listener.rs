//! Programs of tenants that follow their events as they come.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "listeners";

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
            .col(schema.text("authorizers_json").required())
            .col(schema.text("event_types_json").required())
            .col(schema.instant("seen_at").required())
            .foreign_key(&mut refers(TABLE, "tenant_id", "tenants"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["tenant_id", "id"]).await?;
        schema.index(TABLE, &["seen_at"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
