//! Each tenant's logo and limits, and when it was last changed; one that never was since has no such
//! instant.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DbErr, DeriveMigrationName},
};

use crate::schema::Schema;

const TABLE: &str = "tenants";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.add_column(TABLE, schema.text("logo_url")).await?;
        schema.add_column(TABLE, schema.number("requests_per_second")).await?;
        schema.add_column(TABLE, schema.number("concurrent_requests")).await?;
        schema.add_column(TABLE, schema.instant("updated_at")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let schema = Schema::of(manager).await?;
        schema.drop_column(TABLE, "updated_at").await?;
        schema.drop_column(TABLE, "concurrent_requests").await?;
        schema.drop_column(TABLE, "requests_per_second").await?;
        schema.drop_column(TABLE, "logo_url").await
    }
}
