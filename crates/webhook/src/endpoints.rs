mod change;
mod test;

use std::time::Duration;

use lingpai_model::{
    Instant, Secret,
    audit::Action,
    caller::{Caller, TenantScope},
    delivery::DeadReason,
    endpoint::{
        Endpoint, EndpointHealth, EndpointKind, EndpointState, WebhookSecrets, WechatHandler,
    },
    event::EventFilter,
    id::{EndpointId, TenantId},
    page::{Page, PageRequest},
};
use lingpai_storage::Tx;

pub use self::{
    change::{EndpointChange, HandlerChange, Wanted},
    test::TestOutcome,
};
use crate::{Error, Result, WebhookBase, audit, seats::Seats, settle, signature::new_secret};

/// How many endpoints a tenant can have.
pub const MAX_ENDPOINTS: usize = 50;

/// How many endpoints of a tenant each process tries out at once. Whoever tries one out chooses when
/// and how often, and each holds a request of those that all tenants share.
pub const MOST_TESTS: usize = 2;

/// The longest that an endpoint's old secret signs beside the new one.
pub const MAX_SECRET_OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long the name of an endpoint is at most, in characters.
const MAX_NAME_CHARS: usize = 64;

/// How many accounts, and how many types, a filter names at most.
const MAX_FILTER_WORDS: usize = 100;

/// What a tenant says about a new endpoint.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// What it is called; may be empty.
    pub name: String,
    /// Where events are posted.
    pub url: String,
    /// In which form.
    pub kind: NewKind,
    /// Which events it gets.
    pub filter: EventFilter,
}

/// In which form a new endpoint gets events.
#[derive(Debug, Clone)]
pub enum NewKind {
    /// As JSON, signed with a secret that we make.
    Webhook,
    /// As WeChat would push them, with the secrets that the handler has.
    Wechat(WechatHandler),
}

/// Keeps where tenants want their events.
#[derive(Debug, Clone)]
pub struct Endpoints {
    base: WebhookBase,
    tests: Seats<TenantId>,
}

impl Endpoints {
    /// A service on `base`.
    #[must_use]
    pub fn new(base: WebhookBase) -> Self {
        Self { base, tests: Seats::new(MOST_TESTS) }
    }

    /// Adds an endpoint. The secret of a webhook is told here and never again.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadName`], [`Error::BadFilter`], [`Error::BadToken`],
    /// [`Error::BadEncodingAesKey`] for what cannot be used; [`Error::TooManyEndpoints`];
    /// [`Error::ReplyingTaken`] when another one already replies for one of the same accounts.
    pub async fn create(
        &self,
        caller: &Caller,
        new: NewEndpoint,
    ) -> Result<(Endpoint, Option<Secret<String>>)> {
        let WebhookBase { clock, entropy, .. } = &self.base;
        let now = clock.now();
        let (kind, secret) = match new.kind {
            NewKind::Webhook => {
                let current = new_secret(entropy);
                let secrets = WebhookSecrets { current: current.clone(), previous: None };
                (EndpointKind::Webhook(secrets), Some(current))
            }
            NewKind::Wechat(handler) => (EndpointKind::Wechat(handler), None),
        };
        let endpoint = Endpoint {
            id: EndpointId::new(now, entropy),
            tenant_id: caller.scope.tenant_id().clone(),
            name: new.name,
            url: new.url,
            kind,
            filter: new.filter,
            state: EndpointState::Active,
            health: EndpointHealth::default(),
            created_at: now,
            updated_at: now,
        };
        self.check(&endpoint)?;
        let tx = self.base.db.begin().await?;
        let others = tx.endpoints().lock_all(&caller.scope).await?;
        if others.len() >= MAX_ENDPOINTS {
            return Err(Error::TooManyEndpoints { most: MAX_ENDPOINTS });
        }
        refuse_second_reply(&endpoint, &others)?;
        tx.endpoints().insert(&endpoint).await?;
        self.record(&tx, caller, (Action::EndpointCreated, &endpoint.id), now).await?;
        tx.commit().await?;
        Ok((endpoint, secret))
    }

    /// Changes an endpoint, pauses it, or has events sent to it again. One that was disabled is as
    /// good as new then; what was given up for it can be replayed.
    ///
    /// # Errors
    /// As [`Endpoints::create`]; [`Error::EndpointUnknown`]; [`Error::WrongKind`] when the secrets,
    /// mode or role of a handler are given for a webhook; [`Error::EndpointNotActive`] when one is to
    /// be paused that was disabled.
    pub async fn change(
        &self,
        caller: &Caller,
        id: &EndpointId,
        change: EndpointChange,
    ) -> Result<Endpoint> {
        let now = self.base.clock.now();
        let tx = self.base.db.begin().await?;
        let (endpoint, others) = self.lock(&tx, &caller.scope, id).await?;
        let before = endpoint.health.clone();
        let endpoint = change.apply(endpoint, now)?;
        self.check(&endpoint)?;
        refuse_second_reply(&endpoint, &others)?;
        tx.endpoints().update(&endpoint).await?;
        if endpoint.health != before {
            tx.endpoints().note_health(id, &endpoint.health).await?;
        }
        self.record(&tx, caller, (Action::EndpointChanged, id), now).await?;
        tx.commit().await?;
        self.base.due.notify_one();
        Ok(endpoint)
    }

