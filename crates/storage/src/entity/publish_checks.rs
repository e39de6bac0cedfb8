//! Rows of `publish_checks`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "publish_checks")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub component_id: String,
    pub appid: String,
    pub step: String,
    pub code_digest: Option<String>,
    pub asked_at: i64,
    pub took_ms: i64,
    pub failure: Option<String>,
    pub errcode: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
