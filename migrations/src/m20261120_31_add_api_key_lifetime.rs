//! How long each API key lives, from where and how often it may be used, when it last was, and which
//! text it had before its rotation.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::Schema;

const TABLE: &str = "api_keys";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.add_column(TABLE, schema.digest("previous_digest")).await?;
        schema.add_column(TABLE, schema.instant("previous_until")).await?;
        schema.add_column(TABLE, schema.text("networks_json")).await?;
        schema.add_column(TABLE, schema.number("requests_per_second")).await?;
        schema.add_column(TABLE, schema.instant("expires_at")).await?;
        schema.add_column(TABLE, schema.instant("last_used_at")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.drop_column(TABLE, "last_used_at").await?;
        schema.drop_column(TABLE, "expires_at").await?;
        schema.drop_column(TABLE, "requests_per_second").await?;
        schema.drop_column(TABLE, "networks_json").await?;
        schema.drop_column(TABLE, "previous_until").await?;
        schema.drop_column(TABLE, "previous_digest").await
    }
}
