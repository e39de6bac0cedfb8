//! What became of the steps of WeChat's whole-network publish test.

use std::time::Duration;

use lingpai_model::{
    digest::Digest,
    id::{ComponentId, PublishCheckId},
    page::{Page, PageRequest},
    publish_test::{PublishCheck, PublishStep},
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};

use super::{PublishCheckRepo, Reader, Write, page_backwards, reason};
use crate::{
    db::millis,
    entity::publish_checks::{self, Column, Entity},
    error::Result,
};

impl<A> PublishCheckRepo<'_, A> {
    /// The steps of the component's tests, the newest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(
        &self,
        component: &ComponentId,
        request: &PageRequest,
    ) -> Result<Page<PublishCheck>> {
        let own = Entity::find().filter(Column::ComponentId.eq(component.as_str()));
        let rows = page_backwards(own, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list steps of publish tests"))?;
        let checks = rows.into_iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(checks, request, |check: &PublishCheck| check.id.as_str()))
    }

    /// What last became of the step with this code.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn find_by_code(
        &self,
        component: &ComponentId,
        code: &Digest,
    ) -> Result<Option<PublishCheck>> {
        let row = Entity::find()
            .filter(Column::ComponentId.eq(component.as_str()))
            .filter(Column::CodeDigest.eq(code.to_hex()))
            .order_by_desc(Column::Id)
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("read a step of a publish test"))?;
        row.map(record).transpose()
    }
}

impl PublishCheckRepo<'_, Write> {
    /// Appends what became of a step.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`], [`crate::Error::Unavailable`].
    pub async fn append(&self, check: &PublishCheck) -> Result<()> {
        let row = publish_checks::Model {
            id: check.id.as_str().to_owned(),
            component_id: check.component_id.as_str().to_owned(),
            appid: check.appid.as_str().to_owned(),
            step: check.step.as_str().to_owned(),
            code_digest: check.code.map(Digest::to_hex),
            asked_at: check.at.timestamp_millis(),
            took_ms: millis(check.took),
            failure: check.failure.as_deref().map(reason),
            errcode: check.errcode,
        };
        self.at.insert_new("keep a step of a publish test", "publish check", row).await
    }
}

fn record(row: publish_checks::Model) -> Result<PublishCheck> {
    let read = Reader { table: "publish_checks", key: &row.id };
    let step = PublishStep::ALL.into_iter().find(|step| step.as_str() == row.step);
    let code = row.code_digest.as_deref();
    Ok(PublishCheck {
        id: read.parsed(PublishCheckId::parse(&row.id))?,
        component_id: read.parsed(ComponentId::parse(&row.component_id))?,
        appid: read.appid(&row.appid)?,
        step: read.present(step)?,
        code: code.map(|hex| read.digest(hex)).transpose()?,
        at: read.instant(row.asked_at)?,
        took: Duration::from_millis(read.parsed(u64::try_from(row.took_ms))?),
        failure: row.failure,
        errcode: row.errcode,
    })
}
