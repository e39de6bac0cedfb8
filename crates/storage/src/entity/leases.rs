//! Rows of `leases`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub leased_until: i64,
    pub lease_epoch: i64,
}

impl ActiveModelBehavior for ActiveModel {}
