//! Rows of `idempotency_keys`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub request: String,
    pub state: String,
    pub status: Option<i64>,
    pub content_type: Option<String>,
    pub body_sealed: Option<Vec<u8>>,
    pub created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
