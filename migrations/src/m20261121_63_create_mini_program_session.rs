//! Sessions of fans in mini programs: one row for each fan of each mini program, of his last login.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::{Required as _, Schema, refers};

const TABLE: &str = "mini_program_sessions";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        let table = schema
            .table(TABLE)
            .col(schema.id("id").required().primary_key().take())
            .col(schema.id("authorizer_id").required())
            .col(schema.exact("openid", 128).required())
            .col(schema.exact("unionid", 128))
            .col(schema.sealed("session_key_sealed").required())
            .col(schema.instant("created_at").required())
            .col(schema.instant("updated_at").required())
            .foreign_key(&mut refers(TABLE, "authorizer_id", "authorizers"))
            .take();
        schema.create(table).await?;
        schema.unique(TABLE, &["authorizer_id", "openid"]).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Schema::of(manager).await?.drop(TABLE).await
    }
}
