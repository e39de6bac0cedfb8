//! Tenants apart, identifiers apart, pages by cursor.

use lingpai_model::{
    authorization::{Authorization, AuthorizationState},
    clock::Entropy,
    event::{Event, EventContent, EventKind},
    id::{ApiKeyId, AuthorizationId, TenantId},
    page::PageRequest,
};
use lingpai_storage::{
    AuthorizationFilter, AuthorizerFilter, Error, Progress,
    testing::{kept_events, on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;
use serde_json::json;

use crate::world::{World, app, at, raw, scope};

#[tokio::test]
async fn another_tenants_things_are_as_if_they_were_not_there() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let authorizer = world.stored_authorizer(&db, &component, Some(&owner), "wxA").await;
        let authorization = world.authorization(&component, &owner);
        let tx = db.begin().await.unwrap();
        tx.authorizations().insert(&scope(&owner), &authorization).await.unwrap();
        tx.commit().await.unwrap();

        let all = PageRequest::first();
        let everything = AuthorizerFilter::default();
        let unfiltered = AuthorizationFilter::default();
        assert_eq!(
            db.authorizers().get(&scope(&owner), &authorizer.appid).await.unwrap(),
            authorizer
        );
        assert_eq!(
            db.authorizations()
                .list(&scope(&owner), (&unfiltered, at(0)), &all)
                .await
                .unwrap()
                .items
                .len(),
            1
        );

        let other = scope(&other);
        let foreign = db.authorizers().get(&other, &authorizer.appid).await.unwrap_err();
        let missing = db.authorizers().get(&other, &app("wxNone")).await.unwrap_err();
        assert!(matches!(&foreign, Error::NotFound { .. }));
        let [foreign, missing] = [foreign, missing].map(|error| error.to_string());
        assert_eq!(foreign.replace("wxA", ""), missing.replace("wxNone", ""), "told alike");
        assert!(matches!(
            db.authorizations().get(&other, &authorization.id).await,
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(
            db.cached_authorizer(&other, &authorizer.appid).await,
            Err(Error::NotFound { .. })
        ));
        assert!(db.authorizers().list(&other, &everything, &all).await.unwrap().items.is_empty());
        assert!(
            db.authorizations()
                .list(&other, (&unfiltered, at(0)), &all)
                .await
                .unwrap()
                .items
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn authorizations_are_found_by_progress_and_reference() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let owner = world.stored_tenant(&db).await;
        let waiting = world.authorization(&component, &owner);
        let other = Authorization {
            reference: Some("ORDER 7\0".to_owned()),
            state: AuthorizationState::Refused { errcode: 61028, at: at(5) },
            ..world.authorization(&component, &owner)
        };
        let tx = db.begin().await.unwrap();
        tx.authorizations().insert(&scope(&owner), &waiting).await.unwrap();
        tx.authorizations().insert(&scope(&owner), &other).await.unwrap();
        tx.commit().await.unwrap();

        let found = async |progress, reference: Option<&String>, now| {
            let filter = AuthorizationFilter { progress, reference: reference.cloned() };
            let (scope, page) = (scope(&owner), PageRequest::first());
            let found = db.authorizations().list(&scope, (&filter, now), &page).await.unwrap();
            found.items.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        let end = waiting.expires_at;
        let before = end - chrono::Duration::milliseconds(1);
        let (one, two) = (vec![waiting.id.clone()], vec![other.id.clone()]);
        assert_eq!(found(Some(Progress::Pending), None, before).await, one);
        assert_eq!(found(Some(Progress::Pending), None, end).await, []);
        assert_eq!(found(Some(Progress::Expired), None, before).await, []);
        assert_eq!(found(Some(Progress::Expired), None, end).await, one);
        assert_eq!(found(Some(Progress::Refused), None, before).await, two);
        for progress in [Progress::Finished, Progress::OwnedElsewhere] {
            assert_eq!(found(Some(progress), None, before).await, [], "{progress:?}");
        }
        assert_eq!(found(None, waiting.reference.as_ref(), before).await, one);
        assert_eq!(found(None, other.reference.as_ref(), before).await, two, "case counts");
    })
    .await;
}

#[tokio::test]
async fn a_row_is_inserted_under_the_scopes_tenant() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let [mine, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let claims_to_be_others = world.authorization(&component, &other);
        let tx = db.begin().await.unwrap();
        tx.authorizations().insert(&scope(&mine), &claims_to_be_others).await.unwrap();
        tx.commit().await.unwrap();
        let id = &claims_to_be_others.id;
        assert!(db.authorizations().get(&scope(&other), id).await.is_err());
        assert_eq!(db.authorizations().get(&scope(&mine), id).await.unwrap().tenant_id, mine.id);
    })
    .await;
}

