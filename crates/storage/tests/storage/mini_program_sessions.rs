//! Sessions of fans in mini programs: the last login of each counts.

use lingpai_model::{Secret, authorizer::Authorizer, mini_program_session::MiniProgramSession};
use lingpai_storage::{
    Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::{
    web_authorizations::owner,
    world::{World, all_at_once, at, count, raw},
};

pub(crate) async fn upsert(db: &Db, session: &MiniProgramSession) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.mini_program_sessions().system_upsert(session).await?;
    tx.commit().await
}

async fn find(db: &Db, account: &Authorizer, openid: &str) -> Option<MiniProgramSession> {
    db.mini_program_sessions().system_find(&account.id, openid).await.unwrap()
}

#[tokio::test]
async fn a_session_is_told_from_those_of_other_fans_and_mini_programs() {
    on_each_database(|db| async move {
        let world = World::new();
        let [(_, a), (_, b)] = [owner(&world, &db, "wxA").await, owner(&world, &db, "wxB").await];
        let sessions = [
            MiniProgramSession { unionid: Some("oUnion".to_owned()), ..world.session(&a, "oFan") },
            world.session(&a, "ofan"),
            world.session(&a, "oFan "),
            world.session(&b, "oFan"),
        ];
        for session in &sessions {
            let (account, openid) =
                (if session.authorizer_id == a.id { &a } else { &b }, &session.openid);
            assert_eq!(find(&db, account, openid).await, None, "case and blanks count");
            upsert(&db, session).await.unwrap();
        }
        for session in &sessions {
            let sessions = db.mini_program_sessions();
            let found = sessions.system_find(&session.authorizer_id, &session.openid).await;
            assert_eq!(found.unwrap().as_ref(), Some(session));
        }
        assert_eq!(find(&db, &b, "ofan").await, None);
    })
    .await;
}

#[tokio::test]
async fn the_last_login_counts_and_the_first_is_remembered() {
    on_each_database(|db| async move {
        let world = World::new();
        let (_, account) = owner(&world, &db, "wxA").await;
        let first = world.session(&account, "oFan");
        upsert(&db, &first).await.unwrap();
        let again = MiniProgramSession {
            unionid: Some("oUnion".to_owned()),
            session_key: Secret::from("another"),
            created_at: at(2),
            updated_at: at(2),
            ..world.session(&account, "oFan")
        };
        upsert(&db, &again).await.unwrap();
        let kept = MiniProgramSession { id: first.id, created_at: at(1), ..again };
        assert_eq!(find(&db, &account, "oFan").await.as_ref(), Some(&kept));

        let untold = MiniProgramSession { updated_at: at(3), ..world.session(&account, "oFan") };
        upsert(&db, &untold).await.unwrap();
        let MiniProgramSession { session_key, updated_at, .. } = untold;
        let kept = MiniProgramSession { session_key, updated_at, ..kept };
        assert_eq!(find(&db, &account, "oFan").await, Some(kept), "the unionid is not unlearnt");
    })
    .await;
}

