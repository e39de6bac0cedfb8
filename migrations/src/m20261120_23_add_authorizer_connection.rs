//! How each authorizer is connected: by a grant to a component, as all were so far, or by its own
//! secret.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "authorizers";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let column = schema.word("connection").required().default("component").take();
        schema.add_column(TABLE, column).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop_column(TABLE, "connection").await
    }
}
