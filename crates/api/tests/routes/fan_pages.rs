//! Fans' browsers on their way from a tenant's page to WeChat's and back.

use chrono::Duration;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use poem::http::Request;
use serde_json::json;

use crate::{
    client::Client,
    house::{Answer, House, SHOP},
};

const BACK: &str = "https://shop.example/back?x=1";

/// [`BACK`], as it stands in a query.
const BACK_ENCODED: &str = "https%3A%2F%2Fshop.example%2Fback%3Fx%3D1";

async fn house() -> House {
    let house = House::start().await;
    house.connect_shop().await;
    let registered = json!({ "uri": BACK });
    Client::tenant(&house).post("/redirect-uris", &registered).await.expected(201);
    house
}

fn query(appid: &str, redirect_uri: &str) -> String {
    format!(
        "appid={appid}&redirect_uri={redirect_uri}&response_type=code&scope=snsapi_base\
         &state=%E4%BB%A4+%26"
    )
}

fn link(appid: &str, redirect_uri: &str) -> String {
    format!("/gateway/connect/oauth2/authorize?{}", query(appid, redirect_uri))
}

/// What an honest fan's browser knows once it was sent out.
struct Away {
    cookie: String,
    state: String,
}

impl Away {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 302, "{}", answer.text);
        let set = answer.header("set-cookie").expect("the browser is remembered");
        let location = answer.header("location").expect("it goes on");
        let state = location.split("&state=").nth(1).expect("a state");
        let state = state.split(['&', '#']).next().expect("its text");
        let cookie = set.split(';').next().expect("name and value");
        Self { cookie: cookie.to_owned(), state: state.to_owned() }
    }

    async fn start(house: &House) -> Self {
        Self::of(&house.get(&link(SHOP, BACK_ENCODED), None).await)
    }

    fn home(&self, code: Option<&str>) -> String {
        let code = code.map(|code| format!("code={code}&")).unwrap_or_default();
        format!("/oauth2/return?{code}state={}", self.state)
    }
}

async fn send(house: &House, method: &str, uri: &str, cookie: &str) -> Answer {
    let request = Request::builder().method(method).uri(uri).header("cookie", cookie);
    house.send(request.header("accept-language", "en"), "").await
}

#[track_caller]
fn assert_notice(answer: &Answer, status: u16, notice: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.text.contains(&format!("data-notice=\"{notice}\"")), "{}", answer.text);
    assert_eq!(answer.header("location"), None, "{notice} leads nowhere");
}

#[tokio::test]
async fn a_fan_goes_to_wechat_and_comes_back_to_the_tenants_page() {
    let house = house().await;
    let answer = house.get(&link(SHOP, BACK_ENCODED), None).await;
    let away = Away::of(&answer);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-lingpai-fan-"), "{set}");
    assert!(set.ends_with("; Max-Age=900; Path=/; Secure; HttpOnly; SameSite=Lax"), "{set}");
    let wechat = answer.header("location").unwrap();
    let begins = format!(
        "https://lingpai.example/connect/oauth2/authorize?appid={SHOP}&redirect_uri=https%3A%2F%2F\
         lingpai.example%2Foauth2%2Freturn&response_type=code&scope=snsapi_base&state="
    );
    assert!(wechat.starts_with(&begins) && wechat.ends_with("#wechat_redirect"), "{wechat}");
    let home = send(&house, "GET", &away.home(Some("0a1b")), &away.cookie).await;
    assert_eq!(home.status, 302, "{}", home.text);
    let onward = home.header("location").unwrap();
    assert!(onward.starts_with("https://shop.example/back?x=1&code=lpc_"), "{onward}");
    assert!(onward.ends_with("&state=%E4%BB%A4+%26") || onward.ends_with("&state=%E4%BB%A4%20%26"));
    assert!(!onward.contains("0a1b"), "WeChat's code stays here: {onward}");
    for answer in [&answer, &home] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    let set = home.header("set-cookie").expect("a return is taken again for a minute");
    assert!(set.starts_with(&away.cookie) && set.contains("; Max-Age=60; "), "{set}");
    let again = send(&house, "GET", &away.home(Some("0a1b")), &away.cookie).await;
    assert_eq!(
        again.header("location"),
        Some(onward),
        "a browser that asks twice is told the same"
    );
}

