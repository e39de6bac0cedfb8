//! Rows of `tenants`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenants")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub name: String,
    pub logo_url: Option<String>,
    pub requests_per_second: Option<i64>,
    pub concurrent_requests: Option<i64>,
    pub created_at: i64,
    pub updated_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
