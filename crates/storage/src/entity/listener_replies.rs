//! Rows of `listener_replies`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "listener_replies")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    pub tenant_id: String,
    pub reply_sealed: Option<Vec<u8>>,
    pub created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
