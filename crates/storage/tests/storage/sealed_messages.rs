//! What fans wrote and what they were replied, at rest.

use lingpai_model::{
    Secret,
    clock::Entropy,
    digest::Digest,
    id::PushId,
    quarantine::{NewQuarantined, QuarantineReason, QuarantinedFor},
};
use lingpai_storage::testing::TestDb;

use crate::{
    late_replies::{heard, insert, late},
    world::{World, app, at, scope},
};

#[tokio::test]
async fn no_text_of_a_fan_and_no_reply_to_one_stands_in_the_database_in_clear() {
    let test = TestDb::sqlite().await;
    let (db, world) = (&test.db, World::new());
    let tenant = world.stored_tenant(db).await;
    let account = world.stored_account(db, &tenant, "wxOwn").await;
    let event = heard(db, &account, Some("oFan"), 1).await;
    assert!(insert(db, &late(&event, "canary late reply")).await);
    let tx = db.begin().await.unwrap();
    let reply = Secret::from("canary reply of a listener");
    let replies = tx.listener_replies();
    assert!(replies.insert_once(&scope(&tenant), &event.id, Some(&reply), at(2)).await.unwrap());
    tx.commit().await.unwrap();
    db.quarantine_message(NewQuarantined {
        id: PushId::new(at(3), &Entropy::system()),
        recipient: QuarantinedFor::Account(account.id),
        appid: app("wxOwn"),
        reason: QuarantineReason::Unreadable,
        dedupe: Digest::of(&[b"x"]),
        payload: Secret::new(b"canary in quarantine".to_vec()),
        received_at: at(3),
    })
    .await
    .unwrap();

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
