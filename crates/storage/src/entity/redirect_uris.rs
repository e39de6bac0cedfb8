//! Rows of `redirect_uris`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "redirect_uris")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub uri_digest: String,
    pub uri: String,
    pub created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
