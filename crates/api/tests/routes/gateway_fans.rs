//! The gateway's interfaces for fans, as SDKs meet them: each refusal, and tokens that stand for what
//! a fan granted. Of most grants here WeChat knows nothing; those that it gave have their tests below.

use std::time::Duration;

use lingpai_authorizer::{NewWebToken, Popup, StartWebAuthorization, WebReturn};
use lingpai_emulator::{FanChoice, Fault};
use lingpai_model::{
    Appid, Secret,
    api_key::Scope,
    caller::{Caller, Via},
    clock::Clock as _,
    token::AccessToken,
    web_authorization::WebScope,
    web_token::{WebGrant, WebTokenOwner},
};
use lingpai_tenant::{ShownKey, Subject};
use poem::http::Request;
use serde_json::{Value, json};
use url::Url;

use crate::{
    client::Client,
    house::{Answer, House, SHOP},
};

const FAN: &str = "oLingPai000000000000000fan01";

const EXCHANGE: &str = "/sns/oauth2/access_token";
const REFRESH: &str = "/sns/oauth2/refresh_token";
const PROFILE: &str = "/sns/userinfo";
const CHECK: &str = "/sns/auth";

/// A tenant with an account, to which a fan has granted something.
struct Scene {
    house: House,
    grant: WebGrant,
}

/// A fan's tokens as an SDK holds them.
struct Tokens {
    access: String,
    refresh: String,
}

impl Scene {
    async fn open() -> Self {
        let house = House::start().await;
        house.connect_shop().await;
        let grant = granted(&house).await;
        Self { house, grant }
    }

    async fn caller(&self, key: &str) -> Caller {
        self.house.services.api_keys.authenticate(key, Via::default()).await.expect("our own key")
    }

    /// Tokens for the fan's grant, as they were given for his code.
    async fn tokens(&self, key: &str) -> Tokens {
        let (caller, shown) = (self.caller(key).await, ShownKey::of(key).expect("a key"));
        let id = || self.grant.id.clone();
        let tokens = &self.house.services.virtual_tokens;
        let (access, _) = tokens
            .mint(&caller, &shown, &Subject::WebToken(id()), None)
            .await
            .expect("the database is there");
        let (refresh, until) = (Subject::WebRefresh(id()), Some(self.grant.refresh_until));
        let (refresh, _) =
            tokens.mint(&caller, &shown, &refresh, until).await.expect("the database is there");
        Tokens { access: access.expose().clone(), refresh: refresh.expose().clone() }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        self.house.get(&format!("/gateway{path}?{}", written(query)), None).await
    }

    async fn errcode(&self, path: &str, query: &[(&str, &str)]) -> i64 {
        refused(&self.get(path, query).await)
    }

    async fn refresh(&self, refresh_token: &str) -> Answer {
        self.get(REFRESH, &refresh_query(refresh_token)).await
    }

    fn advance(&self, secs: u64) {
        self.house.clock.advance(
            chrono::Duration::from_std(Duration::from_secs(secs)).expect("the database is there"),
        );
    }
}

/// A grant of the fan's to [`SHOP`], with tokens that WeChat never gave.
async fn granted(house: &House) -> WebGrant {
    let caller = house
        .services
        .api_keys
        .authenticate(&house.key, Via::default())
        .await
        .expect("our own key");
    let appid = Appid::parse(SHOP).expect("a fixed appid");
    let (authorizer, _) =
        house.services.authorizers.get(&caller.scope, &appid).await.expect("the database is there");
    let owner = WebTokenOwner {
        authorizer_id: authorizer.id.clone(),
        openid: FAN.to_owned(),
        scope: "snsapi_userinfo".to_owned(),
    };
    let (value, life) = (Secret::from("MADE_UP_TOKEN"), Duration::from_secs(7200));
    let new = NewWebToken {
        owner,
        unionid: None,
        token: AccessToken::obtained(value, house.clock.now(), life),
        refresh_token: Secret::from("MADE_UP_REFRESH_TOKEN"),
    };
    house.services.web_tokens.keep(&authorizer, new).await.expect("the database is there")
}

fn refresh_query(refresh_token: &str) -> [(&str, &str); 3] {
    [("appid", SHOP), ("grant_type", "refresh_token"), ("refresh_token", refresh_token)]
}

