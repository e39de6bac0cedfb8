//! Rows of `late_replies`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "late_replies")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub authorizer_id: String,
    pub event_id: String,
    pub openid: String,
    pub reply_sealed: Vec<u8>,
    pub state: String,
    pub attempts: i64,
    pub leased_until: i64,
    pub lease_epoch: i64,
    pub last_failure: Option<String>,
    pub created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