#[tokio::test]
async fn appids_that_differ_in_case_are_two() {
    on_each_database(|db| async move {
        let world = World::new();
        let [upper, lower] =
            [world.stored_component(&db, "wxA").await, world.stored_component(&db, "wxa").await];
        assert_eq!(db.components().find(&app("wxA")).await.unwrap().unwrap().id, upper.id);
        assert_eq!(db.components().find(&app("wxa")).await.unwrap().unwrap().id, lower.id);
        assert!(db.components().find(&app("WXA")).await.unwrap().is_none());
        let again = db.begin().await.unwrap();
        let error = again.components().insert(&world.component("wxA")).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }));
    })
    .await;
}

#[tokio::test]
async fn trailing_spaces_count() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let component = world.stored_component(&db, "wxA").await;
            let raw = raw(&url).await;
            let spaced = "UPDATE components SET appid = 'wxA '";
            raw.execute_unprepared(spaced).await.unwrap();
            raw.close().await.unwrap();
            assert!(db.components().find(&component.appid).await.unwrap().is_none());
            world.stored_component(&db, "wxA").await;
        }
    })
    .await;
}

#[tokio::test]
async fn pages_follow_the_cursor_and_new_rows_move_nothing() {
    on_each_database(|db| async move {
        let world = World::new();
        let add = async |second| {
            let mut tenant = world.tenant();
            tenant.id = TenantId::new(at(second), &Entropy::seeded(1));
            let tx = db.begin().await.unwrap();
            tx.tenants().insert(&tenant).await.unwrap();
            tx.commit().await.unwrap();
            tenant
        };
        let mut tenants = Vec::new();
        for second in 1..=5 {
            tenants.push(add(second).await);
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let request = PageRequest::new(2, after).unwrap();
            let page = db.tenants().list(&request).await.unwrap();
            seen.extend(page.items);
            if seen.len() == 2 {
                add(0).await;
                tenants.push(add(6).await);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, tenants, "the one before the cursor is not seen, the later one is");
    })
    .await;
}

#[tokio::test]
async fn authorizers_are_listed_by_component_and_state() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let tenant = world.stored_tenant(&db).await;
        let mut revoked = world.stored_authorizer(&db, &c, Some(&tenant), "wxA").await;
        let other = world.stored_authorizer(&db, &d, Some(&tenant), "wxB").await;
        revoked.state = revoked.state.revoke(at(5)).unwrap();
        let tx = db.begin().await.unwrap();
        tx.authorizers().system_update(&revoked).await.unwrap();
        tx.commit().await.unwrap();

        let list = async |component_appid, state| {
            let filter = AuthorizerFilter { component_appid, state, ..AuthorizerFilter::default() };
            let all = PageRequest::first();
            let page = db.authorizers().list(&scope(&tenant), &filter, &all).await.unwrap();
            page.items.into_iter().map(|authorizer| authorizer.appid).collect::<Vec<_>>()
        };
        assert_eq!(list(None, None).await, [app("wxA"), app("wxB")]);
        assert_eq!(list(Some(app("wxD")), None).await, [other.appid]);
        assert_eq!(list(None, Some("revoked")).await, [app("wxA")]);
        assert!(list(Some(app("wxC")), Some("active")).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_key_is_revoked_once_and_only_by_its_tenant() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let key = world.api_key(&owner);
        let tx = db.begin().await.unwrap();
        tx.api_keys().insert(&key).await.unwrap();
        tx.commit().await.unwrap();
        let kept = db.cached_api_key(&key.id).await.unwrap().unwrap();
        assert_eq!(*kept, key);

        let tx = db.begin().await.unwrap();
        assert!(!tx.api_keys().mark_revoked(&other.id, &key.id, at(1)).await.unwrap());
        assert!(tx.api_keys().mark_revoked(&owner.id, &key.id, at(2)).await.unwrap());
        assert!(
            tx.api_keys().mark_revoked(&owner.id, &key.id, at(3)).await.unwrap(),
            "it is there"
        );
        let unknown = world.api_key(&owner).id;
        assert!(!tx.api_keys().mark_revoked(&owner.id, &unknown, at(3)).await.unwrap());
        tx.commit().await.unwrap();
        let read = db.api_keys().system_find(&key.id).await.unwrap().unwrap();
        assert_eq!(read.revoked_at, Some(at(2)), "the second time changes nothing");
        let cached = db.cached_api_key(&key.id).await.unwrap().unwrap();
        assert_eq!(*cached, read, "the commit made the cache forget");
        let keys = db.api_keys().list(&owner.id, &PageRequest::first()).await.unwrap();
        assert_eq!(keys.items, [read]);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_told_so() {
    on_each_database(|db| async move {
        let entropy = Entropy::seeded(9);
        let tenant = World::new().stored_tenant(&db).await;
        assert_eq!(db.tenants().find(&TenantId::new(at(0), &entropy)).await.unwrap(), None);
        let key = ApiKeyId::new(at(0), &entropy);
        assert!(db.cached_api_key(&key).await.unwrap().is_none());
        let id = AuthorizationId::new(at(0), &entropy);
        let error = db.authorizations().get(&scope(&tenant), &id).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }));
    })
    .await;
}

