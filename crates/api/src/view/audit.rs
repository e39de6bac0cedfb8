//! The audit trail, as it is told in both APIs.

use lingpai_model::{
    Instant,
    audit::{Actor, AuditEntry},
};
use poem_openapi::{Enum, Object, types::Example};

use crate::example;

/// Which kind of actor acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ActorKind", rename_all = "snake_case")]
enum ActorKindView {
    /// An operator of this installation.
    Operator,
    /// A program of the tenant, by its API key.
    ApiKey,
    /// lingpai itself: nobody who showed a key.
    Lingpai,
}

/// Who acted.
#[derive(Debug, Object)]
#[oai(rename = "Actor", example)]
struct ActorView {
    /// Which kind of actor.
    kind: ActorKindView,
    /// The id of the key that was shown; null if none was, and where it is told to nobody but the
    /// operator.
    #[oai(nullable)]
    id: Option<String>,
}

impl Example for ActorView {
    fn example() -> Self {
        Self { kind: ActorKindView::ApiKey, id: Some(example::API_KEY_ID.to_owned()) }
    }
}

/// One act: who did what, when, by which request.
#[derive(Debug, Object)]
#[oai(rename = "AuditEntry", example)]
pub(crate) struct AuditEntryView {
    /// Its id.
    id: String,
    /// When it was done.
    at: Instant,
    /// Whose things it was done to; null if it was the installation's.
    #[oai(nullable)]
    tenant_id: Option<String>,
    /// Who did it.
    actor: ActorView,
    /// What was done, as `noun.verb`; more may come.
    action: String,
    /// To what it was done: an id, an appid, an address or a name.
    subject: String,
    /// The request by which it was done, as in the header `Lingpai-Request-Id` of its answer; null
    /// if it was none.
    #[oai(nullable)]
    request_id: Option<String>,
    /// The address that the request came from; null where it is not known or not told.
    #[oai(nullable)]
    peer: Option<String>,
}

impl Example for AuditEntryView {
    fn example() -> Self {
        Self {
            id: example::AUDIT_ID.to_owned(),
            at: example::instant(),
            tenant_id: Some(example::TENANT_ID.to_owned()),
            actor: ActorView::example(),
            action: "redirect_uri.registered".to_owned(),
            subject: "https://shop.example/wechat/done".to_owned(),
            request_id: Some("5f0c3a9e1b7d48c2a6e4f1d09b83c765".to_owned()),
            peer: Some("192.0.2.17".to_owned()),
        }
    }
}

impl AuditEntryView {
    /// The entry as the operator reads it: everything.
    pub(crate) fn for_operator(entry: AuditEntry) -> Self {
        let (kind, id) = match entry.actor {
            Actor::Operator(id) => (ActorKindView::Operator, Some(id.to_string())),
            Actor::ApiKey(id) => (ActorKindView::ApiKey, Some(id.to_string())),
            Actor::Lingpai => (ActorKindView::Lingpai, None),
        };
        Self {
            id: entry.id.to_string(),
            at: entry.at,
            tenant_id: entry.tenant_id.map(|tenant| tenant.to_string()),
            actor: ActorView { kind, id },
            action: entry.action.as_str().to_owned(),
            subject: entry.subject,
            request_id: entry.request_id,
            peer: entry.peer.map(|peer| peer.to_string()),
        }
    }

    /// The entry as its tenant reads it: the addresses that its own keys were used from, and nobody
    /// else's. Which operator it was is the operators' business.
    pub(crate) fn for_tenant(entry: AuditEntry) -> Self {
        let mut view = Self::for_operator(entry);
        match view.actor.kind {
            ActorKindView::ApiKey => {}
            ActorKindView::Operator => (view.actor.id, view.peer) = (None, None),
            ActorKindView::Lingpai => view.peer = None,
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use lingpai_model::{
        audit::{Act, Action},
        caller::Via,
        clock::Entropy,
        id::{ApiKeyId, OperatorId, TenantId},
    };
    use poem_openapi::types::ToJSON as _;
    use serde_json::{Value, json};

    use super::*;

    fn entry(actor: Actor) -> AuditEntry {
        let (at, entropy) = (example::instant(), Entropy::seeded(1));
        let peer = Some(IpAddr::from([192, 0, 2, 1]));
        let via = Via { request_id: "req".to_owned(), peer };
        let act = Act { actor, tenant_id: Some(TenantId::new(at, &entropy)), via };
        AuditEntry::of(&act, Action::FileUploaded, example::FILE_NAME, (at, &entropy))
    }

    fn told(view: &AuditEntryView) -> Value {
        view.to_json().unwrap()
    }

    #[test]
    fn a_tenant_is_told_that_an_operator_acted_and_not_which_one_nor_from_where() {
        let id = OperatorId::new(example::instant(), &Entropy::seeded(2));
        let operator = || entry(Actor::Operator(id.clone()));
        let all = told(&AuditEntryView::for_operator(operator()));
        assert_eq!(all["actor"], json!({ "kind": "operator", "id": id.as_str() }));
        assert_eq!(all["peer"], "192.0.2.1");
        let own = told(&AuditEntryView::for_tenant(operator()));
        assert_eq!(own["actor"], json!({ "kind": "operator", "id": null }));
        assert_eq!(own.get("peer"), Some(&Value::Null));
        assert_eq!(own["request_id"], "req");
    }

    #[test]
    fn a_tenant_is_told_which_of_its_keys_acted_and_from_where() {
        let id = ApiKeyId::new(example::instant(), &Entropy::seeded(2));
        let own = told(&AuditEntryView::for_tenant(entry(Actor::ApiKey(id.clone()))));
        assert_eq!(own["actor"], json!({ "kind": "api_key", "id": id.as_str() }));
        assert_eq!(own["peer"], "192.0.2.1");
        assert_eq!(own["action"], Action::FileUploaded.as_str());
        assert_eq!(own["subject"], example::FILE_NAME);
    }

    #[test]
    fn what_lingpai_did_names_no_key_and_no_address_of_whoever_set_it_off() {
        let own = told(&AuditEntryView::for_tenant(entry(Actor::Lingpai)));
        assert_eq!(own["actor"], json!({ "kind": "lingpai", "id": null }));
        assert_eq!(own.get("peer"), Some(&Value::Null));
        assert_eq!(told(&AuditEntryView::for_operator(entry(Actor::Lingpai)))["peer"], "192.0.2.1");
    }
}
