//! Fans are sent to WeChat, come back, and bring tenants a one-time code.

use std::{collections::HashMap, pin::Pin, time::Duration};

use futures_util::{FutureExt as _, future::join_all, poll};
use lingpai_authorizer::{
    Error, ExchangedFan, NewAccount, Popup, StartWebAuthorization, StartedWebAuthorization,
    WebReturn,
};
use lingpai_emulator::{Fan, FanChoice, Fault, FaultKind};
use lingpai_model::{
    Appid, Secret,
    authorization::LinkToken,
    authorizer::{Authorizer, AuthorizerState, TokenApi},
    caller::Caller,
    clock::{Clock as _, Entropy},
    token::TokenKey,
    web_authorization::{WebAuthorizationRefusal, WebScope},
    web_token::WebTokenOwner,
};
use url::Url;

use crate::{
    site::{Site, appid},
    world::{FLOWERS, SHOP},
};

const ON_BEHALF: &str = "/sns/oauth2/component/access_token";
const DIRECT: &str = "/sns/oauth2/access_token";

pub(crate) const FAN: &str = "oLingPai000000000000000fan01";
const OTHER_FAN: &str = "oLingPai000000000000000fan02";
const FLOWERS_FAN: &str = "oFlowers00000000000000fan01";
const URI: &str = "https://shop.example/back?page=1";

impl Site {
    /// A site whose tenant has registered where its fans come back to.
    pub(crate) async fn for_fans() -> Self {
        let site = Self::open().await;
        site.registers(&site.tenant, URI).await;
        site
    }

    async fn registers(&self, caller: &Caller, uri: &str) {
        let now = self.world.clock.now();
        let add = async |tx: &lingpai_storage::Tx| {
            tx.redirect_uris().insert(&caller.scope, uri, now).await.unwrap();
        };
        self.world.change(add).await;
    }

    async fn unregisters(&self, uri: &str) {
        let remove = async |tx: &lingpai_storage::Tx| {
            assert!(tx.redirect_uris().delete(&self.tenant.scope, uri).await.unwrap());
        };
        self.world.change(remove).await;
    }

    /// Another account of the tenant's, which is connected by its own secret and has one fan.
    async fn connects_flowers(&self, caller: &Caller) -> Authorizer {
        let fans = vec![Fan::new(FLOWERS_FAN, "花")];
        self.world.wechat.change_account(FLOWERS, |account| account.fans = fans).unwrap();
        self.connects(caller, FLOWERS).await
    }

    async fn connects(&self, caller: &Caller, account: &str) -> Authorizer {
        let secret = self.world.wechat.account(account).unwrap().appsecret.unwrap();
        let new = NewAccount {
            appid: appid(account),
            appsecret: Secret::new(secret),
            token_api: TokenApi::StableToken,
            push_keys: None,
        };
        self.accounts.connect(caller, new).await.unwrap()
    }

    async fn sets_out(
        &self,
        wanted: StartWebAuthorization,
    ) -> Result<StartedWebAuthorization, Error> {
        self.web_authorizations.start(wanted).await
    }

    /// What the fan brings back who has decided on WeChat's page.
    async fn decides(&self, started: &StartedWebAuthorization, choice: FanChoice) -> WebReturn {
        let back = self.world.wechat.web_consent(started.url.as_str(), choice).await.unwrap();
        let back = Url::parse(&back).unwrap();
        let ours = "https://lingpai.example/sub/oauth2/return";
        assert_eq!(&back[..url::Position::AfterPath], ours);
        let brought = query(&back);
        WebReturn {
            state: LinkToken::parse(&brought["state"]).unwrap(),
            browser: Some(again(&started.browser)),
            code: brought.get("code").map(|code| Secret::from(code.as_str())),
        }
    }

    /// A fan goes all the way; gives the code that the tenant gets.
    pub(crate) async fn code(&self, wanted: StartWebAuthorization, openid: &str) -> String {
        let started = self.sets_out(wanted).await.unwrap_or_else(|error| panic!("{error}"));
        let back = self.decides(&started, allows(openid)).await;
        code_in(&self.web_authorizations.come_back(back).await.unwrap())
    }

