use lingpai_authorizer::{ComponentHealth, SystemHealth, SystemHealthReport};
use lingpai_model::Instant;
use poem_openapi::{Enum, Object, OpenApi, payload::Json, types::Example};

use super::Group;
use crate::{auth::OperatorAuth, example, problem::Result};

pub(crate) struct HealthApi {
    pub(super) health: SystemHealth,
}

/// How the installation stands in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "HealthState", rename_all = "snake_case")]
enum HealthStateView {
    /// Nothing needs an operator.
    Good,
    /// Something below does.
    NeedsAttention,
}

/// How many authorizers stand how.
#[derive(Debug, Object)]
#[oai(rename = "AuthorizerCounts", example)]
struct AuthorizerCountsView {
    /// Those whose grant stands.
    active: u64,
    /// Those whose administrator must grant again.
    needs_reauthorization: u64,
    /// Those whose administrator withdrew.
    revoked: u64,
    /// Those of all these that wait for an owner.
    unclaimed: u64,
}

impl Example for AuthorizerCountsView {
    fn example() -> Self {
        Self { active: 1_204, needs_reauthorization: 3, revoked: 57, unclaimed: 1 }
    }
}

/// How the tickets of a component come.
#[derive(Debug, Object)]
#[oai(rename = "ComponentHealth", example)]
struct ComponentHealthView {
    /// Its appid.
    appid: String,
    /// The name people read.
    name: String,
    /// When its newest ticket reached us; null if none ever did.
    #[oai(nullable)]
    ticket_received_at: Option<Instant>,
    /// Since when tickets are late; null while they come.
    #[oai(nullable)]
    ticket_late_since: Option<Instant>,
}

impl Example for ComponentHealthView {
    fn example() -> Self {
        Self {
            appid: example::COMPONENT_APPID.to_owned(),
            name: "Corner Shop Services".to_owned(),
            ticket_received_at: Some(example::instant()),
            ticket_late_since: None,
        }
    }
}

/// How many deliveries somebody may have to look after.
#[derive(Debug, Object)]
#[oai(rename = "DeliveryCounts", example)]
struct DeliveryCountsView {
    /// Those under way, or due some time.
    pending: u64,
    /// Those given up.
    dead: u64,
}

impl Example for DeliveryCountsView {
    fn example() -> Self {
        Self { pending: 12, dead: 3 }
    }
}

/// How the installation stands.
#[derive(Debug, Object)]
#[oai(rename = "SystemHealth", example)]
struct SystemHealthView {
    /// In one word.
    state: HealthStateView,
    /// Which lingpai this is.
    version: String,
    /// When this was found out.
    at: Instant,
    /// The components, oldest first.
    components: Vec<ComponentHealthView>,
    /// The authorizers, over all tenants.
    authorizers: AuthorizerCountsView,
    /// How many tokens should have been refreshed more than a minute ago: a worker lags behind, or
    /// none runs.
    overdue_tokens: u64,
    /// The deliveries of events, over all tenants.
    deliveries: DeliveryCountsView,
    /// How many pushes are in quarantine: `GET /admin/v1/quarantine` lists them.
    quarantined: u64,
}

impl Example for SystemHealthView {
    fn example() -> Self {
        Self {
            state: HealthStateView::Good,
            version: "1.0.0".to_owned(),
            at: example::instant(),
            components: vec![ComponentHealthView::example()],
            authorizers: AuthorizerCountsView::example(),
            overdue_tokens: 0,
            deliveries: DeliveryCountsView::example(),
            quarantined: 0,
        }
    }
}

#[OpenApi(tag = "Group::Health")]
impl HealthApi {
    /// Look how the installation stands.
    ///
    /// The tickets of each component, the authorizers by state, whether the refreshing of tokens keeps
    /// up, what waits to be delivered, and what is in quarantine. That the database answers is shown by
    /// there being an answer. For operators.
    #[oai(path = "/health", method = "get", operation_id = "get_system_health")]
    async fn get(&self, _auth: OperatorAuth) -> Result<Json<SystemHealthView>> {
        Ok(Json(self.health.look().await?.into()))
    }
}

impl From<SystemHealthReport> for SystemHealthView {
    fn from(report: SystemHealthReport) -> Self {
        let needs_attention = report.needs_attention();
        let SystemHealthReport {
            at,
            components,
            authorizers,
            overdue_tokens,
            deliveries,
            quarantined,
        } = report;
        Self {
            state: if needs_attention {
                HealthStateView::NeedsAttention
            } else {
                HealthStateView::Good
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at,
            components: components.into_iter().map(ComponentHealthView::from).collect(),
            authorizers: AuthorizerCountsView {
                active: authorizers.active,
                needs_reauthorization: authorizers.needs_reauthorization,
                revoked: authorizers.revoked,
                unclaimed: authorizers.unclaimed,
            },
            overdue_tokens,
            deliveries: DeliveryCountsView { pending: deliveries.pending, dead: deliveries.dead },
            quarantined,
        }
    }
}

impl From<ComponentHealth> for ComponentHealthView {
    fn from(health: ComponentHealth) -> Self {
        let ComponentHealth { appid, name, ticket_received_at, ticket_late_since } = health;
        Self { appid: appid.to_string(), name, ticket_received_at, ticket_late_since }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_authorizer::{AuthorizerCounts, DeliveryCounts};
    use lingpai_model::Appid;

    use super::*;

    fn state(
        late_since: Option<Instant>,
        unclaimed: u64,
        overdue_tokens: u64,
        quarantined: u64,
    ) -> HealthStateView {
        let component = ComponentHealth {
            appid: Appid::parse(example::COMPONENT_APPID).unwrap(),
            name: "a".to_owned(),
            ticket_received_at: None,
            ticket_late_since: late_since,
        };
        let authorizers = AuthorizerCounts { unclaimed, ..AuthorizerCounts::default() };
        let report = SystemHealthReport {
            at: example::instant(),
            components: vec![component],
            authorizers,
            overdue_tokens,
            deliveries: DeliveryCounts { pending: 9, dead: 9 },
            quarantined,
        };
        SystemHealthView::from(report).state
    }

    #[test]
    fn late_tickets_overdue_tokens_waiting_accounts_and_quarantine_need_somebody() {
        assert_eq!(state(None, 0, 0, 0), HealthStateView::Good);
        for needy in [
            state(Some(example::instant()), 0, 0, 0),
            state(None, 1, 0, 0),
            state(None, 0, 1, 0),
            state(None, 0, 0, 1),
        ] {
            assert_eq!(needy, HealthStateView::NeedsAttention);
        }
    }
}
