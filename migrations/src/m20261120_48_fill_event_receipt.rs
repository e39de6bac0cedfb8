//! Events that were there before reached us when they happened.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::{Expr, ExprTrait as _, Query},
};

const TABLE: &str = "events";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let fill = Query::update()
            .table(TABLE)
            .value("received_at", Expr::col("occurred_at"))
            .and_where(Expr::col("received_at").is_null())
            .take();
        manager.execute(fill).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        // What was filled in goes with its column.
        Ok(())
    }
}
