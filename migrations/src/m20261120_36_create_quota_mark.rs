//! What was counted against a quota or an allowance of an account in one of WeChat's days or months.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "quota_marks";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.digest("id").required().primary_key().take())
            .col(schema.id("authorizer_id").required())
            .col(schema.text("subject").required())
            .col(schema.word("period").required())
            .col(schema.number("marks").required())
            .col(schema.instant("marked_at").required())
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["marked_at"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
