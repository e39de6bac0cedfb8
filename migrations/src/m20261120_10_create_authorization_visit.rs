//! Browsers that went to WeChat from a link: each may come back once.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
    sea_query::Index,
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "authorization_visits";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("authorization_id").required())
            .col(schema.digest("visit_digest").required())
            .col(schema.instant("opened_at").required())
            .col(schema.instant("closed_at"))
            .primary_key(Index::create().col("authorization_id").col("visit_digest"))
            .foreign_key(&mut refers(TABLE, "authorization_id", "authorizations"))
            .take();
        schema.create(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
