//! Messages and events of accounts that could not be taken the usual way: verified by the keys of a
//! component or of an account, never of both. The unique index folds repetitions.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "quarantined_messages";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.id("component_id"))
            .col(schema.id("authorizer_id"))
            .col(schema.appid("appid").required())
            .col(schema.digest("dedupe").required())
            .col(schema.sealed("payload_sealed").required())
            .col(schema.word("reason").required())
            .col(schema.instant("received_at").required())
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["appid", "component_id"]).await?;
        schema.index(TABLE, &["received_at"]).await?;
        schema.unique(TABLE, &["appid", "dedupe"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
