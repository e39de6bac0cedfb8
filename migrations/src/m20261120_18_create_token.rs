//! Every token that is kept alive: whose it is, what it is, when a worker looks at it, and who is
//! refreshing it. There is no foreign key: the owners are rows of several tables.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::Index,
};

use crate::schema::{Required as _, Schema};

const TABLE: &str = "tokens";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("owner_id").required())
            .col(schema.word("kind").required())
            .col(schema.number("generation").required())
            .col(schema.sealed("value_sealed"))
            .col(schema.instant("expires_at"))
            .col(schema.instant("obtained_at"))
            .col(schema.sealed("refresh_token_sealed"))
            .col(schema.instant("failed_at"))
            .col(schema.text("failure_reason"))
            .col(schema.number("failures").required())
            .col(schema.instant("due_at"))
            .col(schema.word("due_cause"))
            .col(schema.instant("leased_until").required())
            .col(schema.number("lease_epoch").required())
            .col(schema.text("refreshes_json"))
            .primary_key(Index::create().col("owner_id").col("kind"))
            .take();
        schema.create(table).await?;
        schema.index(TABLE, &["kind", "due_at"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
