//! How often what was called: one row for each hour and one for each day. The ids begin with the span,
//! so they sort by time. There is no foreign key: every figure would pay for it.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "usage_figures";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.exact("id", 64).required().primary_key().take())
            .col(schema.instant("starts_at").required())
            .col(schema.id("tenant_id").required())
            .col(schema.id("key_id").required())
            .col(schema.appid("authorizer_appid").required())
            .col(schema.text("path").required())
            .col(schema.number("errcode").required())
            .col(schema.number("calls").required())
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["tenant_id", "id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
