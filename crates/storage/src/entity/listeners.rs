//! Rows of `listeners`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "listeners")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant_id: String,
    pub authorizers_json: String,
    pub event_types_json: String,
    pub seen_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
