//! API keys of tenants, by digest.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "api_keys";

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
            .col(schema.text("name").required())
            .col(schema.digest("key_digest").required())
            .col(schema.text("scopes_json").required())
            .col(schema.instant("created_at").required())
            .col(schema.instant("revoked_at"))
            .foreign_key(&mut refers(TABLE, "tenant_id", "tenants"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["tenant_id", "id"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
