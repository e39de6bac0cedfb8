//! What events are found by: account, fan, type, age, being new, and what a repetition is recognised by.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::Schema;

const TABLE: &str = "events";

const INDEXES: [&[&str]; 4] = [
    &["tenant_id", "authorizer_appid", "id"],
    &["tenant_id", "openid", "id"],
    &["tenant_id", "kind", "id"],
    &["received_at"],
];
const UNDISPATCHED: [&str; 2] = ["undispatched", "id"];
const DEDUPE: [&str; 2] = ["authorizer_id", "dedupe"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        for columns in INDEXES {
            schema.index(TABLE, columns).await?;
        }
        schema.sparse_index(TABLE, &UNDISPATCHED, "undispatched").await?;
        schema.unique(TABLE, &DEDUPE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.drop_unique(TABLE, &DEDUPE).await?;
        schema.drop_index(TABLE, &UNDISPATCHED).await?;
        for columns in INDEXES {
            schema.drop_index(TABLE, columns).await?;
        }
        Ok(())
    }
}
