//! Keys: which texts open what, and for how long.

use lingpai_model::{
    api_key::{KeyText, Scope},
    caller::Via,
    clock::Entropy,
    id::ApiKeyId,
    network::Network,
    page::PageRequest,
};
use lingpai_tenant::{ApiKeyChange, ApiKeys, Error, MAX_NETWORKS, MAX_OVERLAP, NewApiKey};

use crate::world::{World, from, new_key, secs};

async fn opens(keys: &ApiKeys, text: &str) -> bool {
    match keys.authenticate(text, Via::default()).await {
        Ok(_) => true,
        Err(Error::Unauthenticated) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_key_opens_its_tenants_rows_with_its_scopes() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let scopes = [Scope::WechatCall].into_iter().collect();
    let new = NewApiKey { scopes, requests_per_second: Some(7), ..new_key() };
    let (key, text) = world.key(&tenant, new).await;
    let caller = world.api_keys.authenticate(text.expose(), from("192.0.2.9")).await.unwrap();
    assert_eq!(caller.scope.tenant_id(), &tenant.id);
    assert_eq!(caller.key_id, key.id);
    assert!(caller.may(Scope::WechatCall) && !caller.may(Scope::TokenRead));
    assert_eq!((caller.requests_per_second, &caller.via), (Some(7), &from("192.0.2.9")));
    assert_eq!(world.api_keys.own(&caller).await.unwrap(), key);
}

#[tokio::test]
async fn what_is_no_key_opens_nothing() {
    let world = World::start().await;
    let (key, text) = world.any_key(&world.tenant("小店").await).await;
    let other = Entropy::seeded(2);
    let unknown = KeyText::for_api_key(&ApiKeyId::new(world.now(), &other), &other).into_text();
    let same_id = KeyText::for_api_key(&key.id, &other).into_text();
    let operators = KeyText::for_operator(&world.operator.id, &other).into_text();
    let cut = &text.expose()[..text.expose().len() - 1];
    for wrong in ["", "lpk_", cut, unknown.expose(), same_id.expose(), operators.expose()] {
        assert!(!opens(&world.api_keys, wrong).await, "{wrong}");
    }
    assert!(opens(&world.api_keys, text.expose()).await);
}

#[tokio::test]
async fn a_key_is_refused_from_its_end_on() {
    let world = World::start().await;
    let expires_at = Some(world.now() + secs(60));
    let new = NewApiKey { expires_at, ..new_key() };
    let (_, text) = world.key(&world.tenant("小店").await, new).await;
    world.advance(secs(59));
    assert!(opens(&world.api_keys, text.expose()).await);
    world.advance(secs(1));
    assert!(!opens(&world.api_keys, text.expose()).await);
}

#[tokio::test]
async fn the_end_of_a_key_lies_ahead_and_can_be_put_off() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let past = NewApiKey { expires_at: Some(world.now()), ..new_key() };
    let refused = world.api_keys.create(&world.operator, &tenant.id, past).await.unwrap_err();
    assert!(matches!(refused, Error::BadField { field: "expires_at", .. }), "{refused}");

    let ahead = NewApiKey { expires_at: Some(world.now() + secs(60)), ..new_key() };
    let (key, text) = world.key(&tenant, ahead).await;
    world.advance(secs(60));
    let change =
        async |change| world.api_keys.change(&world.operator, &tenant.id, &key.id, change).await;
    let renamed = ApiKeyChange { name: Some("old".to_owned()), ..ApiKeyChange::default() };
    assert_eq!(change(renamed).await.unwrap().name, "old", "what it is called is still changed");
    world.advance(secs(60));
    let past = ApiKeyChange { expires_at: Some(Some(world.now())), ..ApiKeyChange::default() };
    let refused = change(past).await.unwrap_err();
    assert!(matches!(refused, Error::BadField { field: "expires_at", .. }), "{refused}");
    assert!(!opens(&world.api_keys, text.expose()).await);
    let never = ApiKeyChange { expires_at: Some(None), ..ApiKeyChange::default() };
    assert_eq!(change(never).await.unwrap().expires_at, None);
    assert!(opens(&world.api_keys, text.expose()).await);
}

#[tokio::test]
async fn after_a_rotation_both_texts_open_until_the_overlap_ends() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, old) = world.any_key(&tenant).await;
    assert!(opens(&world.api_keys, old.expose()).await);
    let rotated = world.api_keys.rotate(&world.operator, &tenant.id, &key.id, secs(60)).await;
    let (rotated, new) = rotated.unwrap();
    let new = new.into_text();
    assert_eq!(rotated.id, key.id, "it is the same key");
    world.advance(secs(59));
    for text in [&old, &new] {
        assert!(opens(&world.api_keys, text.expose()).await);
    }
    world.advance(secs(1));
    assert!(!opens(&world.api_keys, old.expose()).await);
    assert!(opens(&world.api_keys, new.expose()).await);
}

