//! Web OAuth (网页授权): a fan's way from a tenant's page by WeChat's to the tenant again, and what the
//! tenant learns.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::Fault;
use lingpai_tests::{
    fans::FAN,
    people::{Answer, Program},
    receiver::{Manner, Receiver},
    shop::Shop,
    visitor::{Choice, Visitor, led_to, parameter},
    world::{SHOP, World},
};
use reqwest::{
    StatusCode,
    header::{COOKIE, LOCATION},
};
use serde_json::{Value, json};
use url::Url;

/// What a fan is asked for.
const BASE: &str = "snsapi_base";
const USER_INFO: &str = "snsapi_userinfo";

/// The tenant's own state: nothing that is ours.
const STATE: &str = "abcXYZ0189";

/// Where WeChat takes codes of accounts that granted to a component.
const EXCHANGE: &str = "/sns/oauth2/component/access_token";

/// A tenant with an account and a page that fans may come back to.
struct Scene {
    world: World,
    tenant: Program,
    shop: Shop,
}

impl Scene {
    /// The account has granted rights to the component.
    async fn open() -> Result<Self> {
        let (world, tenant) = World::with_authorizer().await?;
        Self::at(world, tenant).await
    }

    /// The account is connected by its own secret.
    async fn by_secret() -> Result<Self> {
        let world = World::start().await?;
        let (_, tenant) = world.operator.create_tenant("花店").await?;
        world.connect_by_secret(&tenant, SHOP).await?;
        Self::at(world, tenant).await
    }

    async fn at(world: World, tenant: Program) -> Result<Self> {
        let places = (world.base.clone(), world.base.clone());
        let shop = Shop::new(tenant.clone(), places, SHOP, "https://shop.example");
        shop.register().await?;
        Ok(Self { world, tenant, shop })
    }

    /// From the tenant's page to WeChat's answer: the address of ours that WeChat sends the fan to.
    async fn to_wechat(&self, fan: &mut Visitor, scope: &str, choice: Choice) -> Result<Url> {
        fan.decide(&self.shop.way_in(scope, STATE), choice).await
    }

    /// The whole way: where the fan is led to at the tenant.
    async fn back(&self, fan: &mut Visitor, scope: &str, choice: Choice) -> Result<Url> {
        fan.sign_in(&self.shop.way_in(scope, STATE), choice).await
    }

    /// A fan who has consented: the one-time code that he brings.
    async fn code(&self, scope: &str) -> Result<String> {
        let code = self.shop.code_of(&mut Visitor::default(), scope, Choice::Allow).await?;
        code.context("the fan brings a code")
    }

    async fn exchange(&self, code: &str) -> Result<Answer> {
        exchange(&self.tenant, code).await
    }

    /// A call of an SDK's: WeChat's path below the gateway.
    async fn sns(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = self.world.base.join(&format!("gateway/sns/{path}"))?;
        let answer = self.tenant.http().get(url).query(query).send().await?;
        Ok(Answer::read(answer).await?.expect(StatusCode::OK)?.json)
    }

    async fn sns_exchange(&self, code: &str) -> Result<Value> {
        let query = [
            ("appid", SHOP),
            ("secret", self.tenant.key()),
            ("code", code),
            ("grant_type", "authorization_code"),
        ];
        self.sns("oauth2/access_token", &query).await
    }

    /// The virtual token that an SDK gets for a fan who has consented.
    async fn web_token(&self) -> Result<String> {
        let got = self.sns_exchange(&self.code(BASE).await?).await?;
        let token = got["access_token"].as_str();
        Ok(token.with_context(|| format!("no token in {got}"))?.to_owned())
    }

    /// The errcode of the call by which an SDK asks whether a fan's token is good.
    async fn check(&self, access: &str) -> Result<i64> {
        let told = self.sns("auth", &[("access_token", access), ("openid", FAN)]).await?;
        told["errcode"].as_i64().with_context(|| format!("no errcode in {told}"))
    }

    fn exchanges(&self) -> usize {
        self.world.emulator.calls_to(EXCHANGE).len()
    }
}

async fn exchange(tenant: &Program, code: &str) -> Result<Answer> {
    tenant.post("/v1/oauth/exchange", &json!({ "code": code })).await
}

fn notice(answer: &Answer) -> Option<&str> {
    answer.text.split("data-notice=\"").nth(1)?.split('"').next()
}

