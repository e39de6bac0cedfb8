//! Virtual tokens: worth as much as the key's text they were fetched with, and no longer.

use std::time::Duration;

use lingpai_model::{
    Appid, Instant, Secret, api_key::Scope, id::WebTokenId, network::Network, tenant::Tenant,
};
use lingpai_tenant::{
    ApiKeyChange, Error, NewApiKey, ShownKey, Subject, SubjectKind, VIRTUAL_TOKEN_LIFE,
};

use crate::world::{World, from, new_key, secs};

const PEER: &str = "192.0.2.2";

fn appid() -> Appid {
    Appid::parse("wx570bc396a51b8ff8").unwrap()
}

fn account() -> Subject {
    Subject::Account(appid())
}

fn grant(world: &World) -> WebTokenId {
    WebTokenId::new(world.now(), &world.entropy)
}

/// One of each kind, all for the same account or grant.
fn each_kind(world: &World) -> [Subject; 3] {
    let grant = grant(world);
    [account(), Subject::WebToken(grant.clone()), Subject::WebRefresh(grant)]
}

/// A token for an account, fetched with this text of a key, and how long it lives.
async fn mint(world: &World, text: &Secret<String>) -> (Secret<String>, Duration) {
    mint_for(world, text, &account(), None).await
}

/// The same for anything, until some time.
async fn mint_for(
    world: &World,
    text: &Secret<String>,
    subject: &Subject,
    until: Option<Instant>,
) -> (Secret<String>, Duration) {
    let caller = world.api_keys.authenticate(text.expose(), from(PEER)).await.unwrap();
    let shown = ShownKey::of(text.expose()).unwrap();
    world.virtual_tokens().mint(&caller, &shown, subject, until).await.unwrap()
}

async fn fetched(world: &World, tenant: &Tenant) -> Secret<String> {
    mint(world, &world.any_key(tenant).await.1).await.0
}

/// Why a token for an account is refused, if it is.
async fn refused(world: &World, token: &str) -> Option<Error> {
    refused_as(world, SubjectKind::Account, token).await
}

/// Why a token is refused where one of `kind` belongs, if it is.
async fn refused_as(world: &World, kind: SubjectKind, token: &str) -> Option<Error> {
    world.virtual_tokens().authenticate(kind, token, from(PEER)).await.err()
}

#[tokio::test]
async fn a_token_stands_for_its_key_and_its_account() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let (token, life) = mint(&world, &text).await;
    assert_eq!(life, VIRTUAL_TOKEN_LIFE);
    assert!(token.expose().starts_with("lpv_") && token.expose().len() <= 512);
    let kind = SubjectKind::Account;
    let shown =
        world.virtual_tokens().authenticate(kind, token.expose(), from(PEER)).await.unwrap();
    assert_eq!(shown.subject, account());
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
    let (_, key) = world.any_key(&world.tenant("小店").await).await;
    for subject in each_kind(&world) {
        let (token, _) = mint_for(&world, &key, &subject, None).await;
        assert_only_whole(&world, subject.kind(), token.expose()).await;
    }
}

/// No text that is nearly `text` is taken for a token of `kind`, and `text` is.
async fn assert_only_whole(world: &World, kind: SubjectKind, text: &str) {
    for at in 0..text.len() {
        for other in ["0", "1", "Z", "_", "é"] {
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            if changed != *text {
                let error = refused_as(world, kind, &changed).await;
                assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{at} {other}");
            }
        }
    }
    for cut in 0..text.len() {
        let error = refused_as(world, kind, &text[..cut]).await;
        assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{cut}");
    }
    let error = refused_as(world, kind, &format!("{text}A")).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)));
    assert!(refused_as(world, kind, text).await.is_none());
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
    for none in ["", "lpk_made_up", &anothers.expose()[1..]] {
        assert!(matches!(ShownKey::of(none), Err(Error::Unauthenticated)), "{none}");
    }
    let anothers = ShownKey::of(anothers.expose()).unwrap();
    for subject in each_kind(&world) {
        let refused = world.virtual_tokens().mint(&caller, &anothers, &subject, None).await;
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{subject:?}");
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
    let (kind, near) = (SubjectKind::Account, from("::ffff:10.0.0.1"));
    let shown = world.virtual_tokens().authenticate(kind, token.expose(), near).await;
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

#[tokio::test]
async fn a_fans_tokens_stand_for_his_grant_and_its_key() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    for subject in each_kind(&world) {
        let (token, life) = mint_for(&world, &text, &subject, None).await;
        assert_eq!(life, VIRTUAL_TOKEN_LIFE);
        assert!(token.expose().starts_with(subject.kind().prefix()));
        assert_eq!(SubjectKind::claimed_by(token.expose()), Some(subject.kind()));
        let tokens = world.virtual_tokens();
        let shown = tokens.authenticate(subject.kind(), token.expose(), from(PEER)).await.unwrap();
        assert_eq!(shown.subject, subject);
        assert_eq!(shown.caller.scope.tenant_id(), &tenant.id);
        assert_eq!(shown.caller.key_id, key.id);
    }
    assert_eq!(SubjectKind::claimed_by(text.expose()), None);
}

