//! The push token that each component had before the present one, and until when it counts.

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
        schema.add_column(TABLE, schema.sealed("previous_push_token_sealed")).await?;
        schema.add_column(TABLE, schema.instant("previous_push_token_until")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.drop_column(TABLE, "previous_push_token_until").await?;
        schema.drop_column(TABLE, "previous_push_token_sealed").await
    }
}
