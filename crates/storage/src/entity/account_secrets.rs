//! Rows of `account_secrets`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_secrets")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub authorizer_id: String,
    pub appid: String,
    pub appsecret_sealed: Vec<u8>,
    pub token_api: String,
    pub push_token_sealed: Option<Vec<u8>>,
    pub encoding_aes_key_sealed: Option<Vec<u8>>,
    pub created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
