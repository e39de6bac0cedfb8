//! Rows of `message_pushes`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_pushes")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub authorizer_id: String,
    pub dedupe: String,
    pub payload_sealed: Vec<u8>,
    pub state: String,
    pub issued_at: i64,
    pub received_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
