//! Redirect URIs: where a tenant's administrators and fans may be sent.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::Index,
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "redirect_uris";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("tenant_id").required())
            .col(schema.digest("uri_digest").required())
            .col(schema.text("uri").required())
            .col(schema.instant("created_at").required())
            .primary_key(Index::create().col("tenant_id").col("uri_digest"))
            .foreign_key(&mut refers(TABLE, "tenant_id", "tenants"))
            .take();
        schema.create(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
