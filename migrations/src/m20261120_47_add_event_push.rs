//! What WeChat pushed to accounts is an event too: which account it was for, by what a repetition is
//! recognised, which fan caused it, when it reached us, and the message. Of an event of our own it is
//! noted while nobody has looked yet whose endpoints want it; those that were there are past that.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::{Expr, ExprTrait as _, Query},
};

use crate::schema::Schema;

const TABLE: &str = "events";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.add_column(TABLE, schema.id("authorizer_id")).await?;
        schema.add_column(TABLE, schema.digest("dedupe")).await?;
        schema.add_column(TABLE, schema.appid("openid")).await?;
        schema.add_column(TABLE, schema.instant("received_at")).await?;
        schema.add_column(TABLE, schema.number("undispatched")).await?;
        schema.add_column(TABLE, schema.sealed("payload_sealed")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        if manager.has_column(TABLE, "payload_sealed").await? {
            // The release before does not know them, and they would be empty.
            let pushed = Expr::col("payload_sealed").is_not_null();
            manager.execute(Query::delete().from_table(TABLE).and_where(pushed).take()).await?;
        }
        schema.drop_column(TABLE, "payload_sealed").await?;
        schema.drop_column(TABLE, "undispatched").await?;
        schema.drop_column(TABLE, "received_at").await?;
        schema.drop_column(TABLE, "openid").await?;
        schema.drop_column(TABLE, "dedupe").await?;
        schema.drop_column(TABLE, "authorizer_id").await
    }
}
