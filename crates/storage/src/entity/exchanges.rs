//! Rows of `exchanges`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "exchanges")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub exchange_key: String,
    pub component_id: String,
    pub authorization_code_sealed: Vec<u8>,
    pub authorizer_appid: Option<String>,
    pub pre_auth_code_digest: Option<String>,
    pub returned_authorization_id: Option<String>,
    pub granted_at: i64,
    pub state: String,
    pub attempts: i64,
    pub next_attempt_at: i64,
    pub last_failure: Option<String>,
    pub created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
