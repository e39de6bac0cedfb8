//! Endpoints: kept whole, changed one at a time, worked on by one process, in fair turns.

use std::{sync::Arc, time::Duration};

use lingpai_model::{
    Instant, Secret,
    delivery::DeliveryCause,
    endpoint::{
        Endpoint, EndpointHealth, EndpointKind, EndpointState, Mode, Role, WebhookSecrets,
        WechatHandler,
    },
    id::EndpointId,
    page::PageRequest,
    push::Recorded,
    tenant::Tenant,
};
use lingpai_storage::{
    Db, EndpointLease, Error,
    testing::{kept_events, on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, all_at_once, at, raw, scope};

const HOUR: Duration = Duration::from_secs(3600);
/// Over as soon as it begins, by the database's clock.
const OVER: Duration = Duration::ZERO;

fn sick(blocked_until: Option<Instant>) -> EndpointHealth {
    EndpointHealth {
        failures_in_row: 5,
        failing_since: Some(at(1)),
        blocked_until,
        last_success_at: Some(at(0)),
        last_failure_at: Some(at(2)),
        last_failure: Some("no answer\0".to_owned()),
    }
}

async fn insert(db: &Db, endpoint: &Endpoint) {
    let tx = db.begin().await.unwrap();
    tx.endpoints().insert(endpoint).await.unwrap();
    tx.commit().await.unwrap();
}

async fn note(db: &Db, id: &EndpointId, health: &EndpointHealth) {
    let tx = db.begin().await.unwrap();
    tx.endpoints().note_health(id, health).await.unwrap();
    tx.commit().await.unwrap();
}

/// A delivery to the endpoint that is due at [`at`] this second.
async fn deliver(db: &Db, world: &World, tenant: &Tenant, endpoint: &Endpoint, second: i64) {
    let tx = db.begin().await.unwrap();
    let event = world.event(tenant, 0).id;
    let new = [(event, world.delivery(endpoint))];
    tx.deliveries().insert(&tenant.id, &new, DeliveryCause::Event, at(second)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn every_form_of_an_endpoint_is_kept_whole() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let webhook = world.endpoint(&tenant);
        let handler = world.handler(&tenant);
        let listening = Endpoint {
            kind: EndpointKind::Wechat(WechatHandler {
                push_token: Secret::from("t"),
                encoding_aes_key: Secret::from("k"),
                mode: Mode::Plain,
                role: Role::Listening,
            }),
            state: EndpointState::Paused { since: at(3) },
            ..world.endpoint(&tenant)
        };
        let disabled = Endpoint {
            kind: EndpointKind::Webhook(WebhookSecrets {
                current: Secret::from("s"),
                previous: None,
            }),
            state: EndpointState::Disabled { since: at(4), reason: "gone 🍜".to_owned() },
            health: EndpointHealth { last_failure: None, ..sick(Some(at(9))) },
            ..world.endpoint(&tenant)
        };
        let all = [webhook, handler, listening, disabled];
        for endpoint in &all {
            insert(&db, endpoint).await;
            let scope = scope(&tenant);
            assert_eq!(db.endpoints().get(&scope, &endpoint.id).await.unwrap(), *endpoint);
            let system = db.endpoints().system_get(&endpoint.id).await.unwrap();
            assert_eq!(system.as_ref(), Some(endpoint));
        }
        let page = db.endpoints().list(&scope(&tenant), &PageRequest::first()).await.unwrap();
        assert_eq!(page.items, all);
        assert_eq!(db.endpoints().count(&scope(&tenant)).await.unwrap(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_change_leaves_health_and_lease_alone_and_health_leaves_the_rest() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        note(&db, &endpoint.id, &sick(None)).await;

        let changed = Endpoint {
            name: "now another".to_owned(),
            state: EndpointState::Paused { since: at(7) },
            health: EndpointHealth::default(),
            updated_at: at(7),
            kind: world.handler(&tenant).kind,
            ..endpoint.clone()
        };
        let tx = db.begin().await.unwrap();
        tx.endpoints().update(&changed).await.unwrap();
        tx.endpoints().renew(&lease, HOUR).await.unwrap();
        tx.commit().await.unwrap();
        let health =
            EndpointHealth { last_failure: Some("no answer\u{fffd}".to_owned()), ..sick(None) };
        let kept = db.endpoints().system_get(&endpoint.id).await.unwrap().unwrap();
        assert_eq!(kept, Endpoint { health, ..changed });

        let tx = db.begin().await.unwrap();
        let missing = tx.endpoints().update(&world.endpoint(&tenant)).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { what: "endpoint", .. }));
    })
    .await;
}

