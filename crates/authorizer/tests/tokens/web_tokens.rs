//! The web OAuth tokens of fans: kept per account, fan and scope, refreshed when asked for.

use std::time::Duration;

use futures_util::future::join_all;
use lingpai_authorizer::{Error, NewWebToken, WebTokens};
use lingpai_emulator::{EmulatorConfig, Fault, FaultKind};
use lingpai_model::{
    Secret,
    api_key::Scopes,
    authorizer::Authorizer,
    caller::{Caller, TenantScope, Via},
    clock::{Clock as _, Entropy},
    id::{ApiKeyId, TenantId},
    tenant::{Tenant, TenantLimits},
    token::{AccessToken, TokenKey},
    web_token::{WebGrant, WebTokenOwner},
};
use lingpai_storage::testing::{Backend, TestDb};

use crate::world::{FLOWERS, LIFE, Process, SHOP, World, cause};

const DIRECT: &str = "/sns/oauth2/refresh_token";
const ON_BEHALF: &str = "/sns/oauth2/component/refresh_token";

const FAN: &str = "oLingPai000000000000000fan01";
const OTHER_FAN: &str = "oLingPai000000000000000fan02";
const BASE: &str = "snsapi_base";
const PROFILE: &str = "snsapi_userinfo";

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// A world with one process and one account.
struct Shop {
    world: World,
    process: Process,
    /// The account's tenant.
    owner: Caller,
    account: Authorizer,
    /// Where this account's web tokens are refreshed.
    path: &'static str,
}

impl Shop {
    /// An account that is connected by its own secret.
    async fn direct() -> Self {
        let world = World::start().await;
        let account = world.account(SHOP).await;
        Self::of(world, account, DIRECT).await
    }

    /// An account that has granted to the component.
    async fn on_behalf() -> Self {
        let world = World::start().await;
        let account = world.authorizer(SHOP).await;
        Self::of(world, account, ON_BEHALF).await
    }

    async fn of(world: World, account: Authorizer, path: &'static str) -> Self {
        let (now, entropy) = (world.clock.now(), Entropy::seeded(3));
        let tenant = Tenant {
            id: TenantId::new(now, &entropy),
            name: "花店".to_owned(),
            logo_url: None,
            limits: TenantLimits { requests_per_second: None, concurrent_requests: None },
            created_at: now,
            updated_at: now,
        };
        world.change(async |tx| tx.tenants().insert(&tenant).await.unwrap()).await;
        let owner = Caller {
            scope: TenantScope::authenticated(tenant.id),
            key_id: ApiKeyId::new(now, &entropy),
            scopes: Scopes::all(),
            requests_per_second: None,
            via: Via::default(),
        };
        let process = world.process().await;
        let shop = Self { world, process, owner, account: account.clone(), path };
        Self { account: shop.given(account).await, ..shop }
    }

    /// The account in the hands of the tenant.
    async fn given(&self, account: Authorizer) -> Authorizer {
        let given = Authorizer { tenant_id: Some(self.owner.scope.tenant_id().clone()), ..account };
        self.world.change(async |tx| tx.authorizers().system_update(&given).await.unwrap()).await;
        given
    }

    fn web_tokens(&self) -> &WebTokens {
        &self.process.web_tokens
    }

    /// The fan consents: WeChat gives tokens, and they are kept.
    async fn consent(&self, openid: &str, scope: &str) -> (WebGrant, AccessToken) {
        let kept = self.keep(self.minted(openid, scope)).await;
        let token = self.get(openid, scope).await.unwrap();
        (kept, token)
    }

    /// What WeChat gives for a fan's code.
    fn minted(&self, openid: &str, scope: &str) -> NewWebToken {
        let appid = self.account.appid.as_str();
        let minted = self.world.wechat.mint_web_token(appid, openid, scope).unwrap();
        let now = self.world.clock.now();
        NewWebToken {
            owner: self.owner(openid, scope),
            unionid: None,
            token: AccessToken::obtained(Secret::new(minted.access_token), now, LIFE),
            refresh_token: Secret::new(minted.refresh_token),
        }
    }

    fn owner(&self, openid: &str, scope: &str) -> WebTokenOwner {
        WebTokenOwner {
            authorizer_id: self.account.id.clone(),
            openid: openid.to_owned(),
            scope: scope.to_owned(),
        }
    }

