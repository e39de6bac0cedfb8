//! Messages and events that WeChat pushed to accounts: recorded before they are answered.

use lingpai_model::push::NewMessage;

use super::insert_unknown;
use crate::{
    db::Handle,
    entity::message_pushes::{Column, Entity, Model},
    error::Result,
    seal::{KeyRing, Place},
};

/// Records messages that are sealed already. One that was recorded before is left as it is.
pub(crate) async fn save(at: &Handle<'_>, rows: Vec<Model>) -> Result<()> {
    let key = |row: &Model| [row.authorizer_id.clone(), row.dedupe.clone()];
    let columns = [Column::AuthorizerId, Column::Dedupe];
    insert_unknown::<Entity>(at, "record messages", rows, columns, key).await
}

/// The sealed row of a message.
pub(crate) fn row(keys: &KeyRing, message: &NewMessage) -> Model {
    let owner = [message.authorizer_id.as_str(), message.id.as_str()];
    let place = Place { table: "message_pushes", column: "payload_sealed", row: &owner };
    Model {
        id: message.id.as_str().to_owned(),
        authorizer_id: message.authorizer_id.as_str().to_owned(),
        dedupe: message.dedupe.to_hex(),
        payload_sealed: keys.seal_bytes(place, &message.payload),
        state: message.state().as_str().to_owned(),
        issued_at: message.issued_at.timestamp_millis(),
        received_at: message.received_at.timestamp_millis(),
    }
}
