//! Rows of `authorizer_tokens`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authorizer_tokens")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub authorizer_id: String,
    pub generation: i64,
    pub access_token_sealed: Option<Vec<u8>>,
    pub expires_at: Option<i64>,
    pub obtained_at: Option<i64>,
    pub failed_at: Option<i64>,
    pub failure_reason: Option<String>,
    pub refresh_token_sealed: Option<Vec<u8>>,
}

impl ActiveModelBehavior for ActiveModel {}
