//! Quarantine: kept byte for byte, once, until somebody looked or what was missing is there.

use std::time::Duration;

use futures_util::FutureExt as _;
use lingpai_model::{
    Secret,
    authorizer::{Authorizer, Connection},
    clock::Entropy,
    component::Component,
    digest::Digest,
    id::PushId,
    page::PageRequest,
    push::{Disposition, PushState},
    quarantine::{NewQuarantined, QuarantineReason, Quarantined, QuarantinedFor, QuarantinedPush},
};
use lingpai_storage::{
    Arrival, Db, Error,
    testing::{Backend, TestDb, kept_push, on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, app, at, raw, scope};

const HOUR: Duration = Duration::from_secs(3600);

fn message(recipient: QuarantinedFor, appid: &str, text: &[u8], second: i64) -> NewQuarantined {
    NewQuarantined {
        id: PushId::new(at(second), &Entropy::system()),
        recipient,
        appid: app(appid),
        reason: QuarantineReason::UnknownAuthorizer,
        dedupe: Digest::of(&[text]),
        payload: Secret::new(text.to_vec()),
        received_at: at(second),
    }
}

fn of(component: &Component) -> QuarantinedFor {
    QuarantinedFor::Component(component.id.clone())
}

fn told(new: &NewQuarantined) -> Quarantined {
    Quarantined {
        id: new.id.clone(),
        what: QuarantinedPush::ToAccount {
            recipient: new.recipient.clone(),
            appid: new.appid.clone(),
        },
        reason: new.reason,
        received_at: new.received_at,
    }
}

async fn quarantined(db: &Db, all: &[&NewQuarantined]) {
    for new in all {
        db.quarantine_message((*new).clone()).await.unwrap();
    }
}

async fn list(db: &Db) -> Vec<Quarantined> {
    db.quarantine().list(&PageRequest::first()).await.unwrap().items
}

/// The texts that wait, the oldest first.
async fn waiting(db: &Db, component: &Component, appid: &str, limit: u64) -> Vec<Vec<u8>> {
    let waiting = db.quarantine().list_waiting(&component.id, &app(appid), limit).await.unwrap();
    waiting.into_iter().filter_map(|(_, text)| Some(text?.expose().clone())).collect()
}

async fn note(db: &Db, id: &PushId, reason: QuarantineReason) {
    let tx = db.begin().await.unwrap();
    tx.quarantine().note_reason(id, reason).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_message_is_kept_once_and_byte_for_byte() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let tenant = world.stored_tenant(&db).await;
        let account = world.stored_account(&db, &tenant, "wxA").await;
        let own = QuarantinedFor::Account(account.id);
        let payloads: [&[u8]; 4] =
            [b"", b"\0 \xff\xfe not UTF-8 ", "表情 🍜".as_bytes(), &[0xff; 200_000]];
        let mut all = Vec::new();
        for (payload, second) in payloads.into_iter().zip(1..) {
            let reason = QuarantineReason::Unreadable;
            for recipient in [of(&component), own.clone()] {
                all.push(NewQuarantined { reason, ..message(recipient, "wxA", payload, second) });
            }
        }
        quarantined(&db, &all.iter().collect::<Vec<_>>()).await;
        for new in &all {
            let (read, payload) = db.quarantine().get(&new.id).await.unwrap().unwrap();
            assert_eq!(read, told(new));
            assert_eq!(payload.expose(), new.payload.expose());
            let again = PushId::new(at(99), &Entropy::system());
            quarantined(&db, &[&NewQuarantined { id: again.clone(), ..new.clone() }]).await;
            assert!(db.quarantine().get(&again).await.unwrap().is_none(), "a repetition");
        }
        assert_eq!(db.quarantine().count().await.unwrap(), 8);
        let elsewhere = message(of(&component), "wxB", payloads[0], 9);
        quarantined(&db, &[&elsewhere]).await;
        assert_eq!(db.quarantine().count().await.unwrap(), 9, "alike, but to another account");
    })
    .await;
}