#[tokio::test]
async fn a_fan_who_declines_comes_back_without_a_code() {
    let house = house().await;
    let away = Away::start(&house).await;
    let home = send(&house, "GET", &away.home(None), &away.cookie).await;
    let onward = home.header("location").unwrap_or_else(|| panic!("{}", home.text));
    assert!(onward.starts_with("https://shop.example/back?x=1&state="), "{onward}");
    let late_consent = send(&house, "GET", &away.home(Some("0a1b")), &away.cookie).await;
    assert_notice(&late_consent, 400, "ended");
}

#[tokio::test]
async fn an_absent_account_a_foreign_address_and_an_unregistered_one_look_alike() {
    let house = house().await;
    let foreign = house.foreign_key().await;
    let theirs = json!({ "uri": "https://other.example/back" });
    Client::tenant(&house).with_key(&foreign).post("/redirect-uris", &theirs).await.expected(201);
    let mut pages = Vec::new();
    for uri in [
        link("wx0000000000000000", BACK_ENCODED),
        link(SHOP, "https%3A%2F%2Fother.example%2Fback"),
        link(SHOP, "https%3A%2F%2Fevil.example%2Fback"),
        link(SHOP, "https%3A%2F%2Fshop.example%2Fback"),
        format!("{}&component_appid=wx0000000000000001", link(SHOP, BACK_ENCODED)),
    ] {
        let answer = send(&house, "GET", &uri, "").await;
        assert_notice(&answer, 400, "unknown_link");
        assert_eq!(answer.header("set-cookie"), None);
        let (_, after) = answer.text.split_once("<main").expect("a page");
        pages.push(after.to_owned());
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "{pages:?}");
}

#[tokio::test]
async fn a_bad_link_tells_its_developer_which_parameter_it_is() {
    let house = house().await;
    let bad = link(SHOP, BACK_ENCODED).replace("response_type=code", "response_type=token");
    let answer = send(&house, "GET", &bad, "").await;
    assert_notice(&answer, 400, "bad_link");
    assert!(answer.text.contains("response_type has to be code"), "{}", answer.text);
    let chinese = house.get(&bad, None).await;
    assert!(chinese.text.contains("<html lang=\"zh-CN\">"), "where nothing is preferred");
    let twice = format!("{}&redirect_uri={BACK_ENCODED}", link(SHOP, BACK_ENCODED));
    assert_notice(&send(&house, "GET", &twice, "").await, 400, "bad_link");
}

#[tokio::test]
async fn only_the_browser_that_set_out_comes_back_and_only_with_what_it_got() {
    let house = house().await;
    let (mine, theirs) = (Away::start(&house).await, Away::start(&house).await);
    let value = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    let swapped = format!("{}={}", mine.cookie.split_once('=').unwrap().0, value(&theirs.cookie));
    for cookie in ["", theirs.cookie.as_str(), swapped.as_str(), "lingpai-fan-0=x"] {
        let answer = send(&house, "GET", &mine.home(Some("0a1b")), cookie).await;
        assert_notice(&answer, 400, "other_browser");
    }
    let honest = send(&house, "GET", &mine.home(Some("0a1b")), &mine.cookie).await;
    assert_eq!(honest.status, 302, "what others tried has changed nothing: {}", honest.text);
    let other_code = send(&house, "GET", &mine.home(Some("0a1c")), &mine.cookie).await;
    assert_notice(&other_code, 400, "ended");
    assert!(other_code.header("set-cookie").unwrap().contains("=; Max-Age=0; "));
    for uri in ["/oauth2/return", "/oauth2/return?code=0a1b&state=x", "/oauth2/return?code=%00"] {
        assert_notice(&send(&house, "GET", uri, &mine.cookie).await, 400, "ended");
    }
    let unknown = format!("/oauth2/return?code=0a1b&state={}", "0".repeat(64));
    assert_notice(&send(&house, "GET", &unknown, &mine.cookie).await, 400, "ended");
}

