//! The tokens of each authorizer are a row of `tokens` now.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::{m20261120_12_create_authorizer_token as create, schema::Schema};

const TABLE: &str = "authorizer_tokens";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Empty: what was sealed in it is gone.
        create::Migration.up(manager).await
    }
}
