//! What WeChat pushes to accounts is an event now. Nothing ever read the rows of this table.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::{m20261120_30_create_message_push as create, schema::Schema};

const TABLE: &str = "message_pushes";

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
