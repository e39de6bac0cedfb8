//! Attempts of fans: found by state or by tenant and id, each step under a lock.

use chrono::Duration;
use lingpai_model::{
    Secret,
    authorizer::Authorizer,
    digest::Digest,
    id::WebAuthorizationId,
    tenant::Tenant,
    web_authorization::{
        WebAuthorization, WebAuthorizationRefusal, WebAuthorizationState, WebScope,
    },
};
use lingpai_storage::{
    Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, all_at_once, at, count, raw, scope};

pub(crate) async fn insert(db: &Db, attempt: &WebAuthorization) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.web_authorizations().system_insert(attempt).await?;
    tx.commit().await
}

pub(crate) async fn update(db: &Db, attempt: &WebAuthorization) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.web_authorizations().system_update(attempt).await?;
    tx.commit().await
}

pub(crate) async fn read(
    db: &Db,
    tenant: &Tenant,
    id: &WebAuthorizationId,
) -> Result<Option<WebAuthorization>, Error> {
    let tx = db.begin().await.unwrap();
    tx.web_authorizations().lock(&scope(tenant), id).await
}

async fn by_state(db: &Db, state: &Digest) -> Option<WebAuthorization> {
    let tx = db.begin().await.unwrap();
    tx.web_authorizations().system_lock_by_state(state).await.unwrap()
}

/// A tenant with an account.
pub(crate) async fn owner(world: &World, db: &Db, appid: &str) -> (Tenant, Authorizer) {
    let tenant = world.stored_tenant(db).await;
    let account = world.stored_account(db, &tenant, appid).await;
    (tenant, account)
}

/// Everything of an attempt; records of it are never compared elsewhere.
fn shown(attempt: &WebAuthorization) -> String {
    let code = match &attempt.state {
        WebAuthorizationState::Returned { wechat_code, .. } => Some(wechat_code.expose().clone()),
        _ => None,
    };
    format!("{attempt:?} {code:?}")
}

