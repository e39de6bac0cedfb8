//! Rows of `authorizers`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authorizers")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub connection: String,
    pub component_id: Option<String>,
    pub component_appid: Option<String>,
    pub tenant_id: Option<String>,
    pub refused_at: Option<i64>,
    pub released_at: Option<i64>,
    pub appid: String,
    pub state: String,
    pub state_at: Option<i64>,
    pub generation: i64,
    pub granted_at: i64,
    pub listed_at: Option<i64>,
    pub profile_json: String,
    pub kind: Option<String>,
    pub nick_name: Option<String>,
    pub func_info_json: String,
    pub created_at: i64,
    pub updated_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
