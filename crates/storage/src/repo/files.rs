//! Domain verification files, of tenants and of the operator. A name stands once.

use lingpai_model::{
    caller::TenantScope,
    file::{FileContent, FileName, VerificationFile},
    id::TenantId,
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
    sea_query::{Expr, OnConflict},
};

use super::{FileRepo, Reader, Write};
use crate::{
    entity::verification_files::{self, Column, Entity},
    error::Result,
};

impl<A> FileRepo<'_, A> {
    /// The file with this name, whoever uploaded it: all of them are served to everybody.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_find(&self, name: &FileName) -> Result<Option<VerificationFile>> {
        let row = Entity::find_by_id(name.as_str()).one(&self.at.conn).await;
        row.map_err(self.at.failed("read a verification file"))?.as_ref().map(record).transpose()
    }

    /// The tenant's files, by name.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(&self, scope: &TenantScope) -> Result<Vec<VerificationFile>> {
        self.system_list(Some(scope.tenant_id())).await
    }

    /// The files of this owner, the operator's if no tenant's, by name.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_list(&self, owner: Option<&TenantId>) -> Result<Vec<VerificationFile>> {
        let rows = Entity::find().filter(of(owner)).order_by_asc(Column::Name);
        let rows = rows.all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list verification files"))?;
        rows.iter().map(record).collect()
    }
}

impl FileRepo<'_, Write> {
    /// Adds a file, or replaces the one of the same name that its owner has. `false` when the name
    /// is another owner's.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn insert(&self, file: &VerificationFile) -> Result<bool> {
        let row = verification_files::Model {
            name: file.name.as_str().to_owned(),
            content: file.content.as_str().to_owned(),
            tenant_id: file.tenant_id.as_ref().map(ToString::to_string),
            created_at: file.created_at.timestamp_millis(),
        };
        // Of one that is there this changes nothing, but nobody else can change it until this
        // transaction ends. A refused insert would leave a lock on MySQL that two of us could hold,
        // each in the other's way.
        let mut there = OnConflict::column(Column::Name);
        there.update_column(Column::Name);
        Entity::insert(row.into_active_model())
            .on_conflict(there)
            .exec_without_returning(&self.at.conn)
            .await
            .map_err(self.at.failed("add a verification file"))?;
        let updated = Entity::update_many()
            .col_expr(Column::Content, Expr::val(file.content.as_str()))
            .col_expr(Column::CreatedAt, Expr::val(file.created_at.timestamp_millis()))
            .filter(Column::Name.eq(file.name.as_str()))
            .filter(of(file.tenant_id.as_ref()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("replace a verification file"))?;
        Ok(updated.rows_affected == 1)
    }

    /// Removes a file of the tenant's. `false` when it has none of this name.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn delete(&self, scope: &TenantScope, name: &FileName) -> Result<bool> {
        self.system_delete(Some(scope.tenant_id()), name).await
    }

    /// Removes a file of this owner, the operator's if no tenant's. `false` when it has none of this
    /// name.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn system_delete(&self, owner: Option<&TenantId>, name: &FileName) -> Result<bool> {
        let deleted = Entity::delete_many()
            .filter(Column::Name.eq(name.as_str()))
            .filter(of(owner))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("remove a verification file"))?;
        Ok(deleted.rows_affected == 1)
    }
}

fn of(owner: Option<&TenantId>) -> Expr {
    match owner {
        Some(tenant) => Column::TenantId.eq(tenant.as_str()),
        None => Column::TenantId.is_null(),
    }
}

fn record(row: &verification_files::Model) -> Result<VerificationFile> {
    let read = Reader { table: "verification_files", key: &row.name };
    let tenant_id = row.tenant_id.as_deref().map(TenantId::parse).transpose();
    Ok(VerificationFile {
        name: read.parsed(FileName::parse(&row.name))?,
        tenant_id: read.parsed(tenant_id)?,
        created_at: read.instant(row.created_at)?,
        content: read.parsed(FileContent::parse(&row.content))?,
    })
}
