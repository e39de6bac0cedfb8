//! The audit trail. An entry is appended in the transaction of its act.

use std::net::IpAddr;

use lingpai_model::{
    audit::{Action, Actor, AuditEntry},
    caller::TenantScope,
    id::{ApiKeyId, AuditId, OperatorId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, Select};

use super::{AuditRepo, Reader, Write, page_backwards, text};
use crate::{
    entity::audit_entries::{self, Column, Entity},
    error::Result,
};

/// Which entries a list shows: those that match everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those in this tenant's trail.
    pub tenant_id: Option<TenantId>,
    /// What this one did.
    pub actor: Option<Actor>,
    /// Where this was done.
    pub action: Option<Action>,
}

impl<A> AuditRepo<'_, A> {
    /// The tenant's trail, the newest entry first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(
        &self,
        scope: &TenantScope,
        request: &PageRequest,
    ) -> Result<Page<AuditEntry>> {
        let own = Entity::find().filter(Column::TenantId.eq(scope.tenant_id().as_str()));
        self.page(own, request).await
    }

    /// The operator's trail, which has every entry, the newest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_list(
        &self,
        filter: &AuditFilter,
        request: &PageRequest,
    ) -> Result<Page<AuditEntry>> {
        let mut rows = Entity::find();
        if let Some(tenant) = &filter.tenant_id {
            rows = rows.filter(Column::TenantId.eq(tenant.as_str()));
        }
        if let Some(actor) = &filter.actor {
            let (kind, id) = columns(actor);
            rows = rows.filter(Column::Actor.eq(kind));
            if let Some(id) = id {
                rows = rows.filter(Column::ActorId.eq(id));
            }
        }
        if let Some(action) = &filter.action {
            rows = rows.filter(Column::Action.eq(action.as_str()));
        }
        self.page(rows, request).await
    }

    async fn page(&self, rows: Select<Entity>, request: &PageRequest) -> Result<Page<AuditEntry>> {
        let rows = page_backwards(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list audit entries"))?;
        let entries = rows.into_iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(entries, request, |entry| entry.id.as_str()))
    }
}

impl AuditRepo<'_, Write> {
    /// Appends an entry.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`], [`crate::Error::Unavailable`].
    pub async fn append(&self, entry: &AuditEntry) -> Result<()> {
        let (actor, actor_id) = columns(&entry.actor);
        let row = audit_entries::Model {
            id: entry.id.as_str().to_owned(),
            done_at: entry.at.timestamp_millis(),
            tenant_id: entry.tenant_id.as_ref().map(ToString::to_string),
            actor: actor.to_owned(),
            actor_id: actor_id.map(ToOwned::to_owned),
            action: entry.action.as_str().to_owned(),
            subject: text(&entry.subject),
            request_id: entry.request_id.as_deref().map(text),
            peer: entry.peer.map(|peer| peer.to_string()),
        };
        self.at.insert_new("append an audit entry", "audit entry", row).await
    }
}

const OPERATOR: &str = "operator";
const API_KEY: &str = "api_key";
const LINGPAI: &str = "lingpai";

/// Who acted, spread over two columns.
fn columns(actor: &Actor) -> (&'static str, Option<&str>) {
    match actor {
        Actor::Operator(id) => (OPERATOR, Some(id.as_str())),
        Actor::ApiKey(id) => (API_KEY, Some(id.as_str())),
        Actor::Lingpai => (LINGPAI, None),
    }
}

fn record(row: audit_entries::Model) -> Result<AuditEntry> {
    let read = Reader { table: "audit_entries", key: &row.id };
    let tenant_id = row.tenant_id.as_deref().map(TenantId::parse).transpose();
    let peer = row.peer.as_deref().map(str::parse::<IpAddr>).transpose();
    Ok(AuditEntry {
        id: read.parsed(AuditId::parse(&row.id))?,
        at: read.instant(row.done_at)?,
        tenant_id: read.parsed(tenant_id)?,
        actor: actor(&read, &row)?,
        action: Action::parse(&row.action)
            .unwrap_or_else(|| Action::Other(row.action.into_boxed_str())),
        peer: read.parsed(peer)?,
        subject: row.subject,
        request_id: row.request_id,
    })
}

fn actor(read: &Reader<'_>, row: &audit_entries::Model) -> Result<Actor> {
    match (row.actor.as_str(), row.actor_id.as_deref()) {
        (OPERATOR, Some(id)) => read.parsed(OperatorId::parse(id)).map(Actor::Operator),
        (API_KEY, Some(id)) => read.parsed(ApiKeyId::parse(id)).map(Actor::ApiKey),
        (LINGPAI, None) => Ok(Actor::Lingpai),
        _ => Err(read.fault()),
    }
}
