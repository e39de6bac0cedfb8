//! Rows of `delivery_attempts`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery_attempts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub delivery_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub began_at: i64,
    pub took_ms: i64,
    pub status: Option<i64>,
    pub failure: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