fn exchange_query<'a>(key: &'a str, code: &'a str) -> [(&'a str, &'a str); 4] {
    [("appid", SHOP), ("secret", key), ("code", code), ("grant_type", "authorization_code")]
}

fn of_fan(token: &str) -> [(&str, &str); 2] {
    [("access_token", token), ("openid", FAN)]
}

fn written(query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// `query` without what is called `name`.
fn without<'a>(query: &[(&'a str, &'a str)], name: &str) -> Vec<(&'a str, &'a str)> {
    query.iter().copied().filter(|(key, _)| *key != name).collect()
}

/// The number of a refusal of ours in WeChat's shape, which it has to be.
fn refused(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let errmsg = answer.json()["errmsg"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(errmsg.starts_with("lingpai: ") && errmsg.len() > 20, "{errmsg}");
    answer.errcode()
}

fn text(answer: &Answer, field: &str) -> String {
    answer.json()[field].as_str().unwrap_or_else(|| panic!("{field}: {}", answer.text)).to_owned()
}

#[tokio::test]
async fn an_exchange_says_what_is_missing_by_wechats_numbers() {
    let scene = Scene::open().await;
    let whole = exchange_query(&scene.house.key, "lpc_none");
    for (missing, errcode) in
        [("appid", 41002), ("secret", 41004), ("code", 41008), ("grant_type", 40002)]
    {
        let told = scene.errcode(EXCHANGE, &without(&whole, missing)).await;
        assert_eq!(told, errcode, "{missing}");
        let empty: Vec<_> = whole
            .iter()
            .map(|(name, value)| (*name, if *name == missing { "" } else { value }))
            .collect();
        assert_eq!(scene.errcode(EXCHANGE, &empty).await, errcode, "an empty {missing}");
    }
    let mut other = whole;
    other[3].1 = "client_credential";
    assert_eq!(scene.errcode(EXCHANGE, &other).await, 40002);
}

#[tokio::test]
async fn an_exchange_looks_at_the_key_first_and_then_at_the_code() {
    let scene = Scene::open().await;
    let key = &scene.house.key;
    for wrong in ["lpk_wrong", scene.house.operator_key.as_str()] {
        assert_eq!(scene.errcode(EXCHANGE, &exchange_query(wrong, "lpc_none")).await, 40125);
    }
    for unknown in ["lpc_none", "lpc_", "x", "0".repeat(4000).as_str(), "%00", "%F0%9F"] {
        assert_eq!(scene.errcode(EXCHANGE, &exchange_query(key, unknown)).await, 40029);
    }
    let reader = scene.house.key_with(&[Scope::AuthorizerRead, Scope::TokenRead]).await;
    assert_eq!(scene.errcode(EXCHANGE, &exchange_query(&reader, "lpc_none")).await, 48001);
    let mut odd = exchange_query(key, "lpc_none");
    odd[0].1 = "no%20appid";
    assert_eq!(scene.errcode(EXCHANGE, &odd).await, 40013);
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_for_the_same_fan() {
    let scene = Scene::open().await;
    let tokens = scene.tokens(&scene.house.key).await;
    let answer = scene.refresh(&tokens.refresh).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("ratelimit").is_some());
    let json = answer.json();
    let names: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 5, "{names:?}");
    assert_eq!(json["expires_in"], 7200);
    assert_eq!(
        (text(&answer, "openid"), text(&answer, "scope")),
        (FAN.into(), "snsapi_userinfo".into())
    );
    assert!(text(&answer, "access_token").starts_with("lpw_"));
    assert!(!answer.text.contains("MADE_UP") && !answer.text.contains(&scene.house.key[4..]));
    let again = text(&answer, "refresh_token");
    assert!(again.starts_with("lpr_"));
    assert_eq!(scene.refresh(&again).await.json()["openid"], FAN);
    assert_eq!(scene.refresh(&tokens.refresh).await.json()["openid"], FAN, "the first lives on");
}

