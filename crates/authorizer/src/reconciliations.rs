//! Reconciliation: our authorizers are compared with WeChat's own list of them.
//!
//! It brings lost refresh tokens back, and finds accounts that nobody here knows and those that
//! have withdrawn. It never deletes, and never puts a listed refresh token in the place of a stored
//! one: the list may be older than a refresh that ran meanwhile. It only fills what is missing, and
//! adds to the history that refused refreshes look through.

mod intake;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::Duration;
use lingpai_component_token::{
    ComponentTokens, Flight, Flights, KeeperBase, LEASE_TTL, LeasedWork, Reaction, keep_entry,
    under_lease,
};
use lingpai_model::{
    Instant,
    audit::{Action, AuditEntry},
    authorizer::AuthorizerState,
    caller::OperatorCaller,
    component::{Component, Reconciliation},
    id::ComponentId,
    token::RefreshPolicy,
};
use lingpai_storage::{Lease, LeaseKey};
use lingpai_wechat::{call::authorizer::MAX_LIST_COUNT, client::Client};

use crate::{Error, Grants, Result, profiles::Profiles};

/// How long after a reconciliation the next one is due.
const INTERVAL: Duration = Duration::hours(24);

/// How long without a ticket means that we were away, or that the database was restored.
const GAP: Duration = Duration::hours(1);

/// How old a reconciliation may be that a search for a lost refresh token is content with.
const RECENT: Duration = Duration::minutes(10);

/// How long after a reconciliation the next one may come by itself, at the soonest.
const AT_LEAST_APART: Duration = Duration::minutes(10);

/// How long a component is left alone at least whose comparison failed.
const SHORTEST_REST: Duration = Duration::minutes(15);

/// How many accounts that WeChat does not list one reconciliation asks about; the next one goes on.
const DOUBTS: usize = 1000;

/// How many doubts are read at a time.
const DOUBTS_BATCH: u64 = 100;

/// How many pages of the list are read at most: those are five million accounts.
const MAX_PAGES: u32 = 10_000;

/// After how many pages of the list the log tells how far it is.
const PAGES_BETWEEN_WORDS: u32 = 20;

/// Compares components' authorizers with WeChat's list.
#[derive(Debug, Clone)]
pub struct Reconciliations {
    work: Arc<Work>,
    flights: Arc<Flights<ComponentId, Reconciliation, Error>>,
}

#[derive(Debug)]
struct Work {
    base: KeeperBase,
    wechat: Client,
    component_tokens: ComponentTokens,
    profiles: Profiles,
    grants: Grants,
    /// Until when no comparison begins by itself, after one has failed.
    rests: Mutex<HashMap<ComponentId, Instant>>,
}

impl Reconciliations {
    /// A service that calls `wechat`; withdrawals are made sure of by `grants`.
    #[must_use]
    pub fn new(
        base: KeeperBase,
        wechat: Client,
        component_tokens: ComponentTokens,
        grants: Grants,
    ) -> Self {
        let flights = Arc::new(Flights::new(base.tasks.clone()));
        let profiles = Profiles {
            db: base.db.clone(),
            wechat: wechat.clone(),
            component_tokens: component_tokens.clone(),
            clock: Arc::clone(&base.clock),
        };
        let rests = Mutex::default();
        let work = Work { base, wechat, component_tokens, profiles, grants, rests };
        Self { work: Arc::new(work), flights }
    }

    /// Compares now because an operator asks for it, and waits for the end. It goes on when the
    /// caller does not.
    ///
    /// # Errors
    /// What asking WeChat or the database failed with; what was found before stays.
    pub async fn run(&self, by: &OperatorCaller, component: &Component) -> Result<Reconciliation> {
        let KeeperBase { db, clock, entropy, .. } = &self.work.base;
        let (act, asked) = (by.act(), Action::ComponentReconciliationAsked);
        let entry = AuditEntry::of(&act, asked, component.appid.as_str(), (clock.now(), entropy));
        keep_entry(db, &entry).await?;
        self.compare(component).await
    }

