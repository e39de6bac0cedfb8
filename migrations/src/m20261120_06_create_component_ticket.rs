//! The last tickets of each component. The same ticket is the same row.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::Index,
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "component_tickets";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("component_id").required())
            .col(schema.digest("ticket_digest").required())
            .col(schema.sealed("value_sealed").required())
            .col(schema.instant("issued_at").required())
            .col(schema.instant("received_at").required())
            .primary_key(Index::create().col("component_id").col("ticket_digest"))
            .foreign_key(&mut refers(TABLE, "component_id", "components"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["component_id", "issued_at"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
