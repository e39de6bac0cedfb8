//! What is told to the tenant of an authorizer, in the transaction of its cause.

use lingpai_model::{
    Instant,
    authorizer::Authorizer,
    clock::Entropy,
    event::{Event, EventKind},
    id::EventId,
};
use lingpai_storage::Tx;
use serde_json::{Value, json};

/// Tells the owner of `authorizer` what happened, if it has one.
pub(crate) async fn emit(
    tx: &Tx,
    entropy: &Entropy,
    authorizer: &Authorizer,
    kind: EventKind,
    occurred_at: Instant,
) -> lingpai_storage::Result<()> {
    tell(tx, authorizer, (EventId::new(occurred_at, entropy), kind, None), occurred_at).await
}

/// Tells the owner of `authorizer` that WeChat refuses `path` by `errcode`, because a quota is used
/// up.
pub(crate) async fn warn_of_quota(
    tx: &Tx,
    entropy: &Entropy,
    authorizer: &Authorizer,
    (path, errcode): (&str, i64),
    occurred_at: Instant,
) -> lingpai_storage::Result<()> {
    let detail = Some(json!({ "path": path, "errcode": errcode }));
    let what = (EventId::new(occurred_at, entropy), EventKind::QuotaWarning, detail);
    tell(tx, authorizer, what, occurred_at).await
}

async fn tell(
    tx: &Tx,
    authorizer: &Authorizer,
    (id, kind, detail): (EventId, EventKind, Option<Value>),
    occurred_at: Instant,
) -> lingpai_storage::Result<()> {
    let Some(tenant_id) = authorizer.tenant_id.clone() else { return Ok(()) };
    let event = Event {
        id,
        tenant_id: Some(tenant_id),
        component_appid: authorizer.connection.component_appid().cloned(),
        authorizer_appid: Some(authorizer.appid.clone()),
        kind,
        occurred_at,
        detail,
    };
    tx.events().append(&event).await
}