    async fn compare(&self, component: &Component) -> Result<Reconciliation> {
        let asked_at = self.work.base.clock.now();
        let compared = self.flight(component, asked_at).await?;
        // The flight that was joined may have been content with an earlier comparison.
        if compared.at < asked_at {
            return Ok(self.flight(component, asked_at).await?);
        }
        Ok(compared)
    }

    /// Makes sure that the list was read a moment ago.
    pub(crate) async fn look_up(&self, component: &Component) -> Result<Reconciliation> {
        let recent = self.work.base.clock.now() - RECENT;
        Ok(self.flight(component, recent).await?)
    }

    /// Reconciles the components for which that is due; returns how many there were.
    ///
    /// # Errors
    /// [`Error::Storage`] when the components could not be read. One that fails is logged and tried
    /// again; it does not hold up the others.
    pub async fn run_once(&self) -> Result<usize> {
        let mut done = 0;
        for component in self.work.base.db.components().all().await? {
            match self.run_if_due(&component).await {
                Ok(has_run) => done += usize::from(has_run),
                Err(error) => self.work.rest(&component, &error),
            }
        }
        Ok(done)
    }

    async fn run_if_due(&self, component: &Component) -> Result<bool> {
        if self.work.rests(component) || !self.work.is_due(component).await? {
            return Ok(false);
        }
        self.compare(component).await?;
        Ok(true)
    }

    fn flight(&self, component: &Component, not_before: Instant) -> Flight<Reconciliation, Error> {
        let (work, component) = (Arc::clone(&self.work), component.clone());
        self.flights.join(component.id.clone(), || async move {
            under_lease(&Comparison { work: &work, component: &component, not_before }).await
        })
    }
}

/// One comparison.
struct Comparison<'a> {
    work: &'a Work,
    component: &'a Component,
    /// One that began then or later will do.
    not_before: Instant,
}

impl LeasedWork for Comparison<'_> {
    type Lease = Lease;
    type Outcome = Reconciliation;
    type Error = Error;

    fn name(&self) -> String {
        LeaseKey::reconciliation(&self.component.id).to_string()
    }

    async fn outcome(&self) -> Result<Option<Reconciliation>> {
        let watch = self.work.base.db.components().watch(&self.component.id).await?;
        Ok(watch.reconciliation.filter(|last| last.at >= self.not_before))
    }

    async fn take(&self) -> Result<Option<Lease>> {
        let key = LeaseKey::reconciliation(&self.component.id);
        Ok(self.work.base.db.take_lease(&key, LEASE_TTL).await?)
    }

    async fn perform(&self, lease: Lease) -> Result<Reconciliation> {
        let db = &self.work.base.db;
        let compared = match self.outcome().await {
            Ok(None) => self.work.compare(self.component, &lease).await,
            Ok(Some(last)) => {
                db.release_lease(lease).await?;
                return Ok(last);
            }
            Err(error) => Err(error),
        };
        match compared {
            Ok(reconciliation) => {
                let tx = db.begin().await?;
                tx.components().note_reconciliation(&self.component.id, &reconciliation).await?;
                tx.finish_lease(&lease).await?;
                tx.commit().await?;
                tracing::info!(
                    component.appid = %self.component.appid,
                    listed = reconciliation.listed,
                    recovered = reconciliation.recovered,
                    found = reconciliation.found,
                    withdrawn = reconciliation.withdrawn,
                    "component {} reconciled",
                    self.component.appid
                );
                Ok(reconciliation)
            }
            Err(error) => {
                db.release_lease(lease).await?;
                Err(error)
            }
        }
    }
}

