//! What WeChat gave for fans, at rest.

use lingpai_model::{
    Secret,
    mini_program_session::MiniProgramSession,
    tenant::Tenant,
    web_authorization::{WebAuthorization, WebAuthorizationState},
};
use lingpai_storage::{
    Db, Error, KeyRing,
    testing::{TestDb, on_each_test_db},
};

use crate::{
    mini_program_sessions::upsert,
    web_authorizations::{insert, owner, read},
    world::{World, at},
};

/// The attempt of a fan who has come back.
fn returned(attempt: WebAuthorization) -> WebAuthorization {
    let state = WebAuthorizationState::Returned {
        wechat_code: Secret::from("canary code of WeChat"),
        at: at(1),
    };
    WebAuthorization { state, ..attempt }
}

#[tokio::test]
async fn no_code_and_no_session_key_stands_in_the_database_in_clear() {
    let test = TestDb::sqlite().await;
    let (db, world) = (&test.db, World::new());
    let (tenant, account) = owner(&world, db, "wxOwn").await;
    insert(db, &returned(world.web_authorization(&tenant, &account))).await.unwrap();
    upsert(db, &world.session(&account, "oFan")).await.unwrap();

    let path = test.config.url.strip_prefix("sqlite://").unwrap();
    let mut files = 0;
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(format!("{path}{suffix}")).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "lingpai.db{suffix}");
        files += usize::from(bytes.windows(4).any(|window| window == b"oFan"));
    }
    assert!(files > 0, "the rows are in these files");
    test.remove().await;
}

/// Adds an attempt that has come back, and a session; returns what finds them.
async fn keep(
    world: &World,
    db: &Db,
    appid: &str,
) -> (Tenant, WebAuthorization, MiniProgramSession) {
    let (tenant, account) = owner(world, db, appid).await;
    let attempt = returned(world.web_authorization(&tenant, &account));
    insert(db, &attempt).await.unwrap();
    let session = world.session(&account, "oFan");
    upsert(db, &session).await.unwrap();
    (tenant, attempt, session)
}

#[tokio::test]
async fn after_a_rotation_old_and_new_codes_and_session_keys_open() {
    on_each_test_db(|test| {
        let config = test.config.clone();
        async move {
            let world = World::new();
            let key = |id: &str, byte: char| format!("{id}:{}=\n", byte.to_string().repeat(43));
            let ring = |text: String| KeyRing::parse(&Secret::new(text)).unwrap();
            let old = Db::connect(&config, ring(key("old", 'A'))).await.unwrap();
            let before = keep(&world, &old, "wxBefore").await;
            old.close().await;

            let both = ring(key("new", 'E') + &key("old", 'A'));
            let rotated = Db::connect(&config, both).await.unwrap();
            let after = keep(&world, &rotated, "wxAfter").await;
            for (tenant, attempt, session) in [&before, &after] {
                let found = read(&rotated, tenant, &attempt.id).await.unwrap().unwrap();
                assert_eq!(found.state, attempt.state);
                let sessions = rotated.mini_program_sessions();
                let found = sessions.system_find(&session.authorizer_id, &session.openid).await;
                assert_eq!(found.unwrap().as_ref(), Some(session));
            }
            rotated.close().await;

            let new = Db::connect(&config, ring(key("new", 'E'))).await.unwrap();
            for ((tenant, attempt, session), is_lost) in [(&before, true), (&after, false)] {
                let sessions = new.mini_program_sessions();
                let session = sessions.system_find(&session.authorizer_id, &session.openid).await;
                let attempt = read(&new, tenant, &attempt.id).await;
                assert_eq!(matches!(session, Err(Error::Unopenable { .. })), is_lost);
                assert_eq!(matches!(attempt, Err(Error::Unopenable { .. })), is_lost);
            }
            new.close().await;
        }
    })
    .await;
}
