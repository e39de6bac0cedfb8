//! Whether WeChat's whole-network publish test is answered for a component now. It is not for those
//! that were there before.

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
        schema.add_column(TABLE, schema.flag("answers_publish_test")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop_column(TABLE, "answers_publish_test").await
    }
}
