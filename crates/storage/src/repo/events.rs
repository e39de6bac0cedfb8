//! The event streams of tenants and operator. An event is appended in the transaction of its cause.

use lingpai_model::event::Event;

use super::{EventRepo, Write};
use crate::{entity::events, error::Result};

impl EventRepo<'_, Write> {
    /// Appends an event to its stream.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`], [`crate::Error::Unavailable`].
    pub async fn append(&self, event: &Event) -> Result<()> {
        let row = events::Model {
            id: event.id.as_str().to_owned(),
            tenant_id: event.tenant_id.as_ref().map(ToString::to_string),
            component_appid: event.component_appid.as_ref().map(ToString::to_string),
            authorizer_appid: event.authorizer_appid.as_ref().map(ToString::to_string),
            kind: event.kind.as_str().to_owned(),
            occurred_at: event.occurred_at.timestamp_millis(),
            detail_json: event.detail.as_ref().map(ToString::to_string),
        };
        self.at.insert_new("append an event", "event", row).await
    }
}
