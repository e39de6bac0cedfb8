//! Endpoints: where tenants want their events, how sending goes, and who works on it.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "endpoints";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.id("tenant_id").required())
            .col(schema.text("name").required())
            .col(schema.text("url").required())
            .col(schema.word("kind").required())
            .col(schema.sealed("secret_sealed"))
            .col(schema.sealed("previous_secret_sealed"))
            .col(schema.instant("previous_secret_until"))
            .col(schema.sealed("push_token_sealed"))
            .col(schema.sealed("encoding_aes_key_sealed"))
            .col(schema.word("mode"))
            .col(schema.word("role"))
            .col(schema.word("late_replies"))
            .col(schema.text("authorizers_json").required())
            .col(schema.text("event_types_json").required())
            .col(schema.word("state").required())
            .col(schema.instant("state_since"))
            .col(schema.text("state_reason"))
            .col(schema.number("failures_in_row").required())
            .col(schema.instant("failing_since"))
            .col(schema.instant("blocked_until"))
            .col(schema.instant("last_success_at"))
            .col(schema.instant("last_failure_at"))
            .col(schema.text("last_failure"))
            .col(schema.instant("last_turn_at").required())
            .col(schema.instant("leased_until").required())
            .col(schema.number("lease_epoch").required())
            .col(schema.instant("created_at").required())
            .col(schema.instant("updated_at").required())
            .foreign_key(&mut refers(TABLE, "tenant_id", "tenants"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["tenant_id", "id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
