//! What WeChat sent to accounts that are connected by their own secrets. The unique index folds
//! repetitions. There is no foreign key: every insert of the hot path would pay for it.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "message_pushes";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.id("authorizer_id").required())
            .col(schema.digest("dedupe").required())
            .col(schema.sealed("payload_sealed").required())
            .col(schema.word("state").required())
            .col(schema.instant("issued_at").required())
            .col(schema.instant("received_at").required())
            .take();
        schema.create(table).await?;
        schema.unique(TABLE, &["authorizer_id", "dedupe"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
