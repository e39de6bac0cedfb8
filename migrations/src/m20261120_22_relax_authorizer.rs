//! An account that is connected by its own secret has no component.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Nothing, Required as _, Schema, refers};

const TABLE: &str = "authorizers";

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

async fn reshape(schema: &Schema<'_>, component: Nothing) -> Result<(), DbErr> {
    let table = schema
        .table(TABLE)
        .col(schema.id("id").required().primary_key().take())
        .col(component.in_column(schema.id("component_id")))
        .col(component.in_column(schema.appid("component_appid")))
        .col(schema.id("tenant_id"))
        .col(schema.appid("appid").required())
        .col(schema.word("state").required())
        .col(schema.instant("state_at"))
        .col(schema.number("generation").required())
        .col(schema.instant("granted_at").required())
        .col(schema.text("profile_json").required())
        .col(schema.text("func_info_json").required())
        .col(schema.instant("created_at").required())
        .col(schema.instant("updated_at").required())
        .foreign_key(&mut refers(TABLE, "component_id", "components"))
        .take();
    schema.reshape(TABLE, &["component_id", "component_appid"], &table).await?;
    schema.index(TABLE, &["tenant_id", "id"]).await?;
    schema.index(TABLE, &["tenant_id", "appid"]).await?;
    schema.unique(TABLE, &["component_id", "appid"]).await?;
    Ok(())
}