    async fn keep(&self, new: NewWebToken) -> WebGrant {
        self.web_tokens().keep(&self.account, new).await.unwrap()
    }

    async fn get(&self, openid: &str, scope: &str) -> Result<AccessToken, Error> {
        self.get_of(&self.owner(openid, scope)).await
    }

    /// The token that a call would be made with.
    async fn get_of(&self, owner: &WebTokenOwner) -> Result<AccessToken, Error> {
        let grant = self.world.database.db.web_tokens().system_find(owner).await?;
        let grant = grant.ok_or(Error::FanUnknown)?;
        let fan = self.web_tokens().fan(&self.owner.scope, &grant.id).await?;
        self.web_tokens().make_sure(&self.owner, &fan).await?;
        Ok(self.world.stored(&key(&grant)).await.token.unwrap())
    }

    async fn erase(&self, openid: &str, ago: chrono::Duration) {
        let withdrawn_at = self.world.clock.now() - ago;
        self.web_tokens().erase(&self.account.id, openid, withdrawn_at).await.unwrap();
    }

    fn calls(&self) -> usize {
        self.world.calls(self.path)
    }
}

fn key(grant: &WebGrant) -> TokenKey {
    TokenKey::Web(grant.id.clone())
}

async fn is_unknown(shop: &Shop, openid: &str, scope: &str) -> bool {
    match shop.get(openid, scope).await {
        Ok(_) => false,
        Err(Error::FanUnknown) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn tokens_are_kept_per_account_fan_and_scope() {
    let shop = Shop::direct().await;
    let flowers = shop.given(shop.world.account(FLOWERS).await).await;
    let mut kept = Vec::new();
    for (account, openid, scope) in [
        (&shop.account, FAN, BASE),
        (&shop.account, FAN, PROFILE),
        (&shop.account, OTHER_FAN, BASE),
        (&flowers, FAN, BASE),
    ] {
        let owner =
            WebTokenOwner { authorizer_id: account.id.clone(), ..shop.owner(openid, scope) };
        let new = NewWebToken { owner, ..shop.minted(openid, scope) };
        let token = new.token.clone();
        let grant = shop.web_tokens().keep(account, new).await.unwrap();
        kept.push((grant.owner, token, grant.id));
    }
    for (owner, token, _) in &kept {
        assert_eq!(shop.get_of(owner).await.unwrap(), *token, "{owner:?}");
    }
    kept.sort_by(|one, other| one.2.as_str().cmp(other.2.as_str()));
    kept.dedup_by(|one, other| one.2 == other.2);
    assert_eq!(kept.len(), 4);
    assert!(is_unknown(&shop, OTHER_FAN, PROFILE).await);
}

#[tokio::test]
async fn a_living_token_is_handed_out_without_a_call() {
    for shop in [Shop::direct().await, Shop::on_behalf().await] {
        let (_, token) = shop.consent(FAN, BASE).await;
        shop.world.advance(LIFE - Duration::from_secs(601));
        for _ in 0..3 {
            assert_eq!(shop.get(FAN, BASE).await.unwrap(), token);
        }
        shop.process.tasks.close();
        shop.process.tasks.wait().await;
        assert_eq!(shop.calls(), 0);
    }
}

#[tokio::test]
async fn a_token_that_has_run_out_is_refreshed_once_for_all_who_ask() {
    for shop in [Shop::direct().await, Shop::on_behalf().await] {
        let (grant, first) = shop.consent(FAN, BASE).await;
        shop.world.advance(LIFE);
        let tokens = join_all((0..20).map(|_| shop.get(FAN, BASE))).await;
        let stored = shop.world.stored(&key(&grant)).await.token.unwrap();
        assert_ne!(stored.value, first.value);
        for token in tokens {
            assert_eq!(token.unwrap(), stored);
        }
        assert_eq!(shop.world.wechat.stats(shop.path, SHOP).succeeded, 1, "{}", shop.path);
        assert_eq!(shop.calls(), 1, "{}", shop.path);
        assert_eq!(shop.get(FAN, BASE).await.unwrap(), stored);
    }
}

#[tokio::test]
async fn rotated_refresh_tokens_are_kept() {
    for shop in [Shop::direct().await, Shop::on_behalf().await] {
        shop.world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = true);
        let (grant, mut last) = shop.consent(FAN, BASE).await;
        let mut refresh_token = shop.world.stored(&key(&grant)).await.refresh_token;
        for _ in 0..3 {
            shop.world.advance(LIFE);
            let token = shop.get(FAN, BASE).await.unwrap();
            assert_ne!(token.value, last.value);
            let rotated = shop.world.stored(&key(&grant)).await.refresh_token;
            assert_ne!(rotated, refresh_token);
            (last, refresh_token) = (token, rotated);
        }
        let stats = shop.world.wechat.stats(shop.path, SHOP);
        assert_eq!((stats.succeeded, stats.refused), (3, 0));
    }
}

#[tokio::test]
async fn a_second_consent_replaces_the_first() {
    let shop = Shop::direct().await;
    let (first, old) = shop.consent(FAN, BASE).await;
    shop.world.advance(Duration::from_secs(60));
    let (second, new) = shop.consent(FAN, BASE).await;
    assert_eq!(second.id, first.id);
    assert_eq!((second.refresh_until - first.refresh_until).num_seconds(), 60);
    assert_ne!(new.value, old.value);
    shop.world.advance(LIFE);
    shop.get(FAN, BASE).await.unwrap();
    assert_eq!(shop.world.wechat.stats(DIRECT, SHOP).refused, 0);
}

/// They meet on the servers: each finds no grant, and one is first.
#[tokio::test]
async fn consents_of_one_fan_at_once_are_kept_as_one_on_every_database() {
    for backend in Backend::available() {
        let database = TestDb::open(&backend).await;
        let world = World::start_on(database, EmulatorConfig::for_tests()).await;
        let account = world.account(SHOP).await;
        let shop = Shop::of(world, account, DIRECT).await;
        let mut kept = join_all((0..8).map(|_| shop.keep(shop.minted(FAN, BASE)))).await;
        kept.dedup();
        assert_eq!(kept.len(), 1, "{}", backend.name());
        let token = shop.get(FAN, BASE).await.unwrap();
        assert_eq!(shop.world.stored(&key(&kept[0])).await.token, Some(token));
        shop.world.database.remove().await;
    }
}

/// Two tabs of one fan: which code is asked about first says nothing of which is kept first.
#[tokio::test]
async fn an_older_consent_that_is_kept_later_changes_nothing() {
    for backend in Backend::available() {
        let database = TestDb::open(&backend).await;
        let world = World::start_on(database, EmulatorConfig::for_tests()).await;
        let account = world.account(SHOP).await;
        let shop = Shop::of(world, account, DIRECT).await;
        let older = shop.minted(FAN, BASE);
        shop.world.advance(Duration::from_secs(1));
        let newer = shop.minted(FAN, BASE);
        let (token, refresh_token) = (newer.token.clone(), newer.refresh_token.clone());
        let grant = shop.keep(newer).await;
        assert_eq!(shop.keep(older).await, grant, "{}", backend.name());
        let stored = shop.world.stored(&key(&grant)).await;
        assert_eq!((stored.token, stored.refresh_token), (Some(token), Some(refresh_token)));
        shop.world.database.remove().await;
    }
}

#[tokio::test]
async fn what_a_fan_granted_is_not_kept_for_whoever_has_the_account_next() {
    let shop = Shop::direct().await;
    // The release is by the clock of a process that is behind ours.
    let released_at = Some(shop.world.clock.now() - chrono::Duration::seconds(1));
    let released = Authorizer { tenant_id: None, released_at, ..shop.account.clone() };
    shop.world.change(async |tx| tx.authorizers().system_update(&released).await.unwrap()).await;
    let again = shop.given(released).await;
    let kept = shop.web_tokens().keep(&shop.account, shop.minted(FAN, BASE)).await;
    assert!(matches!(kept, Err(Error::AuthorizerNotFound { .. })), "{kept:?}");
    assert!(is_unknown(&shop, FAN, BASE).await);
    assert!(shop.web_tokens().keep(&again, shop.minted(FAN, BASE)).await.is_ok());
}

#[tokio::test]
async fn a_new_owner_learns_nothing_that_the_old_one_was_told() {
    let shop = Shop::direct().await;
    let unionid = Some("the old owner's".to_owned());
    let old = shop.keep(NewWebToken { unionid, ..shop.minted(FAN, BASE) }).await;
    let released_at = Some(shop.world.clock.now());
    let account = shop.given(Authorizer { released_at, ..shop.account.clone() }).await;
    shop.world.advance(Duration::from_secs(1));
    let new = shop.web_tokens().keep(&account, shop.minted(FAN, BASE)).await.unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!(new.unionid, None);
    assert!(shop.world.find(&key(&old)).await.is_none());
    shop.get(FAN, BASE).await.unwrap();
}

/// Whoever keeps a fan's grant and whoever erases it lock the same two rows.
#[tokio::test]
async fn erasing_and_keeping_a_fan_never_wait_for_each_other_in_a_circle() {
    for backend in Backend::available() {
        let database = TestDb::open(&backend).await;
        let world = World::start_on(database, EmulatorConfig::for_tests()).await;
        let account = world.account(SHOP).await;
        let shop = Shop::of(world, account, DIRECT).await;
        let (grant, _) = shop.consent(FAN, BASE).await;
        let db = &shop.world.database.db;
        let mut kept = shop.world.stored(&key(&grant)).await;
        kept.generation += 1;
        let tx = db.begin().await.unwrap();
        assert!(tx.web_tokens().system_upsert(&grant, shop.world.clock.now()).await.unwrap());
        let keeping = async {
            // The other has come as far as it comes.
            for _ in 0..50 {
                db.now().await.unwrap();
            }
            tx.tokens().replace(&kept).await.unwrap();
            tx.commit().await.unwrap();
        };
        tokio::join!(shop.erase(FAN, chrono::Duration::zero()), keeping);
        assert!(is_unknown(&shop, FAN, BASE).await, "{}", backend.name());
        assert!(shop.world.find(&key(&grant)).await.is_none());
        shop.world.database.remove().await;
    }
}

#[tokio::test]
async fn a_second_consent_fences_off_a_refresh_under_way() {
    for shop in [Shop::direct().await, Shop::on_behalf().await] {
        shop.world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = true);
        let (grant, _) = shop.consent(FAN, BASE).await;
        shop.world.advance(LIFE);
        shop.world.hold_next(shop.path);
        let new = shop.minted(FAN, BASE);
        let (token, refresh_token) = (new.token.clone(), new.refresh_token.clone());
        let (handed_out, ()) = tokio::join!(shop.get(FAN, BASE), async {
            shop.world.held().await;
            shop.keep(new).await;
            shop.world.wechat.release(None);
        });
        assert_eq!(handed_out.unwrap(), token, "what the fan consented to last");
        let stored = shop.world.stored(&key(&grant)).await;
        assert_eq!((stored.token, stored.refresh_token), (Some(token), Some(refresh_token)));
        assert_eq!(shop.calls(), 1);
    }
}

