//! Rows of `component_tokens`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "component_tokens")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub component_id: String,
    pub access_token_sealed: Option<Vec<u8>>,
    pub expires_at: Option<i64>,
    pub obtained_at: Option<i64>,
    pub failed_at: Option<i64>,
    pub failure_reason: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
