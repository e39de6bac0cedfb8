//! When each component was last compared with WeChat's list of its accounts, and what that brought.

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
        schema.add_column(TABLE, schema.instant("reconciled_at")).await?;
        schema.add_column(TABLE, schema.text("reconciliation_json")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.drop_column(TABLE, "reconciliation_json").await?;
        schema.drop_column(TABLE, "reconciled_at").await
    }
}