#[tokio::test]
async fn without_an_overlap_the_old_text_ends_at_once() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, old) = world.any_key(&tenant).await;
    assert!(opens(&world.api_keys, old.expose()).await);
    let rotated = world.api_keys.rotate(&world.operator, &tenant.id, &key.id, secs(0)).await;
    let (rotated, new) = rotated.unwrap();
    assert_eq!(rotated.previous, None);
    assert!(!opens(&world.api_keys, old.expose()).await);
    assert!(opens(&world.api_keys, new.into_text().expose()).await);
}

#[tokio::test]
async fn a_second_rotation_ends_the_overlap_of_the_first() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, first) = world.any_key(&tenant).await;
    let rotate = async || {
        let rotated = world.api_keys.rotate(&world.operator, &tenant.id, &key.id, secs(60)).await;
        rotated.unwrap().1.into_text()
    };
    let [second, third] = [rotate().await, rotate().await];
    assert!(!opens(&world.api_keys, first.expose()).await);
    assert!(opens(&world.api_keys, second.expose()).await);
    assert!(opens(&world.api_keys, third.expose()).await);
}

#[tokio::test]
async fn an_overlap_is_at_most_seven_days() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let rotate =
        async |overlap| world.api_keys.rotate(&world.operator, &tenant.id, &key.id, overlap).await;
    let refused = rotate(MAX_OVERLAP + secs(1)).await.unwrap_err();
    assert!(matches!(refused, Error::BadField { field: "overlap_secs", .. }), "{refused}");
    assert!(opens(&world.api_keys, text.expose()).await);
    rotate(MAX_OVERLAP).await.unwrap();
    world.advance(MAX_OVERLAP - secs(1));
    assert!(opens(&world.api_keys, text.expose()).await);
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_stays_as_it_ended() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, old) = world.any_key(&tenant).await;
    let rotated = world.api_keys.rotate(&world.operator, &tenant.id, &key.id, secs(60)).await;
    let new = rotated.unwrap().1.into_text();
    assert!(opens(&world.api_keys, old.expose()).await);
    let ended = world.now();
    let revoke = async || world.api_keys.revoke(&world.operator, &tenant.id, &key.id).await;
    revoke().await.unwrap();
    for text in [&old, &new] {
        assert!(!opens(&world.api_keys, text.expose()).await, "also in the overlap");
    }
    world.advance(secs(1));
    let entries = world.entries().await;
    revoke().await.unwrap();
    let change = ApiKeyChange { expires_at: Some(None), ..ApiKeyChange::default() };
    let change = world.api_keys.change(&world.operator, &tenant.id, &key.id, change).await;
    assert!(matches!(change, Err(Error::ApiKeyNotFound { .. })));
    let rotate = world.api_keys.rotate(&world.operator, &tenant.id, &key.id, secs(60)).await;
    assert!(matches!(rotate, Err(Error::ApiKeyNotFound { .. })));
    let kept = world.api_keys.get(&tenant.id, &key.id).await.unwrap();
    assert_eq!(kept.revoked_at, Some(ended));
    assert_eq!(world.entries().await, entries, "nothing was done");
}

#[tokio::test]
async fn another_tenants_key_is_as_if_it_were_not_there() {
    let world = World::start().await;
    let [owner, other] = [world.tenant("小店").await, world.tenant("大店").await];
    let (key, text) = world.any_key(&owner).await;
    let (keys, by) = (&world.api_keys, &world.operator);
    let change = ApiKeyChange { name: Some("mine".to_owned()), ..ApiKeyChange::default() };
    let outcomes = [
        keys.get(&other.id, &key.id).await.map(drop),
        keys.change(by, &other.id, &key.id, change).await.map(drop),
        keys.rotate(by, &other.id, &key.id, secs(0)).await.map(drop),
        keys.revoke(by, &other.id, &key.id).await,
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(Error::ApiKeyNotFound { .. })), "{outcome:?}");
    }
    assert!(keys.list(&other.id, &PageRequest::first()).await.unwrap().items.is_empty());
    assert_eq!(keys.list(&owner.id, &PageRequest::first()).await.unwrap().items, [key]);
    assert!(opens(keys, text.expose()).await);
}

