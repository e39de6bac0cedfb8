//! When WeChat's list of a component's accounts last told each authorizer. The index finds those that
//! it told no more.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::Schema;

const TABLE: &str = "authorizers";
const INDEX: [&str; 2] = ["component_id", "listed_at"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.add_column(TABLE, schema.instant("listed_at")).await?;
        schema.index(TABLE, &INDEX).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.drop_index(TABLE, &INDEX).await?;
        schema.drop_column(TABLE, "listed_at").await
    }
}
