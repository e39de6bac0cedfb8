//! Deliveries: claimed under their endpoint's lease, counted before they are made, fenced by number.

use std::time::Duration;

use lingpai_model::{
    Instant,
    delivery::{
        Attempt, AttemptOutcome, ClaimedDelivery, DeadReason, Delivery, DeliveryCause,
        DeliveryState, DeliveryStateKind, FirstAttempt, Next,
    },
    endpoint::Endpoint,
    id::{DeliveryId, EventId},
    page::PageRequest,
    tenant::Tenant,
};
use lingpai_storage::{
    Db, DeliveryCounts, DeliveryQuery, EndpointLease, ErasureScope, Error,
    testing::{
        Backend, TestDb, count_attempts, kept_deliveries, on_each_database, on_each_test_db,
    },
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, app, at, count, raw, scope};

const HOUR: Duration = Duration::from_secs(3600);
const HOLD: Duration = Duration::from_secs(60);
const OVER: Duration = Duration::ZERO;

/// Adds deliveries of one event, due at [`at`] this second.
async fn deliver(
    db: &Db,
    world: &World,
    (tenant, endpoint): (&Tenant, &Endpoint),
    count: usize,
    second: i64,
) -> (EventId, Vec<DeliveryId>) {
    let event = world.event(tenant, second).id;
    let new = (0..count).map(|_| (event.clone(), world.delivery(endpoint)));
    let new: Vec<_> = new.collect();
    let tx = db.begin().await.unwrap();
    tx.deliveries().insert(&tenant.id, &new, DeliveryCause::Replay, at(second)).await.unwrap();
    tx.commit().await.unwrap();
    (event, new.into_iter().map(|(_, new)| new.id).collect())
}

async fn claim(
    db: &Db,
    lease: &EndpointLease,
    now: Instant,
    limit: u64,
) -> Result<Vec<ClaimedDelivery>, Error> {
    let tx = db.begin().await.unwrap();
    let claimed = tx.deliveries().claim(lease, now, limit, HOLD).await?;
    tx.commit().await?;
    Ok(claimed)
}

async fn record(db: &Db, outcomes: &[AttemptOutcome]) -> u64 {
    let tx = db.begin().await.unwrap();
    let counted = tx.deliveries().record(outcomes).await.unwrap();
    tx.commit().await.unwrap();
    counted
}

fn outcome(id: &DeliveryId, number: u32, next: Next) -> AttemptOutcome {
    let failed = !matches!(next, Next::Delivered);
    AttemptOutcome {
        delivery_id: id.clone(),
        attempt: Attempt {
            number,
            began_at: at(10 + i64::from(number)),
            took: Duration::from_millis(1500),
            status: Some(if failed { 500 } else { 204 }),
            failure: failed.then(|| "answered 500\0".to_owned()),
        },
        next,
    }
}

async fn stored(db: &Db, id: &DeliveryId) -> (Delivery, Vec<Attempt>) {
    db.deliveries().system_get(id).await.unwrap()
}

