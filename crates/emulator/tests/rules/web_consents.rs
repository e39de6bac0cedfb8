//! The page of web authorization: who may open it, what it asks, and where it leads back.

use lingpai_emulator::{ConsentOutcome, EmulatorConfig, FanChoice};
use reqwest::header;
use serde_json::{Value, json};

use crate::world::{COMPONENT, PAGE, SHOP, World};

const FIRST: &str = "oLingPai000000000000000fan01";
const SECOND: &str = "oLingPai000000000000000fan02";
const FLOWERS: &str = "wxc2d3e4f506172839";
const WECHAT: &str = "Mozilla/5.0 MicroMessenger/8.0.50";

/// What WeChat's page says to a client, and where it leads.
struct Page {
    status: u16,
    location: String,
    cookies: Vec<String>,
    text: String,
}

async fn open(world: &World, href: &str, headers: &[(header::HeaderName, &str)]) -> Page {
    sent(
        headers
            .iter()
            .fold(world.http.get(href), |request, (name, value)| request.header(name, *value)),
    )
    .await
}

async fn decide(world: &World, href: &str, agent: &str, form: &str) -> Page {
    let request = world.http.post(href).header(header::USER_AGENT, agent);
    let form_type = "application/x-www-form-urlencoded";
    sent(request.header(header::CONTENT_TYPE, form_type).body(form.to_owned())).await
}

async fn sent(request: reqwest::RequestBuilder) -> Page {
    let response = request.send().await.expect("the emulator answers");
    let all = |name| response.headers().get_all(name).iter();
    let text = |value: &header::HeaderValue| value.to_str().expect("a text").to_owned();
    Page {
        status: response.status().as_u16(),
        location: all(header::LOCATION).map(text).collect(),
        cookies: all(header::SET_COOKIE).map(text).collect(),
        text: response.text().await.expect("a page is text"),
    }
}

fn allow(openid: Option<&str>) -> FanChoice {
    FanChoice::Allow { openid: openid.map(str::to_owned) }
}

