//! Codes of web authorization, what they are exchanged for, and what that is good for.

use std::time::Duration;

use lingpai_emulator::{Fan, Kill, TokenKind};
use serde_json::{Value, json};

use crate::world::{COMPONENT, SHOP, World, text};

const FIRST: &str = "oLingPai000000000000000fan01";
const FLOWERS: &str = "wxc2d3e4f506172839";

fn errcode(answer: &Value) -> i64 {
    answer.get("errcode").and_then(Value::as_i64).unwrap_or_default()
}

/// The path of a call with a fan's token.
fn call(path: &str, token: &str, openid: &str) -> String {
    format!("/sns/{path}?access_token={token}&openid={openid}")
}

#[tokio::test]
async fn a_code_is_exchanged_once_with_the_accounts_own_secret() {
    let world = World::start().await.unwrap();
    let code = world.web_code("snsapi_base", "").await.unwrap();
    let secret = world.wechat.account(SHOP).unwrap().appsecret.unwrap();
    let path = format!(
        "/sns/oauth2/access_token?appid={SHOP}&secret={secret}&code={code}\
         &grant_type=authorization_code"
    );
    for (wrong, expected) in [
        (path.replace(SHOP, ""), 41002),
        (path.replace(SHOP, "wx0"), 40013),
        (path.replace(&secret, ""), 41004),
        (path.replace(&secret, "x"), 40125),
        (path.replace("=authorization_code", "=x"), 40002),
        (path.replace(&code, ""), 41008),
        (path.replace(&code, "x"), 40029),
    ] {
        assert_eq!(errcode(&world.get(&wrong).await.unwrap()), expected, "{wrong}");
    }
    let other = world.wechat.account(FLOWERS).unwrap().appsecret.unwrap();
    let other = path.replace(SHOP, FLOWERS).replace(&secret, &other);
    assert_eq!(errcode(&world.get(&other).await.unwrap()), 40029, "of another account");
    let response = world.http.get(world.url(&path)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain");
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert!(text(&answer, "access_token").unwrap().contains("CANARY"));
    assert!(text(&answer, "refresh_token").unwrap().contains("CANARY"));
    assert_eq!(answer["expires_in"], 7200);
    assert_eq!((&answer["openid"], &answer["scope"]), (&FIRST.into(), &"snsapi_base".into()));
    assert_eq!(answer["unionid"], "uLingPai000000000000000fan01");
    assert!(answer.get("is_snapshotuser").is_none());
    assert_eq!(errcode(&world.get(&path).await.unwrap()), 40163);
}

#[tokio::test]
async fn a_code_runs_out_after_five_minutes() {
    let world = World::start().await.unwrap();
    let code = world.web_code("snsapi_base", "").await.unwrap();
    world.wechat.advance_clock(Duration::from_secs(300));
    assert_eq!(errcode(&world.exchange(&code).await.unwrap()), 42003);
}

#[tokio::test]
async fn a_code_through_the_component_is_exchanged_with_its_token_only() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[4]).await.unwrap();
    let more = format!("&component_appid={COMPONENT}");
    let code = world.web_code("snsapi_base", &more).await.unwrap();
    assert_eq!(errcode(&world.exchange(&code).await.unwrap()), 40029, "by the wrong door");
    let path = format!(
        "/sns/oauth2/component/access_token?appid={SHOP}&code={code}\
         &grant_type=authorization_code&component_appid={COMPONENT}\
         &component_access_token={}",
        shop.component_token
    );
    let direct = world.web_code("snsapi_base", "").await.unwrap();
    for (wrong, expected) in [
        (path.replace("component_access_token", "access_token"), 41001),
        (path.replace(&shop.component_token, &shop.access_token), 48001),
        (path.replace(COMPONENT, "wx0"), 40013),
        (path.replace(SHOP, FLOWERS), 61003),
        (path.replace(&code, &direct), 40029),
    ] {
        assert_eq!(errcode(&world.get(&wrong).await.unwrap()), expected, "{wrong}");
    }
    let answer = world.get(&path).await.unwrap();
    assert_eq!(answer["openid"], FIRST);
    assert_eq!(errcode(&world.get(&path).await.unwrap()), 40163);
    assert_eq!(world.wechat.stats("/sns/oauth2/component/access_token", SHOP).succeeded, 1);
}

