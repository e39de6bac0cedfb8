//! What services are made of, and how they know each other.

use std::sync::Arc;

use futures_util::FutureExt as _;
use lingpai_api::{ApiSettings, MetricsPage, NotReady, Readiness, Services};
use lingpai_authorizer::{
    Accounts, AuthorizationUrls, Authorizations, AuthorizerTokens, Authorizers, Claims,
    CustomerService, Fans, Grants, JsSdk, Ledger, MiniPrograms, Proxy, ProxyPolicy, PublishTests,
    Quotas, Reconciliations, Renewals, SystemHealth, WebAuthorizations, WebTokens,
};
use lingpai_callback::{
    AccountPushes, AuthorizerPushes, ComponentPushes, Erasures, LateReplyWorker, MessagePushes,
    Processor, PublishChecks, Quarantine, Rehearsals, ReleaseCheck,
};
use lingpai_component_token::{
    Ceiling, ComponentTokens, Components, KeeperBase, TicketWatch, Tickets,
};
use lingpai_model::clock::{Entropy, SharedClock};
use lingpai_storage::Db;
use lingpai_tenant::{
    ApiKeys, AuditTrail, Files, IdempotencyKeys, Limits, Operators, RedirectUris, Tenants,
    VirtualTokens,
};
use lingpai_webhook::{
    Asker, AutoReplyRules, Deliverer, Deliveries, Dispatcher, Endpoints, Events, Listeners, Sender,
    SenderPolicy, Tail, WebhookBase,
};
use lingpai_wechat::client::Client;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::PUSH_BUDGET;
use crate::{crank::Crank, settings::Settings, telemetry::Figures};

/// What services are made of.
pub(super) struct Base<'a> {
    pub(super) settings: &'a Settings,
    pub(super) db: &'a Db,
    pub(super) wechat: Client,
    pub(super) tenants: Sender,
    pub(super) clock: SharedClock,
    pub(super) entropy: &'a Entropy,
    pub(super) tasks: &'a TaskTracker,
    /// Holds down all refreshes of this process together.
    pub(super) ceiling: Arc<Ceiling>,
}

/// What the workers and the routes have in common.
pub(super) struct Shared {
    component_tokens: ComponentTokens,
    ticket_watch: TicketWatch,
    ledger: Ledger,
    web_tokens: WebTokens,
    mini_programs: MiniPrograms,
    webhooks: WebhookBase,
    /// Takes messages; the endpoints that are asked for replies have their seats in here.
    messages: MessagePushes,
    quarantine: Quarantine,
}

/// What wakes workers, who would find their work by themselves a little later.
#[derive(Debug, Clone, Default)]
pub(super) struct Bells {
    /// A push to a component was recorded.
    pub(super) recorded: Arc<Notify>,
    /// A delivery may be due.
    pub(super) due: Arc<Notify>,
}