#[tokio::test]
async fn the_oldest_due_is_claimed_first_and_counts_before_it_is_made() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let [endpoint, other] =
            [world.stored_endpoint(&db, &tenant).await, world.stored_endpoint(&db, &tenant).await];
        let (event, late) = deliver(&db, &world, (&tenant, &endpoint), 2, 5).await;
        let (_, early) = deliver(&db, &world, (&tenant, &endpoint), 2, 1).await;
        deliver(&db, &world, (&tenant, &other), 1, 1).await;
        let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();

        let first = claim(&db, &lease, at(5), 3).await.unwrap();
        let ids: Vec<_> = first.iter().map(|claimed| &claimed.id).collect();
        assert_eq!(ids, [&early[0], &early[1], &late[0]]);
        let wanted = ClaimedDelivery {
            id: late[0].clone(),
            tenant_id: tenant.id.clone(),
            event_id: event,
            endpoint_id: endpoint.id.clone(),
            attempt: 1,
            held_until: at(65),
            may_reply: false,
            created_at: at(5),
        };
        assert_eq!(first[2], wanted);
        let (kept, attempts) = stored(&db, &late[0]).await;
        assert_eq!((kept.attempts, kept.due_at), (1, Some(at(65))));
        assert_eq!((kept.cause, attempts), (DeliveryCause::Replay, vec![]));

        assert_eq!(claim(&db, &lease, at(5), 9).await.unwrap().len(), 1, "the rest");
        assert!(claim(&db, &lease, at(64), 9).await.unwrap().is_empty());
        let again = claim(&db, &lease, at(65), 9).await.unwrap();
        assert!(again.iter().all(|claimed| claimed.attempt == 2) && again.len() == 4);
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_given_back_does_not_count_unless_it_was_claimed_again() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        let (_, ids) = deliver(&db, &world, (&tenant, &endpoint), 3, 1).await;
        let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        let give_back = async |claimed: &[ClaimedDelivery], at| {
            let tx = db.begin().await.unwrap();
            let given_back = tx.deliveries().give_back(claimed, at).await.unwrap();
            tx.commit().await.unwrap();
            given_back
        };
        let first = claim(&db, &lease, at(1), 9).await.unwrap();
        record(&db, &[outcome(&ids[0], 1, Next::Delivered)]).await;
        assert_eq!(give_back(&first[..2], at(2)).await, 1, "one was made");
        let (kept, attempts) = stored(&db, &ids[1]).await;
        assert_eq!((kept.attempts, kept.due_at, attempts), (0, Some(at(2)), vec![]));

        let again = claim(&db, &lease, at(61), 9).await.unwrap();
        let numbers: Vec<_> = again.iter().map(|claimed| (&claimed.id, claimed.attempt)).collect();
        assert_eq!(numbers, [(&ids[1], 1), (&ids[2], 2)]);
        assert_eq!(give_back(&first[2..], at(62)).await, 0, "it is somebody else's by now");
        assert_eq!(give_back(&again, at(62)).await, 2, "of different attempts");
        assert_eq!(give_back(&[], at(62)).await, 0);
    })
    .await;
}

#[tokio::test]
async fn who_lost_the_lease_claims_nothing() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        deliver(&db, &world, (&tenant, &endpoint), 1, 1).await;
        let late = db.lease_endpoint(&endpoint.id, OVER).await.unwrap().unwrap();
        let present = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        let fenced = claim(&db, &late, at(1), 9).await.unwrap_err();
        assert!(matches!(fenced, Error::Fenced { .. }));
        assert_eq!(claim(&db, &present, at(1), 9).await.unwrap().len(), 1);

        let tx = db.begin().await.unwrap();
        tx.endpoints().delete(&scope(&tenant), &endpoint.id).await.unwrap();
        tx.commit().await.unwrap();
        let removed = claim(&db, &present, at(99), 9).await.unwrap_err();
        assert!(matches!(removed, Error::Fenced { .. }));
    })
    .await;
}

#[tokio::test]
async fn an_outcome_counts_only_while_its_attempt_is_the_latest() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        let (_, ids) = deliver(&db, &world, (&tenant, &endpoint), 4, 1).await;
        let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        claim(&db, &lease, at(1), 9).await.unwrap();
        // The first holder was silent for so long that the attempts were claimed again.
        let claimed = claim(&db, &lease, at(61), 9).await.unwrap();
        assert_eq!(claimed.len(), 4);
        let late: Vec<_> = ids.iter().map(|id| outcome(id, 1, Next::Delivered)).collect();
        assert_eq!(record(&db, &late).await, 0);

        let dead = Next::Dead(DeadReason::GaveUp);
        let nobodys = world.delivery(&endpoint).id;
        let present = [
            outcome(&ids[0], 2, Next::Delivered),
            outcome(&ids[1], 2, Next::Again(at(100))),
            outcome(&ids[2], 2, dead),
            outcome(&ids[3], 3, Next::Delivered),
            outcome(&nobodys, 2, Next::Delivered),
        ];
        assert_eq!(record(&db, &present).await, 3);
        let standing = async |id| {
            let (delivery, attempts) = stored(&db, id).await;
            assert_eq!(delivery.attempts, 2);
            (delivery.state, delivery.due_at, delivery.ended_at, attempts.len())
        };
        let ended = at(13) + Duration::from_millis(500);
        assert_eq!(standing(&ids[0]).await, (DeliveryState::Delivered, None, Some(ended), 2));
        assert_eq!(standing(&ids[1]).await, (DeliveryState::Pending, Some(at(100)), None, 2));
        let given_up = DeliveryState::Dead(DeadReason::GaveUp);
        assert_eq!(standing(&ids[2]).await, (given_up, None, Some(ended), 2));
        let untouched = (DeliveryState::Pending, Some(at(121)), None, 2);
        assert_eq!(standing(&ids[3]).await, untouched, "that attempt was never claimed");
        assert_eq!(count_attempts(&db).await, 8, "nothing is kept of what is not there");

        assert_eq!(record(&db, &present[..3]).await, 1, "only the pending one, the same again");
        assert_eq!(count_attempts(&db).await, 8);
        let (_, attempts) = stored(&db, &ids[1]).await;
        let mut wanted = outcome(&ids[1], 2, Next::Again(at(100))).attempt;
        wanted.failure = Some("answered 500\u{fffd}".to_owned());
        assert_eq!(attempts[1], wanted);
        assert!(claim(&db, &lease, at(100), 9).await.unwrap().iter().all(|c| c.id == ids[1]));
    })
    .await;
}

