//! Rows of `audit_entries`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_entries")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub done_at: i64,
    pub tenant_id: Option<String>,
    pub actor: String,
    pub actor_id: Option<String>,
    pub action: String,
    pub subject: String,
    pub request_id: Option<String>,
    pub peer: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
