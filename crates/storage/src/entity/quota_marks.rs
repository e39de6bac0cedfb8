//! Rows of `quota_marks`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quota_marks")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub authorizer_id: String,
    pub subject: String,
    pub period: String,
    pub marks: i64,
    pub marked_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
