//! The audit trail: each tenant's own, and the operator's whole one, the newest first.

use std::net::IpAddr;

use lingpai_model::{
    audit::{Act, Action, Actor, AuditEntry},
    caller::Via,
    page::{Page, PageRequest},
};
use lingpai_storage::{
    AuditFilter, Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, raw, scope};

async fn append(db: &Db, entries: &[&AuditEntry]) {
    let tx = db.begin().await.unwrap();
    for entry in entries {
        tx.audit().append(entry).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn listed(db: &Db, filter: AuditFilter) -> Vec<AuditEntry> {
    db.audit().system_list(&filter, &PageRequest::first()).await.unwrap().items
}

#[tokio::test]
async fn entries_read_back_the_newest_first_and_each_tenant_sees_its_own() {
    on_each_database(|db| async move {
        let world = World::new();
        let [tenant, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let peer = Some("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse::<IpAddr>().unwrap());
        let via = Via { request_id: "req 1".to_owned(), peer };
        let actor = Actor::ApiKey(world.api_key(&tenant).id);
        let by_key = Act { actor, tenant_id: Some(tenant.id.clone()), via: via.clone() };
        let actor = Actor::Operator(world.operator().id);
        let by_operator = Act { actor, tenant_id: None, via };

        let by_key = world.entry(&by_key, Action::FileUploaded, "小店 🍜");
        let about = by_operator.clone().about(&tenant.id);
        let about = world.entry(&about, Action::TenantChanged, tenant.id.as_str());
        let alone = world.entry(&by_operator, Action::ComponentReconciliationAsked, "wxC");
        let ours = world.entry(&Act::of_lingpai().about(&other.id), Action::QuotaClearAsked, "");
        append(&db, &[&ours, &by_key, &alone, &about]).await;

        let everything = listed(&db, AuditFilter::default()).await;
        assert_eq!(everything, [&ours, &alone, &about, &by_key].map(Clone::clone));
        let all = PageRequest::first();
        let own = db.audit().list(&scope(&tenant), &all).await.unwrap().items;
        assert_eq!(own, [about, by_key]);
        let of_other = db.audit().list(&scope(&other), &all).await.unwrap().items;
        assert_eq!(of_other, [ours]);
    })
    .await;
}

#[tokio::test]
async fn the_operator_finds_entries_by_tenant_actor_and_action() {
    on_each_database(|db| async move {
        let world = World::new();
        let [tenant, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let operator = Actor::Operator(world.operator().id);
        let act =
            |actor: &Actor| Act { actor: actor.clone(), tenant_id: None, via: Via::default() };
        let a = world.entry(&act(&operator).about(&tenant.id), Action::ApiKeyCreated, "a");
        let b = world.entry(&act(&operator).about(&other.id), Action::ApiKeyRevoked, "b");
        let another = Actor::Operator(world.operator().id);
        let c = world.entry(&act(&another).about(&tenant.id), Action::ApiKeyRevoked, "c");
        let d = world.entry(&Act::of_lingpai(), Action::ApiKeyRevoked, "d");
        append(&db, &[&a, &b, &c, &d]).await;

        let found = async |tenant_id, actor, action| {
            let found = listed(&db, AuditFilter { tenant_id, actor, action }).await;
            found.into_iter().map(|entry| entry.subject).collect::<String>()
        };
        assert_eq!(found(Some(tenant.id.clone()), None, None).await, "ca");
        assert_eq!(found(None, Some(operator.clone()), None).await, "ba");
        assert_eq!(found(None, Some(Actor::Lingpai), None).await, "d");
        assert_eq!(found(None, None, Some(Action::ApiKeyRevoked)).await, "dcb");
        let one = found(Some(tenant.id), Some(another), Some(Action::ApiKeyRevoked)).await;
        assert_eq!(one, "c");
        assert_eq!(found(Some(other.id), Some(operator), Some(Action::ApiKeyCreated)).await, "");
    })
    .await;
}

#[tokio::test]
async fn pages_go_back_in_time_and_new_entries_move_nothing() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let act = Act::of_lingpai().about(&tenant.id);
        let entries: Vec<_> =
            (0..5).map(|i| world.entry(&act, Action::ApiKeyCreated, &i.to_string())).collect();
        append(&db, &entries.iter().collect::<Vec<_>>()).await;
        let (mut seen, mut after) = (String::new(), None);
        loop {
            let request = PageRequest::new(2, after).unwrap();
            let Page { items, next } = db.audit().list(&scope(&tenant), &request).await.unwrap();
            seen.extend(items.into_iter().map(|entry| entry.subject));
            append(&db, &[&world.entry(&act, Action::ApiKeyCreated, "later")]).await;
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, "43210");
    })
    .await;
}

#[tokio::test]
async fn an_entry_is_appended_once_and_one_that_makes_no_sense_is_told() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let entry = world.entry(&Act::of_lingpai(), Action::TenantCreated, "nul \0");
            append(&db, &[&entry]).await;
            let tx = db.begin().await.unwrap();
            let twice = tx.audit().append(&entry).await.unwrap_err();
            assert!(matches!(twice, Error::AlreadyExists { what: "audit entry" }));
            drop(tx);
            let kept = listed(&db, AuditFilter::default()).await;
            assert_eq!(kept[0].subject, "nul \u{fffd}");

            let raw = raw(&url).await;
            let damage = "UPDATE audit_entries SET actor = 'operator'";
            raw.execute_unprepared(damage).await.unwrap();
            let all = PageRequest::first();
            let error = db.audit().system_list(&AuditFilter::default(), &all).await.unwrap_err();
            assert!(matches!(error, Error::Inconsistent { table: "audit_entries", .. }));
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_newer_program_did_is_told_in_its_words_and_hides_nothing_else() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let act = Act::of_lingpai().about(&tenant.id);
            let [before, newer] =
                ["a", "b"].map(|subject| world.entry(&act, Action::TenantCreated, subject));
            append(&db, &[&before, &newer]).await;
            let raw = raw(&url).await;
            let change = "UPDATE audit_entries SET action = 'tenant.painted' WHERE subject = 'b'";
            raw.execute_unprepared(change).await.unwrap();

            let newer = AuditEntry { action: Action::Other("tenant.painted".into()), ..newer };
            let told = [newer, before];
            assert_eq!(listed(&db, AuditFilter::default()).await, told);
            let all = PageRequest::first();
            assert_eq!(db.audit().list(&scope(&tenant), &all).await.unwrap().items, told);
            raw.close().await.unwrap();
        }
    })
    .await;
}
