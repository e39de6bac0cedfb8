//! Exchanges of authorization codes. The index finds the open ones that are due.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "exchanges";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.digest("exchange_key").required().primary_key().take())
            .col(schema.id("component_id").required())
            .col(schema.sealed("authorization_code_sealed").required())
            .col(schema.appid("authorizer_appid"))
            .col(schema.digest("pre_auth_code_digest"))
            .col(schema.id("returned_authorization_id"))
            .col(schema.instant("granted_at").required())
            .col(schema.word("state").required())
            .col(schema.number("attempts").required())
            .col(schema.instant("next_attempt_at").required())
            .col(schema.text("last_failure"))
            .col(schema.instant("created_at").required())
            .foreign_key(&mut refers(TABLE, "component_id", "components"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["state", "next_attempt_at"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
