//! How often what was called: one row for each hour and one for each day.
//!
//! The id of a row begins with its span, so that ids sort by time within the hours and within the
//! days: a list by time is a list by id, and what is old is one piece of the key.

use std::collections::BTreeMap;

use lingpai_model::{
    Appid, Instant,
    caller::TenantScope,
    digest::Digest,
    id::ApiKeyId,
    page::{Page, PageRequest},
    usage::{Granularity, UsageFigure, UsageKey},
};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict},
};

use super::{Reader, SWEPT_AT_ONCE, UsageRepo, Write, page, text};
use crate::{
    entity::usage_figures::{Column, Entity, Model},
    error::Result,
};

/// How many rows one statement writes: SQLite takes 32,766 values in one, and a row has eight.
const ROWS_AT_ONCE: usize = 500;

/// Which figures a list shows: those that match everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Calls for this account.
    pub authorizer_appid: Option<Appid>,
    /// Calls with this key.
    pub key_id: Option<ApiKeyId>,
    /// Spans that begin at this instant or later.
    pub from: Option<Instant>,
    /// Spans that begin before this instant.
    pub to: Option<Instant>,
}

impl<A> UsageRepo<'_, A> {
    /// The tenant's figures by hour or by day, the oldest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(
        &self,
        scope: &TenantScope,
        granularity: Granularity,
        filter: &UsageFilter,
        request: &PageRequest,
    ) -> Result<Page<UsageFigure>> {
        let mut rows = Entity::find()
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .filter(within(granularity, None));
        if let Some(appid) = &filter.authorizer_appid {
            rows = rows.filter(Column::AuthorizerAppid.eq(appid.as_str()));
        }
        if let Some(key) = &filter.key_id {
            rows = rows.filter(Column::KeyId.eq(key.as_str()));
        }
        if let Some(from) = filter.from {
            rows = rows.filter(Column::StartsAt.gte(from.timestamp_millis()));
            rows = rows.filter(Column::Id.gte(id_prefix(granularity, from)));
        }
        if let Some(to) = filter.to {
            rows = rows.filter(Column::StartsAt.lt(to.timestamp_millis()));
            rows = rows.filter(Column::Id.lt(id_prefix(granularity, to) + AFTER_ALL));
        }
        let rows = page(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list usage figures"))?;
        let page = Page::cut(rows, request, |row| &row.id);
        let items = page.items.into_iter().map(record).collect::<Result<_>>()?;
        Ok(Page { items, next: page.next })
    }
}

impl UsageRepo<'_, Write> {
    /// Adds calls that were made at about `at` to the figures of their hour and their day.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn add(&self, calls: &[(UsageKey, u64)], at: Instant) -> Result<()> {
        // In one order, so that two instances do not wait for each other; each row once, since no
        // statement may write one twice.
        let mut rows: BTreeMap<String, Model> = BTreeMap::new();
        for granularity in Granularity::ALL {
            for (key, calls) in calls {
                let row = row(granularity, at, key);
                let row = rows.entry(row.id.clone()).or_insert(row);
                row.calls = row.calls.saturating_add(i64::try_from(*calls).unwrap_or(i64::MAX));
            }
        }
        let rows: Vec<Model> = rows.into_values().collect();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let sum = Expr::col((Entity, Column::Calls)).add(self.at.inserted("calls"));
            let add_up = OnConflict::column(Column::Id).value(Column::Calls, sum).to_owned();
            Entity::insert_many(rows.iter().cloned().map(Model::into_active_model))
                .on_conflict(add_up)
                .exec_without_returning(&self.at.conn)
                .await
                .map_err(self.at.failed("add usage figures up"))?;
        }
        Ok(())
    }

    /// Erases figures of spans that began before `before`, the oldest first and not all at once;
    /// returns how many, 0 when none is left.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn sweep(&self, granularity: Granularity, before: Instant) -> Result<u64> {
        let what = "erase old usage figures";
        let old = within(granularity, Some(before));
        let next: Option<String> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(old.clone())
            .order_by_asc(Column::Id)
            .offset(SWEPT_AT_ONCE)
            .limit(1)
            .into_tuple()
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        let mut delete = Entity::delete_many().filter(old);
        if let Some(next) = next {
            delete = delete.filter(Column::Id.lt(next));
        }
        let deleted = delete.exec(&self.at.conn).await.map_err(self.at.failed(what))?;
        Ok(deleted.rows_affected)
    }
}

/// What comes after all that an id can go on with: hexadecimal digits.
const AFTER_ALL: &str = "g";

/// How the ids of one granularity begin.
fn letter(granularity: Granularity) -> char {
    match granularity {
        Granularity::Hour => 'h',
        Granularity::Day => 'd',
    }
}

/// How the ids of the span begin that `at` is in: a letter, and the hours since 1970.
fn id_prefix(granularity: Granularity, at: Instant) -> String {
    // No clock of ours shows an hour before 1970; one behind the eighth digit is 500,000 years away.
    let hours = u32::try_from(granularity.start_of(at).timestamp() / 3600).unwrap_or_default();
    format!("{}{hours:08x}", letter(granularity))
}

/// The rows of one granularity, of spans before the one of `end` if there is an end.
fn within(granularity: Granularity, end: Option<Instant>) -> Condition {
    let letter = letter(granularity);
    let end = end.map_or_else(|| format!("{letter}{AFTER_ALL}"), |end| id_prefix(granularity, end));
    Condition::all().add(Column::Id.gte(letter.to_string())).add(Column::Id.lt(end))
}

fn row(granularity: Granularity, at: Instant, key: &UsageKey) -> Model {
    let errcode = key.errcode.to_string();
    let what = Digest::of(&[
        b"usage",
        key.tenant_id.as_str().as_bytes(),
        key.key_id.as_str().as_bytes(),
        key.authorizer_appid.as_str().as_bytes(),
        key.path.as_bytes(),
        errcode.as_bytes(),
    ]);
    let mut id = id_prefix(granularity, at) + &what.to_hex();
    id.truncate(ID_LEN);
    Model {
        id,
        starts_at: granularity.start_of(at).timestamp_millis(),
        tenant_id: key.tenant_id.as_str().to_owned(),
        key_id: key.key_id.as_str().to_owned(),
        authorizer_appid: key.authorizer_appid.as_str().to_owned(),
        path: text(&key.path),
        errcode: key.errcode,
        calls: 0,
    }
}

/// How long an id is; what is left of the digest still tells all keys apart.
const ID_LEN: usize = 64;

fn record(row: Model) -> Result<UsageFigure> {
    let read = Reader { table: "usage_figures", key: &row.id };
    Ok(UsageFigure {
        starts_at: read.instant(row.starts_at)?,
        key_id: read.parsed(ApiKeyId::parse(&row.key_id))?,
        authorizer_appid: read.appid(&row.authorizer_appid)?,
        errcode: row.errcode,
        calls: read.parsed(u64::try_from(row.calls))?,
        path: row.path,
    })
}
