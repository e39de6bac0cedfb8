//! Rows of `auto_replies`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "auto_replies")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub authorizer_id: String,
    pub tenant_id: String,
    pub rules_json: String,
    pub updated_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