#[tokio::test]
async fn the_page_opens_in_the_wechat_client_only() {
    let world = World::start().await.unwrap();
    let link = world.web_link("snsapi_base", "");
    let page = open(&world, &link, &[(header::ACCEPT_LANGUAGE, "zh-CN")]).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains(r#"data-error="not_wechat""#), "{}", page.text);
    assert!(page.text.contains("请在微信客户端打开链接"));
    assert_eq!(decide(&world, &link, "Mozilla/5.0", "choice=allow").await.status, 200);
    assert!(world.wechat.web_consents().is_empty());

    let passed = decide(&world, &link, "Mozilla/5.0", "choice=wechat").await;
    assert_eq!(passed.status, 303);
    assert_eq!(world.url(&passed.location), link);
    let cookie = passed.cookies[0].split(';').next().unwrap();
    assert_eq!(cookie, "emulator_wechat=1");
    assert_eq!(open(&world, &link, &[(header::COOKIE, cookie)]).await.status, 302);
    assert_eq!(open(&world, &link, &[(header::USER_AGENT, WECHAT)]).await.status, 302);
}

#[tokio::test]
async fn snsapi_base_leads_back_at_once_with_code_and_state() {
    let world = World::start().await.unwrap();
    let link = world.web_link("snsapi_base", "");
    let back = world.wechat.web_consent(&link, allow(None)).await.unwrap();
    assert!(back.starts_with(&format!("{PAGE}&code=011CANARYweb")), "{back}");
    assert!(back.ends_with("&state=s1"), "{back}");
    let refused = world.wechat.web_consent(&link, FanChoice::Refuse).await.unwrap_err();
    assert!(refused.to_string().contains("nothing was asked"), "{refused}");
    let consent = &world.wechat.web_consents()[0];
    assert_eq!((consent.outcome, consent.openid.as_str()), (ConsentOutcome::Silent, FIRST));
    world.wechat.web_consent(&link, allow(Some(SECOND))).await.unwrap();
    assert_eq!(world.wechat.web_consents().pop().unwrap().openid, SECOND);
}

#[tokio::test]
async fn a_link_through_the_component_needs_the_grant_and_tells_the_appid() {
    let world = World::start().await.unwrap();
    let link = world.web_link("snsapi_base", &format!("&component_appid={COMPONENT}"));
    let refused = world.wechat.web_consent(&link, allow(None)).await.unwrap_err();
    assert!(refused.to_string().contains("not_authorized"), "{refused}");
    world.wechat.grant(SHOP, &[1, 2]).unwrap();
    assert!(world.wechat.web_consent(&link, allow(None)).await.is_err(), "set 4 is missing");
    world.wechat.grant(SHOP, &[4]).unwrap();
    let back = world.wechat.web_consent(&link, allow(None)).await.unwrap();
    assert!(back.ends_with(&format!("&state=s1&appid={SHOP}")), "{back}");
}

#[tokio::test]
async fn snsapi_userinfo_asks_and_a_refusal_leads_back_without_a_code() {
    let world = World::start().await.unwrap();
    let link = world.web_link("snsapi_userinfo", "&forcePopup=true");
    let page = open(&world, &link, &[(header::USER_AGENT, WECHAT)]).await;
    assert_eq!(page.status, 200);
    for part in ["令牌小店", "小林", "Ada 🌸", FIRST, SECOND, r#"value="refuse""#] {
        assert!(page.text.contains(part), "{part}");
    }
    let back = world.wechat.web_consent(&link, FanChoice::Refuse).await.unwrap();
    assert_eq!(back, format!("{PAGE}&state=s1"));
    let back = world.wechat.web_consent(&link, allow(Some(SECOND))).await.unwrap();
    assert!(back.contains("&code=011CANARYweb"), "{back}");
    let told: Vec<(ConsentOutcome, String)> =
        world.wechat.web_consents().into_iter().map(|one| (one.outcome, one.openid)).collect();
    assert_eq!(decide(&world, &link, WECHAT, "choice=else").await.status, 400);
    let hostile = decide(&world, &link, WECHAT, "choice=allow&openid=a%0Ab%3Bc").await;
    assert_eq!((hostile.status, hostile.cookies[0].contains(FIRST)), (302, true));
    let expected = [(ConsentOutcome::Refused, FIRST), (ConsentOutcome::Allowed, SECOND)];
    assert_eq!(told, expected.map(|(outcome, openid)| (outcome, openid.to_owned())));
}

#[tokio::test]
async fn who_allowed_is_remembered_for_the_next_link_of_this_account() {
    let world = World::start().await.unwrap();
    let asking = world.web_link("snsapi_userinfo", "");
    let form = format!("choice=allow&openid={SECOND}");
    let page = decide(&world, &asking, WECHAT, &form).await;
    let cookie = page.cookies[0].split(';').next().unwrap().to_owned();
    assert_eq!(cookie, format!("emulator_fan={SECOND}"));
    let headers = [(header::USER_AGENT, WECHAT), (header::COOKIE, cookie.as_str())];
    let silent = world.web_link("snsapi_base", "");
    open(&world, &silent, &headers).await;
    open(&world, &silent.replace(SHOP, FLOWERS), &headers).await;
    let consents = world.wechat.web_consents();
    assert_eq!((consents[1].appid.as_str(), consents[1].openid.as_str()), (SHOP, SECOND));
    assert_eq!(consents[2].appid, FLOWERS);
    assert_ne!(consents[2].openid, SECOND, "a fan has another openid at each account");
}

#[tokio::test]
async fn links_out_of_order_and_hosts_that_are_not_configured_are_error_pages() {
    let mut config = EmulatorConfig::for_tests();
    config.accounts[0].web_host = Some("pages.example".to_owned());
    config.component.page_host = Some("lingpai.example".to_owned());
    let world = World::start_with(config).await.unwrap();
    world.wechat.grant(SHOP, &[4]).unwrap();
    let good = world.web_link("snsapi_base", "");
    assert!(world.wechat.web_consent(&good, allow(None)).await.is_ok());
    let through = world.web_link("snsapi_base", &format!("&component_appid={COMPONENT}"));
    let appid = format!("appid={SHOP}&");
    let last = good.replace(&appid, "").replace("#", &format!("&appid={SHOP}#"));
    for (link, error) in [
        (through.clone(), "host"),
        (good.replace("pages.example", "pages.example.evil"), "host"),
        (last, "parameters"),
        (good.replace("&state", "&more=1&state"), "parameters"),
        (good.replace("=s1", "=s%201"), "state"),
        (good.replace("snsapi_base", "snsapi_login"), "scope"),
        (good.replace(SHOP, "wx0"), "account"),
    ] {
        let page = open(&world, &link, &[(header::USER_AGENT, WECHAT)]).await;
        assert_eq!((page.status, page.location.as_str()), (200, ""), "{link}");
        assert!(page.text.contains(&format!(r#"data-error="{error}""#)), "{link}: {}", page.text);
        let refused = world.wechat.web_consent(&link, allow(None)).await.unwrap_err();
        assert!(refused.to_string().contains(error), "{link}: {refused}");
    }
    let page = open(&world, &through, &[(header::USER_AGENT, WECHAT)]).await;
    assert!(page.text.contains("10003"));
    let bare = good.replace("#wechat_redirect", "");
    assert!(world.wechat.web_consent(&bare, allow(None)).await.is_err());
}

#[tokio::test]
async fn control_decides_and_its_page_shows_what_was_decided() {
    let world = World::start().await.unwrap();
    let link = world.web_link("snsapi_userinfo", "");
    let control = "/control/api/web-consents";
    let allowed = json!({ "href": link, "openid": SECOND });
    let answer = world.post(control, &allowed).await.unwrap();
    assert!(answer["location"].as_str().unwrap().contains("code="));
    let answer = world.post(control, &json!({ "href": link, "refuse": true })).await.unwrap();
    assert_eq!(answer["location"], format!("{PAGE}&state=s1"));
    let consents = world.get("/_emulator/web-consents").await.unwrap();
    let consent = |outcome: &str, openid: &str, at: usize| {
        json!({
            "at_ms": consents[at]["at_ms"],
            "appid": SHOP,
            "component_appid": Value::Null,
            "openid": openid,
            "scope": "snsapi_userinfo",
            "outcome": outcome,
            "host": "pages.example",
        })
    };
    assert_eq!(consents, json!([consent("allowed", SECOND, 0), consent("refused", FIRST, 1)]));
    let page = world.http.get(world.url("/control/?lang=en")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("refused") && page.contains(SECOND) && page.contains("pages.example"));
}
