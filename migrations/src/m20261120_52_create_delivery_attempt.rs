//! What came of each attempt at a delivery.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::Index,
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "delivery_attempts";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("delivery_id").required())
            .col(schema.number("number").required())
            .col(schema.instant("began_at").required())
            .col(schema.number("took_ms").required())
            .col(schema.number("status"))
            .col(schema.text("failure"))
            .primary_key(Index::create().col("delivery_id").col("number"))
            .take();
        schema.create(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