#[tokio::test]
async fn after_thirty_days_the_grant_has_ended_and_wechat_is_not_asked() {
    for shop in [Shop::direct().await, Shop::on_behalf().await] {
        shop.consent(FAN, BASE).await;
        shop.world.advance(MONTH);
        for _ in 0..3 {
            let error = shop.get(FAN, BASE).await.unwrap_err();
            assert!(matches!(error, Error::FanGrantEnded), "{error:?}");
            shop.world.advance(Duration::from_secs(60));
        }
        assert_eq!(shop.calls(), 0);
        shop.consent(FAN, BASE).await;
        shop.world.advance(LIFE);
        if shop.path == ON_BEHALF {
            shop.world.push_ticket().await;
        }
        shop.get(FAN, BASE).await.unwrap();
    }
}

#[tokio::test]
async fn a_refresh_token_that_wechat_takes_no_more_ends_the_grant_and_is_not_sent_again() {
    for errcode in [40030, 42002, 42007] {
        for shop in [Shop::direct().await, Shop::on_behalf().await] {
            shop.consent(FAN, BASE).await;
            shop.world.advance(LIFE);
            shop.world.wechat.set_fault(Fault::errcode(shop.path, errcode));
            for _ in 0..5 {
                let error = shop.get(FAN, BASE).await.unwrap_err();
                assert!(matches!(error, Error::FanGrantEnded), "{errcode}: {error:?}");
                shop.world.advance(Duration::from_secs(3600));
            }
            assert_eq!(shop.calls(), 1, "{errcode}");
            assert!(shop.get(FAN, PROFILE).await.is_err());

            shop.world.wechat.clear_faults();
            let (_, token) = shop.consent(FAN, BASE).await;
            assert_eq!(shop.get(FAN, BASE).await.unwrap(), token);
        }
    }
}

