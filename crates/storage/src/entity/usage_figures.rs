//! Rows of `usage_figures`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_figures")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub starts_at: i64,
    pub tenant_id: String,
    pub key_id: String,
    pub authorizer_appid: String,
    pub path: String,
    pub errcode: i64,
    pub calls: i64,
}

impl ActiveModelBehavior for ActiveModel {}