#[tokio::test]
async fn a_fan_consents_and_the_tenant_learns_who_he_is() -> Result<()> {
    for scene in [Scene::open().await?, Scene::by_secret().await?] {
        let mut fan = Visitor::default();
        let back = scene.back(&mut fan, USER_INFO, Choice::Allow).await?;
        assert!(back.as_str().starts_with("https://shop.example/back?code=lpc_"), "{back}");
        assert_eq!(parameter(&back, "state").as_deref(), Some(STATE));
        let code = parameter(&back, "code").context("a code")?;
        let told = scene.exchange(&code).await?.expect(StatusCode::OK)?;
        assert_eq!(told.field("authorizer_appid")?, SHOP);
        assert_eq!(told.field("openid")?, FAN);
        assert_eq!(told.field("scope")?, USER_INFO);
        assert_eq!(told.field("profile.nickname")?, "小林");
        for secret in ["CANARY", "access_token", "refresh_token"] {
            assert!(!told.text.contains(secret), "{secret}");
        }
        scene.world.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_silent_way_tells_the_openid_and_nothing_else() -> Result<()> {
    let scene = Scene::open().await?;
    let code = scene.code(BASE).await?;
    let told = scene.exchange(&code).await?.expect(StatusCode::OK)?;
    assert_eq!((told.field("openid")?, told.field("scope")?), (FAN.to_owned(), BASE.to_owned()));
    assert_eq!(told.json.get("profile"), None);
    scene.world.end().await
}

#[tokio::test]
async fn wechat_gets_its_parameters_in_its_order_and_a_state_of_ours() -> Result<()> {
    let scene = Scene::open().await?;
    let answer = Visitor::default().open(&scene.shop.way_in(USER_INFO, STATE)).await?;
    let out = led_to(&answer)?;
    let names: Vec<String> = out.query_pairs().map(|(name, _)| name.into_owned()).collect();
    let order = ["appid", "redirect_uri", "response_type", "scope", "state", "component_appid"];
    assert_eq!(names, order);
    assert_eq!(out.fragment(), Some("wechat_redirect"));
    let ours = parameter(&out, "state").context("a state")?;
    assert!(ours != STATE && ours.len() <= 128, "{ours}");
    assert!(ours.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{ours}");
    let redirect = parameter(&out, "redirect_uri");
    assert_eq!(redirect, Some(format!("{}oauth2/return", scene.world.base)));
    scene.world.end().await?;

    let scene = Scene::by_secret().await?;
    let out = led_to(&Visitor::default().open(&scene.shop.way_in(BASE, STATE)).await?)?;
    assert_eq!(parameter(&out, "component_appid"), None, "an account of its own");
    scene.world.end().await
}

#[tokio::test]
async fn a_refusal_reaches_the_tenant_as_one() -> Result<()> {
    let scene = Scene::open().await?;
    let back = scene.back(&mut Visitor::default(), USER_INFO, Choice::Refuse).await?;
    assert_eq!(back.as_str(), format!("https://shop.example/back?state={STATE}"));
    scene.world.end().await
}

#[tokio::test]
async fn a_code_is_good_once() -> Result<()> {
    let scene = Scene::open().await?;
    let code = scene.code(BASE).await?;
    scene.exchange(&code).await?.expect(StatusCode::OK)?;
    let again = scene.exchange(&code).await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(again.field("code")?, "one_time_code_used");
    assert_eq!(scene.sns_exchange(&code).await?["errcode"], 40163);
    assert_eq!(scene.exchanges(), 1, "WeChat was asked once");
    scene.world.end().await
}

#[tokio::test]
async fn of_many_exchanges_at_once_one_goes_well() -> Result<()> {
    let scene = Scene::open().await?;
    let code = scene.code(BASE).await?;
    let all = (0..20).map(|_| scene.exchange(&code));
    let all: Vec<StatusCode> =
        futures_util::future::try_join_all(all).await?.iter().map(|one| one.status).collect();
    assert_eq!(all.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|status| **status == StatusCode::CONFLICT).count(), 19, "{all:?}");
    assert_eq!(scene.exchanges(), 1);
    scene.world.end().await
}

#[tokio::test]
async fn a_code_lives_a_minute() -> Result<()> {
    let scene = Scene::open().await?;
    let code = scene.code(BASE).await?;
    scene.world.advance(Duration::seconds(61));
    let late = scene.exchange(&code).await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(late.field("code")?, "one_time_code_expired");
    assert_eq!(scene.sns_exchange(&code).await?["errcode"], 42003);
    assert_eq!(scene.exchanges(), 0, "nothing was spent at WeChat");
    scene.world.end().await
}

#[tokio::test]
async fn another_tenants_code_is_an_unknown_one_and_stays_good() -> Result<()> {
    let scene = Scene::open().await?;
    let (_, other) = scene.world.operator.create_tenant("书店").await?;
    let code = scene.code(BASE).await?;
    let foreign = exchange(&other, &code).await?.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
    let absent = exchange(&other, "lpc_nothing").await?.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
    assert_eq!(foreign.field("code")?, "one_time_code_unknown");
    assert_eq!(foreign.field("detail")?, absent.field("detail")?);
    // Nor does it belong to another account.
    let query = [
        ("appid", "wx0000000000000000"),
        ("secret", scene.tenant.key()),
        ("code", code.as_str()),
        ("grant_type", "authorization_code"),
    ];
    assert_eq!(scene.sns("oauth2/access_token", &query).await?["errcode"], 40029);
    scene.exchange(&code).await?.expect(StatusCode::OK)?;
    scene.world.end().await
}

#[tokio::test]
async fn a_return_in_another_browser_is_refused_and_spoils_nothing() -> Result<()> {
    let scene = Scene::open().await?;
    let mut fan = Visitor::default();
    let back = scene.to_wechat(&mut fan, USER_INFO, Choice::Allow).await?;
    let led_there = Visitor::default().open(&back).await?;
    assert_eq!(led_there.headers.get(LOCATION), None);
    assert_eq!(notice(&led_there), Some("other_browser"), "{}", led_there.text);
    let home = led_to(&fan.open(&back).await?)?;
    assert!(parameter(&home, "code").is_some(), "{home}");
    scene.world.end().await
}

#[tokio::test]
async fn the_same_return_twice_gives_the_same_code_and_another_none() -> Result<()> {
    let scene = Scene::open().await?;
    let mut fan = Visitor::default();
    let back = scene.to_wechat(&mut fan, BASE, Choice::Allow).await?;
    let first = led_to(&fan.open(&back).await?)?;
    assert_eq!(led_to(&fan.open(&back).await?)?, first, "WeChat's browser opens some pages twice");
    scene.world.advance(Duration::seconds(61));
    assert_eq!(notice(&fan.open(&back).await?), Some("ended"), "a minute later it is over");

    let back = scene.to_wechat(&mut fan, BASE, Choice::Allow).await?;
    led_to(&fan.open(&back).await?)?;
    let state = parameter(&back, "state").context("a state")?;
    for (code, state) in [("other", state.as_str()), ("x", &"0".repeat(64))] {
        let mut forged = back.clone();
        forged.query_pairs_mut().clear().append_pair("code", code).append_pair("state", state);
        assert_eq!(notice(&fan.open(&forged).await?), Some("ended"), "{code}");
    }
    scene.world.end().await
}

#[tokio::test]
async fn an_attempt_ends_after_a_quarter_of_an_hour() -> Result<()> {
    let scene = Scene::open().await?;
    let mut fan = Visitor::default();
    let back = scene.to_wechat(&mut fan, BASE, Choice::Allow).await?;
    scene.world.advance(Duration::minutes(16));
    assert_eq!(notice(&fan.open(&back).await?), Some("ended"));
    scene.world.end().await
}

#[tokio::test]
async fn the_sweep_forgets_attempts_that_ended_long_ago() -> Result<()> {
    let scene = Scene::open().await?;
    let code = scene.code(BASE).await?;
    scene.exchange(&code).await?.expect(StatusCode::OK)?;
    scene.world.advance(Duration::hours(2));
    assert_eq!(scene.exchange(&code).await?.field("code")?, "one_time_code_used");
    scene.world.sweep().await?;
    assert_eq!(scene.exchange(&code).await?.field("code")?, "one_time_code_unknown");
    scene.world.end().await
}

#[tokio::test]
async fn an_address_or_an_account_that_goes_meanwhile_ends_the_way() -> Result<()> {
    let scene = Scene::open().await?;
    let mut fan = Visitor::default();
    let back = scene.to_wechat(&mut fan, BASE, Choice::Allow).await?;
    let path = format!("/v1/redirect-uris?uri={}", scene.shop.back());
    scene.tenant.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    let refused = fan.open(&back).await?;
    assert_eq!((refused.headers.get(LOCATION), notice(&refused)), (None, Some("unknown_link")));
    scene.world.end().await?;

    let scene = Scene::open().await?;
    let code = scene.code(BASE).await?;
    let mut fan = Visitor::default();
    let back = scene.to_wechat(&mut fan, BASE, Choice::Allow).await?;
    let path = format!("/v1/authorizers/{SHOP}");
    scene.tenant.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    let refused = fan.open(&back).await?;
    assert_eq!((refused.headers.get(LOCATION), notice(&refused)), (None, Some("unknown_link")));
    let late = scene.exchange(&code).await?;
    assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", late.text);
    assert_eq!(scene.exchanges(), 0);
    scene.world.end().await
}

#[tokio::test]
async fn an_sdk_gets_virtual_tokens_and_uses_them() -> Result<()> {
    let scene = Scene::open().await?;
    let code = scene.code(USER_INFO).await?;
    let got = scene.sns_exchange(&code).await?;
    let [access, refresh] = ["access_token", "refresh_token"]
        .map(|name| got[name].as_str().unwrap_or_default().to_owned());
    assert!(access.starts_with("lpw_") && refresh.starts_with("lpr_"), "{got}");
    assert_eq!((&got["openid"], &got["scope"]), (&json!(FAN), &json!(USER_INFO)));
    assert_eq!(got["expires_in"], 7200);

    let me = [("access_token", access.as_str()), ("openid", FAN), ("lang", "zh_CN")];
    let told = scene.sns("userinfo", &me).await?;
    assert_eq!((&told["nickname"], &told["openid"]), (&json!("小林"), &json!(FAN)));
    assert_eq!(told.get("subscribe"), None, "that is the account's to tell");
    assert_eq!(scene.sns("auth", &me).await?["errcode"], 0);
    let other = [("access_token", access.as_str()), ("openid", "oSomebodyElse")];
    assert_eq!(scene.sns("auth", &other).await?["errcode"], 40003);
    assert_eq!(scene.sns("userinfo", &other).await?["errcode"], 40003);

    // Two hours later the SDK refreshes, and so do we, when the first call needs it.
    scene.world.advance(Duration::hours(3));
    scene.world.push_ticket().await?;
    assert_eq!(scene.sns("userinfo", &me).await?["errcode"], 42001);
    let query =
        [("appid", SHOP), ("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let newer = scene.sns("oauth2/refresh_token", &query).await?;
    let access = newer["access_token"].as_str().context("a token")?;
    let me = [("access_token", access), ("openid", FAN)];
    assert_eq!(scene.sns("userinfo", &me).await?["nickname"], "小林");

    // What is good in one place is nothing in another.
    for (path, query, errcode) in [
        ("userinfo", [("access_token", refresh.as_str()), ("openid", FAN)], 40001),
        (
            "oauth2/refresh_token",
            [("refresh_token", access), ("grant_type", "refresh_token")],
            41002,
        ),
    ] {
        assert_eq!(scene.sns(path, &query).await?["errcode"], errcode, "{path}");
    }
    let sdk = scene.world.sdk(SHOP, &scene.tenant);
    assert_eq!(sdk.get("/cgi-bin/user/get", access).await?.json["errcode"], 40001);
    let ordinary = sdk.token().await?;
    let me = [("access_token", ordinary.as_str()), ("openid", FAN)];
    assert_eq!(scene.sns("userinfo", &me).await?["errcode"], 40001);
    scene.world.end().await
}

#[tokio::test]
async fn what_a_fan_granted_ends_with_his_withdrawal() -> Result<()> {
    let scene = Scene::open().await?;
    let access = scene.web_token().await?;
    assert_eq!(scene.check(&access).await?, 0);
    let revoked = format!(
        "<OpenID><![CDATA[{FAN}]]></OpenID><AppID><![CDATA[{SHOP}]]></AppID>\
         <RevokeInfo><![CDATA[1]]></RevokeInfo>"
    );
    assert!(scene.world.does(SHOP, "user_authorization_revoke", &revoked).await?.is_success());
    assert_eq!(scene.check(&access).await?, 40003, "nothing is kept of him");
    scene.world.end().await
}

#[tokio::test]
async fn what_a_fan_granted_ends_with_the_account() -> Result<()> {
    let scene = Scene::open().await?;
    let access = scene.web_token().await?;
    assert_eq!(scene.check(&access).await?, 0);
    let path = format!("/v1/authorizers/{SHOP}");
    scene.tenant.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!(scene.check(&access).await?, 40003, "the account is another's business now");
    scene.world.end().await
}

#[tokio::test]
async fn a_virtual_web_token_ends_with_the_key_it_was_got_with() -> Result<()> {
    let mut scene = Scene::open().await?;
    let id = scene.tenant.get("/v1/key").await?.field("tenant.id")?;
    let operator = scene.world.operator.clone();
    let (key, program) = operator.create_key(&id, &json!({ "name": "of the SDK" })).await?;
    let kept = scene.web_token().await?;
    scene.tenant = program;
    let access = scene.web_token().await?;
    assert_eq!(scene.check(&access).await?, 0);
    let path = format!("/admin/v1/tenants/{id}/api-keys/{key}");
    operator.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!(scene.check(&access).await?, 40001);
    assert_eq!(scene.check(&kept).await?, 0, "the other key's is as good as before");
    scene.world.end().await
}

#[tokio::test]
async fn wechats_refusal_of_its_code_comes_in_its_shape() -> Result<()> {
    for (errcode, cause) in [(40029, "invalid"), (40163, "used"), (42003, "expired")] {
        let scene = Scene::open().await?;
        let code = scene.code(BASE).await?;
        scene.world.emulator.set_fault(Fault::errcode(EXCHANGE, errcode));
        let told = scene.sns_exchange(&code).await?;
        assert_eq!(told["errcode"], errcode, "{cause}");
        let errmsg = told["errmsg"].as_str().unwrap_or_default();
        assert!(errmsg.starts_with("lingpai: "), "{errmsg}");
        // WeChat's code is gone with it, and so is ours.
        assert_eq!(scene.sns_exchange(&code).await?["errcode"], 40163);
        scene.world.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_address_of_the_shop_lets_nobody_else_in() -> Result<()> {
    let Scene { world, tenant, shop } = Scene::open().await?;
    let pages = Receiver::start(Manner::well()).await?;
    let origin = format!("http://{}", pages.address());
    let shop = Shop::new(tenant.clone(), (shop.lingpai, shop.script), SHOP, &origin);
    shop.register().await?;
    pages.answer(Manner::Shop(Arc::new(shop)));
    let mut fan = Visitor::default();
    let consent = fan.go(&format!("{origin}/enter?scope={USER_INFO}").parse()?).await?;
    let welcome = fan.choose(&consent, Choice::Allow).await?;
    assert!(welcome.answer.text.contains("小林"), "{}", welcome.answer.text);

    let back = fan.visited().iter().find(|url| url.path() == "/back").context("a way back")?;
    let led_there = Visitor::default().open(back).await?.expect(StatusCode::FORBIDDEN)?;
    assert!(led_there.text.contains("data-refused=state"), "{}", led_there.text);
    let state = parameter(back, "state").context("a state")?;
    let home = tenant.http().get(&origin).header(COOKIE, format!("session={state}")).send().await?;
    let home = Answer::read(home).await?.expect(StatusCode::OK)?;
    assert!(home.text.contains("id=enter"), "a stranger: {}", home.text);
    world.end().await
}

#[tokio::test]
async fn no_address_on_the_way_holds_a_token_an_openid_or_a_secret() -> Result<()> {
    let scene = Scene::open().await?;
    let mut fan = Visitor::default();
    let home = scene.back(&mut fan, USER_INFO, Choice::Allow).await?;
    scene.exchange(&parameter(&home, "code").context("a code")?).await?.expect(StatusCode::OK)?;
    let component = &scene.world.component;
    for url in fan.visited().iter().chain([&home]) {
        let secrets =
            [FAN, "lpk_", "lpw_", "lpr_", "lpv_", "access_token", component.appsecret.as_str()];
        for secret in secrets {
            assert!(!url.as_str().contains(secret), "{secret} in {url}");
        }
    }
    scene.world.end().await
}