#[tokio::test]
async fn a_refusal_that_passes_does_not_end_the_grant() {
    let shop = Shop::direct().await;
    shop.consent(FAN, BASE).await;
    shop.world.advance(LIFE);
    shop.world.wechat.set_fault(Fault::errcode(DIRECT, 50002).times(1));
    let error = shop.get(FAN, BASE).await.unwrap_err();
    assert!(!matches!(error, Error::FanGrantEnded), "{error:?}");
    let error = shop.get(FAN, BASE).await.unwrap_err();
    assert!(!matches!(error, Error::FanGrantEnded) && error.is_transient(), "{error:?}");
    assert_eq!(shop.calls(), 1, "it rests");
    shop.world.advance(Duration::from_secs(600));
    shop.get(FAN, BASE).await.unwrap();
}

#[tokio::test]
async fn an_answer_about_another_fan_is_refused_and_changes_nothing() {
    for shop in [Shop::direct().await, Shop::on_behalf().await] {
        let mut foreign = shop.minted(OTHER_FAN, BASE);
        foreign.owner = shop.owner(FAN, BASE);
        let (token, refresh_token) = (foreign.token.clone(), foreign.refresh_token.clone());
        let grant = shop.keep(foreign).await;
        shop.world.advance(LIFE);
        let error = shop.get(FAN, BASE).await.unwrap_err();
        assert!(matches!(cause(&error), Error::NoAccessToken { .. }), "{error:?}");
        let stored = shop.world.stored(&key(&grant)).await;
        assert_eq!((stored.token, stored.refresh_token), (Some(token), Some(refresh_token)));
        assert!(is_unknown(&shop, OTHER_FAN, BASE).await);
        shop.get(FAN, BASE).await.unwrap_err();
        assert_eq!(shop.calls(), 1, "nor is WeChat asked again at once");
    }
}

