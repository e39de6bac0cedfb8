//! An event of a component is in no tenant's stream and about no authorizer; an account that is
//! connected by its own secret has no component.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Nothing, Required as _, Schema, refers};

const TABLE: &str = "events";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        reshape(&schema, Nothing::Allowed).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        reshape(&schema, Nothing::Refused).await
    }
}

async fn reshape(schema: &Schema<'_>, whom: Nothing) -> Result<(), DbErr> {
    let table = schema
        .table(TABLE)
        .col(schema.id("id").required().primary_key().take())
        .col(whom.in_column(schema.id("tenant_id")))
        .col(whom.in_column(schema.appid("component_appid")))
        .col(whom.in_column(schema.appid("authorizer_appid")))
        .col(schema.word("kind").required())
        .col(schema.instant("occurred_at").required())
        .foreign_key(&mut refers(TABLE, "tenant_id", "tenants"))
        .take();
    schema.reshape(TABLE, &["tenant_id", "component_appid", "authorizer_appid"], &table).await?;
    schema.index(TABLE, &["tenant_id", "id"]).await?;
    Ok(())
}
