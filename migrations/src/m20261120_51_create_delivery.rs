//! Deliveries: one event on its way to one endpoint. There is no foreign key: every insert of the hot
//! path would pay for it.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "deliveries";

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
            .col(schema.id("event_id").required())
            .col(schema.id("endpoint_id").required())
            .col(schema.word("cause").required())
            .col(schema.word("state").required())
            .col(schema.word("dead_reason"))
            .col(schema.number("attempts").required())
            .col(schema.flag("may_reply"))
            .col(schema.instant("due_at"))
            .col(schema.instant("created_at").required())
            .col(schema.instant("ended_at"))
            .take();
        schema.create(table).await?;
        // Nearly all have ended well: what is due, and what is dead, is found without them.
        schema.sparse_index(TABLE, &["endpoint_id", "due_at"], "due_at").await?;
        schema.sparse_index(TABLE, &["dead_reason", "id"], "dead_reason").await?;
        schema.index(TABLE, &["tenant_id", "id"]).await?;
        schema.index(TABLE, &["endpoint_id", "id"]).await?;
        schema.index(TABLE, &["event_id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