#[tokio::test]
async fn who_comes_back_too_late_begins_again() {
    let house = house().await;
    let away = Away::start(&house).await;
    house.clock.advance(Duration::minutes(15));
    let late = send(&house, "GET", &away.home(Some("0a1b")), &away.cookie).await;
    assert_notice(&late, 400, "ended");
}

#[tokio::test]
async fn an_address_that_was_removed_meanwhile_is_not_led_to() {
    let house = house().await;
    let away = Away::start(&house).await;
    let uri = format!("/redirect-uris?uri={BACK_ENCODED}");
    Client::tenant(&house).delete(&uri).await.expected(204);
    let home = send(&house, "GET", &away.home(Some("0a1b")), &away.cookie).await;
    assert_notice(&home, 400, "unknown_link");
}

#[tokio::test]
async fn a_look_at_either_address_begins_and_ends_nothing() {
    let house = house().await;
    let begun = send(&house, "HEAD", &link(SHOP, BACK_ENCODED), "").await;
    assert_eq!((begun.status, begun.text.as_str()), (200, ""));
    assert_eq!((begun.header("set-cookie"), begun.header("location")), (None, None));
    let bad = send(&house, "HEAD", "/gateway/connect/oauth2/authorize?appid=wx1", "").await;
    assert_eq!((bad.status, bad.text.as_str()), (400, ""));
    let away = Away::start(&house).await;
    let looked = send(&house, "HEAD", &away.home(None), &away.cookie).await;
    assert_eq!((looked.status, looked.header("location")), (200, None));
    let home = send(&house, "GET", &away.home(Some("0a1b")), &away.cookie).await;
    assert_eq!(home.status, 302, "{}", home.text);
    for uri in [link(SHOP, BACK_ENCODED), away.home(Some("0a1b"))] {
        let posted = send(&house, "POST", &uri, &away.cookie).await;
        assert_eq!(posted.code(), "method_not_allowed", "{uri}");
    }
}

#[tokio::test]
async fn the_gateways_own_listener_leads_fans_to_where_they_come_back_to() {
    let house = house().await;
    let sent = |method: &'static str, host: &'static str, query: &str| {
        let uri = format!("/connect/oauth2/authorize?{query}");
        house.send_second(Request::builder().method(method).uri(uri).header("host", host), "")
    };
    let honest = query(SHOP, BACK_ENCODED);
    let expected = format!("https://lingpai.example{}", link(SHOP, BACK_ENCODED));
    // On our own host too: the listener may speak plain http, where browsers drop a secure cookie.
    for host in ["gateway.internal", "lingpai.example:8081", "lingpai.example"] {
        let answer = sent("GET", host, &honest).await;
        assert_eq!(answer.status, 302, "{host}: {}", answer.text);
        assert_eq!(answer.header("location"), Some(expected.as_str()), "{host}");
        assert_eq!(answer.header("set-cookie"), None, "{host}: it would stay behind");
    }
    Away::start(&house).await;
    assert_notice(&sent("GET", "gateway.internal", "appid=wx1").await, 400, "bad_link");
    let looked = sent("HEAD", "gateway.internal", &honest).await;
    assert_eq!((looked.status, looked.header("location")), (200, None));
    let posted = sent("POST", "gateway.internal", &honest).await;
    assert_eq!(posted.code(), "method_not_allowed");
}

#[tokio::test]
async fn a_crowd_is_asked_to_wait_and_shown_how_long() {
    let house = house().await;
    let writer = house.db.db.begin().await.expect("the database is there");
    let uri = link(SHOP, BACK_ENCODED);
    let mut crowd: FuturesUnordered<_> = (0..9).map(|_| send(&house, "GET", &uri, "")).collect();
    let sent_away = crowd.next().await.expect("the ninth found no seat");
    assert_notice(&sent_away, 503, "busy");
    assert_eq!(sent_away.header("retry-after"), Some("2"));
    assert_eq!(sent_away.header("set-cookie"), None);
    drop(writer);
    while let Some(answer) = crowd.next().await {
        Away::of(&answer);
    }
    Away::start(&house).await;
}
