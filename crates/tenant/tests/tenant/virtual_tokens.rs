//! Virtual tokens: worth as much as the key's text they were fetched with, and no longer.

use std::time::Duration;

use lingpai_model::{Appid, Secret, api_key::Scope, network::Network, tenant::Tenant};
use lingpai_tenant::{ApiKeyChange, Error, NewApiKey, VIRTUAL_TOKEN_LIFE};

use crate::world::{World, from, new_key, secs};

const PEER: &str = "192.0.2.2";

fn appid() -> Appid {
    Appid::parse("wx570bc396a51b8ff8").unwrap()
}

/// A token fetched with this text of a key, and how long it lives.
async fn mint(world: &World, text: &Secret<String>) -> (Secret<String>, Duration) {
    let caller = world.api_keys.authenticate(text.expose(), from(PEER)).await.unwrap();
    world.virtual_tokens().mint(&caller, text.expose(), &appid()).await.unwrap()
}

async fn fetched(world: &World, tenant: &Tenant) -> Secret<String> {
    mint(world, &world.any_key(tenant).await.1).await.0
}

/// Why a token is refused, if it is.
async fn refused(world: &World, token: &str) -> Option<Error> {
    world.virtual_tokens().authenticate(token, from(PEER)).await.err()
}

#[tokio::test]
async fn a_token_stands_for_its_key_and_its_account() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let (token, life) = mint(&world, &text).await;
    assert_eq!(life, VIRTUAL_TOKEN_LIFE);
    assert!(token.expose().starts_with("lpv_") && token.expose().len() <= 512);
    let shown = world.virtual_tokens().authenticate(token.expose(), from(PEER)).await.unwrap();
    assert_eq!(shown.appid, appid());
    assert_eq!(shown.caller.scope.tenant_id(), &tenant.id);
    assert_eq!(shown.caller.key_id, key.id);
    assert_eq!(shown.caller.via, from(PEER));
}

#[tokio::test]
async fn a_token_runs_out() {
    let world = World::start().await;
    let token = fetched(&world, &world.tenant("小店").await).await;
    world.advance(VIRTUAL_TOKEN_LIFE - secs(1));
    assert!(refused(&world, token.expose()).await.is_none());
    world.advance(secs(1));
    let error = refused(&world, token.expose()).await;
    assert!(matches!(error, Some(Error::VirtualTokenExpired)), "{error:?}");
}

#[tokio::test]
async fn a_token_lives_as_long_as_was_promised_within_a_second_too() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    world.advance(Duration::from_millis(900));
    let token = fetched(&world, &tenant).await;
    world.advance(VIRTUAL_TOKEN_LIFE - Duration::from_millis(1));
    assert!(refused(&world, token.expose()).await.is_none());
}

#[tokio::test]
async fn a_token_dies_with_its_key() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let (token, _) = mint(&world, &text).await;
    world.api_keys.revoke(&world.operator, &tenant.id, &key.id).await.unwrap();
    let error = refused(&world, token.expose()).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{error:?}");
}

#[tokio::test]
async fn a_token_lives_no_longer_than_its_key() {
    let world = World::start().await;
    let new = NewApiKey { expires_at: Some(world.now() + secs(600)), ..new_key() };
    let (_, text) = world.key(&world.tenant("小店").await, new).await;
    let (token, life) = mint(&world, &text).await;
    assert_eq!(life, secs(600));
    world.advance(secs(599));
    assert!(refused(&world, token.expose()).await.is_none());
    world.advance(secs(1));
    let error = refused(&world, token.expose()).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{error:?}");
}

#[tokio::test]
async fn tokens_of_a_rotated_text_die_when_the_overlap_ends() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, old) = world.any_key(&tenant).await;
    let (before, _) = mint(&world, &old).await;
    let rotated = world.api_keys.rotate(&world.operator, &tenant.id, &key.id, secs(600)).await;
    let new = rotated.unwrap().1.into_text();
    let (with_new, life) = mint(&world, &new).await;
    assert_eq!(life, VIRTUAL_TOKEN_LIFE);
    let (with_old, life) = mint(&world, &old).await;
    assert_eq!(life, secs(600), "no longer than the text it is fetched with");
    world.advance(secs(599));
    for token in [&before, &with_old, &with_new] {
        assert!(refused(&world, token.expose()).await.is_none());
    }
    world.advance(secs(1));
    for token in [&before, &with_old] {
        let error = refused(&world, token.expose()).await;
        assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{error:?}");
    }
    assert!(refused(&world, with_new.expose()).await.is_none());
}