#[tokio::test]
async fn another_tenants_endpoint_is_as_if_it_were_not_there() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let endpoint = world.stored_endpoint(&db, &owner).await;
        let stranger = scope(&other);
        let refused = async |id: &EndpointId| {
            let error = db.endpoints().get(&stranger, id).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { what: "endpoint", .. }));
            error.to_string().replace(id.as_str(), "")
        };
        let missing = world.endpoint(&owner).id;
        assert_eq!(refused(&endpoint.id).await, refused(&missing).await, "told alike");
        assert_eq!(db.endpoints().count(&stranger).await.unwrap(), 0);
        assert!(db.cached_endpoints(&other.id).await.unwrap().is_empty());
        let tx = db.begin().await.unwrap();
        assert!(tx.endpoints().lock_all(&stranger).await.unwrap().is_empty());
        assert!(!tx.endpoints().delete(&stranger, &endpoint.id).await.unwrap());
        let moved = Endpoint { tenant_id: other.id.clone(), ..endpoint.clone() };
        assert!(tx.endpoints().update(&moved).await.is_err());
        drop(tx);

        let tx = db.begin().await.unwrap();
        assert!(tx.endpoints().delete(&scope(&owner), &endpoint.id).await.unwrap());
        tx.commit().await.unwrap();
        assert!(db.cached_endpoints(&owner.id).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_tenant_come_one_after_the_other() {
    on_each_database(|db| async move {
        let world = Arc::new(World::new());
        let tenant = world.stored_tenant(&db).await;
        // Eight of them each add one, unless there are three.
        let adding = (0..8).map(|_| {
            let (db, world, tenant) = (db.clone(), Arc::clone(&world), tenant.clone());
            async move {
                let tx = db.begin().await.unwrap();
                let there = tx.endpoints().lock_all(&scope(&tenant)).await.unwrap();
                if there.len() < 3 {
                    tx.endpoints().insert(&world.endpoint(&tenant)).await.unwrap();
                    tx.commit().await.unwrap();
                }
            }
        });
        all_at_once(adding).await;
        assert_eq!(db.endpoints().count(&scope(&tenant)).await.unwrap(), 3);
    })
    .await;
}

#[tokio::test]
async fn messages_are_recorded_while_their_tenants_endpoints_are_being_changed() {
    on_each_test_db(|test| {
        let (db, one_writer) = (test.db.clone(), test.config.url.starts_with("sqlite"));
        async move {
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let endpoint = world.stored_endpoint(&db, &tenant).await;
            let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
            let change = db.begin().await.unwrap();
            change.endpoints().lock_all(&scope(&tenant)).await.unwrap();
            if one_writer {
                change.endpoints().update(&endpoint).await.unwrap();
                change.commit().await.unwrap();
                let message = world.owned_message(&account, "after", &[&endpoint]);
                db.record_message(message).await.unwrap();
                return;
            }
            let message = world.owned_message(&account, "meanwhile", &[&endpoint]);
            assert_eq!(db.record_message(message).await.unwrap(), Recorded::New);
            change.endpoints().update(&endpoint).await.unwrap();
            change.commit().await.unwrap();
        }
    })
    .await;
}

/// Changes the endpoint as its tenant does.
async fn rename(db: &Db, tenant: &Tenant, name: String) -> Result<(), Error> {
    let tx = db.begin().await?;
    let endpoint = tx.endpoints().lock_all(&scope(tenant)).await?.remove(0);
    tx.endpoints().update(&Endpoint { name, ..endpoint }).await?;
    tx.commit().await
}

/// Writes of the endpoint what a turn does, and tells its tenant.
async fn take_turn(
    (db, world): (&Db, &World),
    tenant: &Tenant,
    lease: &EndpointLease,
) -> Result<(), Error> {
    let tx = db.begin().await?;
    tx.endpoints().renew(lease, HOUR).await?;
    tx.endpoints().note_health(&lease.endpoint_id, &sick(None)).await?;
    tx.events().append(&world.event(tenant, 1)).await?;
    tx.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_turns_and_messages_of_one_tenant_never_stand_in_each_others_way() {
    const ROUNDS: usize = 25;
    on_each_database(|db| async move {
        let world = Arc::new(World::new());
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let lease = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        let tasks = (0..6).map(|task| {
            let (db, world) = (db.clone(), Arc::clone(&world));
            let (tenant, lease) = (tenant.clone(), lease.clone());
            let (account, endpoint) = (account.clone(), endpoint.clone());
            async move {
                for round in 0..ROUNDS {
                    let name = format!("{task} {round}");
                    let done = match task % 3 {
                        0 => rename(&db, &tenant, name).await,
                        1 => take_turn((&db, &world), &tenant, &lease).await,
                        _ => {
                            let message = world.owned_message(&account, &name, &[&endpoint]);
                            db.record_message(message).await.map(drop)
                        }
                    };
                    done.unwrap();
                }
            }
        });
        all_at_once(tasks).await;
        let kept = kept_events(&db, Some(&tenant.id)).await;
        assert_eq!(kept.len(), 4 * ROUNDS, "of two turns and two recorders");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_locked_is_changed_by_nobody_else() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        let tasks = (0..8).map(|_| {
            let (db, id) = (db.clone(), endpoint.id.clone());
            async move {
                let tx = db.begin().await.unwrap();
                let health = tx.endpoints().system_lock(&id).await.unwrap().unwrap().health;
                let failures_in_row = health.failures_in_row + 1;
                let health = EndpointHealth { failures_in_row, ..health };
                tx.endpoints().note_health(&id, &health).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
        all_at_once(tasks).await;
        let kept = db.endpoints().system_get(&endpoint.id).await.unwrap().unwrap();
        assert_eq!(kept.health.failures_in_row, 8);
        let tx = db.begin().await.unwrap();
        assert!(tx.endpoints().system_lock(&world.endpoint(&tenant).id).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_secret_moved_to_another_endpoint_or_column_does_not_open_and_holds_up_no_other() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let [a, b] = [(); 2].map(|()| world.endpoint(&tenant));
            let handler = world.handler(&tenant);
            for endpoint in [&a, &b, &handler] {
                insert(&db, endpoint).await;
            }
            let raw = raw(&url).await;
            for (set, id, column) in [
                ("secret_sealed = previous_secret_sealed", &a.id, "secret_sealed"),
                ("push_token_sealed = encoding_aes_key_sealed", &handler.id, "push_token_sealed"),
            ] {
                let sql = format!("UPDATE endpoints SET {set} WHERE id = '{id}'");
                raw.execute_unprepared(&sql).await.unwrap();
                let error = db.endpoints().system_get(id).await.unwrap_err();
                let wanted = Error::Unopenable { table: "endpoints", column };
                assert_eq!(error.to_string(), wanted.to_string());
            }
            raw.close().await.unwrap();
            assert_eq!(*db.cached_endpoints(&tenant.id).await.unwrap(), [b]);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_cached_is_forgotten_by_changes_and_by_a_block() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let cached = async || db.cached_endpoints(&tenant.id).await.unwrap();
        assert!(cached().await.is_empty());
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        let first = cached().await;
        assert_eq!(*first, std::slice::from_ref(&endpoint));

        note(
            &db,
            &endpoint.id,
            &EndpointHealth { last_success_at: Some(at(1)), ..first[0].health.clone() },
        )
        .await;
        assert!(Arc::ptr_eq(&first, &cached().await), "good news can wait");
        note(&db, &endpoint.id, &sick(Some(at(9)))).await;
        assert_eq!(cached().await[0].health.blocked_until, Some(at(9)));
        note(&db, &endpoint.id, &sick(None)).await;
        assert_eq!(cached().await[0].health.blocked_until, None);

        let tx = db.begin().await.unwrap();
        assert!(tx.endpoints().disable(&endpoint.id, at(10), "gone").await.unwrap());
        assert!(!tx.endpoints().disable(&endpoint.id, at(11), "twice").await.unwrap());
        tx.commit().await.unwrap();
        let wanted = EndpointState::Disabled { since: at(10), reason: "gone".to_owned() };
        assert_eq!(cached().await[0].state, wanted);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_one_processs_at_a_time() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let endpoint = world.stored_endpoint(&db, &tenant).await;
        let takers = (0..8).map(|_| {
            let (db, id) = (db.clone(), endpoint.id.clone());
            async move { db.lease_endpoint(&id, HOUR).await.unwrap() }
        });
        let taken: Vec<EndpointLease> = all_at_once(takers).await.into_iter().flatten().collect();
        let [lease] = taken.try_into().unwrap();
        db.release_endpoint(lease.clone()).await.unwrap();

        let renew = async |lease: &EndpointLease, ttl| {
            let tx = db.begin().await.unwrap();
            tx.endpoints().renew(lease, ttl).await?;
            tx.commit().await
        };
        assert!(matches!(renew(&lease, HOUR).await, Err(Error::Fenced { .. })), "it is given back");
        let late = db.lease_endpoint(&endpoint.id, OVER).await.unwrap().unwrap();
        let present = db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().unwrap();
        assert!(matches!(renew(&late, HOUR).await, Err(Error::Fenced { .. })));
        db.release_endpoint(late).await.unwrap();
        renew(&present, HOUR).await.unwrap();
        assert!(db.lease_endpoint(&endpoint.id, HOUR).await.unwrap().is_none());
        let none = db.lease_endpoint(&world.endpoint(&tenant).id, HOUR).await.unwrap();
        assert!(none.is_none(), "there is no such endpoint");
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_whose_id_cannot_be_read_holds_up_no_other() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let [damaged, sound] = [
                world.stored_endpoint(&db, &tenant).await,
                world.stored_endpoint(&db, &tenant).await,
            ];
            for endpoint in [&damaged, &sound] {
                deliver(&db, &world, &tenant, endpoint, 1).await;
            }
            let raw = raw(&url).await;
            for (table, column) in [("endpoints", "id"), ("deliveries", "endpoint_id")] {
                let set = format!(
                    "UPDATE {table} SET {column} = 'end_x' WHERE {column} = '{}'",
                    damaged.id
                );
                raw.execute_unprepared(&set).await.unwrap();
            }
            raw.close().await.unwrap();
            assert_eq!(db.endpoints().due(at(1), 10).await.unwrap(), [sound.id]);
        }
    })
    .await;
}

#[tokio::test]
async fn endpoints_take_turns_and_only_those_that_can_be_sent_to() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let mut endpoints = Vec::new();
        for _ in 0..6 {
            endpoints.push(world.stored_endpoint(&db, &tenant).await);
        }
        let [a, b, idle, paused, blocked, later]: [Endpoint; 6] = endpoints.try_into().unwrap();
        for endpoint in [&a, &b, &paused, &blocked] {
            deliver(&db, &world, &tenant, endpoint, 1).await;
        }
        deliver(&db, &world, &tenant, &later, 5).await;
        let tx = db.begin().await.unwrap();
        let state = EndpointState::Paused { since: at(0) };
        tx.endpoints().update(&Endpoint { state, ..paused }).await.unwrap();
        tx.endpoints().note_health(&blocked.id, &sick(Some(at(5)))).await.unwrap();
        tx.commit().await.unwrap();

        let due = async |second| db.endpoints().due(at(second), 10).await.unwrap();
        assert_eq!(due(0).await, []);
        assert_eq!(due(1).await, [a.id.clone(), b.id.clone()]);
        assert_eq!(due(5).await, [&a, &b, &blocked, &later].map(|e| e.id.clone()));
        assert!(!due(99).await.contains(&idle.id));
        assert_eq!(db.endpoints().due(at(1), 1).await.unwrap(), std::slice::from_ref(&a.id));

        let lease = db.lease_endpoint(&a.id, HOUR).await.unwrap().unwrap();
        assert_eq!(due(1).await, std::slice::from_ref(&b.id), "somebody works on it");
        db.release_endpoint(lease).await.unwrap();
        assert_eq!(due(1).await, [b.id, a.id], "it had its turn");
    })
    .await;
}
