//! Requests that clients may repeat, with the answers that they got, sealed.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "idempotency_keys";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.digest("id").required().primary_key().take())
            .col(schema.digest("request").required())
            .col(schema.word("state").required())
            .col(schema.number("status"))
            .col(schema.text("content_type"))
            .col(schema.sealed("body_sealed"))
            .col(schema.instant("created_at").required())
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["created_at"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
