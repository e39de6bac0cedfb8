//! The audit trail: who did what, when, by which request. An entry is written in the transaction of
//! the act, so there is never one without the other.

use std::net::IpAddr;

use crate::{
    Instant,
    caller::Via,
    clock::Entropy,
    id::{ApiKeyId, AuditId, OperatorId, TenantId},
};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An operator.
    Operator(OperatorId),
    /// A tenant's program, by its key.
    ApiKey(ApiKeyId),
    /// We ourselves: nobody who showed a key.
    Lingpai,
}

/// Somebody who acts now: the part of an audit entry that does not depend on what is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub actor: Actor,
    /// In whose trail it is told; only in the operator's if in no tenant's.
    pub tenant_id: Option<TenantId>,
    /// By which request.
    pub via: Via,
}

impl Act {
    /// Something that we do ourselves.
    #[must_use]
    pub fn of_lingpai() -> Self {
        Self { actor: Actor::Lingpai, tenant_id: None, via: Via::default() }
    }

    /// The same, told in this tenant's trail too, because it is done to something of the tenant's.
    #[must_use]
    pub fn about(self, tenant: &TenantId) -> Self {
        Self { tenant_id: Some(tenant.clone()), ..self }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// A tenant was created.
    TenantCreated,
    /// A tenant's name, logo or limits were changed.
    TenantChanged,
    /// An API key was created.
    ApiKeyCreated,
    /// What an API key may do was changed.
    ApiKeyChanged,
    /// An API key got a new text.
    ApiKeyRotated,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// An operator was created.
    OperatorCreated,
    /// An operator was revoked.
    OperatorRevoked,
    /// A component was registered.
    ComponentRegistered,
    /// A component's name or secrets were changed.
    ComponentChanged,
    /// WeChat was to push tickets again.
    ComponentTicketPushAsked,
    /// A component was to be compared with WeChat's list of its accounts.
    ComponentReconciliationAsked,
    /// A component's token was to be refreshed.
    ComponentTokenRefreshAsked,
    /// An authorization was started.
    AuthorizationStarted,
    /// An account was connected by its own secret.
    AccountConnected,
    /// An authorizer was given up by its owner, or taken from it.
    AuthorizerReleased,
    /// An unclaimed authorizer was given to a tenant.
    AuthorizerAssigned,
    /// An unclaimed authorizer was said not to be served.
    AuthorizerRefused,
    /// An authorizer's profile was read anew.
    AuthorizerProfileRefreshed,
    /// An authorizer's token was to be refreshed.
    AuthorizerTokenRefreshAsked,
    /// A redirect URI was registered.
    RedirectUriRegistered,
    /// A redirect URI was removed.
    RedirectUriRemoved,
    /// A domain verification file was uploaded.
    FileUploaded,
    /// A domain verification file was removed.
    FileRemoved,
    /// WeChat was to count an account's calls anew.
    QuotaClearAsked,
    /// An endpoint was created.
    EndpointCreated,
    /// An endpoint was changed, paused or resumed.
    EndpointChanged,
    /// An endpoint got a new secret.
    EndpointSecretRotated,
    /// An endpoint was removed.
    EndpointRemoved,
    /// A test event was sent to an endpoint.
    EndpointTested,
    /// Events were to be delivered again.
    DeliveriesReplayed,
    /// What an account answers by itself was changed.
    AutoRepliesChanged,
    /// What is kept of one fan was erased.
    FanErased,
    /// What is kept of one account's fans was erased.
    AuthorizerErased,
    /// A push in quarantine was looked at.
    QuarantineRead,
    /// A push was let out of quarantine.
    QuarantineReleased,
    /// The whole-network publish test was rehearsed.
    RehearsalAsked,
    /// What only a newer program knows, in its word for it: its entries stay when it is taken back.
    Other(Box<str>),
}

impl Action {
    /// All actions that this program knows.
    pub const ALL: [Self; 37] = [
        Self::TenantCreated,
        Self::TenantChanged,
        Self::ApiKeyCreated,
        Self::ApiKeyChanged,
        Self::ApiKeyRotated,
        Self::ApiKeyRevoked,
        Self::OperatorCreated,
        Self::OperatorRevoked,
        Self::ComponentRegistered,
        Self::ComponentChanged,
        Self::ComponentTicketPushAsked,
        Self::ComponentReconciliationAsked,
        Self::ComponentTokenRefreshAsked,
        Self::AuthorizationStarted,
        Self::AccountConnected,
        Self::AuthorizerReleased,
        Self::AuthorizerAssigned,
        Self::AuthorizerRefused,
        Self::AuthorizerProfileRefreshed,
        Self::AuthorizerTokenRefreshAsked,
        Self::RedirectUriRegistered,
        Self::RedirectUriRemoved,
        Self::FileUploaded,
        Self::FileRemoved,
        Self::QuotaClearAsked,
        Self::EndpointCreated,
        Self::EndpointChanged,
        Self::EndpointSecretRotated,
        Self::EndpointRemoved,
        Self::EndpointTested,
        Self::DeliveriesReplayed,
        Self::AutoRepliesChanged,
        Self::FanErased,
        Self::AuthorizerErased,
        Self::QuarantineRead,
        Self::QuarantineReleased,
        Self::RehearsalAsked,
    ];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::TenantCreated => "tenant.created",
            Self::TenantChanged => "tenant.changed",
            Self::ApiKeyCreated => "api_key.created",
            Self::ApiKeyChanged => "api_key.changed",
            Self::ApiKeyRotated => "api_key.rotated",
            Self::ApiKeyRevoked => "api_key.revoked",
            Self::OperatorCreated => "operator.created",
            Self::OperatorRevoked => "operator.revoked",
            Self::ComponentRegistered => "component.registered",
            Self::ComponentChanged => "component.changed",
            Self::ComponentTicketPushAsked => "component.ticket_push_asked",
            Self::ComponentReconciliationAsked => "component.reconciliation_asked",
            Self::ComponentTokenRefreshAsked => "component.token_refresh_asked",
            Self::AuthorizationStarted => "authorization.started",
            Self::AccountConnected => "account.connected",
            Self::AuthorizerReleased => "authorizer.released",
            Self::AuthorizerAssigned => "authorizer.assigned",
            Self::AuthorizerRefused => "authorizer.refused",
            Self::AuthorizerProfileRefreshed => "authorizer.profile_refreshed",
            Self::AuthorizerTokenRefreshAsked => "authorizer.token_refresh_asked",
            Self::RedirectUriRegistered => "redirect_uri.registered",
            Self::RedirectUriRemoved => "redirect_uri.removed",
            Self::FileUploaded => "file.uploaded",
            Self::FileRemoved => "file.removed",
            Self::QuotaClearAsked => "quota.clear_asked",
            Self::EndpointCreated => "endpoint.created",
            Self::EndpointChanged => "endpoint.changed",
            Self::EndpointSecretRotated => "endpoint.secret_rotated",
            Self::EndpointRemoved => "endpoint.removed",
            Self::EndpointTested => "endpoint.tested",
            Self::DeliveriesReplayed => "deliveries.replayed",
            Self::AutoRepliesChanged => "auto_replies.changed",
            Self::FanErased => "fan.erased",
            Self::AuthorizerErased => "authorizer.events_erased",
            Self::QuarantineRead => "quarantine.read",
            Self::QuarantineReleased => "quarantine.released",
            Self::RehearsalAsked => "component.rehearsal_asked",
            Self::Other(text) => text,
        }
    }

    /// Reads an action; `None` when this program knows none of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// One entry of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When it was done.
    pub at: Instant,
    /// In whose trail it is told beside the operator's.
    pub tenant_id: Option<TenantId>,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// To what it was done: an id, appid, address or name; never a secret.
    pub subject: String,
    /// The request's id, if it was a request.
    pub request_id: Option<String>,
    /// The address that the request came from, where it is known.
    pub peer: Option<IpAddr>,
}

