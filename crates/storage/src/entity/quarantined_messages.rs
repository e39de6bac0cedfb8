//! Rows of `quarantined_messages`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quarantined_messages")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub component_id: Option<String>,
    pub authorizer_id: Option<String>,
    pub appid: String,
    pub dedupe: String,
    pub payload_sealed: Vec<u8>,
    pub reason: String,
    pub received_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
