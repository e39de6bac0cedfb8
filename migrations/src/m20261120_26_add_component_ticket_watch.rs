//! Whether tickets are late, and when WeChat was last asked to push them again.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::Schema;

const TABLE: &str = "components";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.add_column(TABLE, schema.instant("ticket_asked_at")).await?;
        schema.add_column(TABLE, schema.instant("ticket_late_since")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.drop_column(TABLE, "ticket_late_since").await?;
        schema.drop_column(TABLE, "ticket_asked_at").await
    }
}
