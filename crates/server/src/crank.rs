//! The work behind the HTTP surface: run by loops in a worker, and turned by hand in tests.

use std::{io, sync::Arc, time::Duration};

use lingpai_authorizer::{
    AuthorizerTokens, Grants, Ledger, MiniPrograms, Reconciliations, WebAuthorizations, WebTokens,
};
use lingpai_callback::{LateReplyWorker, Processor};
use lingpai_component_token::{ComponentTokens, TicketWatch};
use lingpai_tenant::{ApiKeys, IdempotencyKeys};
use lingpai_webhook::{Deliverer, Dispatcher, Events};
use tokio::sync::Notify;

use crate::workers::{Loops, Pace};

/// How often tickets and reconciliations are looked after: what they watch changes by the minute.
const WATCH_INTERVAL: Duration = Duration::from_secs(60);

/// How often what was counted in memory is written down: what a crash may lose of it.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// How often what has outlived its use is deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Everything that workers do.
#[derive(Debug, Clone)]
pub struct Crank {
    pub(crate) processor: Processor,
    pub(crate) grants: Grants,
    pub(crate) component_tokens: ComponentTokens,
    pub(crate) authorizer_tokens: AuthorizerTokens,
    pub(crate) web_authorizations: WebAuthorizations,
    pub(crate) web_tokens: WebTokens,
    pub(crate) mini_programs: MiniPrograms,
    pub(crate) ticket_watch: TicketWatch,
    pub(crate) reconciliations: Reconciliations,
    pub(crate) ledger: Ledger,
    pub(crate) api_keys: ApiKeys,
    pub(crate) idempotency_keys: IdempotencyKeys,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) deliverer: Deliverer,
    pub(crate) late_replies: LateReplyWorker,
    pub(crate) events: Events,
    /// How long events are kept.
    pub(crate) retention: Duration,
}

impl Crank {
    /// Starts a loop for each kind of work; `recorded` wakes the processor when a push was recorded,
    /// `delivering` the deliverer when a message was.
    pub(crate) fn start(
        &self,
        loops: &Loops<'_>,
        (recorded, delivering): (Arc<Notify>, Arc<Notify>),
    ) {
        let often = Pace::default().interval;
        let never = Arc::<Notify>::default;
        loops.start(("pushes", often), recorded, &self.processor, |service| async move {
            service.run_once().await
        });
        loops.start(("grants", often), never(), &self.grants, |service| async move {
            service.run_once().await
        });
        let tokens = &self.component_tokens;
        loops.start(("component tokens", often), never(), tokens, |service| async move {
            service.run_once().await
        });
        let tokens = &self.authorizer_tokens;
        loops.start(("authorizer tokens", often), never(), tokens, |service| async move {
            service.run_once().await
        });
        self.start_delivering(loops, delivering);
        let watch = &self.ticket_watch;
        loops.start(("tickets", WATCH_INTERVAL), never(), watch, |service| async move {
            service.run_once().await
        });
        let comparisons = &self.reconciliations;
        loops.start(
            ("reconciliations", WATCH_INTERVAL),
            never(),
            comparisons,
            |service| async move { service.run_once().await },
        );
        loops.start(("sweep", SWEEP_INTERVAL), never(), self, |crank| async move {
            crank.sweep().await.map(|()| 0).map_err(io::Error::other)
        });
    }

    fn start_delivering(&self, loops: &Loops<'_>, delivering: Arc<Notify>) {
        let (often, never) = (Pace::default().interval, Arc::<Notify>::default);
        loops.start(("events", often), never(), &self.dispatcher, |service| async move {
            service.run_once().await
        });
        loops.start(("deliveries", often), delivering, &self.deliverer, |service| async move {
            service.run_once().await
        });
        loops.start(("late replies", often), never(), &self.late_replies, |service| async move {
            service.run_once().await
        });
    }

    /// Starts the loop of whoever serves requests: what it counts is in its own memory.
    pub(crate) fn start_flushing(&self, loops: &Loops<'_>) {
        loops.start(("ledgers", FLUSH_INTERVAL), Arc::default(), self, |crank| async move {
            // What is counted meanwhile can wait for the next turn.
            crank.flush_ledgers().await.map(|_| 0).map_err(io::Error::other)
        });
    }

    /// Acts on recorded pushes and continues open exchanges; returns how many there were.
    ///
    /// # Errors
    /// As the workers' turns fail.
    pub async fn turn(&self) -> anyhow::Result<usize> {
        let pushes = self.processor.run_once().await?;
        let exchanges = self.grants.run_once().await?;
        Ok(pushes + exchanges)
    }

    /// Makes deliveries of what happened, sends what is due, and waits for it; returns how many things
    /// there were to do.
    ///
    /// # Errors
    /// As the workers' turns fail. An attempt that fails is no error here: its delivery says so.
    pub async fn deliver(&self) -> anyhow::Result<usize> {
        let events = self.dispatcher.run_once().await?;
        let turns = self.deliverer.run_once().await?;
        self.deliverer.settled().await;
        let replies = self.late_replies.run_once().await?;
        Ok(events + turns + replies)
    }

    /// Refreshes the tokens that are due and waits for the refreshes; returns how many were begun.
    ///
    /// # Errors
    /// As the workers' turns fail. A refresh that fails is no error here: its token says so.
    pub async fn keep_tokens(&self) -> anyhow::Result<usize> {
        let components = self.component_tokens.run_once().await?;
        self.component_tokens.settled().await;
        let authorizers = self.authorizer_tokens.run_once().await?;
        self.authorizer_tokens.settled().await;
        Ok(components + authorizers)
    }

    /// Looks after the tickets; returns for how many components WeChat was asked for one.
    ///
    /// # Errors
    /// As the worker's turn fails.
    pub async fn watch_tickets(&self) -> anyhow::Result<usize> {
        Ok(self.ticket_watch.run_once().await?)
    }

    /// Writes down what this process has counted: calls, warnings of quotas, uses of keys. Returns how
    /// many figures there were.
    ///
    /// # Errors
    /// As the database fails; what was counted is kept for the next time.
    pub async fn flush_ledgers(&self) -> anyhow::Result<usize> {
        let calls = self.ledger.flush().await?;
        let uses = self.api_keys.flush_uses().await?;
        Ok(calls + uses)
    }

    /// Deletes what is too old to be of use: usage figures, idempotency keys, fans' attempts, grants and
    /// logins, and events. What fails keeps none of the others from its turn.
    ///
    /// # Errors
    /// As the database fails; of several failures, the first.
    pub async fn sweep(&self) -> anyhow::Result<()> {
        let swept: [anyhow::Result<u64>; 6] = [
            self.ledger.sweep().await.map_err(Into::into),
            self.idempotency_keys.sweep().await.map_err(Into::into),
            self.web_authorizations.sweep().await.map_err(Into::into),
            self.web_tokens.sweep().await.map_err(Into::into),
            self.mini_programs.sweep().await.map_err(Into::into),
            self.events.sweep(self.retention).await.map_err(Into::into),
        ];
        swept.into_iter().try_for_each(|swept| swept.map(drop))
    }

    /// Reconciles the components for which that is due; returns how many there were.
    ///
    /// # Errors
    /// As the worker's turn fails.
    pub async fn reconcile(&self) -> anyhow::Result<usize> {
        Ok(self.reconciliations.run_once().await?)
    }
}
