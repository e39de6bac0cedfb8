//! Every refresh token that was ever received. Rows are only ever added.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::Index,
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "refresh_tokens";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("component_id").required())
            .col(schema.appid("authorizer_appid").required())
            .col(schema.digest("token_digest").required())
            .col(schema.sealed("value_sealed").required())
            .col(schema.word("source").required())
            .col(schema.instant("received_at").required())
            .primary_key(
                Index::create().col("component_id").col("authorizer_appid").col("token_digest"),
            )
            .foreign_key(&mut refers(TABLE, "component_id", "components"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["component_id", "authorizer_appid", "received_at"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