#[tokio::test]
async fn erasing_removes_every_scope_of_one_fan_at_one_account() {
    let shop = Shop::direct().await;
    let gone = [shop.consent(FAN, BASE).await.0, shop.consent(FAN, PROFILE).await.0];
    let (_, stays) = shop.consent(OTHER_FAN, BASE).await;
    let flowers = shop.given(shop.world.account(FLOWERS).await).await;
    let owner = WebTokenOwner { authorizer_id: flowers.id.clone(), ..shop.owner(FAN, BASE) };
    let elsewhere = NewWebToken { owner: owner.clone(), ..shop.minted(FAN, BASE) };
    shop.web_tokens().keep(&flowers, elsewhere).await.unwrap();

    shop.erase(FAN, chrono::Duration::zero()).await;
    for scope in [BASE, PROFILE] {
        assert!(is_unknown(&shop, FAN, scope).await, "{scope}");
    }
    for grant in &gone {
        assert!(shop.world.find(&key(grant)).await.is_none());
    }
    assert_eq!(shop.get(OTHER_FAN, BASE).await.unwrap(), stays);
    assert!(shop.get_of(&owner).await.is_ok());
    shop.erase(FAN, chrono::Duration::zero()).await;
}

#[tokio::test]
async fn what_was_granted_after_the_withdrawal_stays_as_far_as_clocks_can_tell() {
    let shop = Shop::direct().await;
    shop.consent(FAN, BASE).await;
    shop.erase(FAN, chrono::Duration::milliseconds(10 * 60 * 1000 + 1)).await;
    assert!(!is_unknown(&shop, FAN, BASE).await, "granted after it");
    shop.erase(FAN, chrono::Duration::minutes(10)).await;
    assert!(is_unknown(&shop, FAN, BASE).await, "granted before it, for all that clocks can tell");
}

#[tokio::test]
async fn a_refresh_under_way_does_not_bring_back_what_was_erased() {
    for shop in [Shop::direct().await, Shop::on_behalf().await] {
        let (grant, _) = shop.consent(FAN, BASE).await;
        shop.world.advance(LIFE);
        shop.world.hold_next(shop.path);
        let (handed_out, ()) = tokio::join!(shop.get(FAN, BASE), async {
            shop.world.held().await;
            shop.erase(FAN, chrono::Duration::zero()).await;
            shop.world.wechat.release(None);
        });
        let error = handed_out.unwrap_err();
        assert!(matches!(error, Error::FanUnknown), "{error:?}");
        assert!(shop.world.find(&key(&grant)).await.is_none());
        assert!(is_unknown(&shop, FAN, BASE).await);
    }
}

