//! What became of the steps of WeChat's whole-network publish test.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "publish_checks";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.id("component_id").required())
            .col(schema.appid("appid").required())
            .col(schema.word("step").required())
            .col(schema.digest("code_digest"))
            .col(schema.instant("asked_at").required())
            .col(schema.number("took_ms").required())
            .col(schema.text("failure"))
            .col(schema.number("errcode"))
            .foreign_key(&mut refers(TABLE, "component_id", "components"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["component_id", "id"]).await?;
        schema.index(TABLE, &["component_id", "code_digest"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
