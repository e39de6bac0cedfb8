//! Rows of `authorization_visits`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authorization_visits")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub authorization_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub visit_digest: String,
    pub opened_at: i64,
    pub closed_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
