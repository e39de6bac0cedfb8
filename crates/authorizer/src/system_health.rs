//! How the installation stands, for the operator who asks.

use chrono::Duration;
use lingpai_model::{
    Appid, Instant, authorizer::AuthorizerState, clock::SharedClock, component::Component,
};
use lingpai_storage::{Claim, Db, DeliveryCounts, SystemAuthorizerFilter};

use crate::Result;

/// How long after it was due a token may still wait for its refresh: workers look every few seconds
/// and refresh many at once.
const OVERDUE_AFTER: Duration = Duration::minutes(1);

/// Tells how the installation stands.
#[derive(Debug, Clone)]
pub struct SystemHealth {
    db: Db,
    clock: SharedClock,
}

/// How the installation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemHealthReport {
    /// When this was found out.
    pub at: Instant,
    /// The components, oldest first.
    pub components: Vec<ComponentHealth>,
    /// The authorizers of all tenants and of none.
    pub authorizers: AuthorizerCounts,
    /// How many tokens should have been refreshed for a while.
    pub overdue_tokens: u64,
    /// How many deliveries are under way and given up.
    pub deliveries: DeliveryCounts,
    /// How many pushes are in quarantine.
    pub quarantined: u64,
}

/// How the tickets of one component come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentHealth {
    /// Its appid.
    pub appid: Appid,
    /// The name people read.
    pub name: String,
    /// When its newest ticket reached us, if one ever did.
    pub ticket_received_at: Option<Instant>,
    /// Since when tickets are late; `None` while they come.
    pub ticket_late_since: Option<Instant>,
}

/// How many authorizers stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuthorizerCounts {
    /// Those whose grant stands.
    pub active: u64,
    /// Those whose administrator must grant again.
    pub needs_reauthorization: u64,
    /// Those whose administrator withdrew.
    pub revoked: u64,
    /// Those of all these that wait for an owner.
    pub unclaimed: u64,
}

impl SystemHealthReport {
    /// Whether something is there that an operator should look after.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        self.overdue_tokens > 0
            || self.quarantined > 0
            || self.authorizers.unclaimed > 0
            || self.components.iter().any(|component| component.ticket_late_since.is_some())
    }
}