    async fn exchange(&self, caller: &Caller, code: &str) -> Result<ExchangedFan, Error> {
        self.web_authorizations.exchange(caller, None, code).await
    }

    /// A fan of the tenant's shop, who has gone all the way.
    pub(crate) async fn known_fan(&self, scope: WebScope) -> lingpai_authorizer::KnownFan {
        let code = self.code(wanted(SHOP, scope), FAN).await;
        self.exchange(&self.tenant, &code).await.unwrap().fan
    }

    /// Lets somebody come as far as he comes.
    async fn waits<T>(&self, mut who: Pin<&mut (impl Future<Output = T> + ?Sized)>) {
        for _ in 0..50 {
            assert!(poll!(who.as_mut()).is_pending());
            self.db.now().await.unwrap();
        }
    }

    async fn is_kept_of(&self, account: &Authorizer, openid: &str) -> bool {
        let authorizer_id = account.id.clone();
        let (openid, scope) = (openid.to_owned(), WebScope::Base.as_str().to_owned());
        let owner = WebTokenOwner { authorizer_id, openid, scope };
        self.db.web_tokens().system_find(&owner).await.unwrap().is_some()
    }
}

fn wanted(account: &str, scope: WebScope) -> StartWebAuthorization {
    StartWebAuthorization {
        appid: appid(account),
        component_appid: None,
        redirect_uri: URI.to_owned(),
        scope,
        state: Some("a b&=#令".to_owned()),
        popup: Popup::AsWechatLikes,
    }
}

fn allows(openid: &str) -> FanChoice {
    FanChoice::Allow { openid: Some(openid.to_owned()) }
}

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

fn code_in(url: &Url) -> String {
    query(url)["code"].clone()
}

fn refusal(error: &Error) -> Option<WebAuthorizationRefusal> {
    match error {
        Error::WebAuthorizationRefused(refusal) => Some(*refusal),
        _ => None,
    }
}

fn is_unknown(exchanged: &Result<ExchangedFan, Error>) -> bool {
    matches!(exchanged, Err(Error::OneTimeCodeUnknown))
}

fn again(token: &LinkToken) -> LinkToken {
    LinkToken::parse(token.expose_text()).unwrap()
}

/// What a browser brings that is like `back` in every respect.
fn the_same(back: &WebReturn) -> WebReturn {
    let browser = back.browser.as_ref().map(again);
    WebReturn { state: again(&back.state), browser, code: back.code.clone() }
}

#[tokio::test]
async fn a_fan_comes_back_with_a_code_that_tells_the_tenant_who_he_is() {
    let site = Site::for_fans().await;
    let flowers = site.connects_flowers(&site.tenant).await;
    for (account, path, openid) in [(&site.shop, ON_BEHALF, FAN), (&flowers, DIRECT, FLOWERS_FAN)] {
        let started = site.sets_out(wanted(account.appid.as_str(), WebScope::Base)).await.unwrap();
        let (page, is_delegated) = (started.url.as_str(), path == ON_BEHALF);
        assert!(page.ends_with("#wechat_redirect"), "{page}");
        let component = format!("&component_appid={}#", site.world.component.appid);
        assert_eq!(page.contains(&component), is_delegated, "{page}");
        assert!(!page.contains("shop.example") && !page.contains("forcePopup"), "{page}");

        let back = site.decides(&started, allows(openid)).await;
        let wechat_code = back.code.clone().unwrap();
        let onward = site.web_authorizations.come_back(back).await.unwrap();
        assert!(onward.as_str().starts_with(&format!("{URI}&code=lpc_")), "{onward}");
        assert_eq!(query(&onward)["state"], "a b&=#令");
        assert!(!onward.as_str().contains(wechat_code.expose().as_str()), "{onward}");
        assert_eq!(site.world.calls(path), 0, "nobody has asked yet");

        let exchanged = site.exchange(&site.tenant, &code_in(&onward)).await.unwrap();
        let ExchangedFan { fan, is_snapshot_user } = exchanged;
        assert_eq!((fan.grant.owner.openid.as_str(), is_snapshot_user), (openid, false));
        assert_eq!(fan.grant.owner.scope, "snsapi_base");
        assert_eq!(fan.grant.unionid.is_some(), openid == FAN);
        assert_eq!(fan.authorizer.id, account.id);
        let kept = site.world.stored(&TokenKey::Web(fan.grant.id)).await.token.unwrap();
        assert!(kept.is_alive(site.world.clock.now()));

        let again = site.exchange(&site.tenant, &code_in(&onward)).await.unwrap_err();
        assert_eq!(refusal(&again), Some(WebAuthorizationRefusal::CodeUsed));
        assert_eq!(site.world.calls(path), 1, "{path}");
    }
    site.ledger.flush().await.unwrap();
    let mut counted: Vec<_> = site.figures(&site.tenant).await;
    counted.sort_by(|one, other| one.path.cmp(&other.path));
    let counted: Vec<_> =
        counted.iter().map(|one| (one.path.as_str(), one.errcode, one.calls)).collect();
    assert_eq!(counted, [(DIRECT, 0, 1), (ON_BEHALF, 0, 1)]);
}

