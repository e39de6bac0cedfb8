//! Rows of `component_tickets`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "component_tickets")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub component_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub ticket_digest: String,
    pub value_sealed: Vec<u8>,
    pub issued_at: i64,
    pub received_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