#[tokio::test]
async fn a_switch_makes_fans_virtual() {
    let world = World::start().await.unwrap();
    world.wechat.change_switches(|switches| switches.snapshot_users = true);
    let code = world.web_code("snsapi_userinfo", "").await.unwrap();
    assert_eq!(world.exchange(&code).await.unwrap()["is_snapshotuser"], 1);
}

#[tokio::test]
async fn a_fans_token_shows_his_profile_if_he_allowed_it() {
    let world = World::start().await.unwrap();
    let code = world.web_code("snsapi_userinfo", "").await.unwrap();
    let token = text(&world.exchange(&code).await.unwrap(), "access_token").unwrap();
    let path = call("userinfo", &token, FIRST);
    let profile = world.get(&format!("{path}&lang=en")).await.unwrap();
    assert_eq!((&profile["nickname"], &profile["language"]), (&"小林".into(), &"en".into()));
    assert_eq!((&profile["sex"], &profile["city"]), (&json!(0), &json!("")));
    assert_eq!(profile["unionid"], "uLingPai000000000000000fan01");
    assert_eq!(world.get(&call("auth", &token, FIRST)).await.unwrap()["errmsg"], "ok");
    let last = world.wechat.calls().pop().unwrap();
    assert_eq!((last.appid.as_str(), last.token), (SHOP, TokenKind::Web));
    let base = world.web_code("snsapi_base", "").await.unwrap();
    let base = text(&world.exchange(&base).await.unwrap(), "access_token").unwrap();
    for (path, expected) in [
        (call("userinfo", &token, "oOther"), 40003),
        (call("auth", &token, "oOther"), 40003),
        (call("userinfo", &token, ""), 41009),
        (call("userinfo", "", FIRST), 41001),
        (call("userinfo", "x", FIRST), 40001),
        (call("userinfo", &base, FIRST), 48001),
        (call("auth", &base, FIRST), 0),
    ] {
        assert_eq!(errcode(&world.get(&path).await.unwrap()), expected, "{path}");
    }
}

#[tokio::test]
async fn a_token_that_ran_out_is_told_from_a_killed_one_and_both_can_be_refreshed() {
    let world = World::start().await.unwrap();
    let code = world.web_code("snsapi_userinfo", "").await.unwrap();
    let first = world.exchange(&code).await.unwrap();
    let refresh_token = text(&first, "refresh_token").unwrap();
    let refresh = format!(
        "/sns/oauth2/refresh_token?appid={SHOP}&grant_type=refresh_token\
         &refresh_token={refresh_token}"
    );
    let profile = async |tokens: &Value| {
        let token = text(tokens, "access_token").unwrap();
        errcode(&world.get(&call("userinfo", &token, FIRST)).await.unwrap())
    };
    world.wechat.advance_clock(Duration::from_secs(7200));
    assert_eq!(profile(&first).await, 42001);
    let second = world.get(&refresh).await.unwrap();
    assert_eq!(profile(&second).await, 0);
    world.wechat.kill_web_token(FIRST);
    assert_eq!(profile(&second).await, 40001);
    let third = world.get(&refresh).await.unwrap();
    assert_eq!(profile(&third).await, 0);
    world.wechat.kill(&Kill::WebGrants { openid: FIRST.to_owned() });
    assert_eq!(profile(&third).await, 40001);
    assert_eq!(errcode(&world.get(&refresh).await.unwrap()), 40030);
}

#[tokio::test]
async fn of_a_fan_who_does_not_follow_the_account_learns_hardly_anything() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[2]).await.unwrap();
    let changed = world.wechat.change_account(SHOP, |account| {
        let visitor = Fan::new("oVisitor", "路人");
        let unionid = Some("uVisitor".to_owned());
        account.fans.push(Fan { is_follower: false, unionid, ..visitor });
    });
    changed.unwrap();
    let info = |openid: &str| {
        format!("/cgi-bin/user/info?access_token={}&openid={openid}&lang=zh_TW", shop.access_token)
    };
    let visitor = world.get(&info("oVisitor")).await.unwrap();
    assert_eq!(visitor, json!({ "subscribe": 0, "openid": "oVisitor", "unionid": "uVisitor" }));
    let follower = world.get(&info(FIRST)).await.unwrap();
    assert_eq!((&follower["subscribe"], &follower["language"]), (&json!(1), &json!("zh_TW")));
    let list = format!("/cgi-bin/user/get?access_token={}", shop.access_token);
    assert_eq!(world.get(&list).await.unwrap()["total"], 2);
}