#[tokio::test]
async fn the_page_may_be_forced_and_a_made_up_fan_is_told_apart() {
    let site = Site::for_fans().await;
    site.world.wechat.change_switches(|switches| switches.snapshot_users = true);
    let forced = StartWebAuthorization { popup: Popup::Forced, ..wanted(SHOP, WebScope::UserInfo) };
    let started = site.sets_out(forced).await.unwrap();
    assert!(started.url.as_str().contains("&forcePopup=true&component_appid="), "{}", started.url);
    let back = site.decides(&started, allows(OTHER_FAN)).await;
    let onward = site.web_authorizations.come_back(back).await.unwrap();
    let exchanged = site.exchange(&site.tenant, &code_in(&onward)).await.unwrap();
    assert!(exchanged.is_snapshot_user);
    assert_eq!(exchanged.fan.grant.owner.openid, OTHER_FAN);
    assert_eq!(exchanged.fan.grant.owner.scope, "snsapi_userinfo");
}

#[tokio::test]
async fn only_the_owner_of_the_account_sends_fans_and_only_to_his_own_addresses() {
    let site = Site::for_fans().await;
    site.registers(&site.other, "https://other.example/").await;
    let to = |uri: &str| StartWebAuthorization {
        redirect_uri: uri.to_owned(),
        ..wanted(SHOP, WebScope::Base)
    };
    let of = |component: &str| StartWebAuthorization {
        component_appid: Some(appid(component)),
        ..wanted(SHOP, WebScope::Base)
    };
    for refused in [
        wanted("wx0000000000000000", WebScope::Base),
        wanted(FLOWERS, WebScope::Base),
        of("wx0000000000000000"),
        of(SHOP),
        to("https://other.example/"),
        to(""),
        to("https://shop.example/back?page=1&"),
        to("https://shop.example/back?page=2"),
        to("https://shop.example/back"),
        to("https://SHOP.example/back?page=1"),
        to("https://shop.example/back?page=1#"),
        to("https://shop.example/back?page=1 "),
        to("https://shop.example/./back?page=1"),
        to("https://shop.example/%62ack?page=1"),
    ] {
        let shown = format!("{refused:?}");
        let error = site.sets_out(refused).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::WebLinkUnknown), "{shown}: {error}");
    }
    for passed in [to(URI), of(site.world.component.appid.as_str())] {
        assert!(site.sets_out(passed).await.is_ok());
    }

    let withdrawn = Authorizer {
        state: AuthorizerState::Revoked { at: site.world.clock.now() },
        ..site.shop.clone()
    };
    site.world.change(async |tx| tx.authorizers().system_update(&withdrawn).await.unwrap()).await;
    assert!(matches!(site.sets_out(to(URI)).await, Err(Error::WebLinkUnknown)));
    site.world.change(async |tx| tx.authorizers().system_update(&site.shop).await.unwrap()).await;
    assert!(site.sets_out(to(URI)).await.is_ok());
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    assert!(matches!(site.sets_out(to(URI)).await, Err(Error::WebLinkUnknown)));
}