#[tokio::test]
async fn a_changed_key_is_so_with_its_next_use() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    assert!(opens(&world.api_keys, text.expose()).await);
    let change = ApiKeyChange {
        scopes: Some([Scope::UsageRead].into_iter().collect()),
        requests_per_second: Some(Some(3)),
        ..ApiKeyChange::default()
    };
    let changed = world.api_keys.change(&world.operator, &tenant.id, &key.id, change.clone()).await;
    assert_eq!(world.api_keys.get(&tenant.id, &key.id).await.unwrap(), changed.unwrap());
    let caller = world.api_keys.authenticate(text.expose(), Via::default()).await.unwrap();
    assert!(caller.may(Scope::UsageRead) && !caller.may(Scope::WechatCall));
    assert_eq!(caller.requests_per_second, Some(3));

    let entries = world.entries().await;
    for same in [change, ApiKeyChange::default()] {
        world.api_keys.change(&world.operator, &tenant.id, &key.id, same).await.unwrap();
    }
    assert_eq!(world.entries().await, entries, "a change that changes nothing is none");
}

#[tokio::test]
async fn values_out_of_bounds_are_refused() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, _) = world.any_key(&tenant).await;
    let network = Network::parse("10.0.0.0/8").unwrap();
    let most = NewApiKey { networks: vec![network; MAX_NETWORKS], ..new_key() };
    world.key(&tenant, most).await;
    let networks = vec![network; MAX_NETWORKS + 1];
    let created = [
        NewApiKey { requests_per_second: Some(0), ..new_key() },
        NewApiKey { networks: networks.clone(), ..new_key() },
    ];
    for new in created {
        let refused = world.api_keys.create(&world.operator, &tenant.id, new).await;
        assert!(matches!(refused, Err(Error::BadField { .. })), "{refused:?}");
    }
    let changed = [
        ApiKeyChange { requests_per_second: Some(Some(0)), ..ApiKeyChange::default() },
        ApiKeyChange { networks: Some(networks), ..ApiKeyChange::default() },
    ];
    for change in changed {
        let refused = world.api_keys.change(&world.operator, &tenant.id, &key.id, change).await;
        assert!(matches!(refused, Err(Error::BadField { .. })), "{refused:?}");
    }
    assert_eq!(world.api_keys.get(&tenant.id, &key.id).await.unwrap(), key);
}

#[tokio::test]
async fn the_last_use_is_written_down_to_the_minute() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let last_used = async || world.api_keys.get(&tenant.id, &key.id).await.unwrap().last_used_at;
    assert!(!opens(&world.api_keys, "lpk_").await);
    assert_eq!((world.api_keys.flush_uses().await.unwrap(), last_used().await), (0, None));

    let first = world.now();
    assert!(opens(&world.api_keys, text.expose()).await);
    assert_eq!(world.api_keys.flush_uses().await.unwrap(), 1);
    assert_eq!(last_used().await, Some(first));
    assert_eq!(world.api_keys.flush_uses().await.unwrap(), 0, "written once");

    world.advance(secs(3600));
    let second = world.now();
    assert!(opens(&world.api_keys.clone(), text.expose()).await, "clones remember together");
    assert_eq!(world.api_keys.flush_uses().await.unwrap(), 1);
    assert_eq!(last_used().await, Some(second));
}

#[tokio::test]
async fn a_refused_use_is_none() {
    let world = World::start().await;
    let networks = vec![Network::parse("192.0.2.1").unwrap()];
    let tenant = world.tenant("小店").await;
    let (key, text) = world.key(&tenant, NewApiKey { networks, ..new_key() }).await;
    let refused = world.api_keys.authenticate(text.expose(), from("192.0.2.2")).await;
    assert!(matches!(refused, Err(Error::AddressRefused)));
    world.api_keys.revoke(&world.operator, &tenant.id, &key.id).await.unwrap();
    assert!(!opens(&world.api_keys, text.expose()).await);
    assert_eq!(world.api_keys.flush_uses().await.unwrap(), 0);
}

#[tokio::test]
async fn keys_of_no_tenant_are_neither_made_nor_listed() {
    let world = World::start().await;
    let nobody = lingpai_model::id::TenantId::new(world.now(), &world.entropy);
    let created = world.api_keys.create(&world.operator, &nobody, new_key()).await;
    assert!(matches!(created, Err(Error::TenantNotFound { .. })));
    let listed = world.api_keys.list(&nobody, &PageRequest::first()).await;
    assert!(matches!(listed, Err(Error::TenantNotFound { .. })));
}
