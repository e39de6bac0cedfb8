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
    pub kind: String,
    pub occurred_at: i64,
    pub detail_json: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
