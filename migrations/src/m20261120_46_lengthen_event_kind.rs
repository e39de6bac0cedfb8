//! What happened may be a name that WeChat gave: those are longer than ours.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::{Expr, ExprTrait as _, Func, Query},
};

use crate::schema::Schema;

const TABLE: &str = "events";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.resize(TABLE, "kind", 64).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Only names of WeChat's are longer, which the release before does not know.
        let longer = Expr::expr(Func::char_length(Expr::col("kind"))).gt(32);
        manager.execute(Query::delete().from_table(TABLE).and_where(longer).take()).await?;
        Schema::of(manager).await?.resize(TABLE, "kind", 32).await
    }
}
