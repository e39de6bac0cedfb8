//! Web tokens of an account's fans.

use std::time::Duration;

use serde_json::Value;

use crate::world::{COMPONENT, SHOP, World, text};

const FLOWERS: &str = "wxc2d3e4f506172839";

fn direct(appid: &str, refresh_token: &str) -> String {
    format!(
        "/sns/oauth2/refresh_token?appid={appid}&grant_type=refresh_token\
         &refresh_token={refresh_token}"
    )
}

fn through_component(appid: &str, refresh_token: &str, token: &str) -> String {
    let direct = direct(appid, refresh_token);
    format!(
        "{}&component_appid={COMPONENT}&component_access_token={token}",
        direct.replace("/oauth2/", "/oauth2/component/")
    )
}

#[tokio::test]
async fn a_fans_token_is_refreshed_directly() {
    let world = World::start().await.unwrap();
    let first = world.wechat.mint_web_token(SHOP, "oFan", "snsapi_userinfo").unwrap();
    assert!(first.access_token.contains("CANARY") && first.refresh_token.contains("CANARY"));
    let path = direct(SHOP, &first.refresh_token);
    let response = world.http.get(world.url(&path)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain");
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(text(&answer, "access_token").unwrap(), first.access_token);
    assert_eq!(answer["expires_in"], 7200);
    assert_eq!((&answer["openid"], &answer["scope"]), (&"oFan".into(), &"snsapi_userinfo".into()));
    world.wechat.advance_clock(Duration::from_secs(7300));
    let answer = world.get(&path).await.unwrap();
    assert_ne!(text(&answer, "access_token").unwrap(), first.access_token);
    assert_eq!(text(&answer, "refresh_token").unwrap(), first.refresh_token);
    world.wechat.advance_clock(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(world.get(&path).await.unwrap()["errcode"], 42002);
    assert_eq!(world.get(&direct(FLOWERS, &first.refresh_token)).await.unwrap()["errcode"], 40030);
    let wrong = path.replace("grant_type=refresh_token", "grant_type=x");
    assert_eq!(world.get(&wrong).await.unwrap()["errcode"], 40002);
    assert!(world.wechat.mint_web_token("wx0", "oFan", "snsapi_base").is_err());
}

#[tokio::test]
async fn a_fans_token_is_refreshed_through_the_component_for_a_granting_account() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[4]).await.unwrap();
    let fan = world.wechat.mint_web_token(SHOP, "oFan", "snsapi_base").unwrap();
    let path = through_component(SHOP, &fan.refresh_token, &shop.component_token);
    let answer = world.get(&path).await.unwrap();
    assert_eq!(text(&answer, "access_token").unwrap(), fan.access_token);
    assert_eq!(world.wechat.stats("/sns/oauth2/component/refresh_token", SHOP).succeeded, 1);
    let errcode = async |path: String| world.get(&path).await.unwrap()["errcode"].clone();
    assert_eq!(errcode(path.replace("component_access_token", "access_token")).await, 41001);
    assert_eq!(errcode(path.replace(COMPONENT, "wx0")).await, 40013);
    let (account, component) = (&shop.access_token, &shop.component_token);
    assert_eq!(errcode(through_component(SHOP, &fan.refresh_token, account)).await, 48001);
    let flowers = world.wechat.mint_web_token(FLOWERS, "oFan", "snsapi_base").unwrap();
    assert_eq!(errcode(through_component(FLOWERS, &flowers.refresh_token, component)).await, 61003);
}