#[tokio::test]
async fn a_rotation_without_overlap_ends_the_tokens_at_once() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let (token, _) = mint(&world, &text).await;
    world.api_keys.rotate(&world.operator, &tenant.id, &key.id, secs(0)).await.unwrap();
    let error = refused(&world, token.expose()).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{error:?}");
}

#[tokio::test]
async fn a_token_with_any_character_changed_is_refused() {
    let world = World::start().await;
    let token = fetched(&world, &world.tenant("小店").await).await;
    let text = token.expose();
    for at in 0..text.len() {
        for other in ["0", "1", "Z", "_", "é"] {
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            if changed != *text {
                let error = refused(&world, &changed).await;
                assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{at} {other}");
            }
        }
    }
    for cut in 0..text.len() {
        let error = refused(&world, &text[..cut]).await;
        assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{cut}");
    }
    let error = refused(&world, &format!("{text}A")).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)));
    assert!(refused(&world, text).await.is_none());
}

#[tokio::test]
async fn neither_account_nor_end_of_a_token_can_be_exchanged() {
    let world = World::start().await;
    let token = fetched(&world, &world.tenant("小店").await).await;
    let other_account = token.expose().replace(appid().as_str(), "wx0000000000000000");
    let longer_name = token.expose().replace(appid().as_str(), &format!("{}_", appid()));
    let later = format!("{}ffffffff{}", &token.expose()[..30], &token.expose()[38..]);
    for changed in [&other_account, &longer_name, &later] {
        assert_ne!(changed, token.expose());
        let error = refused(&world, changed).await;
        assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{changed}");
    }
}

#[tokio::test]
async fn an_end_that_was_changed_to_the_past_is_not_told() {
    let world = World::start().await;
    let token = fetched(&world, &world.tenant("小店").await).await;
    let early = format!("{}00000001{}", &token.expose()[..30], &token.expose()[38..]);
    let error = refused(&world, &early).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)), "only our own tokens expire");
}

#[tokio::test]
async fn a_token_of_another_installation_is_refused() {
    // The same keys with the same texts, under another master key.
    let [here, there] = [World::start().await, World::start().await];
    let [one, other] = [here.tenant("小店").await, there.tenant("小店").await];
    let [(_, text), (_, same)] = [here.any_key(&one).await, there.any_key(&other).await];
    assert_eq!(text, same);
    let (token, _) = mint(&here, &text).await;
    assert!(refused(&here, token.expose()).await.is_none());
    let error = refused(&there, token.expose()).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{error:?}");
}

#[tokio::test]
async fn a_token_is_fetched_with_the_callers_own_text_only() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let caller = world.caller(&tenant).await;
    let (_, anothers) = world.any_key(&tenant).await;
    for wrong in ["", anothers.expose()] {
        let refused = world.virtual_tokens().mint(&caller, wrong, &appid()).await;
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{wrong}");
    }
}

#[tokio::test]
async fn what_holds_for_the_key_now_holds_for_its_tokens() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let (token, _) = mint(&world, &text).await;
    let change = ApiKeyChange {
        scopes: Some([Scope::UsageRead].into_iter().collect()),
        networks: Some(vec![Network::parse("10.0.0.0/8").unwrap()]),
        ..ApiKeyChange::default()
    };
    world.api_keys.change(&world.operator, &tenant.id, &key.id, change).await.unwrap();
    let error = refused(&world, token.expose()).await;
    assert!(matches!(error, Some(Error::AddressRefused)), "{error:?}");
    let shown = world.virtual_tokens().authenticate(token.expose(), from("::ffff:10.0.0.1")).await;
    assert!(!shown.unwrap().caller.may(Scope::WechatCall));
}

#[tokio::test]
async fn who_uses_a_token_uses_its_key() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let (token, _) = mint(&world, &text).await;
    world.api_keys.flush_uses().await.unwrap();
    world.advance(secs(3600));
    assert!(refused(&world, token.expose()).await.is_none());
    world.api_keys.flush_uses().await.unwrap();
    let kept = world.api_keys.get(&tenant.id, &key.id).await.unwrap();
    assert_eq!(kept.last_used_at, Some(world.now()));
}
