//! What accounts answer by themselves: kept whole, its owner's only.

use lingpai_model::{
    authorizer::Authorizer,
    auto_reply::{Article, AutoReplies, AutoReply, MAX_RULES, Reply, Trigger},
    tenant::Tenant,
};
use lingpai_storage::{
    Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, at, raw, scope};

fn rule(trigger: Trigger, content: &str) -> AutoReply {
    AutoReply { trigger, reply: Reply::Text { content: content.to_owned() } }
}

fn welcome(content: &str) -> AutoReplies {
    AutoReplies { rules: vec![rule(Trigger::Subscribe, content)] }
}

async fn put(db: &Db, owner: &Tenant, account: &Authorizer, replies: &AutoReplies) {
    let tx = db.begin().await.unwrap();
    tx.auto_replies().put(&scope(owner), &account.id, replies, at(1)).await.unwrap();
    tx.commit().await.unwrap();
}

/// One rule of every kind, one reply of every kind.
fn everything() -> AutoReplies {
    let words = || vec!["价格 \" \\ \0".to_owned(), "🍜".to_owned()];
    let media_id = || "m".to_owned();
    let article = Article {
        title: "t".to_owned(),
        description: None,
        pic_url: Some("https://p".to_owned()),
        url: "https://u".to_owned(),
    };
    let replies = [
        Reply::Text { content: "欢迎\n🍜 \0".to_owned() },
        Reply::Image { media_id: media_id() },
        Reply::Voice { media_id: media_id() },
        Reply::Video { media_id: media_id(), title: Some("t".to_owned()), description: None },
        Reply::Music {
            title: None,
            description: Some("d".to_owned()),
            music_url: None,
            hq_music_url: None,
            thumb_media_id: media_id(),
        },
        Reply::News { articles: vec![article.clone(), article] },
        Reply::TransferCustomerService { kf_account: None },
    ];
    let triggers = [
        Trigger::Subscribe,
        Trigger::MenuClick { key: "V1".to_owned() },
        Trigger::Keyword { words: words() },
        Trigger::Containing { words: words() },
        Trigger::AnyMessage,
    ];
    let rules = replies.into_iter().zip(triggers.into_iter().cycle());
    AutoReplies { rules: rules.map(|(reply, trigger)| AutoReply { trigger, reply }).collect() }
}

#[tokio::test]
async fn rules_read_back_in_their_order_and_are_replaced_as_a_whole() {
    on_each_database(|db| async move {
        let world = World::new();
        let owner = world.stored_tenant(&db).await;
        let account = world.stored_account(&db, &owner, "wxA").await;
        let read = async || db.auto_replies().get(&scope(&owner), &account.id).await.unwrap();
        assert_eq!(read().await, AutoReplies::default());

        let long = "长".repeat(682);
        let most = AutoReplies { rules: vec![rule(Trigger::AnyMessage, &long); MAX_RULES] };
        for replies in [everything(), most, welcome("hello"), AutoReplies::default()] {
            put(&db, &owner, &account, &replies).await;
            assert_eq!(read().await, replies);
            assert_eq!(*db.cached_auto_replies(&account.id).await.unwrap(), replies, "forgotten");
        }
    })
    .await;
}

#[tokio::test]
async fn another_tenant_neither_reads_nor_sets_nor_removes_them() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let account = world.stored_account(&db, &owner, "wxA").await;
        put(&db, &owner, &account, &welcome("mine")).await;

        let foreign = db.auto_replies().get(&scope(&other), &account.id).await.unwrap();
        assert_eq!(foreign, AutoReplies::default());
        let tx = db.begin().await.unwrap();
        let unknown = world.authorizer(&world.component("wxC"), None, "wxN").id;
        for id in [&account.id, &unknown] {
            let set = tx.auto_replies().put(&scope(&other), id, &welcome("theirs"), at(2)).await;
            assert!(matches!(set, Err(Error::NotFound { .. })), "told alike");
        }
        assert!(!tx.auto_replies().delete(&scope(&other), &account.id).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(*db.cached_auto_replies(&account.id).await.unwrap(), welcome("mine"));

        let tx = db.begin().await.unwrap();
        assert!(tx.auto_replies().delete(&scope(&owner), &account.id).await.unwrap());
        assert!(!tx.auto_replies().delete(&scope(&owner), &account.id).await.unwrap(), "gone");
        tx.commit().await.unwrap();
        assert_eq!(*db.cached_auto_replies(&account.id).await.unwrap(), AutoReplies::default());
    })
    .await;
}

#[tokio::test]
async fn an_account_with_a_new_owner_does_not_answer_what_the_last_one_set() {
    on_each_database(|db| async move {
        let world = World::new();
        let [last, next] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let account = world.stored_account(&db, &last, "wxA").await;
        put(&db, &last, &account, &welcome("the last one's")).await;
        for tenant_id in [None, Some(next.id.clone())] {
            let tx = db.begin().await.unwrap();
            let changed = Authorizer { tenant_id, ..account.clone() };
            tx.authorizers().system_update(&changed).await.unwrap();
            tx.commit().await.unwrap();
            let replies = db.cached_auto_replies(&account.id).await.unwrap();
            assert_eq!(*replies, AutoReplies::default());
        }
        put(&db, &next, &account, &welcome("the next one's")).await;
        let replies = db.cached_auto_replies(&account.id).await.unwrap();
        assert_eq!(*replies, welcome("the next one's"));
        let of_last = db.auto_replies().get(&scope(&last), &account.id).await.unwrap();
        assert_eq!(of_last, AutoReplies::default());
    })
    .await;
}

#[tokio::test]
async fn rules_that_nobody_of_ours_wrote_are_told() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let owner = world.stored_tenant(&db).await;
            let account = world.stored_account(&db, &owner, "wxA").await;
            put(&db, &owner, &account, &welcome("hello")).await;
            let raw = raw(&url).await;
            for broken in ["", "{}", r#"[{"on":"sunrise","reply":{"type":"text","content":""}}]"#] {
                let damage = format!("UPDATE auto_replies SET rules_json = '{broken}'");
                raw.execute_unprepared(&damage).await.unwrap();
                let read = db.auto_replies().system_get(&account.id).await;
                let told = matches!(read, Err(Error::Inconsistent { table: "auto_replies", .. }));
                assert!(told, "{broken}");
            }
            raw.close().await.unwrap();
        }
    })
    .await;
}
