//! What is told to the tenant of an authorizer, in the transaction of its cause.

use lingpai_model::{
    Instant,
    authorizer::Authorizer,
    clock::Entropy,
    event::{Event, EventContent, EventKind},
    id::EventId,
};
use lingpai_storage::Tx;
use serde_json::{Value, json};

/// Tells the owner of `authorizer` what happens now, if it has one.
pub(crate) async fn emit(
    tx: &Tx,
    entropy: &Entropy,
    authorizer: &Authorizer,
    kind: EventKind,
    now: Instant,
) -> lingpai_storage::Result<()> {
    tell(tx, entropy, authorizer, (kind, None), When { occurred_at: now, received_at: now }).await
}

/// Tells the owner of `authorizer` that it withdrew its grant, if it has an owner: when, by WeChat's
/// clock, and when we learnt of it.
pub(crate) async fn tell_withdrawal(
    tx: &Tx,
    entropy: &Entropy,
    authorizer: &Authorizer,
    (occurred_at, received_at): (Instant, Instant),
) -> lingpai_storage::Result<()> {
    let what = (EventKind::Unauthorized, None);
    tell(tx, entropy, authorizer, what, When { occurred_at, received_at }).await
}

/// Tells the owner of `authorizer` that WeChat refuses `path` by `errcode`, because a quota is used
/// up.
pub(crate) async fn warn_of_quota(
    tx: &Tx,
    entropy: &Entropy,
    authorizer: &Authorizer,
    (path, errcode): (&str, i64),
    now: Instant,
) -> lingpai_storage::Result<()> {
    let what = (EventKind::QuotaWarning, Some(json!({ "path": path, "errcode": errcode })));
    tell(tx, entropy, authorizer, what, When { occurred_at: now, received_at: now }).await
}

/// When something happened, and when we learnt of it: the stream is ordered by the latter, so that
/// whoever follows it misses nothing.
#[derive(Debug, Clone, Copy)]
struct When {
    occurred_at: Instant,
    received_at: Instant,
}

async fn tell(
    tx: &Tx,
    entropy: &Entropy,
    authorizer: &Authorizer,
    (kind, detail): (EventKind, Option<Value>),
    when: When,
) -> lingpai_storage::Result<()> {
    let Some(tenant_id) = authorizer.tenant_id.clone() else { return Ok(()) };
    let event = Event {
        id: EventId::new(when.received_at, entropy),
        tenant_id: Some(tenant_id),
        component_appid: authorizer.connection.component_appid().cloned(),
        authorizer_appid: Some(authorizer.appid.clone()),
        event_type: kind.into(),
        openid: None,
        occurred_at: when.occurred_at,
        received_at: when.received_at,
        content: EventContent::Ours(detail),
    };
    tx.events().append(&event).await
}