#[tokio::test]
async fn an_id_of_another_fans_session_is_refused() {
    on_each_database(|db| async move {
        let world = World::new();
        let (_, account) = owner(&world, &db, "wxA").await;
        let first = world.session(&account, "oFan");
        upsert(&db, &first).await.unwrap();
        let taken =
            MiniProgramSession { id: first.id.clone(), ..world.session(&account, "oOther") };
        assert!(upsert(&db, &taken).await.is_err());
        assert_eq!(find(&db, &account, "oOther").await, None);
        assert_eq!(find(&db, &account, "oFan").await, Some(first));
        let nobodys =
            world.session(&world.authorizer(&world.component("wxC"), None, "wxN"), "oFan");
        assert!(upsert(&db, &nobodys).await.is_err(), "no such account");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_at_the_same_time_all_succeed_and_leave_one_session_a_fan() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let (_, account) = owner(&world, &db, "wxA").await;
            let logins = (0..32).map(|i| {
                let key = Secret::new(format!("key {i}"));
                let session = world.session(&account, &format!("oFan{}", i % 3));
                let session = MiniProgramSession { session_key: key, ..session };
                let db = db.clone();
                async move { upsert(&db, &session).await }
            });
            for outcome in all_at_once(logins).await {
                outcome.unwrap();
            }
            let raw = raw(&url).await;
            assert_eq!(count(&raw, "mini_program_sessions").await, 3);
            raw.close().await.unwrap();
            for fan in ["oFan0", "oFan1", "oFan2"] {
                assert!(find(&db, &account, fan).await.is_some());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_are_erased_by_fan_and_by_account() {
    on_each_database(|db| async move {
        let world = World::new();
        let [(_, a), (_, b)] = [owner(&world, &db, "wxA").await, owner(&world, &db, "wxB").await];
        for account in [&a, &b] {
            for n in 0..5 {
                upsert(&db, &world.session(account, &format!("oFan{n}"))).await.unwrap();
            }
        }
        let tx = db.begin().await.unwrap();
        let sessions = tx.mini_program_sessions();
        assert_eq!(sessions.system_erase(&a.id, "oFan0").await.unwrap(), 1);
        assert_eq!(sessions.system_erase(&a.id, "oFan0").await.unwrap(), 0);
        assert_eq!(sessions.system_erase(&a.id, "OFAN1").await.unwrap(), 0, "case counts");
        let some = async || sessions.system_erase_some(&a.id, 3).await.unwrap();
        assert_eq!([some().await, some().await, some().await], [3, 1, 0]);
        tx.commit().await.unwrap();
        for n in 0..5 {
            assert_eq!(find(&db, &a, &format!("oFan{n}")).await, None);
            assert!(find(&db, &b, &format!("oFan{n}")).await.is_some(), "another account's");
        }
        upsert(&db, &world.session(&a, "oFan0")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_session_key_opens_for_its_own_fan_only() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let [(_, a), (_, b)] =
                [owner(&world, &db, "wxA").await, owner(&world, &db, "wxB").await];
            for account in [&a, &b] {
                upsert(&db, &world.session(account, "oFan")).await.unwrap();
            }
            let raw = raw(&url).await;
            let moved = format!(
                "UPDATE mini_program_sessions SET openid = 'oThief' WHERE authorizer_id = '{}'",
                a.id
            );
            raw.execute_unprepared(&moved).await.unwrap();
            let error = db.mini_program_sessions().system_find(&a.id, "oThief").await.unwrap_err();
            assert!(matches!(error, Error::Unopenable { table: "mini_program_sessions", .. }));
            let moved = format!(
                "UPDATE mini_program_sessions SET authorizer_id = '{}' WHERE openid = 'oFan'",
                a.id
            );
            raw.execute_unprepared(&moved).await.unwrap();
            let error = db.mini_program_sessions().system_find(&a.id, "oFan").await.unwrap_err();
            assert!(matches!(error, Error::Unopenable { table: "mini_program_sessions", .. }));
            raw.close().await.unwrap();
            upsert(&db, &world.session(&a, "oFan")).await.unwrap();
            assert!(find(&db, &a, "oFan").await.is_some(), "the next login repairs it");
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_of_before_a_release_are_listed_and_erased_unless_the_fan_has_come_back() {
    on_each_database(|db| async move {
        let world = World::new();
        let [(_, a), (_, b)] = [owner(&world, &db, "wxA").await, owner(&world, &db, "wxB").await];
        let fans = [(&a, "oBefore", 9), (&a, "oThen", 10), (&a, "oSince", 11), (&b, "oBefore", 9)];
        for (account, openid, second) in fans {
            let session = world.session(account, openid);
            let session = MiniProgramSession { updated_at: at(second), ..session };
            upsert(&db, &session).await.unwrap();
        }
        let given_up =
            async |limit| db.mini_program_sessions().system_list_given_up(limit).await.unwrap();
        assert!(given_up(9).await.is_empty());
        let tx = db.begin().await.unwrap();
        let released = Authorizer { released_at: Some(at(10)), ..a.clone() };
        tx.authorizers().system_update(&released).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(given_up(1).await.len(), 1);
        let marks = given_up(9).await;
        assert_eq!(marks.len(), 2);
        // One of the two comes back before he is erased.
        let back = MiniProgramSession { updated_at: at(12), ..world.session(&a, "oThen") };
        upsert(&db, &back).await.unwrap();
        let tx = db.begin().await.unwrap();
        let mut erased = 0;
        for mark in &marks {
            erased += u64::from(tx.mini_program_sessions().system_erase_if(mark).await.unwrap());
        }
        tx.commit().await.unwrap();
        assert_eq!(erased, 1);
        for (account, openid, second) in fans {
            let is_left = second > 9 || account.id == b.id;
            assert_eq!(find(&db, account, openid).await.is_some(), is_left, "{openid}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_older_login_that_comes_late_changes_nothing() {
    on_each_database(|db| async move {
        let world = World::new();
        let (_, account) = owner(&world, &db, "wxA").await;
        let login = |key: &str, second| MiniProgramSession {
            session_key: Secret::from(key),
            unionid: Some(format!("union of {key}")),
            updated_at: at(second),
            ..world.session(&account, "oFan")
        };
        let newer = login("newer", 11);
        upsert(&db, &newer).await.unwrap();
        upsert(&db, &login("older", 10)).await.unwrap();
        assert_eq!(find(&db, &account, "oFan").await.as_ref(), Some(&newer));
        upsert(&db, &login("as new", 11)).await.unwrap();
        let kept = find(&db, &account, "oFan").await.unwrap();
        assert_eq!(kept.session_key, Secret::from("as new"));
    })
    .await;
}

#[tokio::test]
async fn sessions_are_erased_that_are_older_than_a_time() {
    on_each_database(|db| async move {
        let world = World::new();
        let [(_, a), (_, b)] = [owner(&world, &db, "wxA").await, owner(&world, &db, "wxB").await];
        let fans = [(&a, "oOld", 9), (&a, "oThen", 10), (&b, "oOld", 9), (&b, "oSince", 11)];
        for (account, openid, second) in fans {
            let session = world.session(account, openid);
            upsert(&db, &MiniProgramSession { updated_at: at(second), ..session }).await.unwrap();
        }
        let tx = db.begin().await.unwrap();
        let sessions = tx.mini_program_sessions();
        let until = async |openid, second| {
            sessions.system_erase_until(&b.id, openid, at(second)).await.unwrap()
        };
        assert_eq!([until("oSince", 10).await, until("oOld", 8).await], [0, 0]);
        assert_eq!([until("oOld", 9).await, until("oOld", 9).await], [1, 0], "not the other's");
        let swept = async |second| sessions.sweep(at(second)).await.unwrap();
        assert_eq!([swept(9).await, swept(10).await, swept(10).await], [0, 1, 0]);
        tx.commit().await.unwrap();
        for (account, openid, second) in fans {
            assert_eq!(find(&db, account, openid).await.is_some(), second > 9, "{openid}");
        }
    })
    .await;
}
