//! Late replies: to the fan of their event, once for each event, claimed once, gone with the event.

use std::{collections::HashSet, time::Duration};

use lingpai_model::{
    Secret,
    authorizer::Authorizer,
    clock::Entropy,
    digest::Digest,
    event::{Event, EventContent, EventType},
    id::{EventId, LateReplyId},
    late_reply::{LateReply, NewLateReply},
    push::NewMessage,
};
use lingpai_storage::{
    Db, ErasureScope, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, all_at_once, app, at, count, raw, scope};

const HOUR: Duration = Duration::from_secs(3600);
/// Over as soon as it begins, by the database's clock.
const OVER: Duration = Duration::ZERO;

/// A message to the account that is recorded.
pub(crate) async fn heard(
    db: &Db,
    account: &Authorizer,
    openid: Option<&str>,
    second: i64,
) -> Event {
    let event = Event {
        id: EventId::new(at(second), &Entropy::system()),
        tenant_id: account.tenant_id.clone(),
        component_appid: None,
        authorizer_appid: Some(account.appid.clone()),
        event_type: EventType::of_message("text"),
        openid: openid.map(ToOwned::to_owned),
        occurred_at: at(second),
        received_at: at(second),
        content: EventContent::Pushed(Secret::new(b"canary of a fan".to_vec())),
    };
    let message = NewMessage {
        dedupe: Digest::of(&[event.id.as_str().as_bytes()]),
        authorizer_id: account.id.clone(),
        deliveries: Vec::new(),
        event: event.clone(),
    };
    db.record_message(message).await.unwrap();
    event
}

pub(crate) fn late(event: &Event, reply: &str) -> NewLateReply {
    NewLateReply {
        id: LateReplyId::new(event.received_at, &Entropy::system()),
        event_id: event.id.clone(),
        authorizer_appid: event.authorizer_appid.clone().unwrap(),
        reply: Secret::from(reply),
        created_at: at(9),
    }
}

pub(crate) async fn insert(db: &Db, new: &NewLateReply) -> bool {
    let tx = db.begin().await.unwrap();
    let inserted = tx.late_replies().insert(new).await.unwrap();
    tx.commit().await.unwrap();
    inserted
}

async fn claim(db: &Db, limit: u64, ttl: Duration) -> Vec<LateReply> {
    let tx = db.begin().await.unwrap();
    let claimed = tx.late_replies().claim(limit, ttl).await.unwrap();
    tx.commit().await.unwrap();
    claimed
}

async fn account(db: &Db, world: &World) -> Authorizer {
    let tenant = world.stored_tenant(db).await;
    world.stored_account(db, &tenant, "wxA").await
}

#[tokio::test]
async fn the_first_late_reply_to_an_event_goes_to_its_fan() {
    on_each_database(|db| async move {
        let account = account(&db, &World::new()).await;
        let event = heard(&db, &account, Some("oFan"), 1).await;
        let reply = "<xml><Content>好 🍜</Content></xml>";
        let first = late(&event, reply);
        assert!(insert(&db, &first).await);
        assert!(!insert(&db, &late(&event, "another")).await, "the first wins");

        let of_nobody = heard(&db, &account, None, 2).await;
        assert!(!insert(&db, &late(&of_nobody, "to whom?")).await);
        let gone = Event { id: EventId::new(at(3), &Entropy::system()), ..event.clone() };
        assert!(!insert(&db, &late(&gone, "to what?")).await);

        let claimed = claim(&db, 10, HOUR).await;
        assert_eq!(claimed.len(), 1);
        let claimed = &claimed[0];
        assert_eq!((&claimed.id, &claimed.event_id), (&first.id, &event.id));
        assert_eq!((&claimed.authorizer_id, claimed.openid.as_str()), (&account.id, "oFan"));
        assert_eq!((claimed.reply.expose().as_str(), claimed.attempts), (reply, 0));
        assert_eq!(claimed.created_at, first.created_at);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_workers_never_claim_the_same_late_reply() {
    on_each_database(|db| async move {
        let account = account(&db, &World::new()).await;
        for second in 0..30 {
            let event = heard(&db, &account, Some("oFan"), second).await;
            assert!(insert(&db, &late(&event, "r")).await);
        }
        let workers = (0..4).map(|_| {
            let db = db.clone();
            async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = claim(&db, 4, HOUR).await;
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed);
                }
            }
        });
        let mut claimed: Vec<_> =
            all_at_once(workers).await.into_iter().flatten().map(|reply| reply.id).collect();
        // A worker may find everything locked by others and stop early; what is left is claimed now.
        claimed.extend(claim(&db, 100, HOUR).await.into_iter().map(|reply| reply.id));
        let distinct: HashSet<_> = claimed.iter().collect();
        assert_eq!((claimed.len(), distinct.len()), (30, 30));
    })
    .await;
}

