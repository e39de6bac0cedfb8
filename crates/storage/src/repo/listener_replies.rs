//! What listeners replied to messages: the first reply to each counts. Sealed, since a reply is as
//! private as what it replies to. They go when their event goes.

use lingpai_model::{
    Instant, Secret,
    caller::TenantScope,
    id::{EventId, TenantId},
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use super::{ListenerReplyRepo, Write};
use crate::{
    db::Handle,
    entity::{
        events,
        listener_replies::{self, Column, Entity},
    },
    error::{Error, Result},
    seal::Place,
};

impl<A> ListenerReplyRepo<'_, A> {
    /// What was replied to this event of the tenant's: `Some(None)` when it was that nothing is to
    /// be replied, `None` when nobody has said anything yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`].
    pub async fn find(
        &self,
        tenant: &TenantId,
        event: &EventId,
    ) -> Result<Option<Option<Secret<String>>>> {
        let row = Entity::find_by_id(event.as_str())
            .filter(Column::TenantId.eq(tenant.as_str()))
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("read what a listener replied"))?;
        let Some(row) = row else { return Ok(None) };
        let owner = [row.tenant_id.as_str(), row.event_id.as_str()];
        let open = |sealed: &Vec<u8>| self.at.keys.open_text(place(&owner), sealed);
        row.reply_sealed.as_ref().map(open).transpose().map(Some)
    }
}

impl ListenerReplyRepo<'_, Write> {
    /// Keeps what was replied to this event of the tenant's. `false` when something was before.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing event and another tenant's; [`Error::Unavailable`].
    pub async fn insert_once(
        &self,
        scope: &TenantScope,
        event: &EventId,
        reply: Option<&Secret<String>>,
        at: Instant,
    ) -> Result<bool> {
        let what = "keep what a listener replied";
        // Locked, so that nobody erases the event and leaves a reply to it behind.
        let known = events::Entity::find_by_id(event.as_str())
            .select_only()
            .column(events::Column::Id)
            .filter(events::Column::TenantId.eq(scope.tenant_id().as_str()))
            .lock_exclusive()
            .into_tuple::<String>()
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        known.ok_or_else(|| Error::not_found("event", event))?;
        let owner = [scope.tenant_id().as_str(), event.as_str()];
        let row = listener_replies::Model {
            event_id: event.as_str().to_owned(),
            tenant_id: scope.tenant_id().to_string(),
            reply_sealed: reply.map(|reply| self.at.keys.seal_text(place(&owner), reply)),
            created_at: at.timestamp_millis(),
        };
        self.at.insert_once(what, row).await
    }
}

/// Erases what was replied to these events, which go as well.
pub(crate) async fn erase_with(at: &Handle<'_>, events: &[String]) -> Result<()> {
    let erased = Entity::delete_many().filter(Column::EventId.is_in(events)).exec(&at.conn).await;
    erased.map_err(at.failed("erase what listeners replied")).map(drop)
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "listener_replies", column: "reply_sealed", row }
}