#[tokio::test]
async fn of_several_connections_the_one_counts_whose_tenant_registered_the_address() {
    let site = Site::for_fans().await;
    site.a_moment_later();
    let direct = site.connects(&site.other, SHOP).await;
    site.registers(&site.other, "https://other.example/").await;
    let to_other = || StartWebAuthorization {
        redirect_uri: "https://other.example/".to_owned(),
        ..wanted(SHOP, WebScope::Base)
    };
    let code = site.code(to_other(), FAN).await;
    assert!(is_unknown(&site.exchange(&site.tenant, &code).await));
    let fan = site.exchange(&site.other, &code).await.unwrap().fan;
    assert_eq!(fan.authorizer.id, direct.id);
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    let fan = site.exchange(&site.tenant, &code).await.unwrap().fan;
    assert_eq!(fan.authorizer.id, site.shop.id);

    // Where both have registered it nobody knows whose fans they are, unless the link says it.
    site.registers(&site.other, URI).await;
    let both = || wanted(SHOP, WebScope::Base);
    assert!(matches!(site.sets_out(both()).await, Err(Error::WebLinkUnknown)));
    let component_appid = Some(site.world.component.appid.clone());
    let code = site.code(StartWebAuthorization { component_appid, ..both() }, FAN).await;
    assert!(is_unknown(&site.exchange(&site.other, &code).await));
    assert_eq!(site.exchange(&site.tenant, &code).await.unwrap().fan.authorizer.id, site.shop.id);

    // Who names the component means what granted to it.
    let component_appid = Some(site.world.component.appid.clone());
    let named = StartWebAuthorization { component_appid, ..to_other() };
    assert!(matches!(site.sets_out(named).await, Err(Error::WebLinkUnknown)));
}

