//! The end of a stream, without what the events have to say.

use lingpai_model::{Appid, caller::TenantScope, event::EventType, id::EventId};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, Func},
};

use super::super::{EventRepo, Reader};
use crate::{
    entity::events::{Column, Entity},
    error::{Error, Result},
};

/// As much of an event as it takes to tell who wants it, and what it takes to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMark {
    /// Its id.
    pub id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// The authorizer it is about, if it is about one.
    pub authorizer_appid: Option<Appid>,
    /// How large what WeChat pushed is as it is stored, in bytes; 0 for an event of our own.
    pub bytes: u64,
}

#[derive(Debug, FromQueryResult)]
struct MarkRow {
    id: String,
    kind: String,
    authorizer_appid: Option<String>,
    bytes: i64,
}

impl<A> EventRepo<'_, A> {
    /// Up to `limit` of the tenant's events behind `after`, by id. One that cannot be read is left
    /// out and logged.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn tail(
        &self,
        scope: &TenantScope,
        after: &EventId,
        limit: u64,
    ) -> Result<Vec<EventMark>> {
        let mut after = after.as_str().to_owned();
        loop {
            let length = Func::cust("LENGTH").arg(Expr::col(Column::PayloadSealed));
            let rows = Entity::find()
                .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
                .filter(Column::Id.gt(after))
                .order_by_asc(Column::Id)
                .limit(limit)
                .select_only()
                .columns([Column::Id, Column::Kind, Column::AuthorizerAppid])
                .column_as(Expr::from(Func::coalesce([length.into(), Expr::val(0_i64)])), "bytes")
                .into_model::<MarkRow>()
                .all(&self.at.conn)
                .await
                .map_err(self.at.failed("follow events"))?;
            let Some(last) = rows.last().map(|row| row.id.clone()) else { return Ok(Vec::new()) };
            let marks: Vec<EventMark> = rows.iter().filter_map(readable).collect();
            if !marks.is_empty() {
                return Ok(marks);
            }
            after = last;
        }
    }

    /// The tenant's event that has exactly `younger` ones behind it, by id; `None` if there are not so
    /// many.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn find_with_younger(
        &self,
        scope: &TenantScope,
        younger: u64,
    ) -> Result<Option<EventId>> {
        let id: Option<String> = Entity::find()
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .order_by_desc(Column::Id)
            .offset(younger)
            .limit(1)
            .select_only()
            .column(Column::Id)
            .into_tuple()
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("find where a stream is followed from"))?;
        let read = |id: String| Reader { table: "events", key: &id }.parsed(EventId::parse(&id));
        id.map(read).transpose()
    }
}

fn readable(row: &MarkRow) -> Option<EventMark> {
    let told = |error: &Error| {
        tracing::error!(event.id = %row.id, %error, "event {} cannot be read", row.id);
    };
    mark(row).inspect_err(told).ok()
}

fn mark(row: &MarkRow) -> Result<EventMark> {
    let read = Reader { table: "events", key: &row.id };
    Ok(EventMark {
        id: read.parsed(EventId::parse(&row.id))?,
        event_type: read.parsed(EventType::parse(&row.kind))?,
        authorizer_appid: read.appid_if_any(row.authorizer_appid.as_deref())?,
        bytes: read.parsed(u64::try_from(row.bytes))?,
    })
}
