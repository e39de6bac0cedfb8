//! What is told to the tenant of an authorizer, in the transaction of its cause.

use lingpai_model::{
    Instant,
    authorizer::Authorizer,
    clock::Entropy,
    event::{Event, EventKind},
    id::EventId,
};
use lingpai_storage::Tx;

/// Tells the owner of `authorizer` what happened, if it has one.
pub(crate) async fn emit(
    tx: &Tx,
    entropy: &Entropy,
    authorizer: &Authorizer,
    kind: EventKind,
    occurred_at: Instant,
) -> lingpai_storage::Result<()> {
    let Some(tenant_id) = authorizer.tenant_id.clone() else { return Ok(()) };
    let event = Event {
        id: EventId::new(occurred_at, entropy),
        tenant_id: Some(tenant_id),
        component_appid: authorizer.connection.component_appid().cloned(),
        authorizer_appid: Some(authorizer.appid.clone()),
        kind,
        occurred_at,
    };
    tx.events().append(&event).await
}
