//! The audit trail. There is no foreign key: the trail outlasts what it tells of.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "audit_entries";
/// The longest spelling of an address: an IPv4 address written as an IPv6 one.
const PEER: u32 = 45;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.instant("done_at").required())
            .col(schema.id("tenant_id"))
            .col(schema.word("actor").required())
            .col(schema.id("actor_id"))
            .col(schema.word("action").required())
            .col(schema.text("subject").required())
            .col(schema.text("request_id"))
            .col(schema.exact("peer", PEER))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["tenant_id", "id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