#[tokio::test]
async fn messages_that_come_at_once_are_kept_once_each_also_if_nobody_waits() {
    for backend in Backend::available() {
        let mut test = TestDb::open(&backend).await;
        let component = World::new().stored_component(&test.db, "wxC").await;
        for i in 0..100 {
            let text = (i % 40).to_string();
            let new = message(of(&component), "wxA", text.as_bytes(), 1);
            let answer = test.db.quarantine_message(new).now_or_never();
            assert!(answer.is_none(), "it was dropped before its commit");
        }
        test.db.close().await;
        test.db = Db::connect(&test.config, test.keys.clone()).await.unwrap();
        assert_eq!(test.db.quarantine().count().await.unwrap(), 40, "{}", backend.name());
        test.remove().await;
    }
}

#[tokio::test]
async fn pushes_and_messages_are_listed_together_the_newest_first() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let mut expected = Vec::new();
        for second in 1..=6 {
            let id = PushId::new(at(second), &Entropy::system());
            let what = if second % 2 == 0 {
                let mut push = world.push(&component, &second.to_string());
                (push.id, push.received_at) = (id.clone(), at(second));
                push.disposition = Disposition::Quarantine;
                db.record_arrival(Arrival::Push(push)).await.unwrap();
                let what = QuarantinedPush::ToComponent(component.id.clone());
                (what, QuarantineReason::Unreadable)
            } else {
                let text = second.to_string();
                let new = message(of(&component), "wxA", text.as_bytes(), second);
                quarantined(&db, &[&NewQuarantined { id: id.clone(), ..new.clone() }]).await;
                (told(&new).what, new.reason)
            };
            let (what, reason) = what;
            expected.push(Quarantined { id, what, reason, received_at: at(second) });
        }
        db.record_arrival(Arrival::Push(world.push(&component, "usual"))).await.unwrap();
        expected.reverse();

        let mut listed = Vec::new();
        let mut request = PageRequest::new(2, None).unwrap();
        loop {
            let page = db.quarantine().list(&request).await.unwrap();
            assert!(page.items.len() <= 2);
            listed.extend(page.items);
            let Some(next) = page.next else { break };
            request = request.following(next);
        }
        assert_eq!(listed, expected);
        assert_eq!(db.quarantine().count().await.unwrap(), 6);
    })
    .await;
}