impl Base<'_> {
    pub(super) fn shared(&self, bells: &Bells) -> Shared {
        let (db, wechat, world) = (|| self.db.clone(), || self.wechat.clone(), || self.world());
        let ticket_watch = TicketWatch::new(db(), wechat(), world().0, world().1);
        let component_tokens =
            ComponentTokens::new(self.keeper(), wechat(), self.tickets(), ticket_watch.clone());
        let ledger = Ledger::new(db(), world().0, world().1);
        let web_tokens =
            WebTokens::new(self.keeper(), wechat(), component_tokens.clone(), ledger.clone());
        let mini_programs =
            MiniPrograms::new(self.keeper(), wechat(), component_tokens.clone(), ledger.clone());
        let webhooks = WebhookBase {
            db: db(),
            sender: self.tenants.clone(),
            clock: world().0,
            entropy: world().1,
            tasks: self.tasks.clone(),
            due: Arc::clone(&bells.due),
        };
        let messages = MessagePushes::new(
            webhooks.clone(),
            web_tokens.clone(),
            mini_programs.clone(),
            Asker::new(webhooks.clone()),
            Listeners::new(db(), world().0, world().1),
        );
        let quarantine = Quarantine::new(messages.clone(), Arc::clone(&bells.recorded));
        Shared {
            component_tokens,
            ticket_watch,
            ledger,
            web_tokens,
            mini_programs,
            webhooks,
            messages,
            quarantine,
        }
    }

    /// The services with work to do by themselves.
    pub(super) fn crank(&self, shared: &Shared) -> Crank {
        let (db, wechat, world) = (|| self.db.clone(), || self.wechat.clone(), || self.world());
        let components = || shared.component_tokens.clone();
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
        let customer_service = CustomerService::new(wechat(), authorizer_tokens.clone());
        let web_authorizations = WebAuthorizations::new(
            self.keeper(),
            wechat(),
            components(),
            shared.web_tokens.clone(),
            self.urls(),
        );
        Crank {
            web_authorizations,
            web_tokens: shared.web_tokens.clone(),
            mini_programs: shared.mini_programs.clone(),
            processor: Processor::new(db(), grants.clone(), shared.quarantine.clone()),
            grants,
            component_tokens: components(),
            authorizer_tokens,
            ticket_watch: shared.ticket_watch.clone(),
            reconciliations,
            ledger: shared.ledger.clone(),
            api_keys: ApiKeys::new(db(), world().0, world().1),
            idempotency_keys: IdempotencyKeys::new(db(), world().0),
            dispatcher: Dispatcher::new(shared.webhooks.clone()),
            deliverer: Deliverer::new(shared.webhooks.clone()),
            late_replies: LateReplyWorker::new(db(), customer_service),
            events: Events::new(db(), world().0, world().1),
            retention: self.settings.events.retention,
        }
    }

    /// The services behind the routes; long answers end when `stopping` is said.
    pub(super) fn services(
        &self,
        (crank, shared): (&Crank, Shared),
        bells: &Bells,
        stopping: &CancellationToken,
    ) -> anyhow::Result<Services> {
        let (db, wechat, world) = (|| self.db.clone(), || self.wechat.clone(), || self.world());
        let (clock, entropy) = (|| world().0, || world().1);
        let (components, grants) = (|| crank.component_tokens.clone(), crank.grants.clone());
        let tokens = || crank.authorizer_tokens.clone();
        let (tickets, recorded) = (self.tickets(), Arc::clone(&bells.recorded));
        let webhooks = || shared.webhooks.clone();
        let authorizer_pushes = self.authorizer_pushes(&shared.messages, grants.clone());
        let mini_programs = shared.mini_programs.clone();
        Ok(Services {
            components: Components::new(db(), clock(), entropy()),
            tickets: tickets.clone(),
            ticket_watch: crank.ticket_watch.clone(),
            component_tokens: components(),
            reconciliations: crank.reconciliations.clone(),
            authorizations: Authorizations::new(db(), components(), grants, world(), self.urls()),
            authorizers: Authorizers::new(self.keeper(), wechat(), components(), tokens()),
            accounts: Accounts::new(self.keeper(), wechat()),
            proxy: self.proxy(crank),
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
            web_authorizations: crank.web_authorizations.clone(),
            fans: self.fans(crank, &shared),
            jssdk: JsSdk::new(self.keeper(), wechat(), tokens()),
            mini_programs: mini_programs.clone(),
            system_health: SystemHealth::new(db(), clock()),
            component_pushes: ComponentPushes::new(db(), tickets, world(), recorded),
            account_pushes: AccountPushes::new(shared.messages),
            authorizer_pushes,
            endpoints: Endpoints::new(webhooks()),
            events: crank.events.clone(),
            deliveries: Deliveries::new(webhooks()),
            tail: Tail::new(db(), clock()),
            listeners: Listeners::new(db(), clock(), entropy()),
            auto_replies: AutoReplyRules::new(webhooks()),
            erasures: Erasures::new(crank.events.clone(), shared.web_tokens.clone(), mini_programs),
            web_tokens: shared.web_tokens,
            quarantine: shared.quarantine,
            rehearsals: self.rehearsals()?,
            publish_checks: PublishChecks::new(db()),
            readiness: readiness(db()),
            metrics: metrics_page(),
            clock: clock(),
            entropy: entropy(),
            tasks: self.tasks.clone(),
            stopping: stopping.clone(),
        })
    }

    fn proxy(&self, crank: &Crank) -> Proxy {
        let (tokens, ledger) = (crank.authorizer_tokens.clone(), crank.ledger.clone());
        Proxy::new(self.keeper(), self.wechat.clone(), tokens, ledger, self.policy())
    }

    fn fans(&self, crank: &Crank, shared: &Shared) -> Fans {
        Fans::new(
            self.wechat.clone(),
            self.db.clone(),
            crank.authorizer_tokens.clone(),
            shared.web_tokens.clone(),
            crank.ledger.clone(),
        )
    }

    fn authorizer_pushes(&self, messages: &MessagePushes, grants: Grants) -> AuthorizerPushes {
        let publish_tests = PublishTests::new(self.wechat.clone(), grants);
        let release_check =
            ReleaseCheck::new(self.db.clone(), publish_tests, self.world(), self.tasks.clone());
        AuthorizerPushes::new(messages.clone(), release_check)
    }

    /// The rehearsal of the publish test. It reaches one address, our own, wherever that is.
    fn rehearsals(&self) -> anyhow::Result<Rehearsals> {
        let sender = Sender::new(SenderPolicy::anywhere())?;
        let public_url = &self.settings.server.public_url;
        let (clock, entropy) = self.world();
        Ok(Rehearsals::new(self.db.clone(), sender, public_url.clone(), clock, entropy))
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

/// Whom deliveries may reach.
pub(super) fn sender_policy(settings: &Settings) -> SenderPolicy {
    let Settings { server, gateway, metrics, webhook, .. } = settings;
    let listeners = [Some(server.listen), gateway.listen, metrics.listen];
    SenderPolicy {
        allow_private: webhook.allow_private.clone(),
        ports: webhook.ports.clone(),
        own_listeners: listeners.into_iter().flatten().collect(),
        ..SenderPolicy::default()
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
