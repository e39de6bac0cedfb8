//! Fans in mini programs: the login, and what WeChat signs and encrypts there.

use std::time::Duration;

use lingpai_emulator::{EmulatorConfig, Fan};
use serde_json::{Value, json};

use crate::world::{COMPONENT, SHOP, World, text};

const ORDERS: &str = "wxb1c2d3e4f5061728";
const FAN: &str = "oOrders000000000000000fan01";

fn errcode(answer: &Value) -> i64 {
    answer.get("errcode").and_then(Value::as_i64).unwrap_or_default()
}

fn login(world: &World, js_code: &str) -> String {
    let orders = world.wechat.account(ORDERS);
    let secret = orders.and_then(|orders| orders.appsecret).expect("the orders have a secret");
    format!(
        "/sns/jscode2session?appid={ORDERS}&secret={secret}&js_code={js_code}\
         &grant_type=authorization_code"
    )
}

#[tokio::test]
async fn a_fan_logs_in_once_with_each_code() {
    let mut config = EmulatorConfig::for_tests();
    let unionid = Some("uFan".to_owned());
    config.accounts[1].fans.push(Fan { unionid, ..Fan::new(FAN, "小林") });
    let world = World::start_with(config).await.unwrap();
    let code = world.wechat.mint_js_code(ORDERS, FAN);
    let path = login(&world, &code);
    let secret = world.wechat.account(ORDERS).unwrap().appsecret.unwrap();
    let shop = world.wechat.account(SHOP).unwrap().appsecret.unwrap();
    for (wrong, expected) in [
        (path.replace(ORDERS, ""), 41002),
        (path.replace(&secret, "x"), 40125),
        (path.replace("=authorization_code", "=x"), 40002),
        (path.replace(&code, ""), 41008),
        (path.replace(&code, "x"), 40029),
        (path.replace(ORDERS, SHOP).replace(&secret, &shop), 40013),
    ] {
        assert_eq!(errcode(&world.get(&wrong).await.unwrap()), expected, "{wrong}");
    }
    let answer = world.get(&path).await.unwrap();
    assert_eq!((&answer["openid"], &answer["unionid"]), (&FAN.into(), &"uFan".into()));
    assert_eq!(text(&answer, "session_key").unwrap(), world.wechat.session_key(ORDERS, FAN));
    assert_eq!(errcode(&world.get(&path).await.unwrap()), 40029);
    let late = login(&world, &world.wechat.mint_js_code(ORDERS, FAN));
    world.wechat.advance_clock(Duration::from_secs(300));
    assert_eq!(errcode(&world.get(&late).await.unwrap()), 40029);
}

#[tokio::test]
async fn a_login_through_the_component_needs_its_token_and_the_grant() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let code = world.wechat.mint_js_code(ORDERS, FAN);
    let path = format!(
        "/sns/component/jscode2session?appid={ORDERS}&js_code={code}\
         &grant_type=authorization_code&component_appid={COMPONENT}\
         &component_access_token={token}"
    );
    assert_eq!(errcode(&world.get(&path).await.unwrap()), 61003);
    world.wechat.grant(ORDERS, &[18, 19]).unwrap();
    assert_eq!(errcode(&world.get(&path.replace(&token, "x")).await.unwrap()), 40001);
    assert_eq!(errcode(&world.get(&path.replace(COMPONENT, "wx0")).await.unwrap()), 40013);
    let answer = world.get(&path).await.unwrap();
    assert_eq!(answer["openid"], FAN);
    assert!(answer.get("unionid").is_none());
    assert!(text(&answer, "session_key").unwrap().contains("CANARY"));
}

#[tokio::test]
async fn each_login_gives_a_new_session_key() {
    let world = World::start().await.unwrap();
    let first = world.wechat.session_key(ORDERS, FAN);
    assert_eq!(world.wechat.session_key(ORDERS, FAN), first);
    let signature = world.wechat.sign_for_fan(ORDERS, FAN, "{}");
    let code = world.wechat.mint_js_code(ORDERS, FAN);
    assert_ne!(world.wechat.session_key(ORDERS, FAN), first);
    assert_ne!(world.wechat.sign_for_fan(ORDERS, FAN, "{}"), signature);
    let answer = world.get(&login(&world, &code)).await.unwrap();
    assert_eq!(text(&answer, "session_key").unwrap(), world.wechat.session_key(ORDERS, FAN));
}

#[tokio::test]
async fn scripts_can_play_a_fan_in_a_mini_program() {
    let world = World::start().await.unwrap();
    let fan = json!({ "appid": ORDERS, "openid": FAN });
    let control = async |path: &str, more: Value| {
        let mut body = fan.clone();
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        world.post(&format!("/control/api/{path}"), &body).await.unwrap()
    };
    let code = control("js-codes", json!({})).await;
    let answer = world.get(&login(&world, &text(&code, "js_code").unwrap())).await.unwrap();
    let told = control("session-keys", json!({})).await;
    assert_eq!(told["session_key"], answer["session_key"]);
    let signed = control("signatures", json!({ "raw_data": "{}" })).await;
    assert_eq!(signed["signature"], world.wechat.sign_for_fan(ORDERS, FAN, "{}"));
    let sealed = control("encrypted-data", json!({ "data": { "phoneNumber": "1" } })).await;
    let (encrypted_data, iv) =
        world.wechat.encrypt_for_fan(ORDERS, FAN, &json!({ "phoneNumber": "1" }));
    assert_eq!(text(&sealed, "encrypted_data").unwrap().len(), encrypted_data.len());
    assert_ne!(text(&sealed, "iv").unwrap(), iv, "each has a vector of its own");
}
