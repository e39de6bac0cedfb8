//! Rows of `refresh_tokens`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub component_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub authorizer_appid: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_digest: String,
    pub value_sealed: Vec<u8>,
    pub source: String,
    pub received_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