#[tokio::test]
async fn an_attempt_is_read_back_as_it_was_written_in_every_state() {
    on_each_database(|db| async move {
        let world = World::new();
        let (tenant, account) = owner(&world, &db, "wxA").await;
        let first = world.web_authorization(&tenant, &account);
        let returned =
            WebAuthorizationState::Returned { wechat_code: Secret::from("c"), at: at(10) };
        let steps = [
            returned,
            WebAuthorizationState::Exchanged { at: at(11) },
            WebAuthorizationState::Declined { at: at(12) },
            WebAuthorizationState::Away,
        ];
        insert(&db, &first).await.unwrap();
        for state in [WebAuthorizationState::Away].into_iter().chain(steps) {
            let attempt = WebAuthorization { state, ..first.clone() };
            update(&db, &attempt).await.unwrap();
            let found = by_state(&db, &first.state_digest).await.unwrap();
            assert_eq!(shown(&found), shown(&attempt));
            let found = read(&db, &tenant, &first.id).await.unwrap().unwrap();
            assert_eq!(shown(&found), shown(&attempt));
        }
        for (scope, tenant_state) in
            [(WebScope::Base, None), (WebScope::UserInfo, Some(String::new()))]
        {
            let attempt = world.web_authorization(&tenant, &account);
            let attempt = WebAuthorization { scope, tenant_state, ..attempt };
            insert(&db, &attempt).await.unwrap();
            let found = by_state(&db, &attempt.state_digest).await.unwrap();
            assert_eq!(shown(&found), shown(&attempt), "no state and an empty one are two");
        }
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_the_state_of_its_own_attempt_only() {
    on_each_database(|db| async move {
        let world = World::new();
        let (tenant, account) = owner(&world, &db, "wxA").await;
        let [first, second] = [
            world.web_authorization(&tenant, &account),
            world.web_authorization(&tenant, &account),
        ];
        for attempt in [&first, &second] {
            insert(&db, attempt).await.unwrap();
        }
        let state = WebAuthorizationState::Declined { at: at(3) };
        let elsewhere = "https://evil.example/".to_owned();
        let forged = WebAuthorization {
            redirect_uri: elsewhere,
            browser_digest: Digest::of(&[b"another browser"]),
            expires_at: at(9_000),
            state: state.clone(),
            ..first.clone()
        };
        update(&db, &forged).await.unwrap();
        let found = read(&db, &tenant, &first.id).await.unwrap().unwrap();
        assert_eq!(shown(&found), shown(&WebAuthorization { state, ..first }));
        let found = read(&db, &tenant, &second.id).await.unwrap().unwrap();
        assert_eq!(shown(&found), shown(&second));

        let unknown = world.web_authorization(&tenant, &account);
        assert!(matches!(update(&db, &unknown).await, Err(Error::NotFound { .. })));
    })
    .await;
}

#[tokio::test]
async fn another_tenants_attempt_is_as_if_it_were_not_there() {
    on_each_database(|db| async move {
        let world = World::new();
        let (tenant, account) = owner(&world, &db, "wxA").await;
        let (other, _) = owner(&world, &db, "wxB").await;
        let attempt = world.web_authorization(&tenant, &account);
        insert(&db, &attempt).await.unwrap();
        let unknown = world.web_authorization(&tenant, &account);
        assert!(read(&db, &tenant, &attempt.id).await.unwrap().is_some());
        assert!(read(&db, &other, &attempt.id).await.unwrap().is_none());
        assert!(read(&db, &tenant, &unknown.id).await.unwrap().is_none());
        assert!(by_state(&db, &unknown.state_digest).await.is_none());
        assert!(by_state(&db, &attempt.browser_digest).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_state_stands_for_one_attempt() {
    on_each_database(|db| async move {
        let world = World::new();
        let (tenant, account) = owner(&world, &db, "wxA").await;
        let first = world.web_authorization(&tenant, &account);
        insert(&db, &first).await.unwrap();
        let same_state = WebAuthorization {
            state_digest: first.state_digest,
            ..world.web_authorization(&tenant, &account)
        };
        let same_id =
            WebAuthorization { id: first.id.clone(), ..world.web_authorization(&tenant, &account) };
        for twice in [&same_state, &same_id] {
            let refused = insert(&db, twice).await;
            assert!(matches!(refused, Err(Error::AlreadyExists { what: "web authorization" })));
        }
        let nobodys = WebAuthorization {
            tenant_id: world.tenant().id,
            ..world.web_authorization(&tenant, &account)
        };
        assert!(insert(&db, &nobodys).await.is_err(), "no such tenant");
        let found = by_state(&db, &first.state_digest).await.unwrap();
        assert_eq!(shown(&found), shown(&first));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_exchanges_at_the_same_time_one_takes_the_code() {
    on_each_database(|db| async move {
        let world = World::new();
        let (tenant, account) = owner(&world, &db, "wxA").await;
        let wechat_code = Secret::from("c");
        let state = WebAuthorizationState::Returned { wechat_code: wechat_code.clone(), at: at(1) };
        let attempt = WebAuthorization { state, ..world.web_authorization(&tenant, &account) };
        insert(&db, &attempt).await.unwrap();
        let exchanging = (0..8).map(|_| {
            let (db, scope, id) = (db.clone(), scope(&tenant), attempt.id.clone());
            async move {
                let tx = db.begin().await.unwrap();
                let found = tx.web_authorizations().lock(&scope, &id).await.unwrap().unwrap();
                let (used, code) = found.exchange(at(2))?;
                tx.web_authorizations().system_update(&used).await.unwrap();
                tx.commit().await.unwrap();
                Ok::<_, WebAuthorizationRefusal>(code)
            }
        });
        let (taken, refused): (Vec<_>, Vec<_>) =
            all_at_once(exchanging).await.into_iter().partition(Result::is_ok);
        assert_eq!(taken, [Ok(wechat_code)]);
        assert_eq!(refused, vec![Err(WebAuthorizationRefusal::CodeUsed); 7]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_returns_at_the_same_time_one_counts() {
    on_each_database(|db| async move {
        let world = World::new();
        let (tenant, account) = owner(&world, &db, "wxA").await;
        let attempt = world.web_authorization(&tenant, &account);
        insert(&db, &attempt).await.unwrap();
        let returning = (0..8).map(|i| {
            let (db, state, browser) = (db.clone(), attempt.state_digest, attempt.browser_digest);
            async move {
                let tx = db.begin().await.unwrap();
                let found = tx.web_authorizations().system_lock_by_state(&state).await.unwrap();
                let code = Some(Secret::new(format!("code {i}")));
                let back = found.unwrap().come_back(Some(&browser), code, at(2)).ok()?;
                tx.web_authorizations().system_update(&back).await.unwrap();
                tx.commit().await.unwrap();
                Some(back.state)
            }
        });
        let back: Vec<_> = all_at_once(returning).await.into_iter().flatten().collect();
        let found = by_state(&db, &attempt.state_digest).await.unwrap();
        assert_eq!(back, [found.state], "and it is the one that is kept");
    })
    .await;
}

#[tokio::test]
async fn attempts_are_swept_by_their_end_whatever_became_of_them() {
    on_each_database(|db| async move {
        let world = World::new();
        let (tenant, account) = owner(&world, &db, "wxA").await;
        let states = [
            WebAuthorizationState::Away,
            WebAuthorizationState::Declined { at: at(1) },
            WebAuthorizationState::Returned { wechat_code: Secret::from("c"), at: at(1) },
            WebAuthorizationState::Exchanged { at: at(1) },
        ];
        let mut all = Vec::new();
        for state in states {
            for expires_at in [at(99), at(100)] {
                let attempt = world.web_authorization(&tenant, &account);
                let attempt = WebAuthorization { state: state.clone(), expires_at, ..attempt };
                insert(&db, &attempt).await.unwrap();
                all.push(attempt);
            }
        }
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.web_authorizations().sweep(at(99)).await.unwrap(), 0);
        assert_eq!(tx.web_authorizations().sweep(at(100)).await.unwrap(), 4);
        assert_eq!(tx.web_authorizations().sweep(at(100)).await.unwrap(), 0);
        tx.commit().await.unwrap();
        for attempt in all {
            let is_there = read(&db, &tenant, &attempt.id).await.unwrap().is_some();
            assert_eq!(is_there, attempt.expires_at == at(100));
        }
    })
    .await;
}

#[tokio::test]
async fn a_code_opens_in_its_own_row_only_and_is_gone_once_it_is_used() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let (tenant, account) = owner(&world, &db, "wxA").await;
            let back = |code: &str| WebAuthorization {
                state: WebAuthorizationState::Returned {
                    wechat_code: Secret::from(code),
                    at: at(1),
                },
                ..world.web_authorization(&tenant, &account)
            };
            let [one, two] = [back("one"), back("two")];
            for attempt in [&one, &two] {
                insert(&db, attempt).await.unwrap();
            }
            let (used, _) = one.clone().exchange(at(1) + Duration::seconds(1)).unwrap();
            update(&db, &used).await.unwrap();
            let raw = raw(&url).await;
            let kept = "web_authorizations WHERE wechat_code_sealed IS NOT NULL";
            assert_eq!(count(&raw, kept).await, 1, "WeChat's code is kept no longer than needed");

            update(&db, &one).await.unwrap();
            for swap in [
                "UPDATE web_authorizations SET id = 'x' WHERE id = '{1}'",
                "UPDATE web_authorizations SET id = '{1}' WHERE id = '{2}'",
            ] {
                let swap = swap.replace("{1}", one.id.as_str()).replace("{2}", two.id.as_str());
                raw.execute_unprepared(&swap).await.unwrap();
            }
            let moved = read(&db, &tenant, &one.id).await.unwrap_err();
            assert!(matches!(moved, Error::Unopenable { table: "web_authorizations", .. }));
            for (broken, set) in [
                ("a code without its time", "state_at = NULL"),
                ("a time without its code", "wechat_code_sealed = NULL"),
                ("a state of nobody's", "state = 'gone'"),
                ("a scope of nobody's", "state = 'away', state_at = NULL, scope = 'snsapi_login'"),
            ] {
                let id = &one.id;
                let set = format!("UPDATE web_authorizations SET {set} WHERE id = '{id}'");
                raw.execute_unprepared(&set).await.unwrap();
                let error = read(&db, &tenant, &one.id).await.unwrap_err();
                assert!(matches!(error, Error::Inconsistent { .. }), "{broken}");
            }
            raw.close().await.unwrap();
        }
    })
    .await;
}
