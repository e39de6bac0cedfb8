use std::{net::IpAddr, sync::Mutex};

use lingpai_model::{
    Instant,
    api_key::Scopes,
    caller::{OperatorCaller, Via},
    clock::{Clock as _, Entropy, ManualClock, SharedClock},
    id::OperatorId,
    tenant::Tenant,
};
use lingpai_storage::testing::TestDb;

use super::*;
use crate::{ApiKeys, NewApiKey, NewTenant, TenantChange, Tenants};

struct World {
    database: TestDb,
    clock: ManualClock,
    entropy: Entropy,
    stopwatch: Arc<Mutex<Duration>>,
}

impl World {
    async fn start() -> Self {
        let clock = ManualClock::at(Instant::UNIX_EPOCH);
        let (database, entropy) = (TestDb::sqlite().await, Entropy::seeded(1));
        Self { database, clock, entropy, stopwatch: Arc::default() }
    }

    fn limits(&self, requests_per_second: Option<u32>, concurrent_requests: u32) -> Limits {
        let requests_per_second = requests_per_second.and_then(NonZeroU32::new);
        let changes_per_minute = NonZeroU32::new(60).expect("60 is not 0");
        let defaults =
            LimitDefaults { requests_per_second, concurrent_requests, changes_per_minute };
        let stopwatch = Stopwatch::Held(Arc::clone(&self.stopwatch));
        Limits::timed_by(stopwatch, self.database.db.clone(), defaults)
    }

    fn advance(&self, by: Duration) {
        *self.stopwatch.lock().expect("nobody panicked") += by;
    }

    fn operator(&self) -> OperatorCaller {
        OperatorCaller { id: OperatorId::new(self.clock.now(), &self.entropy), via: Via::default() }
    }

    fn tenants(&self) -> Tenants {
        let clock: SharedClock = Arc::new(self.clock.clone());
        Tenants::new(self.database.db.clone(), clock, self.entropy.clone())
    }

    async fn tenant(&self, limits: TenantLimits) -> Tenant {
        let new = NewTenant { name: "小店".to_owned(), logo_url: None, limits };
        self.tenants().create(&self.operator(), new).await.expect("a tenant")
    }

    async fn change(&self, tenant: &Tenant, change: TenantChange) {
        let changed = self.tenants().change(&self.operator(), &tenant.id, change).await;
        changed.expect("the tenant is changed");
    }

    /// A caller with a key of its own.
    async fn caller(&self, tenant: &Tenant, requests_per_second: Option<u32>) -> Caller {
        let clock: SharedClock = Arc::new(self.clock.clone());
        let keys = ApiKeys::new(self.database.db.clone(), clock, self.entropy.clone());
        let new = NewApiKey {
            name: "ci".to_owned(),
            scopes: Scopes::all(),
            expires_at: None,
            networks: Vec::new(),
            requests_per_second,
        };
        let (key, _) = keys.create(&self.operator(), &tenant.id, new).await.expect("a key");
        let peer = Some(IpAddr::from([192, 0, 2, 1]));
        let via = Via { request_id: "req_1".to_owned(), peer };
        keys.open(&key, via).expect("it may be used from anywhere")
    }

    /// A caller of a new tenant with no limits of its own.
    async fn any_caller(&self) -> Caller {
        self.caller(&self.tenant(TenantLimits::default()).await, None).await
    }
}

/// How many of `tries` requests one after the other are let in.
async fn passed(limits: &Limits, caller: &Caller, tries: usize) -> usize {
    let mut passed = 0;
    for _ in 0..tries {
        passed += usize::from(limits.admit(caller).await.is_ok());
    }
    passed
}