#[tokio::test]
async fn no_kind_of_token_is_taken_for_another_even_under_its_name() {
    let world = World::start().await;
    let (_, text) = world.any_key(&world.tenant("小店").await).await;
    for subject in each_kind(&world) {
        let (token, _) = mint_for(&world, &text, &subject, None).await;
        for other in SubjectKind::ALL.into_iter().filter(|kind| *kind != subject.kind()) {
            let renamed = format!("{}{}", other.prefix(), &token.expose()[4..]);
            for shown in [token.expose(), &renamed] {
                let error = refused_as(&world, other, shown).await;
                assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{subject:?} {other:?}");
            }
        }
    }
}

#[tokio::test]
async fn neither_grant_nor_end_of_a_fans_token_can_be_exchanged() {
    let world = World::start().await;
    let (_, text) = world.any_key(&world.tenant("小店").await).await;
    let (mine, other) = (grant(&world), grant(&world));
    let ulid = |id: &WebTokenId| id.as_str()[WebTokenId::PREFIX.len()..].to_owned();
    for subject in [Subject::WebToken(mine.clone()), Subject::WebRefresh(mine.clone())] {
        let (token, _) = mint_for(&world, &text, &subject, None).await;
        let others = token.expose().replace(&ulid(&mine), &ulid(&other));
        let later = format!("{}ffffffff{}", &token.expose()[..30], &token.expose()[38..]);
        for changed in [&others, &later] {
            assert_ne!(changed, token.expose());
            let error = refused_as(&world, subject.kind(), changed).await;
            assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{changed}");
        }
    }
}

#[tokio::test]
async fn a_refresh_token_lives_until_the_grant_ends() {
    let world = World::start().await;
    let (_, text) = world.any_key(&world.tenant("小店").await).await;
    let month = secs(30 * 24 * 60 * 60);
    let (subject, until) = (Subject::WebRefresh(grant(&world)), world.now() + month);
    let (token, life) = mint_for(&world, &text, &subject, Some(until)).await;
    assert_eq!(life, month);
    world.advance(month - secs(1));
    assert!(refused_as(&world, subject.kind(), token.expose()).await.is_none());
    world.advance(secs(1));
    let error = refused_as(&world, subject.kind(), token.expose()).await;
    assert!(matches!(error, Some(Error::VirtualTokenExpired)), "{error:?}");
}

#[tokio::test]
async fn a_refresh_token_lives_no_longer_than_its_key_and_dies_with_it() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let new = NewApiKey { expires_at: Some(world.now() + secs(600)), ..new_key() };
    let (key, text) = world.key(&tenant, new).await;
    let (subject, until) = (Subject::WebRefresh(grant(&world)), world.now() + secs(86_400));
    let (token, life) = mint_for(&world, &text, &subject, Some(until)).await;
    assert_eq!(life, secs(600));
    world.api_keys.revoke(&world.operator, &tenant.id, &key.id).await.unwrap();
    let error = refused_as(&world, subject.kind(), token.expose()).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{error:?}");
}

/// The text of a key that is not shown again must not become the one after it: who holds a refresh
/// token of a text that leaked would hold one for ever.
#[tokio::test]
async fn what_is_made_for_a_refresh_token_dies_with_the_text_that_it_was_made_with() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, old) = world.any_key(&tenant).await;
    let grant = grant(&world);
    let (refresh, until) = (Subject::WebRefresh(grant.clone()), world.now() + secs(86_400));
    let (token, _) = mint_for(&world, &old, &refresh, Some(until)).await;
    world.api_keys.rotate(&world.operator, &tenant.id, &key.id, secs(600)).await.unwrap();

    let tokens = world.virtual_tokens();
    let shown = tokens.authenticate(refresh.kind(), token.expose(), from(PEER)).await.unwrap();
    let (caller, shown) = (shown.caller, shown.shown);
    for subject in [Subject::WebToken(grant), refresh.clone()] {
        let (made, life) = tokens.mint(&caller, &shown, &subject, Some(until)).await.unwrap();
        assert_eq!(life, secs(600), "no longer than the text of the key");
        assert!(refused_as(&world, subject.kind(), made.expose()).await.is_none());
    }
    world.advance(secs(600));
    let error = refused_as(&world, refresh.kind(), token.expose()).await;
    assert!(matches!(error, Some(Error::VirtualTokenRefused)), "{error:?}");
    let refused = tokens.mint(&caller, &shown, &refresh, Some(until)).await;
    assert!(matches!(refused, Err(Error::Unauthenticated)));
}