    /// Gives a webhook a new secret, which is told here and never again. Both sign for `overlap`.
    ///
    /// # Errors
    /// [`Error::EndpointUnknown`], [`Error::OverlapTooLong`]; [`Error::WrongKind`] for a handler,
    /// whose secrets are its own.
    pub async fn rotate(
        &self,
        caller: &Caller,
        id: &EndpointId,
        overlap: Duration,
    ) -> Result<Secret<String>> {
        if overlap > MAX_SECRET_OVERLAP {
            return Err(Error::OverlapTooLong { most_secs: MAX_SECRET_OVERLAP.as_secs() });
        }
        let now = self.base.clock.now();
        let tx = self.base.db.begin().await?;
        let (mut endpoint, _) = self.lock(&tx, &caller.scope, id).await?;
        let EndpointKind::Webhook(secrets) = endpoint.kind else {
            return Err(Error::WrongKind { id: id.clone(), field: "secret" });
        };
        let current = new_secret(&self.base.entropy);
        let previous = (!overlap.is_zero()).then(|| (secrets.current, now + overlap));
        endpoint.kind =
            EndpointKind::Webhook(WebhookSecrets { current: current.clone(), previous });
        endpoint.updated_at = now;
        tx.endpoints().update(&endpoint).await?;
        self.record(&tx, caller, (Action::EndpointSecretRotated, id), now).await?;
        tx.commit().await?;
        Ok(current)
    }

    /// Removes an endpoint. What was still to be delivered to it is given up, but for the little that a
    /// worker has claimed already.
    ///
    /// # Errors
    /// [`Error::EndpointUnknown`].
    pub async fn remove(&self, caller: &Caller, id: &EndpointId) -> Result<()> {
        let now = self.base.clock.now();
        let tx = self.base.db.begin().await?;
        if !tx.endpoints().delete(&caller.scope, id).await? {
            return Err(Error::EndpointUnknown { id: id.clone() });
        }
        tx.deliveries().bury(id, DeadReason::EndpointRemoved, now, settle::BURIED_AT_ONCE).await?;
        self.record(&tx, caller, (Action::EndpointRemoved, id), now).await?;
        tx.commit().await?;
        settle::bury(&self.base, id, DeadReason::EndpointRemoved).await
    }

    /// One endpoint of the tenant's.
    ///
    /// # Errors
    /// [`Error::EndpointUnknown`] alike for a missing one and another tenant's.
    pub async fn get(&self, scope: &TenantScope, id: &EndpointId) -> Result<Endpoint> {
        match self.base.db.endpoints().get(scope, id).await {
            Err(lingpai_storage::Error::NotFound { .. }) => {
                Err(Error::EndpointUnknown { id: id.clone() })
            }
            Err(error) => Err(error.into()),
            Ok(endpoint) => Ok(endpoint),
        }
    }

    /// The tenant's endpoints, the oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<Endpoint>> {
        Ok(self.base.db.endpoints().list(scope, page).await?)
    }

    /// The endpoint and the tenant's others, which nobody else changes until `tx` ends.
    async fn lock(
        &self,
        tx: &Tx,
        scope: &TenantScope,
        id: &EndpointId,
    ) -> Result<(Endpoint, Vec<Endpoint>)> {
        let mut endpoints = tx.endpoints().lock_all(scope).await?;
        let place = endpoints.iter().position(|endpoint| endpoint.id == *id);
        let place = place.ok_or_else(|| Error::EndpointUnknown { id: id.clone() })?;
        Ok((endpoints.swap_remove(place), endpoints))
    }

    fn check(&self, endpoint: &Endpoint) -> Result<()> {
        self.base.sender.judge(&endpoint.url)?;
        if endpoint.name.chars().count() > MAX_NAME_CHARS {
            return Err(Error::BadName { why: "it has at most 64 characters" });
        }
        if endpoint.name.chars().any(char::is_control) {
            return Err(Error::BadName { why: "it has no control characters" });
        }
        let EventFilter { authorizers, event_types } = &endpoint.filter;
        let parts = [
            ("authorizers", authorizers.len(), "it names at most 100 accounts"),
            ("event_types", event_types.len(), "it names at most 100 types"),
        ];
        if let Some((field, _, why)) = parts.into_iter().find(|part| part.1 > MAX_FILTER_WORDS) {
            return Err(Error::BadFilter { field, why });
        }
        match &endpoint.kind {
            EndpointKind::Webhook(_) => Ok(()),
            EndpointKind::Wechat(handler) => change::check_handler(handler),
        }
    }

    async fn record(
        &self,
        tx: &Tx,
        caller: &Caller,
        (action, id): (Action, &EndpointId),
        at: Instant,
    ) -> Result<()> {
        audit::append(tx, &caller.act(), (action, id.as_str()), (at, &self.base.entropy)).await
    }
}

/// WeChat takes one answer for a message, so one endpoint replies for an account.
fn refuse_second_reply(endpoint: &Endpoint, others: &[Endpoint]) -> Result<()> {
    match others.iter().find(|other| endpoint.replies_beside(other)) {
        Some(other) => Err(Error::ReplyingTaken { endpoint_id: other.id.clone() }),
        None => Ok(()),
    }
}