#[tokio::test]
async fn whoever_takes_a_public_link_in_a_loop_writes_no_more_rows_than_fans_may() {
    let site = Site::for_fans().await;
    let flowers = site.connects_flowers(&site.tenant).await;
    let (mut sent, mut refused) = (0, 0);
    while refused == 0 {
        let batch = (0..400).map(|_| site.sets_out(wanted(SHOP, WebScope::Base)));
        for outcome in join_all(batch).await {
            match outcome {
                Ok(_) => sent += 1,
                Err(Error::TooManyFans) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(sent >= 200, "a crowd after a quiet time is none too many: {sent}");
    site.sets_out(wanted(flowers.appid.as_str(), WebScope::Base)).await.unwrap();
    site.world.advance(Duration::from_secs(3600));
    assert_eq!(site.web_authorizations.sweep().await.unwrap(), sent + 1, "one row each");
}

/// On SQLite, where all wait for the one writer in the order of their coming.
#[tokio::test]
async fn what_wechat_pushes_goes_before_fans_who_came_earlier() {
    let site = Site::for_fans().await;
    let started = site.sets_out(wanted(SHOP, WebScope::Base)).await.unwrap();
    let back = site.decides(&started, allows(FAN)).await;
    let sets_out = async { site.sets_out(wanted(SHOP, WebScope::Base)).await.map(drop) };
    let comes_back = async { site.web_authorizations.come_back(back).await.map(drop) };
    let steps = [sets_out.boxed_local(), comes_back.boxed_local()];
    for mut step in steps {
        let earlier = site.db.begin_patiently().await.unwrap();
        site.waits(step.as_mut()).await;
        let mut push = Box::pin(site.db.begin());
        site.waits(push.as_mut()).await;
        earlier.commit().await.unwrap();
        let push = tokio::select! {
            push = push => push.unwrap(),
            _ = step.as_mut() => panic!("the fan went first"),
        };
        push.commit().await.unwrap();
        step.await.unwrap();
    }
}

#[tokio::test]
async fn only_the_browser_that_set_out_comes_back() {
    let site = Site::for_fans().await;
    let started = site.sets_out(wanted(SHOP, WebScope::Base)).await.unwrap();
    let another = site.sets_out(wanted(SHOP, WebScope::Base)).await.unwrap();
    let back = site.decides(&started, allows(FAN)).await;
    for browser in [None, Some(again(&another.browser))] {
        let foreign = WebReturn { browser, ..the_same(&back) };
        let error = site.web_authorizations.come_back(foreign).await.unwrap_err();
        assert_eq!(refusal(&error), Some(WebAuthorizationRefusal::OtherBrowser), "{error}");
    }
    let unknown = WebReturn { state: LinkToken::draw(&Entropy::seeded(77)), ..the_same(&back) };
    let error = site.web_authorizations.come_back(unknown).await.unwrap_err();
    assert!(matches!(error, Error::WebAuthorizationUnknown), "{error}");
    site.web_authorizations.come_back(back).await.unwrap();
}

#[tokio::test]
async fn the_same_return_leads_to_the_same_address_and_another_one_nowhere() {
    let site = Site::for_fans().await;
    let started = site.sets_out(wanted(SHOP, WebScope::Base)).await.unwrap();
    let back = site.decides(&started, allows(FAN)).await;
    let onward = site.web_authorizations.come_back(the_same(&back)).await.unwrap();
    site.world.advance(Duration::from_secs(59));
    assert_eq!(site.web_authorizations.come_back(the_same(&back)).await.unwrap(), onward);
    for code in [None, Some(Secret::from("another"))] {
        let other = WebReturn { code, ..the_same(&back) };
        let error = site.web_authorizations.come_back(other).await.unwrap_err();
        assert_eq!(refusal(&error), Some(WebAuthorizationRefusal::Ended));
    }
    site.exchange(&site.tenant, &code_in(&onward)).await.unwrap();
    let error = site.web_authorizations.come_back(back).await.unwrap_err();
    assert_eq!(refusal(&error), Some(WebAuthorizationRefusal::Ended), "it is used up");

    let late = site.sets_out(wanted(SHOP, WebScope::Base)).await.unwrap();
    let back = site.decides(&late, allows(FAN)).await;
    site.world.advance(Duration::from_secs(15 * 60));
    let error = site.web_authorizations.come_back(back).await.unwrap_err();
    assert_eq!(refusal(&error), Some(WebAuthorizationRefusal::Ended), "it took too long");
}

#[tokio::test]
async fn who_declines_comes_back_without_a_code() {
    let site = Site::for_fans().await;
    let started = site.sets_out(wanted(SHOP, WebScope::UserInfo)).await.unwrap();
    let back = site.decides(&started, FanChoice::Refuse).await;
    assert!(back.code.is_none());
    let onward = site.web_authorizations.come_back(the_same(&back)).await.unwrap();
    assert_eq!(query(&onward).get("code"), None);
    assert_eq!(query(&onward)["state"], "a b&=#令");
    assert_eq!(site.web_authorizations.come_back(back).await.unwrap(), onward);
}

#[tokio::test]
async fn a_fan_does_not_go_on_to_an_address_that_is_gone_or_an_account_that_has_left() {
    let site = Site::for_fans().await;
    let sets_out = async || site.sets_out(wanted(SHOP, WebScope::Base)).await.unwrap();
    let (first, second) = (sets_out().await, sets_out().await);
    let backs = [site.decides(&first, allows(FAN)).await, site.decides(&second, allows(FAN)).await];
    site.unregisters(URI).await;
    let error = site.web_authorizations.come_back(the_same(&backs[0])).await.unwrap_err();
    assert!(matches!(error, Error::WebLinkUnknown), "{error}");
    site.registers(&site.tenant, URI).await;
    site.web_authorizations.come_back(the_same(&backs[0])).await.unwrap();

    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    let error = site.web_authorizations.come_back(the_same(&backs[1])).await.unwrap_err();
    assert!(matches!(error, Error::WebLinkUnknown), "{error}");
    site.registers(&site.other, URI).await;
    let other = site.other.scope.tenant_id();
    site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
    let error = site.web_authorizations.come_back(the_same(&backs[1])).await.unwrap_err();
    assert!(matches!(error, Error::WebLinkUnknown), "it was the old owner's: {error}");
}

#[tokio::test]
async fn a_code_is_good_for_its_tenant_and_account_and_nobody_else_uses_it_up() {
    let site = Site::for_fans().await;
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    assert!(is_unknown(&site.exchange(&site.other, &code).await));
    let exchange = async |account: &Appid| {
        site.web_authorizations.exchange(&site.tenant, Some(account), &code).await
    };
    assert!(is_unknown(&exchange(&appid(FLOWERS)).await));
    for none in ["", "lpc_", "wechats-own-code", &code[..code.len() - 1]] {
        assert!(is_unknown(&site.exchange(&site.tenant, none).await), "{none}");
    }
    assert_eq!(site.world.calls(ON_BEHALF), 0);
    exchange(&site.shop.appid).await.unwrap();
}

#[tokio::test]
async fn a_code_is_good_for_a_minute_and_a_fan_who_is_away_has_none() {
    let site = Site::for_fans().await;
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    site.world.advance(Duration::from_secs(60));
    let error = site.exchange(&site.tenant, &code).await.unwrap_err();
    assert_eq!(refusal(&error), Some(WebAuthorizationRefusal::CodeExpired));
    assert_eq!(site.world.calls(ON_BEHALF), 0);
}

#[tokio::test]
async fn of_many_who_exchange_a_code_at_once_one_succeeds() {
    let site = Site::for_fans().await;
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    let outcomes = join_all((0..20).map(|_| site.exchange(&site.tenant, &code))).await;
    let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (1, 19));
    for error in bad {
        assert_eq!(refusal(&error.unwrap_err()), Some(WebAuthorizationRefusal::CodeUsed));
    }
    assert_eq!(site.world.calls(ON_BEHALF), 1);
}

#[tokio::test]
async fn a_fan_who_comes_many_times_at_once_has_one_grant() {
    let site = Site::for_fans().await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        codes.push(site.code(wanted(SHOP, WebScope::Base), FAN).await);
    }
    let outcomes = join_all(codes.iter().map(|code| site.exchange(&site.tenant, code))).await;
    let mut ids: Vec<_> =
        outcomes.into_iter().map(|exchanged| exchanged.unwrap().fan.grant.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn what_wechat_says_of_its_code_is_passed_on_and_ours_is_used_up() {
    let site = Site::for_fans().await;
    for errcode in [40029, 40163, 42003, 61003] {
        let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
        site.world.wechat.set_fault(Fault::errcode(ON_BEHALF, errcode).times(1));
        let error = site.exchange(&site.tenant, &code).await.unwrap_err();
        assert_eq!(error.upstream_errcode(), Some(errcode), "{error}");
        let again = site.exchange(&site.tenant, &code).await.unwrap_err();
        assert_eq!(refusal(&again), Some(WebAuthorizationRefusal::CodeUsed));
    }
    assert!(!site.is_kept_of(&site.shop, FAN).await);
    site.ledger.flush().await.unwrap();
    let counted: Vec<i64> =
        site.figures(&site.tenant).await.iter().map(|one| one.errcode).collect();
    assert_eq!(counted.len(), 4, "{counted:?}");
}

#[tokio::test]
async fn an_answer_that_lacks_something_is_refused_and_nothing_is_kept() {
    let site = Site::for_fans().await;
    let whole = [
        ("access_token", r#""t""#),
        ("expires_in", "7200"),
        ("refresh_token", r#""r""#),
        ("openid", r#""o1""#),
        ("scope", r#""snsapi_base""#),
    ];
    let answer = |change: &dyn Fn(&str) -> Option<&'static str>| {
        let fields = whole.map(|(name, value)| (name, change(name).unwrap_or(value)));
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    for (field, value) in [
        ("access_token", r#""""#),
        ("expires_in", "0"),
        ("refresh_token", "null"),
        ("openid", r#""""#),
        ("openid", "null"),
        ("scope", r#""snsapi_login""#),
        ("scope", "null"),
    ] {
        let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
        let body = answer(&|name| (name == field).then_some(value));
        site.answer_once(ON_BEHALF, &body);
        let error = site.exchange(&site.tenant, &code).await.unwrap_err();
        assert!(error.is_transient() && error.upstream_errcode().is_none(), "{field}: {error}");
        assert!(!site.is_kept_of(&site.shop, "o1").await, "{field}");
        assert!(!site.is_kept_of(&site.shop, FAN).await, "{field}");
    }
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    site.answer_once(ON_BEHALF, &answer(&|_| None));
    let fan = site.exchange(&site.tenant, &code).await.unwrap().fan;
    assert_eq!(fan.grant.owner.openid, "o1", "what WeChat tells counts");
}

#[tokio::test]
async fn who_hangs_up_while_wechat_is_asked_loses_nothing() {
    let site = Site::for_fans().await;
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    site.world.hold_next(ON_BEHALF);
    {
        let mut hanging_up = Box::pin(site.exchange(&site.tenant, &code));
        assert!(poll!(hanging_up.as_mut()).is_pending());
        site.world.held().await;
    }
    assert!(!site.is_kept_of(&site.shop, FAN).await);
    site.world.wechat.release(None);
    site.tasks.close();
    site.tasks.wait().await;
    assert!(site.is_kept_of(&site.shop, FAN).await);
}

#[tokio::test]
async fn who_has_no_turn_at_wechat_keeps_his_code() {
    let site = Site::for_fans().await;
    let mut codes = Vec::new();
    for _ in 0..129 {
        codes.push(site.code(wanted(SHOP, WebScope::Base), FAN).await);
    }
    site.world.wechat.set_fault(Fault::new(ON_BEHALF, FaultKind::Hold));
    {
        let exchanges = codes[..128].iter().map(|code| site.exchange(&site.tenant, code));
        let all_asked = site.world.wechat.wait_until(|wechat| wechat.held().len() == 128);
        tokio::select! {
            _ = join_all(exchanges) => panic!("WeChat has answered nobody"),
            () = all_asked => {}
        }
    }
    assert_eq!(site.tasks.len(), 128, "they hung up, and the work goes on");
    let busy = site.exchange(&site.tenant, &codes[128]).await.unwrap_err();
    assert!(matches!(busy, Error::Busy), "{busy}");
    site.world.wechat.clear_faults();
    site.world.wechat.release(None);
    site.tasks.close();
    site.tasks.wait().await;
    site.exchange(&site.tenant, &codes[128]).await.unwrap();
}

#[tokio::test]
async fn an_account_that_is_released_while_wechat_is_asked_keeps_nothing_of_the_fan() {
    let site = Site::for_fans().await;
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    site.world.hold_next(ON_BEHALF);
    let (exchanged, ()) = tokio::join!(site.exchange(&site.tenant, &code), async {
        site.world.held().await;
        site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
        site.world.wechat.release(None);
    });
    assert!(matches!(exchanged, Err(Error::AuthorizerNotFound { .. })), "{exchanged:?}");
    assert!(!site.is_kept_of(&site.shop, FAN).await);
}

#[tokio::test]
async fn a_code_ends_with_the_ownership_that_it_was_made_under() {
    let site = Site::for_fans().await;
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    let withdrawn = Authorizer {
        state: AuthorizerState::Revoked { at: site.world.clock.now() },
        ..site.shop.clone()
    };
    site.world.change(async |tx| tx.authorizers().system_update(&withdrawn).await.unwrap()).await;
    let error = site.exchange(&site.tenant, &code).await.unwrap_err();
    assert!(matches!(error, Error::Revoked { .. }), "{error}");
    site.world.change(async |tx| tx.authorizers().system_update(&site.shop).await.unwrap()).await;

    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    assert!(is_unknown(&site.exchange(&site.tenant, &code).await));
    let other = site.other.scope.tenant_id();
    site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
    for caller in [&site.tenant, &site.other] {
        assert!(is_unknown(&site.exchange(caller, &code).await));
    }
    assert_eq!(site.world.calls(ON_BEHALF), 0);
}

#[tokio::test]
async fn attempts_are_swept_ten_minutes_after_their_end() {
    let site = Site::for_fans().await;
    let code = site.code(wanted(SHOP, WebScope::Base), FAN).await;
    site.exchange(&site.tenant, &code).await.unwrap();
    site.world.advance(Duration::from_secs(25 * 60));
    assert_eq!(site.web_authorizations.sweep().await.unwrap(), 0);
    let error = site.exchange(&site.tenant, &code).await.unwrap_err();
    assert_eq!(refusal(&error), Some(WebAuthorizationRefusal::CodeUsed));
    site.world.advance(Duration::from_millis(1));
    assert_eq!(site.web_authorizations.sweep().await.unwrap(), 1);
    assert!(is_unknown(&site.exchange(&site.tenant, &code).await));
    assert!(site.is_kept_of(&site.shop, FAN).await, "what the fan granted stays");
}