#[tokio::test]
async fn what_was_claimed_and_not_made_does_not_count_unless_somebody_claimed_it_since() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        deliver(&db, &world, (&tenant, &endpoint), 2, 1).await;
        let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        let claimed = claim(&db, &lease, at(1), 9).await.unwrap();
        let give_back = async |claimed: &[ClaimedDelivery]| {
            let tx = db.begin().await.unwrap();
            let given_back = tx.deliveries().give_back(claimed, at(2)).await.unwrap();
            tx.commit().await.unwrap();
            given_back
        };
        assert_eq!(give_back(&claimed).await, 2);
        assert_eq!(give_back(&claimed).await, 0, "once");
        assert_eq!(give_back(&[]).await, 0);
        let again = claim(&db, &lease, at(2), 9).await.unwrap();
        let told = |one: &ClaimedDelivery| (one.id.clone(), one.attempt);
        let [numbers, before] = [&again, &claimed].map(|all| all.iter().map(told).collect());
        let (numbers, before): (Vec<_>, Vec<_>) = (numbers, before);
        assert_eq!(numbers, before, "due at once, by the same number");
        assert_eq!(give_back(&claimed).await, 0, "it is another claim all the same");

        let later = claim(&db, &lease, at(62), 9).await.unwrap();
        record(&db, &[outcome(&later[0].id, 2, Next::Delivered)]).await;
        assert_eq!(give_back(&again).await, 0, "others claimed them since");
        assert_eq!(give_back(&later).await, 1, "one has ended");
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_is_put_off_and_holds_up_no_other() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let endpoint = world.stored_endpoint(&db, &tenant).await;
            let (_, ids) = deliver(&db, &world, (&tenant, &endpoint), 3, 1).await;
            let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
            let raw = raw(&url).await;
            let cause = async |cause: &str| {
                let set =
                    format!("UPDATE deliveries SET cause = '{cause}' WHERE id = '{}'", ids[0]);
                raw.execute_unprepared(&set).await.unwrap();
            };
            let claimed = async |second, limit| {
                let claimed = claim(&db, &lease, at(second), limit).await.unwrap();
                claimed.into_iter().map(|one| (one.id, one.attempt)).collect::<Vec<_>>()
            };
            // As a newer release may write it.
            cause("of_tomorrow").await;
            assert_eq!(claimed(1, 1).await, [], "it was the first");
            assert_eq!(claimed(1, 9).await, [(ids[1].clone(), 1), (ids[2].clone(), 1)]);
            cause("event").await;
            assert_eq!(claimed(62, 1).await, [(ids[1].clone(), 2)], "others come first now");
            let later = claimed(3601, 9).await;
            assert!(later.contains(&(ids[0].clone(), 1)), "no attempt was made: {later:?}");
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn deliveries_to_an_endpoint_that_is_gone_are_buried_and_no_others() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let [gone, there] =
            [world.stored_endpoint(&db, &tenant).await, world.stored_endpoint(&db, &tenant).await];
        let bury = async |limit| {
            let tx = db.begin().await.unwrap();
            let buried = tx.deliveries().bury_orphans(at(9), limit).await.unwrap();
            tx.commit().await.unwrap();
            buried
        };
        let (_, kept) = deliver(&db, &world, (&tenant, &there), 1, 1).await;
        assert_eq!(bury(9).await, 0);
        let tx = db.begin().await.unwrap();
        tx.endpoints().delete(&scope(&tenant), &gone.id).await.unwrap();
        tx.commit().await.unwrap();
        // By somebody who does not know yet.
        let (_, late) = deliver(&db, &world, (&tenant, &gone), 3, 1).await;
        assert_eq!([bury(2).await, bury(2).await, bury(2).await], [2, 1, 0]);
        for id in &late {
            let (delivery, _) = stored(&db, id).await;
            assert_eq!(delivery.state, DeliveryState::Dead(DeadReason::EndpointRemoved));
            assert_eq!((delivery.due_at, delivery.ended_at), (None, Some(at(9))));
        }
        assert_eq!(stored(&db, &kept[0]).await.0.state, DeliveryState::Pending);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_is_recorded_while_its_event_is_erased_leaves_nothing() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let (db, world) = (&test.db, World::new());
        let tenant = world.stored_tenant(db).await;
        let endpoint = world.stored_endpoint(db, &tenant).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let mut message = world.owned_message(&account, "text", &[&endpoint]);
        message.deliveries[0].first_attempt = FirstAttempt::Recorder(HOLD);
        db.record_message(message.clone()).await.unwrap();

        let recording = db.begin().await.unwrap();
        let made = outcome(&message.deliveries[0].id, 1, Next::Delivered);
        assert_eq!(recording.deliveries().record(&[made]).await.unwrap(), 1);
        let erasing = async {
            let tx = db.begin().await.unwrap();
            let account = ErasureScope::Authorizer(app("wxA"));
            assert_eq!(tx.events().erase(&scope(&tenant), &account, 10).await.unwrap(), 1);
            tx.commit().await.unwrap();
        };
        let recording = async {
            wait_for_a_lock(&backend, &test.config.url).await;
            recording.commit().await.unwrap();
        };
        tokio::join!(erasing, recording);
        assert_eq!(count_attempts(db).await, 0, "{}", backend.name());
        assert!(kept_deliveries(db).await.is_empty());
        test.remove().await;
    }
}

