//! Rows of `events`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant_id: Option<String>,
    pub component_appid: Option<String>,
    pub authorizer_appid: Option<String>,
    pub authorizer_id: Option<String>,
    pub dedupe: Option<String>,
    pub kind: String,
    pub openid: Option<String>,
    pub occurred_at: i64,
    pub received_at: Option<i64>,
    pub detail_json: Option<String>,
    pub payload_sealed: Option<Vec<u8>>,
    pub undispatched: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