/// Somebody waits for the lease of a fan's token while the fan is forgotten.
#[tokio::test]
async fn a_refresh_that_waits_does_not_make_a_row_for_a_fan_that_was_erased() {
    let shop = Shop::direct().await;
    let (grant, _) = shop.consent(FAN, BASE).await;
    shop.world.advance(LIFE);
    let db = &shop.world.database.db;
    let hour = Duration::from_secs(3600);
    assert!(db.take_token(&key(&grant), hour).await.unwrap().is_some());
    let (handed_out, ()) = tokio::join!(shop.get(FAN, BASE), async {
        while shop.process.tasks.is_empty() {
            tokio::task::yield_now().await;
        }
        shop.erase(FAN, chrono::Duration::zero()).await;
    });
    let error = handed_out.unwrap_err();
    assert!(matches!(error, Error::FanUnknown), "{error:?}");
    assert!(shop.world.find(&key(&grant)).await.is_none());
    assert_eq!(shop.calls(), 0);
}

#[tokio::test]
async fn no_worker_ever_claims_a_fans_token() {
    let shop = Shop::direct().await;
    shop.consent(FAN, BASE).await;
    for _ in 0..2 {
        shop.world.advance(LIFE);
        assert_eq!(shop.process.tokens.run_once().await.unwrap(), 0, "kept and refreshed alike");
        assert_eq!(shop.process.component_tokens.run_once().await.unwrap(), 0);
        shop.get(FAN, BASE).await.unwrap();
    }
    shop.world.wechat.set_fault(Fault::errcode(DIRECT, 50002));
    shop.world.advance(LIFE);
    shop.get(FAN, BASE).await.unwrap_err();
    shop.world.advance(LIFE);
    assert_eq!(shop.process.tokens.run_once().await.unwrap(), 0, "nor one that failed");
}

#[tokio::test]
async fn neither_tokens_nor_openids_stand_where_they_could_be_logged() {
    let shop = Shop::direct().await;
    let (grant, token) = shop.consent(FAN, BASE).await;
    let mut told = vec![format!("{token:?}"), format!("{:?}", shop.web_tokens())];
    told.push(format!("{:?}", shop.world.stored(&key(&grant)).await));
    told.push(key(&grant).to_string());
    shop.world.advance(LIFE);
    for errcode in [40030, 50002] {
        shop.world.wechat.set_fault(Fault::errcode(DIRECT, errcode).times(1));
        let error = shop.get(FAN, BASE).await.unwrap_err();
        told.extend([format!("{error:?}"), error.to_string()]);
        shop.consent(FAN, BASE).await;
        shop.world.advance(LIFE);
    }
    shop.world.hold_next(DIRECT);
    let (_, debug) = tokio::join!(shop.get(FAN, BASE), async {
        shop.world.held().await;
        let debug = format!("{:?}", shop.web_tokens());
        shop.world.wechat.release(None);
        debug
    });
    told.push(debug);
    for text in told {
        // The emulator's secrets are canaries.
        assert!(!text.contains(FAN) && !text.contains("CANARY"), "{text}");
    }
}

#[tokio::test]
async fn a_refresh_token_beside_an_odd_token_is_kept() {
    let shop = Shop::direct().await;
    let (grant, first) = shop.consent(FAN, BASE).await;
    let next = shop.world.wechat.mint_web_token(SHOP, FAN, BASE).unwrap().refresh_token;
    let body = format!(
        r#"{{"access_token":"","expires_in":7200,"refresh_token":"{next}","openid":"{FAN}"}}"#
    );
    let odd = FaultKind::OtherAnswer { status: 200, content_type: "text/plain".to_owned(), body };
    shop.world.wechat.set_fault(Fault::new(DIRECT, odd).times(1));
    shop.world.advance(LIFE);
    let error = shop.get(FAN, BASE).await.unwrap_err();
    assert!(matches!(cause(&error), Error::NoAccessToken { .. }), "{error:?}");
    let stored = shop.world.stored(&key(&grant)).await;
    assert_eq!(stored.refresh_token, Some(Secret::new(next)), "it may be the only one now");
    assert_eq!(stored.token, Some(first));
}
