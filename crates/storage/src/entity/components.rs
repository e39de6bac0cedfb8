//! Rows of `components`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "components")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub appid: String,
    pub name: String,
    pub appsecret_sealed: Vec<u8>,
    pub push_token_sealed: Vec<u8>,
    pub previous_push_token_sealed: Option<Vec<u8>>,
    pub previous_push_token_until: Option<i64>,
    pub encoding_aes_key_sealed: Vec<u8>,
    pub previous_encoding_aes_key_sealed: Option<Vec<u8>>,
    pub encoding_aes_key_changed_at: Option<i64>,
    pub answers_publish_test: bool,
    pub ticket_asked_at: Option<i64>,
    pub ticket_late_since: Option<i64>,
    pub reconciled_at: Option<i64>,
    pub reconciliation_json: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
