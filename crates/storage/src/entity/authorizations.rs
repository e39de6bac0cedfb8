//! Rows of `authorizations`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authorizations")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant_id: String,
    pub component_id: String,
    pub account_kind: String,
    pub appid: Option<String>,
    pub category_ids_json: String,
    pub return_url: Option<String>,
    pub reference: Option<String>,
    pub purpose: Option<String>,
    pub link_digest: String,
    pub pre_auth_code_digest: String,
    pub pre_auth_code_sealed: Vec<u8>,
    pub state: String,
    pub authorizer_appid: Option<String>,
    pub errcode: Option<i64>,
    pub state_at: Option<i64>,
    pub created_at: i64,
    pub expires_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