async fn refused_for(limits: &Limits, caller: &Caller) -> (u32, Duration) {
    match limits.admit(caller).await.expect_err("too fast") {
        Error::TooFast { limit, retry_after } => (limit, retry_after),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn two_seconds_worth_may_come_at_once_and_then_one_by_one() {
    let world = World::start().await;
    let (limits, caller) = (world.limits(Some(5), 9), world.any_caller().await);
    assert_eq!(passed(&limits, &caller, 11).await, 10);
    let a_fifth = Duration::from_millis(200);
    assert_eq!(refused_for(&limits, &caller).await, (5, a_fifth));
    world.advance(a_fifth / 2);
    assert_eq!(refused_for(&limits, &caller).await, (5, a_fifth / 2));
    world.advance(a_fifth / 2);
    assert_eq!(passed(&limits, &caller, 2).await, 1);
    world.advance(Duration::from_secs(3600));
    assert_eq!(passed(&limits, &caller, 11).await, 10, "what was not used does not add up");
}

#[tokio::test]
async fn what_is_left_of_a_rate_is_told() {
    let world = World::start().await;
    let (limits, caller) = (world.limits(Some(5), 9), world.any_caller().await);
    let first = limits.admit(&caller).await.expect("let in").rate;
    assert_eq!(first, Some(RateState { limit: 5, remaining: 9, reset_secs: 1 }));
    passed(&limits, &caller, 8).await;
    let last = limits.admit(&caller).await.expect("let in").rate;
    assert_eq!(last, Some(RateState { limit: 5, remaining: 0, reset_secs: 2 }));
}

#[tokio::test]
async fn without_a_rate_nothing_is_told_and_everything_passes() {
    let world = World::start().await;
    let (limits, caller) = (world.limits(None, 1), world.any_caller().await);
    assert_eq!(passed(&limits, &caller, 5000).await, 5000);
    assert_eq!(limits.admit(&caller).await.expect("let in").rate, None);
}

#[tokio::test]
async fn a_tenants_own_rate_counts_over_all_its_keys() {
    let world = World::start().await;
    let limits = world.limits(Some(5), 9);
    let own = TenantLimits { requests_per_second: Some(2), ..TenantLimits::default() };
    let tenant = world.tenant(own).await;
    let [one, other] = [world.caller(&tenant, None).await, world.caller(&tenant, None).await];
    assert_eq!(passed(&limits, &one, 3).await, 3);
    assert_eq!(passed(&limits, &other, 3).await, 1);
    assert_eq!(passed(&limits, &world.any_caller().await, 3).await, 3, "another tenant");
}

#[tokio::test]
async fn a_key_that_is_too_fast_uses_up_nothing_of_its_tenants() {
    let world = World::start().await;
    let limits = world.limits(Some(2), 9);
    let tenant = world.tenant(TenantLimits::default()).await;
    let fast = world.caller(&tenant, Some(1)).await;
    assert_eq!(passed(&limits, &fast, 20).await, 2);
    assert_eq!(refused_for(&limits, &fast).await.0, 1, "the key's limit is told");
    let sibling = world.caller(&tenant, None).await;
    assert_eq!(passed(&limits, &sibling, 20).await, 2);
    assert_eq!(refused_for(&limits, &sibling).await.0, 2, "the tenant's limit is told");
}

#[tokio::test]
async fn of_two_rates_the_tighter_one_is_told() {
    let world = World::start().await;
    let limits = world.limits(Some(100), 9);
    let tenant = world.tenant(TenantLimits::default()).await;
    let slow = world.caller(&tenant, Some(3)).await;
    let rate = limits.admit(&slow).await.expect("let in").rate.expect("limited");
    assert_eq!((rate.limit, rate.remaining), (3, 5));
    let quick = world.caller(&tenant, Some(1000)).await;
    let rate = limits.admit(&quick).await.expect("let in").rate.expect("limited");
    assert_eq!((rate.limit, rate.remaining), (100, 198));
}

#[tokio::test]
async fn a_seat_is_free_again_when_its_request_is_over() {
    let world = World::start().await;
    let (limits, caller) = (world.limits(None, 2), world.any_caller().await);
    let first = limits.admit(&caller).await.expect("a seat");
    let _second = limits.admit(&caller).await.expect("a seat");
    let full = limits.admit(&caller).await.expect_err("no seat");
    assert!(matches!(full, Error::TooManyAtOnce { limit: 2 }), "{full}");
    assert!(limits.admit(&world.any_caller().await).await.is_ok(), "another tenant has its own");
    drop(first);
    let _third = limits.admit(&caller).await.expect("the first one's seat");
    assert!(limits.admit(&caller).await.is_err(), "and only that one");
}

#[tokio::test]
async fn changed_limits_hold_for_the_next_request_and_count_who_is_inside() {
    let world = World::start().await;
    let limits = world.limits(Some(5), 2);
    let tenant = world.tenant(TenantLimits::default()).await;
    let caller = world.caller(&tenant, None).await;
    let _inside = limits.admit(&caller).await.expect("a seat");
    let tighter = TenantChange {
        requests_per_second: Some(Some(1)),
        concurrent_requests: Some(Some(1)),
        ..TenantChange::default()
    };
    world.change(&tenant, tighter).await;
    let full = limits.admit(&caller).await.expect_err("who is inside counts");
    assert!(matches!(full, Error::TooManyAtOnce { limit: 1 }), "{full}");
    let wider = TenantChange { concurrent_requests: Some(Some(9)), ..TenantChange::default() };
    world.change(&tenant, wider).await;
    assert_eq!(passed(&limits, &caller, 9).await, 1, "one of two was used on the full house");
    let theirs = TenantChange { requests_per_second: Some(None), ..TenantChange::default() };
    world.change(&tenant, theirs).await;
    let in_force = limits.in_force(&caller).await.expect("read");
    let expected = LimitsInForce {
        requests_per_second: Some(5),
        key_requests_per_second: None,
        concurrent_requests: 9,
    };
    assert_eq!(in_force, expected);
    assert_eq!(passed(&limits, &caller, 11).await, 10);
}

#[tokio::test]
async fn a_tenant_may_change_so_much_a_minute_with_all_its_keys() {
    let world = World::start().await;
    let limits = world.limits(None, 1);
    let tenant = world.tenant(TenantLimits::default()).await;
    let [one, other] = [world.caller(&tenant, None).await, world.caller(&tenant, None).await];
    for _ in 0..30 {
        limits.admit_change(&one).expect("half of what it may");
        limits.admit_change(&other).expect("the other half");
    }
    let Err(Error::TooManyChanges { limit: 60, retry_after }) = limits.admit_change(&one) else {
        panic!("one more");
    };
    assert_eq!(retry_after, Duration::from_secs(1));
    assert!(limits.admit(&one).await.is_ok(), "it may still read");
    assert!(limits.admit_change(&world.any_caller().await).is_ok(), "another tenant");
    world.advance(retry_after);
    assert!(limits.admit_change(&other).is_ok());
    assert!(limits.admit_change(&other).is_err(), "and only one");
}

#[tokio::test]
async fn whatever_stands_in_a_row_no_tenant_has_more_than_half_of_all_seats() {
    let world = World::start().await;
    let mut tenant = world.tenant(TenantLimits::default()).await;
    tenant.limits.concurrent_requests = Some(MAX_CONCURRENT_REQUESTS + 1);
    let tx = world.database.db.begin().await.expect("a transaction");
    tx.tenants().update(&tenant).await.expect("written");
    tx.commit().await.expect("kept");
    let caller = world.caller(&tenant, None).await;
    let in_force = world.limits(None, 1).in_force(&caller).await.expect("read");
    assert_eq!(in_force.concurrent_requests, MAX_CONCURRENT_REQUESTS);
}

fn gates() -> (Arc<Mutex<Duration>>, Gates<usize>) {
    let shown = Arc::new(Mutex::new(Duration::ZERO));
    let gates = Gates::new(Stopwatch::Held(Arc::clone(&shown)));
    (shown, gates)
}

#[test]
fn gates_that_nobody_uses_are_dropped() {
    let (shown, gates) = gates();
    let seat = gates.gate(&0, None).take_seat(1).expect("a seat");
    for key in 1..=100 {
        gates.gate(&key, None);
    }
    *shown.lock().expect("nobody panicked") += gates::KEPT;
    gates.gate(&101, None);
    assert_eq!(gates.len(), 2, "the one with a request inside, and the new one");
    assert!(gates.gate(&0, None).take_seat(1).is_none(), "its seats are still counted");
    drop(seat);
    assert!(gates.gate(&0, None).take_seat(1).is_some());
}

#[test]
fn there_are_never_more_gates_than_are_kept() {
    let (_, gates) = gates();
    let _seat = gates.gate(&0, None).take_seat(1).expect("a seat");
    for key in 1..2 * gates::MOST {
        gates.gate(&key, None);
        assert!(gates.len() <= gates::MOST);
    }
    assert!(gates.gate(&0, None).take_seat(1).is_none(), "who is inside still counts");
}

#[test]
fn limits_that_cannot_be_held_to_are_refused() {
    for good in [None, Some(1), Some(MAX_RATE)] {
        assert!(check_rate(good).is_ok(), "{good:?}");
    }
    for good in [None, Some(1), Some(MAX_CONCURRENT_REQUESTS)] {
        assert!(check_seats(good).is_ok(), "{good:?}");
    }
    for bad in [0, MAX_RATE + 1] {
        let error = check_rate(Some(bad)).expect_err("out of bounds");
        assert!(matches!(error, Error::BadField { field: "requests_per_second", .. }), "{error}");
    }
    for bad in [0, MAX_CONCURRENT_REQUESTS + 1] {
        let error = check_seats(Some(bad)).expect_err("out of bounds");
        assert!(matches!(error, Error::BadField { field: "concurrent_requests", .. }), "{error}");
    }
}
