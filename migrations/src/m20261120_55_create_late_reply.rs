//! Replies that came too late to be WeChat's answer. An event has one at most. There is no foreign
//! key: what is erased with an event is erased by code.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "late_replies";

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
            .col(schema.id("event_id").required())
            .col(schema.exact("openid", 64).required())
            .col(schema.sealed("reply_sealed").required())
            .col(schema.word("state").required())
            .col(schema.number("attempts").required())
            .col(schema.instant("leased_until").required())
            .col(schema.number("lease_epoch").required())
            .col(schema.text("last_failure"))
            .col(schema.instant("created_at").required())
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["state", "leased_until", "id"]).await?;
        schema.index(TABLE, &["authorizer_id", "openid"]).await?;
        schema.index(TABLE, &["created_at"]).await?;
        schema.unique(TABLE, &["event_id"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
