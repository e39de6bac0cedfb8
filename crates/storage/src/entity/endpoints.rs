//! Rows of `endpoints`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "endpoints")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant_id: String,
    pub name: String,
    pub url: String,
    pub kind: String,
    pub secret_sealed: Option<Vec<u8>>,
    pub previous_secret_sealed: Option<Vec<u8>>,
    pub previous_secret_until: Option<i64>,
    pub push_token_sealed: Option<Vec<u8>>,
    pub encoding_aes_key_sealed: Option<Vec<u8>>,
    pub mode: Option<String>,
    pub role: Option<String>,
    pub late_replies: Option<String>,
    pub authorizers_json: String,
    pub event_types_json: String,
    pub state: String,
    pub state_since: Option<i64>,
    pub state_reason: Option<String>,
    pub failures_in_row: i64,
    pub failing_since: Option<i64>,
    pub blocked_until: Option<i64>,
    pub last_success_at: Option<i64>,
    pub last_failure_at: Option<i64>,
    pub last_failure: Option<String>,
    pub last_turn_at: i64,
    pub leased_until: i64,
    pub lease_epoch: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
