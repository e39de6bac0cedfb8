//! Rows of `tokens`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tokens")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    pub generation: i64,
    pub value_sealed: Option<Vec<u8>>,
    pub expires_at: Option<i64>,
    pub obtained_at: Option<i64>,
    pub refresh_token_sealed: Option<Vec<u8>>,
    pub failed_at: Option<i64>,
    pub failure_reason: Option<String>,
    pub failures: i64,
    pub due_at: Option<i64>,
    pub due_cause: Option<String>,
    pub leased_until: i64,
    pub lease_epoch: i64,
    pub refreshes_json: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