impl Work {
    /// Leaves a component alone for a while whose comparison failed.
    fn rest(&self, component: &Component, error: &Error) {
        let now = self.base.clock.now();
        let reaction = error.wechat().map_or(Reaction::Pause, Reaction::to);
        let next = reaction.next_try_at(now, 1, &RefreshPolicy::default(), 0);
        let until = next.max(now + SHORTEST_REST);
        tracing::warn!(
            component.appid = %component.appid,
            %error,
            "component {} could not be reconciled; it is tried again at {until}",
            component.appid
        );
        let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        rests.insert(component.id.clone(), until);
    }

    fn rests(&self, component: &Component) -> bool {
        let rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        rests.get(&component.id).is_some_and(|until| self.base.clock.now() < *until)
    }

    /// Whether a day has passed, or we were away since: tickets come every ten minutes, so a gap
    /// between two of them tells it.
    async fn is_due(&self, component: &Component) -> Result<bool> {
        let now = self.base.clock.now();
        let tickets = self.base.db.tickets().list(&component.id, Instant::UNIX_EPOCH).await?;
        let Some(newest) = tickets.first() else { return Ok(false) };
        if now - newest.received_at >= GAP {
            // Without tickets there is soon no token to ask with.
            return Ok(false);
        }
        let last = self.base.db.components().watch(&component.id).await?.reconciliation;
        let Some(last) = last else { return Ok(true) };
        let was_away = tickets.windows(2).any(|pair| {
            let (later, earlier) = (pair[0].received_at, pair[1].received_at);
            later - earlier >= GAP && later > last.at
        });
        let age = now - last.at;
        Ok(age >= INTERVAL || (was_away && age >= AT_LEAST_APART))
    }

    /// Goes through the whole list, then asks about those of ours that it did not tell of.
    async fn compare(&self, component: &Component, lease: &Lease) -> Result<Reconciliation> {
        let at = self.base.clock.now();
        let mut so_far = Reconciliation { at, listed: 0, recovered: 0, found: 0, withdrawn: 0 };
        for page_number in 1..=MAX_PAGES {
            let offset = so_far.listed;
            let page = self
                .component_tokens
                .call(component, |token| async move {
                    let appid = &component.appid;
                    self.wechat.get_authorizer_list(&token, appid, offset, MAX_LIST_COUNT).await
                })
                .await?;
            so_far.listed += page.listed;
            self.take_in(component, page.list, &mut so_far, lease).await?;
            self.base.db.renew_lease(lease, LEASE_TTL).await?;
            if page_number % PAGES_BETWEEN_WORDS == 0 {
                tracing::info!(
                    component.appid = %component.appid,
                    "{} of {} accounts of component {} compared",
                    so_far.listed,
                    page.total_count,
                    component.appid
                );
            }
            if page.listed == 0 || so_far.listed >= page.total_count {
                break;
            }
        }
        so_far.withdrawn = self.ask_about_doubts(component, at, lease).await?;
        Ok(so_far)
    }

    /// The list may have shifted while it was read, so what it did not tell of is asked about.
    async fn ask_about_doubts(
        &self,
        component: &Component,
        since: Instant,
        lease: &Lease,
    ) -> Result<u32> {
        let (mut asked, mut withdrawn, mut after) = (0, 0, None);
        while asked < DOUBTS {
            let doubts = self
                .base
                .db
                .authorizers()
                .system_list_unlisted(&component.id, since, after.as_ref(), DOUBTS_BATCH)
                .await?;
            let Some(last) = doubts.last() else { break };
            after = Some(last.id.clone());
            asked += doubts.len();
            for authorizer in doubts {
                let now = self.base.clock.now();
                self.grants.withdraw(component, &authorizer.appid, now).await?;
                let db = self.base.db.authorizers();
                let stored = db.system_find(&component.id, &authorizer.appid).await?;
                let is_gone =
                    stored.is_some_and(|one| matches!(one.state, AuthorizerState::Revoked { .. }));
                withdrawn += u32::from(is_gone);
                self.base.db.renew_lease(lease, LEASE_TTL).await?;
            }
        }
        Ok(withdrawn)
    }
}
