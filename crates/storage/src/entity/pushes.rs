//! Rows of `pushes`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pushes")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub component_id: String,
    pub dedupe: String,
    pub info_type: String,
    pub authorizer_appid: Option<String>,
    pub payload_sealed: Vec<u8>,
    pub state: String,
    pub attempts: i64,
    pub leased_until: i64,
    pub lease_epoch: i64,
    pub last_failure: Option<String>,
    pub quarantine_reason: Option<String>,
    pub issued_at: i64,
    pub received_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