#[tokio::test]
async fn an_operator_is_added_once_and_found() {
    on_each_database(|db| async move {
        let operator = World::new().operator();
        let tx = db.begin().await.unwrap();
        tx.operators().insert(&operator).await.unwrap();
        let twice = tx.operators().insert(&operator).await.unwrap_err();
        assert!(matches!(twice, Error::AlreadyExists { .. }));
        tx.commit().await.unwrap();
        assert_eq!(db.operators().find(&operator.id).await.unwrap(), Some(operator));
    })
    .await;
}

#[tokio::test]
async fn an_event_is_kept_in_its_tenants_stream_once() {
    on_each_database(|db| async move {
        let world = World::new();
        let [tenant, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let [first, second] = [world.event(&tenant, 1), world.event(&tenant, 2)];
        let tx = db.begin().await.unwrap();
        tx.events().append(&second).await.unwrap();
        tx.events().append(&first).await.unwrap();
        let twice = tx.events().append(&first).await.unwrap_err();
        assert!(matches!(twice, Error::AlreadyExists { what: "event" }));
        tx.commit().await.unwrap();
        assert_eq!(kept_events(&db, Some(&tenant.id)).await, [first, second]);
        assert!(kept_events(&db, Some(&other.id)).await.is_empty());
        assert!(kept_events(&db, None).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_event_of_no_tenant_is_in_the_operators_stream() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let of_account = Event { component_appid: None, ..world.event(&tenant, 1) };
        let of_component = Event {
            tenant_id: None,
            authorizer_appid: None,
            event_type: EventKind::TicketLate.into(),
            content: EventContent::Ours(Some(json!({ "path": "/cgi-bin/菜单", "errcode": 45009 }))),
            ..world.event(&tenant, 2)
        };
        let tx = db.begin().await.unwrap();
        for event in [&of_account, &of_component] {
            tx.events().append(event).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(kept_events(&db, None).await, [of_component]);
        assert_eq!(kept_events(&db, Some(&tenant.id)).await, [of_account]);
    })
    .await;
}

#[tokio::test]
async fn a_refused_insert_says_what_was_attempted_and_what_was_in_the_way() {
    on_each_database(|db| async move {
        let world = World::new();
        let key = world.api_key(&world.stored_tenant(&db).await);
        let tx = db.begin().await.unwrap();
        tx.api_keys().insert(&key).await.unwrap();
        let twice = tx.api_keys().insert(&key).await.unwrap_err();
        assert_eq!(twice.to_string(), "API key exists already");
        let ownerless = world.api_key(&world.tenant());
        let refused = tx.api_keys().insert(&ownerless).await.unwrap_err();
        assert_eq!(refused.to_string(), "could not add an API key");
    })
    .await;
}
