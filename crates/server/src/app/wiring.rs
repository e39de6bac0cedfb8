//! What services are made of, and how they know each other.

use std::sync::Arc;

use futures_util::FutureExt as _;
use lingpai_api::{ApiSettings, MetricsPage, NotReady, Readiness, Services};
use lingpai_authorizer::{
    Accounts, AuthorizationUrls, Authorizations, AuthorizerTokens, Authorizers, Claims, Grants,
    Ledger, Proxy, ProxyPolicy, Quotas, Reconciliations, Renewals, SystemHealth, WebTokens,
};
use lingpai_callback::{AccountPushes, ComponentPushes, Processor};
use lingpai_component_token::{
    Ceiling, ComponentTokens, Components, KeeperBase, TicketWatch, Tickets,
};
use lingpai_model::clock::{Entropy, SharedClock};
use lingpai_storage::Db;
use lingpai_tenant::{
    ApiKeys, AuditTrail, Files, IdempotencyKeys, Limits, Operators, RedirectUris, Tenants,
    VirtualTokens,
};
use lingpai_wechat::client::Client;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::PUSH_BUDGET;
use crate::{crank::Crank, settings::Settings, telemetry::Figures};

/// What services are made of.
pub(super) struct Base<'a> {
    pub(super) settings: &'a Settings,
    pub(super) db: &'a Db,
    pub(super) wechat: Client,
    pub(super) clock: SharedClock,
    pub(super) entropy: &'a Entropy,
    pub(super) tasks: &'a TaskTracker,
    /// Holds down all refreshes of this process together.
    pub(super) ceiling: Arc<Ceiling>,
}

impl Base<'_> {
    /// The services with work to do by themselves.
    pub(super) fn crank(&self) -> Crank {
        let (db, wechat, world) = (|| self.db.clone(), || self.wechat.clone(), || self.world());
        let ticket_watch = TicketWatch::new(db(), wechat(), world().0, world().1);
        let component_tokens =
            ComponentTokens::new(self.keeper(), wechat(), self.tickets(), ticket_watch.clone());
        let components = || component_tokens.clone();
        let grants = Grants::new(db(), wechat(), components(), world(), self.tasks.clone());
        let reconciliations =
            Reconciliations::new(self.keeper(), wechat(), components(), grants.clone());
        let authorizer_tokens = AuthorizerTokens::new(
            self.keeper(),
            wechat(),
            components(),
            grants.clone(),
            reconciliations.clone(),
        );
        Crank {
            processor: Processor::new(db(), grants.clone()),
            grants,
            component_tokens,
            authorizer_tokens,
            ticket_watch,
            reconciliations,
            ledger: Ledger::new(db(), world().0, world().1),
            api_keys: ApiKeys::new(db(), world().0, world().1),
            idempotency_keys: IdempotencyKeys::new(db(), world().0),
        }
    }

    /// The services behind the routes; `recorded` wakes the worker that `crank` turns.
    pub(super) fn services(&self, crank: &Crank, recorded: &Arc<Notify>) -> Services {
        let (db, wechat, world) = (|| self.db.clone(), || self.wechat.clone(), || self.world());
        let (clock, entropy) = (|| world().0, || world().1);
        let (components, grants) = (|| crank.component_tokens.clone(), crank.grants.clone());
        let tokens = || crank.authorizer_tokens.clone();
        let (tickets, recorded) = (self.tickets(), Arc::clone(recorded));
        let web_tokens = WebTokens::new(self.keeper(), wechat(), components());
        Services {
            components: Components::new(db(), clock(), entropy()),
            tickets: tickets.clone(),
            ticket_watch: crank.ticket_watch.clone(),
            component_tokens: components(),
            reconciliations: crank.reconciliations.clone(),
            authorizations: Authorizations::new(db(), components(), grants, world(), self.urls()),
            authorizers: Authorizers::new(self.keeper(), wechat(), components(), tokens()),
            accounts: Accounts::new(self.keeper(), wechat()),
            proxy: Proxy::new(
                self.keeper(),
                wechat(),
                tokens(),
                crank.ledger.clone(),
                self.policy(),
            ),
            tenants: Tenants::new(db(), clock(), entropy()),
            api_keys: crank.api_keys.clone(),
            operators: Operators::new(db(), clock(), entropy()),
            redirect_uris: RedirectUris::new(db(), clock(), entropy()),
            files: Files::new(db(), clock(), entropy()),
            audit: AuditTrail::new(db()),
            limits: Limits::new(db(), self.settings.limits.defaults),
            idempotency: crank.idempotency_keys.clone(),
            virtual_tokens: VirtualTokens::new(crank.api_keys.clone()),
            ledger: crank.ledger.clone(),
            quotas: Quotas::new(self.keeper(), wechat(), components(), tokens()),
            claims: Claims::new(db(), clock(), entropy()),
            system_health: SystemHealth::new(db(), clock()),
            component_pushes: ComponentPushes::new(db(), tickets, world(), recorded),
            account_pushes: AccountPushes::new(db(), web_tokens, world()),
            readiness: readiness(db()),
            metrics: metrics_page(),
            clock: clock(),
            entropy: entropy(),
        }
    }

    fn world(&self) -> (SharedClock, Entropy) {
        (self.clock.clone(), self.entropy.clone())
    }

    fn tickets(&self) -> Tickets {
        Tickets::new(self.db.clone(), self.clock.clone())
    }

    fn keeper(&self) -> KeeperBase {
        KeeperBase {
            db: self.db.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            ceiling: Arc::clone(&self.ceiling),
            tasks: self.tasks.clone(),
        }
    }

    fn policy(&self) -> ProxyPolicy {
        let public_url = self.settings.server.public_url.clone();
        ProxyPolicy {
            uncatalogued: self.settings.gateway.uncatalogued,
            renewal: Renewals::new(self.db.clone(), self.clock.clone(), public_url),
        }
    }

    fn urls(&self) -> AuthorizationUrls {
        AuthorizationUrls {
            public_url: self.settings.server.public_url.clone(),
            mp_url: self.settings.wechat.mp_url.clone(),
            open_url: self.settings.wechat.open_url.clone(),
        }
    }
}

/// Ready while the database answers: its schema was brought up to date, or refused, before.
fn readiness(db: Db) -> Readiness {
    Readiness::new(move || {
        let db = db.clone();
        async move { db.ping().await.map_err(NotReady::new) }.boxed()
    })
}

/// The page on which the figures of this process are shown.
pub(super) fn metrics_page() -> MetricsPage {
    let figures = Figures::of_process();
    MetricsPage::new(move || figures.render())
}

pub(super) fn api_settings(settings: &Settings) -> ApiSettings {
    ApiSettings {
        public_url: settings.server.public_url.clone(),
        body_timeout: settings.server.body_timeout,
        push_budget: PUSH_BUDGET,
        metrics_on_main: settings.metrics.listen.is_none(),
        trusted_proxies: settings.server.trusted_proxies.clone(),
    }
}