#[tokio::test]
async fn a_refresh_says_what_is_missing_and_takes_no_other_appid() {
    let scene = Scene::open().await;
    let tokens = scene.tokens(&scene.house.key).await;
    let whole = refresh_query(&tokens.refresh);
    for (missing, errcode) in [("appid", 41002), ("refresh_token", 41003), ("grant_type", 40002)] {
        let told = scene.errcode(REFRESH, &without(&whole, missing)).await;
        assert_eq!(told, errcode, "{missing}");
    }
    for other in ["wx0000000000000000", "no appid", &SHOP.to_uppercase()] {
        let mut whole = whole;
        let other = other.replace(' ', "+");
        whole[0].1 = &other;
        assert_eq!(scene.errcode(REFRESH, &whole).await, 40030, "{other}");
    }
    for none in ["lpr_", "x", tokens.access.as_str(), scene.house.key.as_str()] {
        assert_eq!(refused(&scene.refresh(none).await), 40030, "{none}");
    }
}

#[tokio::test]
async fn a_refresh_token_lives_for_the_grants_month_and_a_token_for_two_hours() {
    let scene = Scene::open().await;
    let tokens = scene.tokens(&scene.house.key).await;
    let before = scene.house.wechat.calls().len();
    // The end that a token names is in whole seconds, and never before what was promised.
    scene.advance(7201);
    for path in [PROFILE, CHECK] {
        assert_eq!(scene.errcode(path, &of_fan(&tokens.access)).await, 42001, "{path}");
    }
    scene.advance(30 * 24 * 60 * 60 - 7200);
    assert_eq!(refused(&scene.refresh(&tokens.refresh).await), 42002);
    assert_eq!(scene.house.wechat.calls().len(), before, "WeChat was not asked");
}

#[tokio::test]
async fn what_wechat_no_longer_refreshes_is_an_expired_token_and_an_expired_refresh_token() {
    let scene = Scene::open().await;
    // WeChat's token behind it has run out, and WeChat knows nothing of the refresh token.
    scene.advance(7201);
    let tokens = scene.tokens(&scene.house.key).await;
    assert_eq!(scene.errcode(CHECK, &of_fan(&tokens.access)).await, 42001);
    assert_eq!(scene.errcode(PROFILE, &of_fan(&tokens.access)).await, 42001);
    assert_eq!(refused(&scene.refresh(&tokens.refresh).await), 42002);
}

#[tokio::test]
async fn a_fans_call_says_what_is_missing_and_takes_no_other_openid() {
    let scene = Scene::open().await;
    let tokens = scene.tokens(&scene.house.key).await;
    let before = scene.house.wechat.calls().len();
    for path in [PROFILE, CHECK] {
        let whole = of_fan(&tokens.access);
        assert_eq!(scene.errcode(path, &without(&whole, "access_token")).await, 41001, "{path}");
        assert_eq!(scene.errcode(path, &without(&whole, "openid")).await, 41009, "{path}");
        let lower = FAN.to_lowercase();
        for other in ["oLingPai000000000000000fan02", lower.as_str(), "x"] {
            let query = [("access_token", tokens.access.as_str()), ("openid", other)];
            assert_eq!(scene.errcode(path, &query).await, 40003, "{path} {other}");
        }
    }
    assert_eq!(scene.house.wechat.calls().len(), before, "WeChat saw none of them");
}