#[tokio::test]
async fn messages_that_wait_for_an_account_are_listed_the_oldest_first() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let tenant = world.stored_tenant(&db).await;
        let account = world.stored_account(&db, &tenant, "wxA").await;
        let all: Vec<_> = (1..=3)
            .map(|second| message(of(&c), "wxA", second.to_string().as_bytes(), second))
            .collect();
        let broken = NewQuarantined {
            reason: QuarantineReason::Unreadable,
            ..message(of(&c), "wxA", b"broken", 4)
        };
        let others = [
            message(of(&d), "wxA", b"other component", 4),
            message(of(&c), "wxa", b"other account", 4),
            message(QuarantinedFor::Account(account.id), "wxA", b"by its own keys", 4),
            broken,
        ];
        quarantined(&db, &all.iter().rev().chain(&others).collect::<Vec<_>>()).await;

        assert_eq!(waiting(&db, &c, "wxA", 2).await, [b"1", b"2"]);
        assert_eq!(waiting(&db, &c, "wxA", 9).await, [b"1", b"2", b"3"]);
        let tx = db.begin().await.unwrap();
        for (new, there) in [(&all[0], true), (&all[0], false), (&all[2], true)] {
            assert_eq!(tx.quarantine().delete_message(&new.id).await.unwrap(), there);
        }
        tx.commit().await.unwrap();
        assert_eq!(waiting(&db, &c, "wxA", 9).await, [b"2"]);
        assert!(waiting(&db, &c, "wxN", 9).await.is_empty());
        note(&db, &all[1].id, QuarantineReason::Misaddressed).await;
        assert!(waiting(&db, &c, "wxA", 9).await.is_empty(), "it waits for nobody any more");
        assert_eq!(list(&db).await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_message_that_cannot_be_opened_stays_and_holds_up_nobody() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let component = World::new().stored_component(&db, "wxC").await;
            let [broken, good] =
                [b"broken", b"good.."].map(|text| message(of(&component), "wxA", text, 1));
            quarantined(&db, &[&broken, &good]).await;
            let raw = raw(&url).await;
            let cut = format!(
                "UPDATE quarantined_messages SET payload_sealed = '' WHERE id = '{}'",
                broken.id
            );
            raw.execute_unprepared(&cut).await.unwrap();
            let waiting =
                db.quarantine().list_waiting(&component.id, &app("wxA"), 9).await.unwrap();
            let opened: Vec<_> = waiting.iter().map(|(_, text)| text.is_some()).collect();
            assert_eq!(opened.iter().filter(|is_open| **is_open).count(), 1);
            assert_eq!(opened.len(), 2);
            assert_eq!(list(&db).await.len(), 2);
            let unopenable = db.quarantine().get(&broken.id).await;
            assert!(matches!(unopenable, Err(Error::Unopenable { .. })));
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_sealed_message_moved_to_another_row_or_recipient_does_not_open() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let [c, d] = [
                world.stored_component(&db, "wxC").await,
                world.stored_component(&db, "wxD").await,
            ];
            let new = message(of(&c), "wxA", b"canary", 1);
            quarantined(&db, &[&new]).await;
            let raw = raw(&url).await;
            let moved = PushId::new(at(2), &Entropy::system());
            let set =
                |what: &str, to: &str| format!("UPDATE quarantined_messages SET {what} = '{to}'");
            raw.execute_unprepared(&set("id", moved.as_str())).await.unwrap();
            assert!(matches!(db.quarantine().get(&moved).await, Err(Error::Unopenable { .. })));
            raw.execute_unprepared(&set("id", new.id.as_str())).await.unwrap();
            assert!(db.quarantine().get(&new.id).await.unwrap().is_some());
            raw.execute_unprepared(&set("component_id", d.id.as_str())).await.unwrap();
            assert!(matches!(db.quarantine().get(&new.id).await, Err(Error::Unopenable { .. })));
            raw.execute_unprepared(&set("authorizer_id", "aut_x")).await.unwrap();
            let of_both = db.quarantine().list(&PageRequest::first()).await;
            assert!(matches!(of_both, Err(Error::Inconsistent { .. })));
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_push_let_out_of_quarantine_is_claimed_like_a_new_one() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let component = world.stored_component(&db, "wxC").await;
            let mut unreadable = world.push(&component, "unreadable");
            unreadable.disposition = Disposition::Quarantine;
            let [damaged, done] = [world.push(&component, "damaged"), world.push(&component, "d")];
            for push in [&unreadable, &damaged] {
                db.record_arrival(Arrival::Push(push.clone())).await.unwrap();
            }
            let raw = raw(&url).await;
            let damage = format!(
                "UPDATE pushes SET dedupe = id, component_id = 'x' WHERE id = '{}'",
                damaged.id
            );
            raw.execute_unprepared(&damage).await.unwrap();
            let claim = async || {
                let tx = db.begin().await.unwrap();
                let claimed = tx.pushes().claim(9, HOUR).await.unwrap();
                tx.commit().await.unwrap();
                claimed.into_iter().map(|push| (push.id, push.attempts)).collect::<Vec<_>>()
            };
            let release = async |id: &PushId| {
                let tx = db.begin().await.unwrap();
                let released = tx.quarantine().release_push(id).await.unwrap();
                tx.commit().await.unwrap();
                released
            };
            assert!(claim().await.is_empty());
            let repaired = format!(
                "UPDATE pushes SET component_id = '{}' WHERE id = '{}'",
                component.id, damaged.id
            );
            raw.execute_unprepared(&repaired).await.unwrap();
            let why: Vec<_> = list(&db).await.into_iter().map(|one| (one.id, one.reason)).collect();
            let expected = [
                (damaged.id.clone(), QuarantineReason::Unopenable),
                (unreadable.id.clone(), QuarantineReason::Unreadable),
            ];
            assert_eq!(why, expected);
            let (_, payload) = db.quarantine().get(&unreadable.id).await.unwrap().unwrap();
            assert_eq!(payload.expose(), b"unreadable");

            db.record_arrival(Arrival::Push(done.clone())).await.unwrap();
            assert!(!release(&done.id).await, "it is in no quarantine");
            assert!(db.quarantine().get(&done.id).await.unwrap().is_none());
            for push in [&unreadable, &damaged] {
                assert!(release(&push.id).await);
                assert!(!release(&push.id).await, "it is out");
                assert_eq!(kept_push(&db, &push.id).await.unwrap().state, PushState::Pending);
                assert!(db.quarantine().get(&push.id).await.unwrap().is_none());
            }
            let mut claimed = claim().await;
            claimed.sort();
            assert_eq!(claimed, [unreadable.id, damaged.id, done.id].map(|id| (id, 0)));
            assert!(list(&db).await.is_empty());
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_is_erased_from_quarantine_by_its_owner_only() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        world.stored_authorizer(&db, &c, Some(&owner), "wxA").await;
        world.stored_authorizer(&db, &d, Some(&other), "wxA").await;
        let own = Authorizer {
            connection: Connection::Secret,
            ..world.authorizer(&c, Some(&owner), "wxA")
        };
        let own = QuarantinedFor::Account(own.id);
        let account = world.stored_account(&db, &owner, "wxA").await;
        let kept = [
            message(of(&d), "wxA", b"the other's", 1),
            message(of(&c), "wxB", b"another account's", 1),
            message(own, "wxA", b"nobody's", 1),
        ];
        let erased = [
            message(of(&c), "wxA", b"by the component's keys", 1),
            message(QuarantinedFor::Account(account.id), "wxA", b"by its own", 1),
        ];
        quarantined(&db, &kept.iter().chain(&erased).collect::<Vec<_>>()).await;
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.quarantine().erase(&scope(&owner), &app("wxA")).await.unwrap(), 2);
        assert_eq!(tx.quarantine().erase(&scope(&owner), &app("wxA")).await.unwrap(), 0);
        tx.commit().await.unwrap();
        for new in &kept {
            assert!(db.quarantine().get(&new.id).await.unwrap().is_some());
        }
        assert_eq!(list(&db).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn accounts_that_are_known_by_now_are_found_by_what_waits_for_them() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let broken = NewQuarantined {
            reason: QuarantineReason::Unreadable,
            ..message(of(&c), "wxB", b"broken", 1)
        };
        let [one, two] = [b"1", b"2"].map(|text| message(of(&c), "wxA", text, 1));
        quarantined(&db, &[&one, &two, &message(of(&d), "wxA", b"3", 1), &broken]).await;
        let known = async || db.quarantine().list_known(9).await.unwrap();
        assert!(known().await.is_empty());
        world.stored_authorizer(&db, &c, None, "wxA").await;
        world.stored_authorizer(&db, &c, None, "wxB").await;
        assert_eq!(known().await, [(c.id.clone(), app("wxA"))]);
        for id in [&one.id, &two.id] {
            note(&db, id, QuarantineReason::Misaddressed).await;
        }
        assert!(known().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_fan_is_erased_from_quarantine_wherever_he_is_named() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        world.stored_authorizer(&db, &component, Some(&owner), "wxA").await;
        let broken = NewQuarantined {
            reason: QuarantineReason::Unreadable,
            ..message(of(&component), "wxA", b"\xff<xml oFan-1 ", 100)
        };
        let others = [
            message(of(&component), "wxA", b"oFan-2", 101),
            message(of(&component), "wxB", b"oFan-1", 102),
        ];
        // More than are opened at a time.
        let his: Vec<_> = (0..70)
            .map(|n| message(of(&component), "wxA", format!("{n} oFan-1").as_bytes(), n))
            .collect();
        quarantined(&db, &his.iter().chain(&others).chain([&broken]).collect::<Vec<_>>()).await;
        let tx = db.begin().await.unwrap();
        let erase = async |tenant, openid| {
            tx.quarantine().erase_fan(&scope(tenant), &app("wxA"), openid).await.unwrap()
        };
        assert_eq!(erase(&other, "oFan-1").await, 0, "another tenant's");
        assert_eq!(erase(&owner, "").await, 0);
        assert_eq!(erase(&owner, "oFan-1").await, 71);
        tx.commit().await.unwrap();
        let left: Vec<_> = list(&db).await.into_iter().map(|push| push.id).collect();
        assert_eq!(left, [others[1].id.clone(), others[0].id.clone()]);
    })
    .await;
}

#[tokio::test]
async fn old_messages_are_swept() {
    on_each_database(|db| async move {
        let component = World::new().stored_component(&db, "wxC").await;
        let [old, new] = [1, 2].map(|second| message(of(&component), "wxA", &[1], second));
        let new = NewQuarantined { dedupe: Digest::of(&[b"new"]), ..new };
        quarantined(&db, &[&old, &new]).await;
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.quarantine().sweep(at(2)).await.unwrap(), 1);
        assert_eq!(tx.quarantine().sweep(at(2)).await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert_eq!(list(&db).await, [told(&new)]);
    })
    .await;
}