/// Returns once somebody waits for a row of this database that somebody else has locked. On SQLite
/// everybody waits for the one writer, which is not told.
///
/// It looks at intervals: MySQL tells who waits from a copy, which it makes anew only when nobody has
/// asked for a tenth of a second.
async fn wait_for_a_lock(backend: &Backend, url: &str) {
    let waiting = match backend {
        Backend::Sqlite => return,
        Backend::Postgres(_) => {
            "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
        Backend::MySql(_) => {
            "information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT'"
        }
    };
    let raw = raw(url).await;
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    looks.tick().await;
    while count(&raw, waiting).await == 0 {
        looks.tick().await;
    }
    raw.close().await.unwrap();
}

#[tokio::test]
async fn a_large_batch_of_outcomes_is_recorded_whole() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        let (_, ids) = deliver(&db, &world, (&tenant, &endpoint), 700, 1).await;
        let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        assert_eq!(claim(&db, &lease, at(1), 1000).await.unwrap().len(), 700);
        let outcomes: Vec<_> = ids.iter().map(|id| outcome(id, 1, Next::Delivered)).collect();
        assert_eq!(record(&db, &outcomes).await, 700);
        let delivered = |delivery: &Delivery| delivery.state == DeliveryState::Delivered;
        assert!(kept_deliveries(&db).await.iter().all(delivered));
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_an_endpoint_is_buried_and_nothing_else() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let [endpoint, other] =
            [world.stored_endpoint(&db, &tenant).await, world.stored_endpoint(&db, &tenant).await];
        let (_, ids) = deliver(&db, &world, (&tenant, &endpoint), 5, 1).await;
        deliver(&db, &world, (&tenant, &other), 1, 1).await;
        let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        claim(&db, &lease, at(1), 1).await.unwrap();
        record(&db, &[outcome(&ids[0], 1, Next::Delivered)]).await;

        let why = DeadReason::EndpointRemoved;
        for buried in [3, 1, 0] {
            let tx = db.begin().await.unwrap();
            let deliveries = tx.deliveries();
            assert_eq!(deliveries.bury(&endpoint.id, why, at(9), 3).await.unwrap(), buried);
            drop(deliveries);
            tx.commit().await.unwrap();
        }
        let (buried, _) = stored(&db, &ids[4]).await;
        assert_eq!(buried.state, DeliveryState::Dead(why));
        assert_eq!((buried.due_at, buried.ended_at), (None, Some(at(9))));
        assert_eq!(stored(&db, &ids[0]).await.0.state, DeliveryState::Delivered);
        assert!(claim(&db, &lease, at(999), 9).await.unwrap().is_empty());
        let counts = db.deliveries().system_count().await.unwrap();
        assert_eq!(counts, DeliveryCounts { pending: 1, dead: 4 });
    })
    .await;
}