#[tokio::test]
async fn no_kind_of_token_is_taken_for_another_and_it_is_said_which_it_is() {
    let scene = Scene::open().await;
    let ordinary = scene.house.token(&scene.house.key).await;
    let tokens = scene.tokens(&scene.house.key).await;
    let changed = format!("{}x", tokens.access);
    for (wrong, word) in [
        (ordinary.as_str(), "lpv_"),
        (tokens.refresh.as_str(), "lpr_"),
        (changed.as_str(), "not known"),
        ("x", "not known"),
    ] {
        for path in [PROFILE, CHECK] {
            let answer = scene.get(path, &of_fan(wrong)).await;
            assert_eq!(refused(&answer), 40001, "{path} {word}");
            assert!(text(&answer, "errmsg").contains(word), "{}", answer.text);
        }
    }
    for wrong in [&tokens.access, &tokens.refresh] {
        let answer = scene.get("/cgi-bin/user/get", &[("access_token", wrong)]).await;
        assert_eq!(refused(&answer), 40001);
        assert!(text(&answer, "errmsg").contains("lpw_"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_fans_tokens_die_with_their_key_and_are_nothing_without_its_scope() {
    let scene = Scene::open().await;
    let house = &scene.house;
    let by = house.services.operators.authenticate(&house.operator_key, Via::default());
    let by = by.await.unwrap();
    let key = house.key_with(&Scope::ALL).await;
    let tokens = scene.tokens(&key).await;
    assert_eq!(scene.refresh(&tokens.refresh).await.json()["openid"], FAN);
    let id = scene.caller(&key).await.key_id;
    house.services.api_keys.revoke(&by, &house.tenant_id, &id).await.unwrap();
    assert_eq!(refused(&scene.refresh(&tokens.refresh).await), 40030);
    assert_eq!(scene.errcode(CHECK, &of_fan(&tokens.access)).await, 40001);

    let reader = house.key_with(&[Scope::AuthorizerRead]).await;
    let tokens = scene.tokens(&reader).await;
    assert_eq!(refused(&scene.refresh(&tokens.refresh).await), 48001);
    assert_eq!(scene.errcode(PROFILE, &of_fan(&tokens.access)).await, 48001);
}

#[tokio::test]
async fn a_grant_is_nothing_to_another_tenant_and_nothing_once_it_is_erased() {
    let scene = Scene::open().await;
    let foreign = scene.house.foreign_key().await;
    // Nobody can have such tokens: they are made here, to see that the grant's owner is looked at.
    let theirs = scene.tokens(&foreign).await;
    assert_eq!(refused(&scene.refresh(&theirs.refresh).await), 40030);
    assert_eq!(scene.errcode(PROFILE, &of_fan(&theirs.access)).await, 40003);

    let (ours, caller) =
        (scene.tokens(&scene.house.key).await, scene.caller(&scene.house.key).await);
    let (web_tokens, appid) = (&scene.house.services.web_tokens, Appid::parse(SHOP).unwrap());
    assert_eq!(web_tokens.erase_fan(&caller.scope, &appid, FAN).await.unwrap(), 1);
    assert_eq!(refused(&scene.refresh(&ours.refresh).await), 40030);
    assert_eq!(scene.errcode(CHECK, &of_fan(&ours.access)).await, 40003);
}

#[tokio::test]
async fn fans_are_asked_about_with_get_only() {
    let scene = Scene::open().await;
    let tokens = scene.tokens(&scene.house.key).await;
    for (path, query) in [
        (EXCHANGE, written(&exchange_query(&scene.house.key, "lpc_none"))),
        (REFRESH, written(&refresh_query(&tokens.refresh))),
        (PROFILE, written(&of_fan(&tokens.access))),
        (CHECK, written(&of_fan(&tokens.access))),
    ] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let request = Request::builder().method(method).uri(format!("/gateway{path}?{query}"));
            assert_eq!(refused(&scene.house.send(request, "").await), 43001, "{method} {path}");
        }
        let head = Request::builder().method("HEAD").uri(format!("/gateway{path}?{query}"));
        assert!(!scene.house.send(head, "").await.text.contains("lpw_"), "{path}");
    }
}

#[tokio::test]
async fn the_second_listener_serves_fans_at_its_root() {
    let scene = Scene::open().await;
    let tokens = scene.tokens(&scene.house.key).await;
    let query = written(&refresh_query(&tokens.refresh));
    let answer = scene.house.send_second(Request::builder().uri(format!("{REFRESH}?{query}")), "");
    let answer = answer.await;
    assert_eq!(answer.json()["openid"], FAN, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let beside = Request::builder().uri(format!("/gateway{REFRESH}?{query}"));
    assert_eq!(scene.house.send_second(beside, "").await.json().get("openid"), None::<&Value>);
}

/// What a fan consented to at WeChat: our one-time code, as he brings it to the tenant's page.
async fn code(house: &House) -> String {
    let page = "https://shop.example/back".to_owned();
    let known = Client::tenant(house).post("/redirect-uris", &json!({ "uri": page })).await;
    assert!([201, 200].contains(&known.status), "{}", known.text);
    let fans = &house.services.web_authorizations;
    let wanted = StartWebAuthorization {
        appid: Appid::parse(SHOP).expect("a fixed appid"),
        component_appid: None,
        redirect_uri: page,
        scope: WebScope::UserInfo,
        state: None,
        popup: Popup::AsWechatLikes,
    };
    let out = fans.start(wanted).await.expect("the address is registered");
    let mut url: Url = house.wechat.base_url().parse().expect("the emulator's address");
    url.set_path(out.url.path());
    url.set_query(out.url.query());
    url.set_fragment(out.url.fragment());
    let choice = FanChoice::Allow { openid: Some(FAN.to_owned()) };
    let back = house.wechat.web_consent(url.as_str(), choice).await.expect("a fan consents");
    let code = Some(Secret::new(code_in(&back.parse().expect("an address"))));
    let back = WebReturn { state: out.state, browser: Some(out.browser), code };
    code_in(&fans.come_back(back).await.expect("the same browser"))
}

fn code_in(url: &Url) -> String {
    let code = url.query_pairs().find(|(name, _)| name == "code");
    code.unwrap_or_else(|| panic!("no code: {url}")).1.into_owned()
}

#[tokio::test]
async fn a_code_becomes_tokens_that_tell_who_the_fan_is() {
    let scene = Scene::open().await;
    let code = code(&scene.house).await;
    let query = exchange_query(&scene.house.key, &code);
    let got = scene.get(EXCHANGE, &query).await;
    assert_eq!(got.header("cache-control"), Some("no-store"));
    let json = got.json();
    let mut names: Vec<&String> = json.as_object().unwrap().keys().collect();
    names.sort_unstable();
    let whole = ["access_token", "expires_in", "openid", "refresh_token", "scope", "unionid"];
    assert_eq!(names, whole, "{}", got.text);
    assert_eq!((&json["openid"], &json["scope"]), (&json!(FAN), &json!("snsapi_userinfo")));
    assert_eq!(scene.errcode(EXCHANGE, &query).await, 40163);

    let access = text(&got, "access_token");
    assert!(access.starts_with("lpw_"), "{access}");
    let profile = scene.get(PROFILE, &of_fan(&access)).await;
    assert_eq!((text(&profile, "openid"), text(&profile, "nickname")), (FAN.into(), "小林".into()));
    assert_eq!(profile.json().get("errcode"), None, "a success carries none");
    let checked = scene.get(CHECK, &of_fan(&access)).await;
    assert_eq!(checked.json(), json!({ "errcode": 0, "errmsg": "ok" }));
    for call in scene.house.wechat.calls() {
        assert!(!format!("{call:?}").contains("lpw_"), "no virtual token reaches WeChat");
    }

    // WeChat's own token dies, and nobody notices.
    scene.house.wechat.kill_web_token(FAN);
    assert_eq!(scene.get(PROFILE, &of_fan(&access)).await.json()["openid"], FAN);
    scene.advance(7201);
    assert_eq!(scene.errcode(PROFILE, &of_fan(&access)).await, 42001);
    let refreshed = scene.refresh(&text(&got, "refresh_token")).await;
    let access = text(&refreshed, "access_token");
    assert_eq!(scene.get(PROFILE, &of_fan(&access)).await.json()["openid"], FAN);
}

#[tokio::test]
async fn what_wechat_refuses_keeps_its_number_and_says_whose_it_is() {
    let scene = Scene::open().await;
    let wechat = &scene.house.wechat;
    let fault = wechat.set_fault(Fault::errcode(EXCHANGE, 40029));
    let first = code(&scene.house).await;
    let told = scene.get(EXCHANGE, &exchange_query(&scene.house.key, &first)).await;
    assert_eq!(refused(&told), 40029);
    assert!(
        text(&told, "errmsg").starts_with("lingpai: WeChat refused with 40029"),
        "{}",
        told.text
    );
    wechat.clear_fault(fault);

    let second = code(&scene.house).await;
    let got = scene.get(EXCHANGE, &exchange_query(&scene.house.key, &second)).await;
    let access = text(&got, "access_token");
    for (path, errcode) in [(PROFILE, 48001), (CHECK, 40003), (PROFILE, 45011)] {
        let fault = wechat.set_fault(Fault::errcode(path, errcode));
        let told = scene.get(path, &of_fan(&access)).await;
        assert_eq!(refused(&told), errcode, "{path}");
        assert!(text(&told, "errmsg").contains("WeChat refused with"), "{}", told.text);
        wechat.clear_fault(fault);
    }
}

#[tokio::test]
async fn a_stand_in_for_a_fan_is_told_as_wechat_tells_it() {
    let scene = Scene::open().await;
    scene.house.wechat.change_switches(|switches| switches.snapshot_users = true);
    let code = code(&scene.house).await;
    let got = scene.get(EXCHANGE, &exchange_query(&scene.house.key, &code)).await;
    assert_eq!(got.json()["is_snapshotuser"], 1, "{}", got.text);
}