impl AuditEntry {
    /// The entry that tells that `act` did `action` to `subject`, at the given instant.
    #[must_use]
    pub fn of(
        act: &Act,
        action: Action,
        subject: impl Into<String>,
        (at, entropy): (Instant, &Entropy),
    ) -> Self {
        Self {
            id: AuditId::new(at, entropy),
            at,
            tenant_id: act.tenant_id.clone(),
            actor: act.actor.clone(),
            action,
            subject: subject.into(),
            request_id: Some(act.via.request_id.clone()).filter(|id| !id.is_empty()),
            peer: act.via.peer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api_key::Scopes,
        caller::{Caller, OperatorCaller, TenantScope},
    };

    #[test]
    fn actions_read_back_and_fit_their_column() {
        for action in Action::ALL {
            assert!(action.as_str().len() <= 32, "{}", action.as_str());
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        assert_eq!(Action::parse("access_token.read"), None);
    }

    #[test]
    fn an_entry_tells_who_acted_on_whose_behalf_and_by_which_request() {
        let (at, entropy) = (Instant::UNIX_EPOCH, Entropy::seeded(1));
        let tenant = TenantId::new(at, &entropy);
        let via = Via { request_id: "req_1".to_owned(), peer: Some(IpAddr::from([192, 0, 2, 1])) };
        let caller = Caller {
            scope: TenantScope::authenticated(tenant.clone()),
            key_id: ApiKeyId::new(at, &entropy),
            scopes: Scopes::all(),
            requests_per_second: None,
            via: via.clone(),
        };
        let entry = AuditEntry::of(&caller.act(), Action::FileUploaded, "a.txt", (at, &entropy));
        assert_eq!(entry.actor, Actor::ApiKey(caller.key_id.clone()));
        assert_eq!(entry.tenant_id, Some(tenant.clone()));
        assert_eq!((entry.request_id.as_deref(), entry.peer), (Some("req_1"), via.peer));

        let operator = OperatorCaller { id: OperatorId::new(at, &entropy), via };
        assert_eq!(operator.act().tenant_id, None, "it acts on the installation");
        let about = operator.act().about(&tenant);
        assert_eq!(about.tenant_id, Some(tenant));
        assert_eq!(about.actor, Actor::Operator(operator.id));
    }

    #[test]
    fn what_we_do_ourselves_has_no_request() {
        let at = (Instant::UNIX_EPOCH, &Entropy::seeded(1));
        let entry = AuditEntry::of(&Act::of_lingpai(), Action::QuotaClearAsked, "wx1", at);
        assert_eq!((entry.actor, entry.request_id, entry.peer), (Actor::Lingpai, None, None));
    }
}