impl SystemHealth {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// How the installation stands now. The counts go through all authorizers: not for a hot path.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn look(&self) -> Result<SystemHealthReport> {
        let at = self.clock.now();
        let mut components = Vec::new();
        for component in self.db.components().all().await? {
            components.push(self.component(component).await?);
        }
        Ok(SystemHealthReport {
            at,
            components,
            authorizers: self.authorizers().await?,
            overdue_tokens: self.db.tokens().count_overdue(at - OVERDUE_AFTER).await?,
            deliveries: self.db.deliveries().system_count().await?,
            quarantined: self.db.quarantine().count().await?,
        })
    }

    async fn component(&self, component: Component) -> Result<ComponentHealth> {
        let newest = self.db.tickets().newest(&component.id, Instant::UNIX_EPOCH).await?;
        let watch = self.db.components().watch(&component.id).await?;
        Ok(ComponentHealth {
            appid: component.appid,
            name: component.name,
            ticket_received_at: newest.map(|ticket| ticket.received_at),
            ticket_late_since: watch.ticket_late_since,
        })
    }

    async fn authorizers(&self) -> Result<AuthorizerCounts> {
        let (at, counted) =
            (Instant::UNIX_EPOCH, self.db.authorizers().system_count_by_state().await?);
        let in_state = |state: AuthorizerState| {
            counted.iter().filter(|(name, _)| name == state.as_str()).map(|(_, count)| count).sum()
        };
        let unclaimed =
            SystemAuthorizerFilter { claim: Some(Claim::Unclaimed), ..Default::default() };
        Ok(AuthorizerCounts {
            active: in_state(AuthorizerState::Active),
            needs_reauthorization: in_state(AuthorizerState::NeedsReauthorization { since: at }),
            revoked: in_state(AuthorizerState::Revoked { at }),
            unclaimed: self.db.authorizers().system_count(&unclaimed).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lingpai_model::{
        Secret,
        authorizer::{Authorizer, Connection, Profile},
        clock::{Entropy, ManualClock},
        component::Ticket,
        id::{AuthorizerId, ComponentId, TenantId},
        tenant::{Tenant, TenantLimits},
        token::KeptToken,
    };
    use lingpai_storage::testing::TestDb;

    use super::*;

    struct World {
        test: TestDb,
        at: Instant,
        entropy: Entropy,
        component: Component,
    }

    impl World {
        async fn start() -> Self {
            let (at, entropy) = (Instant::UNIX_EPOCH + Duration::days(1), Entropy::seeded(1));
            let component = Component {
                id: ComponentId::new(at, &entropy),
                appid: Appid::parse("wx1").unwrap(),
                name: "平台".to_owned(),
                appsecret: Secret::from("s"),
                push_token: Secret::from("t"),
                previous_push_token: None,
                encoding_aes_key: Secret::from("k"),
                previous_encoding_aes_key: None,
                encoding_aes_key_changed_at: None,
                answers_publish_test: false,
                created_at: at,
                updated_at: at,
            };
            let test = TestDb::sqlite().await;
            let tx = test.db.begin().await.unwrap();
            tx.components().insert(&component).await.unwrap();
            tx.commit().await.unwrap();
            Self { test, at, entropy, component }
        }

        async fn look(&self) -> SystemHealthReport {
            let clock = Arc::new(ManualClock::at(self.at));
            SystemHealth::new(self.test.db.clone(), clock).look().await.unwrap()
        }

        async fn add(&self, n: u32, owner: Option<&TenantId>, state: AuthorizerState) {
            let authorizer = Authorizer {
                id: AuthorizerId::new(self.at, &self.entropy),
                connection: Connection::Component {
                    id: self.component.id.clone(),
                    appid: self.component.appid.clone(),
                },
                tenant_id: owner.cloned(),
                appid: Appid::parse(&format!("wx{n}0")).unwrap(),
                state,
                generation: 1,
                granted_at: self.at,
                profile: Profile::default(),
                func_info: Vec::new(),
                refused_at: (n > 5).then_some(self.at),
                released_at: None,
                created_at: self.at,
                updated_at: self.at,
            };
            let overdue = Duration::seconds(i64::from(n) * 25);
            let due_at = Some(self.at - overdue);
            let kept = KeptToken { due_at, ..KeptToken::unknown(authorizer.token_key(), 1) };
            let tx = self.test.db.begin().await.unwrap();
            tx.authorizers().system_insert(&authorizer).await.unwrap();
            tx.tokens().replace(&kept).await.unwrap();
            tx.commit().await.unwrap();
        }

        async fn tenant(&self) -> TenantId {
            let (id, at) = (TenantId::new(self.at, &self.entropy), self.at);
            let tenant = Tenant {
                id: id.clone(),
                name: "a".to_owned(),
                logo_url: None,
                limits: TenantLimits::default(),
                created_at: at,
                updated_at: at,
            };
            let tx = self.test.db.begin().await.unwrap();
            tx.tenants().insert(&tenant).await.unwrap();
            tx.commit().await.unwrap();
            id
        }
    }

    #[tokio::test]
    async fn an_installation_without_accounts_needs_nobody() {
        let world = World::start().await;
        let report = world.look().await;
        assert_eq!(report.authorizers, AuthorizerCounts::default());
        assert_eq!((report.overdue_tokens, report.needs_attention()), (0, false));
        assert_eq!(report.components[0].ticket_received_at, None);
        world.test.remove().await;
    }

    #[tokio::test]
    async fn accounts_are_counted_by_state_and_tokens_only_when_they_are_well_overdue() {
        let world = World::start().await;
        let owner = world.tenant().await;
        let since = world.at;
        // Due 25, 50, 75, 100 and 150 seconds ago.
        world.add(1, Some(&owner), AuthorizerState::Active).await;
        world.add(2, Some(&owner), AuthorizerState::NeedsReauthorization { since }).await;
        world.add(3, Some(&owner), AuthorizerState::Revoked { at: since }).await;
        world.add(4, None, AuthorizerState::Active).await;
        world.add(6, None, AuthorizerState::Active).await;
        let report = world.look().await;
        let counted =
            AuthorizerCounts { active: 3, needs_reauthorization: 1, revoked: 1, unclaimed: 1 };
        assert_eq!(report.authorizers, counted, "the refused one waits for nobody");
        assert_eq!(report.overdue_tokens, 3);
        assert!(report.needs_attention());
        world.test.remove().await;
    }

    #[tokio::test]
    async fn late_tickets_are_told_by_component() {
        let world = World::start().await;
        let ticket = Ticket {
            component_id: world.component.id.clone(),
            value: Secret::from("ticket"),
            issued_at: world.at,
            received_at: world.at,
        };
        let arrival = lingpai_storage::Arrival::Ticket(ticket);
        world.test.db.record_arrival(arrival).await.unwrap();
        let report = world.look().await;
        assert_eq!(report.components[0].ticket_received_at, Some(world.at));
        assert!(!report.needs_attention());

        let (id, db) = (&world.component.id, &world.test.db);
        let seen = db.components().watch(id).await.unwrap();
        let tx = db.begin().await.unwrap();
        let noted = tx.components().note_ticket_asked(id, &seen, world.at, Some(world.at)).await;
        assert!(noted.unwrap());
        tx.commit().await.unwrap();
        let report = world.look().await;
        assert_eq!(report.components[0].ticket_late_since, Some(world.at));
        assert!(report.needs_attention());
        world.test.remove().await;
    }
}