#[tokio::test]
async fn deliveries_are_found_by_event_endpoint_and_state_by_their_tenant_only() {
    on_each_database(|db| async move {
        let world = World::new();
        let [tenant, stranger] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let [endpoint, other] =
            [world.stored_endpoint(&db, &tenant).await, world.stored_endpoint(&db, &tenant).await];
        let (event, a) = deliver(&db, &world, (&tenant, &endpoint), 2, 1).await;
        let (_, b) = deliver(&db, &world, (&tenant, &other), 1, 2).await;
        let tx = db.begin().await.unwrap();
        let bury = tx.deliveries();
        bury.bury(&other.id, DeadReason::EndpointDisabled, at(3), 9).await.unwrap();
        drop(bury);
        tx.commit().await.unwrap();

        let any = DeliveryQuery::default;
        let cases = [
            (any(), vec![&b[0], &a[1], &a[0]]),
            (DeliveryQuery { event_id: Some(event), ..any() }, vec![&a[1], &a[0]]),
            (DeliveryQuery { endpoint_id: Some(other.id.clone()), ..any() }, vec![&b[0]]),
            (DeliveryQuery { state: Some(DeliveryStateKind::Dead), ..any() }, vec![&b[0]]),
            (
                DeliveryQuery { state: Some(DeliveryStateKind::Pending), ..any() },
                vec![&a[1], &a[0]],
            ),
            (DeliveryQuery { state: Some(DeliveryStateKind::Delivered), ..any() }, vec![]),
        ];
        let first = PageRequest::first();
        for (query, wanted) in cases {
            let found = db.deliveries().list(&scope(&tenant), &query, &first).await.unwrap().items;
            let ids: Vec<_> = found.iter().map(|delivery| &delivery.id).collect();
            assert_eq!(ids, wanted, "{query:?}");
            let system = db.deliveries().system_list(None, &query, &first).await.unwrap().items;
            assert_eq!(system, found);
            let foreign = db.deliveries().list(&scope(&stranger), &query, &first).await.unwrap();
            assert!(foreign.items.is_empty());
        }
        let request = PageRequest::new(2, None).unwrap();
        let page = db.deliveries().list(&scope(&tenant), &any(), &request).await.unwrap();
        let request = request.following(page.next.unwrap());
        let page = db.deliveries().list(&scope(&tenant), &any(), &request).await.unwrap();
        assert_eq!((page.items.len(), page.next), (1, None));

        let mine = db.deliveries().get(&scope(&tenant), &a[0]).await.unwrap();
        assert_eq!(mine, stored(&db, &a[0]).await);
        let missing = world.delivery(&endpoint).id;
        let refused = async |id: &DeliveryId| {
            let error = db.deliveries().get(&scope(&stranger), id).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { what: "delivery", .. }));
            error.to_string().replace(id.as_str(), "")
        };
        assert_eq!(refused(&a[0]).await, refused(&missing).await, "told alike");
    })
    .await;
}