#[tokio::test]
async fn a_dead_workers_late_reply_comes_back_and_the_late_worker_changes_nothing() {
    on_each_database(|db| async move {
        let account = account(&db, &World::new()).await;
        let event = heard(&db, &account, Some("oFan"), 1).await;
        assert!(insert(&db, &late(&event, "r")).await);
        let late = claim(&db, 1, OVER).await.remove(0);
        let present = claim(&db, 1, HOUR).await.remove(0);
        assert_eq!((late.attempts, present.attempts), (0, 1));
        assert!(claim(&db, 1, HOUR).await.is_empty());

        let tx = db.begin().await.unwrap();
        for fenced in [
            tx.late_replies().mark_sent(&late).await,
            tx.late_replies().mark_failed(&late, "late").await,
            tx.late_replies().schedule_retry(&late, OVER, "late").await,
        ] {
            assert!(matches!(fenced, Err(Error::Fenced { .. })));
        }
        tx.late_replies().mark_sent(&present).await.unwrap();
        let again = tx.late_replies().mark_sent(&present).await;
        assert!(matches!(again, Err(Error::Fenced { .. })), "it is over");
        tx.commit().await.unwrap();
        assert!(claim(&db, 1, HOUR).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_late_reply_that_is_being_sent_comes_back_only_when_it_is_put_off() {
    on_each_database(|db| async move {
        let account = account(&db, &World::new()).await;
        let event = heard(&db, &account, Some("oFan"), 1).await;
        assert!(insert(&db, &late(&event, "r")).await);
        let gone = claim(&db, 1, OVER).await.remove(0);
        let reply = claim(&db, 1, OVER).await.remove(0);
        let tx = db.begin().await.unwrap();
        let fenced = tx.late_replies().mark_sending(&gone).await;
        assert!(matches!(fenced, Err(Error::Fenced { .. })));
        tx.late_replies().mark_sending(&reply).await.unwrap();
        tx.commit().await.unwrap();
        assert!(claim(&db, 1, HOUR).await.is_empty(), "its claim is over, and the fan may have it");
        let tx = db.begin().await.unwrap();
        tx.late_replies().schedule_retry(&reply, OVER, "busy").await.unwrap();
        tx.commit().await.unwrap();
        let again = claim(&db, 1, HOUR).await.remove(0);
        let tx = db.begin().await.unwrap();
        tx.late_replies().mark_sending(&again).await.unwrap();
        tx.late_replies().mark_sent(&again).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_late_reply_put_off_waits_and_one_given_up_is_never_claimed() {
    on_each_database(|db| async move {
        let account = account(&db, &World::new()).await;
        for second in 0..3 {
            let event = heard(&db, &account, Some("oFan"), second).await;
            assert!(insert(&db, &late(&event, "r")).await);
        }
        let [a, b, c] = claim(&db, 3, HOUR).await.try_into().unwrap();
        let tx = db.begin().await.unwrap();
        tx.late_replies().schedule_retry(&a, OVER, "again at once").await.unwrap();
        tx.late_replies().schedule_retry(&b, HOUR, "later").await.unwrap();
        tx.late_replies().mark_failed(&c, "never").await.unwrap();
        tx.commit().await.unwrap();
        let due = claim(&db, 3, HOUR).await;
        assert_eq!(due.iter().map(|reply| &reply.id).collect::<Vec<_>>(), [&a.id]);
        assert_eq!(due[0].attempts, 1);
    })
    .await;
}

#[tokio::test]
async fn a_late_reply_moved_to_another_account_is_given_up_and_holds_up_nobody() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let account = account(&db, &world).await;
            let mut all = Vec::new();
            for second in 0..2 {
                let event = heard(&db, &account, Some("oFan"), second).await;
                let new = late(&event, "r");
                assert!(insert(&db, &new).await);
                all.push(new.id);
            }
            let raw = raw(&url).await;
            let id = &all[0];
            let other = world.authorizer(&world.component("wxC"), None, "wxB").id;
            let moved =
                format!("UPDATE late_replies SET authorizer_id = '{other}' WHERE id = '{id}'");
            raw.execute_unprepared(&moved).await.unwrap();
            let claimed = claim(&db, 10, OVER).await;
            assert_eq!(claimed.iter().map(|reply| &reply.id).collect::<Vec<_>>(), [&all[1]]);
            assert_eq!(count(&raw, "late_replies WHERE state = 'failed'").await, 1);
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn late_replies_are_erased_with_their_events() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let account = account(&db, &World::new()).await;
            let owner = db.tenants().find(account.tenant_id.as_ref().unwrap()).await;
            let owner = scope(&owner.unwrap().unwrap());
            for (openid, second) in [("oErased", 1), ("oOld", 2), ("oKept", 30)] {
                let event = heard(&db, &account, Some(openid), second).await;
                assert!(insert(&db, &late(&event, "r")).await);
                let tx = db.begin().await.unwrap();
                let reply = Secret::from("r");
                let listener = tx.listener_replies();
                assert!(
                    listener.insert_once(&owner, &event.id, Some(&reply), at(3)).await.unwrap()
                );
                tx.commit().await.unwrap();
            }
            let tx = db.begin().await.unwrap();
            let fan = ErasureScope::Fan { appid: app("wxA"), openid: "oErased".to_owned() };
            assert_eq!(tx.events().erase(&owner, &fan, 100).await.unwrap(), 1);
            assert_eq!(tx.events().sweep(at(30)).await.unwrap(), 1);
            tx.commit().await.unwrap();
            let raw = raw(&url).await;
            for left in ["late_replies", "late_replies WHERE openid = 'oKept'", "listener_replies"]
            {
                assert_eq!(count(&raw, left).await, 1, "{left}");
            }
            raw.close().await.unwrap();
        }
    })
    .await;
}
