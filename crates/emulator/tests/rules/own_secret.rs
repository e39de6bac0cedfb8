//! Accounts that are called with their own secret: ordinary access tokens and what they are good for.

use std::time::Duration;

use lingpai_emulator::{EmulatorConfig, Fault, Kill, TokenKind};
use serde_json::{Value, json};

use crate::world::{AUTHORIZER_LIST, ECHO, SHOP, World, text};

const TOKEN: &str = "/cgi-bin/token";
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";

fn secret() -> String {
    let shop = EmulatorConfig::default().accounts.remove(0);
    shop.appsecret.expect("the shop has a secret")
}

fn token_path() -> String {
    format!("{TOKEN}?grant_type=client_credential&appid={SHOP}&secret={}", secret())
}

fn stable_body() -> Value {
    json!({ "grant_type": "client_credential", "appid": SHOP, "secret": secret() })
}

async fn echo(world: &World, token: &str) -> Option<i64> {
    let echo = world.get(&format!("{ECHO}?access_token={token}")).await.expect("an answer");
    echo.get("errcode").and_then(Value::as_i64)
}

#[tokio::test]
async fn token_gives_a_new_one_each_time_with_an_overlap() {
    let world = World::start().await.unwrap();
    let [first, second] =
        [world.get(&token_path()).await.unwrap(), world.get(&token_path()).await.unwrap()];
    assert_eq!(first["expires_in"], 7200);
    let [first, second] = [&first, &second].map(|one| text(one, "access_token").unwrap());
    assert!(first.contains("CANARY") && first != second);
    assert_eq!((echo(&world, &first).await, echo(&world, &second).await), (None, None));
    world.wechat.advance_clock(Duration::from_secs(300));
    assert_eq!((echo(&world, &first).await, echo(&world, &second).await), (Some(40001), None));
    world.wechat.advance_clock(Duration::from_secs(6900));
    assert_eq!(echo(&world, &second).await, Some(42001));
}

#[tokio::test]
async fn stable_token_repeats_itself_and_a_forced_one_kills() {
    let world = World::start().await.unwrap();
    let first = world.post(STABLE_TOKEN, &stable_body()).await.unwrap();
    world.wechat.advance_clock(Duration::from_secs(1000));
    let again = world.post(STABLE_TOKEN, &stable_body()).await.unwrap();
    assert_eq!(again["access_token"], first["access_token"]);
    let left = again["expires_in"].as_i64().unwrap();
    assert!((6100..=6200).contains(&left), "{left}");
    let mut force = stable_body();
    force["force_refresh"] = true.into();
    let forced = world.post(STABLE_TOKEN, &force).await.unwrap();
    assert_eq!(echo(&world, &text(&first, "access_token").unwrap()).await, Some(40001));
    assert_eq!(echo(&world, &text(&forced, "access_token").unwrap()).await, None);
    assert_eq!(world.post(STABLE_TOKEN, &force).await.unwrap()["errcode"], 45011);
    force["force_refresh"] = "yes".into();
    assert_eq!(world.post(STABLE_TOKEN, &force).await.unwrap()["errcode"], 47001);
}

#[tokio::test]
async fn an_ordinary_token_works_at_the_accounts_paths_without_a_grant() {
    let world = World::start().await.unwrap();
    let token = text(&world.get(&token_path()).await.unwrap(), "access_token").unwrap();
    let fans = world.get(&format!("/cgi-bin/user/get?access_token={token}")).await.unwrap();
    assert_eq!(fans["total"], 2, "{fans}");
    let page = json!({ "offset": 0, "count": 1 });
    let list = world.component(AUTHORIZER_LIST, &token, page).await.unwrap();
    assert_eq!(list["errcode"], 48001);
    let call = world.wechat.calls_to("/cgi-bin/user/get").remove(0);
    assert_eq!((call.token, call.appid.as_str()), (TokenKind::Ordinary, SHOP));
    world.wechat.kill(&Kill::OrdinaryTokens { appid: SHOP.to_owned() });
    assert_eq!(echo(&world, &token).await, Some(40001));
}

#[tokio::test]
async fn a_call_for_a_token_is_counted_and_hit_by_faults_of_its_account() {
    let world = World::start().await.unwrap();
    world.wechat.set_fault(Fault::errcode("*", -1).for_appid(SHOP).times(2));
    assert_eq!(world.get(&token_path()).await.unwrap()["errcode"], -1);
    assert_eq!(world.post(STABLE_TOKEN, &stable_body()).await.unwrap()["errcode"], -1);
    assert!(world.post(STABLE_TOKEN, &stable_body()).await.unwrap().get("errcode").is_none());
    let stats = world.wechat.stats(STABLE_TOKEN, SHOP);
    assert_eq!((stats.succeeded, stats.refused), (1, 1));
}

#[tokio::test]
async fn refusals_have_their_numbers() {
    let world = World::start().await.unwrap();
    let errcode = async |body: Value| {
        world.post(STABLE_TOKEN, &body).await.unwrap()["errcode"].as_i64().unwrap()
    };
    let with = |name: &str, value: Value| {
        let mut body = stable_body();
        body[name] = value;
        body
    };
    assert_eq!(errcode(with("secret", "wrong".into())).await, 40125);
    assert_eq!(errcode(with("secret", "".into())).await, 41004);
    assert_eq!(errcode(with("appid", "wx0".into())).await, 40013);
    assert_eq!(errcode(with("appid", "".into())).await, 41002);
    assert_eq!(errcode(with("grant_type", "x".into())).await, 40002);
    assert_eq!(errcode(json!([])).await, 47001);
    assert_eq!(world.get(STABLE_TOKEN).await.unwrap()["errcode"], 43002);
    assert_eq!(world.post(&token_path(), &json!({})).await.unwrap()["errcode"], 43001);
    let token = text(&world.get(&token_path()).await.unwrap(), "access_token").unwrap();
    world.wechat.change_switches(|switches| switches.ip_refused = true);
    assert_eq!(errcode(stable_body()).await, 40164);
    assert_eq!(world.get(&token_path()).await.unwrap()["errcode"], 40164);
    assert_eq!(echo(&world, &token).await, Some(40164));
}

#[tokio::test]
async fn a_quota_of_tokens_is_each_accounts_own() {
    let mut config = EmulatorConfig::for_tests();
    config.many_accounts = 1;
    config.quotas.insert(TOKEN.to_owned(), 1);
    let other = lingpai_emulator::AccountConfig::generated(1);
    let world = World::start_with(config).await.unwrap();
    assert!(world.get(&token_path()).await.unwrap().get("errcode").is_none());
    assert_eq!(world.get(&token_path()).await.unwrap()["errcode"], 45009);
    let path = token_path()
        .replace(SHOP, &other.appid)
        .replace(&secret(), &other.appsecret.expect("generated accounts have secrets"));
    assert!(world.get(&path).await.unwrap().get("errcode").is_none());
}
