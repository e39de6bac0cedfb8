//! What accounts answer by themselves: one row for each account whose owner set any rules.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "auto_replies";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("authorizer_id").required().primary_key().take())
            .col(schema.id("tenant_id").required())
            .col(schema.text("rules_json").required())
            .col(schema.instant("updated_at").required())
            .foreign_key(&mut refers(TABLE, "authorizer_id", "authorizers"))
            .foreign_key(&mut refers(TABLE, "tenant_id", "tenants"))
            .take();
        schema.create(table).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
