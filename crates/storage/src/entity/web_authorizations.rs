//! Rows of `web_authorizations`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_authorizations")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant_id: String,
    pub authorizer_id: String,
    pub redirect_uri: String,
    pub scope: String,
    pub tenant_state: Option<String>,
    pub state_digest: String,
    pub browser_digest: String,
    pub state: String,
    pub state_at: Option<i64>,
    pub wechat_code_sealed: Option<Vec<u8>>,
    pub created_at: i64,
    pub expires_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
