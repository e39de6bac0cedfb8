//! The main job from end to end, told step by step, with emulator and service as real processes.
//! Stays up afterwards, so that everything can be looked at.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use lingpai_emulator::EmulatorConfig;
use lingpai_tests::{
    people::{Administrator, Answer, Component, Program, http_client},
    processes::{Process, Start, eventually},
    receiver::{Manner, Receiver},
    shop::Shop,
    visitor::{Choice, Visitor},
    world::SHOP,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// Where the demo keeps its database, key and logs. It starts afresh each time.
const FOLDER: &str = "data/demo";

/// Where the service listens.
const SERVICE: &str = "127.0.0.1:8080";

/// Where the emulator listens.
const WECHAT: &str = "127.0.0.1:8190";

/// Where the tenant's shop listens.
const PAGES: &str = "127.0.0.1:8200";

/// Everybody who takes part.
struct Cast {
    component: Component,
    service: Start,
    operator: Program,
    tenant: Program,
    /// Where WeChat is.
    wechat: Url,
    _running: [Process; 2],
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    println!("\n  lingpai 令牌: the main job, step by step\n");
    let cast = set_up().await?;
    authorize(&cast).await?;
    let call = call_wechat(&cast).await?;
    let program = Receiver::start(Manner::well()).await?;
    hear_from_a_fan(&cast, &program).await?;
    let _shop = welcome_a_fan(&cast).await?;
    tell_what_next(&cast, &call).await?;
    wait_for_the_end().await
}

/// Steps 1 to 5: emulator, service, component, ticket, tenant.
async fn set_up() -> Result<Cast> {
    let folder = Path::new(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(folder).context("the last demo's folder cannot be removed")?;
    }
    fs::create_dir_all(folder)?;
    let component = Component::of(&EmulatorConfig::default());
    let registered = format!("http://{SERVICE}/wechat/components/{}", component.appid);
    let events_url = format!("{registered}/events");
    let messages_url = format!("{registered}/authorizers/$APPID$/events");

    let urls = ["--events-url", &events_url, "--messages-url", &messages_url];
    let wechat = Start::emulator(folder, &urls)?.at(WECHAT);
    let emulator = wechat.run().await.with_context(|| taken(WECHAT))?;
    step(1, "WeChat is here", &format!("an emulator on http://{WECHAT}/control/"));

    let here = [("LINGPAI_WEBHOOK__ALLOW_PRIVATE", "127.0.0.0/8")];
    let service = Start::service(folder, wechat.url(), &here)?.at(SERVICE);
    let lingpai = service.run().await.with_context(|| taken(SERVICE))?;
    step(2, "lingpai is up", &format!("on http://{SERVICE}, SQLite and master key in {FOLDER}"));

    let operator_key = service.command(&["operator-key", "create", "demo"])?;
    let operator = Program::new(service.url().clone(), operator_key.trim());
    operator.register(&component).await?;
    step(3, "the operator registers the component", &component.appid);

    push_ticket(wechat.url()).await?;
    let ticket = eventually("WeChat's ticket is stored", async || {
        let seen = operator.get(&shown(&component)).await?.expect(StatusCode::OK)?;
        Ok((!seen.json["ticket"].is_null()).then(|| seen.json["ticket"].clone()))
    })
    .await?;
    let received = format!("received at {}", plain(&ticket["received_at"]));
    step(4, "WeChat pushes an encrypted ticket", &received);

    let (tenant_id, tenant) = operator.create_tenant("花店 Flower Shop").await?;
    step(5, "the operator creates a tenant and its API key", &tenant_id);
    let wechat = wechat.url().clone();
    Ok(Cast { component, service, operator, tenant, wechat, _running: [emulator, lingpai] })
}

/// Steps 6 to 8: link, consent, authorizer.
async fn authorize(cast: &Cast) -> Result<()> {
    let Cast { component, operator, tenant, .. } = cast;
    let (id, link) = tenant.start_authorization(&component.appid).await?;
    let token = operator.get(&shown(component)).await?.json["component_access_token"].clone();
    step(6, "the tenant asks for an authorization", link.as_str());
    detail(&format!("the ticket became a component_access_token: {}", plain(&token["state"])));

    Administrator::new("zh-CN").authorize(&link, SHOP).await?.expect(StatusCode::OK)?;
    step(7, "the account's administrator opens the link and consents", SHOP);

    let path = format!("/v1/authorizations/{id}");
    eventually("the authorizer is stored", async || {
        let seen = tenant.get(&path).await?;
        Ok((seen.json["state"] == "finished").then_some(()))
    })
    .await?;
    let account = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?.expect(StatusCode::OK)?;
    step(8, "the authorizer is stored, tokens sealed", &account.field("nick_name")?);
    let sets = account.json["func_info"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<_> = sets.iter().map(|set| plain(&set["name"])).collect();
    detail(&format!("it granted {}", names.join("、")));
    Ok(())
}

/// Step 9: a call of WeChat's API; gives its path.
async fn call_wechat(cast: &Cast) -> Result<String> {
    let call = format!(
        "/v1/authorizers/{SHOP}/proxy/cgi-bin/user/info?openid=oLingPai000000000000000fan01"
    );
    let answer = cast.tenant.get(&call).await?.expect(StatusCode::OK)?;
    step(9, "the tenant calls WeChat through lingpai, without any token of its own", "");
    println!("\n{}\n", serde_json::to_string_pretty(&answer.json)?);
    Ok(call)
}

/// Steps 10 to 12: an endpoint, a fan's message with its reply, the delivery.
async fn hear_from_a_fan(cast: &Cast, program: &Receiver) -> Result<()> {
    let (id, _) = cast.tenant.create_webhook(&program.url()).await?;
    let greeting = json!({ "rules": [{
        "on": "keyword",
        "words": ["营业时间"],
        "reply": { "type": "text", "content": "每天 9:00–18:00" },
    }] });
    let rules = format!("/v1/authorizers/{SHOP}/auto-replies");
    let put = cast.tenant.request(Method::PUT, &rules).json(&greeting).send().await?;
    Answer::read(put).await?.expect(StatusCode::OK)?;
    step(10, "the tenant creates an endpoint, and a reply that needs no server", &id);

    let url = cast.wechat.join("control/api/fans/message")?;
    let said = json!({ "appid": SHOP, "text": "营业时间" });
    let said = http_client().post(url).json(&said).send().await?.error_for_status()?;
    let said: Value = said.json().await?;
    step(11, "a fan writes 营业时间", "");
    detail(&format!("and reads {}", replied(&said)));

    let taken = eventually("the delivery arrives", async || Ok(program.taken().into_iter().next()));
    let body = taken.await?.json();
    step(12, "the message arrives at the endpoint, signed", &plain(&body["type"]));
    println!("\n{}\n", serde_json::to_string_pretty(&body)?);
    Ok(())
}

/// Steps 13 and 14: a page of the tenant's, a fan who signs in there.
async fn welcome_a_fan(cast: &Cast) -> Result<Receiver> {
    let places = (cast.service.url().clone(), cast.wechat.join("open/js/jweixin-1.6.0.js")?);
    let shop = Shop::new(cast.tenant.clone(), places, SHOP, format!("http://{PAGES}"));
    shop.register().await?;
    let pages = Receiver::start_at(PAGES, Manner::Shop(Arc::new(shop)));
    let pages = pages.await.with_context(|| taken(PAGES))?;
    step(13, "the tenant opens a shop with pages", &format!("http://{PAGES}/"));

    let mut fan = Visitor::default();
    let enter = format!("http://{PAGES}/enter?scope=snsapi_userinfo").parse()?;
    let consent = fan.go(&enter).await?;
    let welcome = fan.choose(&consent, Choice::Allow).await?;
    let name = welcome.answer.text.split("<b id=fan>").nth(1).context("the shop knows the fan")?;
    let name = name.split('<').next().unwrap_or_default();
    step(14, "a fan signs in there by web OAuth (网页授权)", "");
    detail(&format!("the page says 你好 Hello, {name}; lingpai keeps the fan's token"));
    Ok(pages)
}

/// The text that the fan got back.
fn replied(said: &Value) -> String {
    let reply = plain(&said["reply"]);
    let content =
        reply.split("<Content><![CDATA[").nth(1).and_then(|rest| rest.split("]]>").next());
    content.unwrap_or("nothing").to_owned()
}

async fn tell_what_next(cast: &Cast, call: &str) -> Result<()> {
    let (_, next) = cast.tenant.start_authorization(&cast.component.appid).await?;
    println!("  It stays up. Go on with:\n");
    for (what, where_to) in [
        ("the tenant API, to try out", format!("http://{SERVICE}/docs")),
        ("the admin API", format!("http://{SERVICE}/docs/admin")),
        ("an authorization to click through", next.to_string()),
        ("the tenant's shop, for fans", format!("http://{PAGES}/")),
        ("WeChat's control page", format!("http://{WECHAT}/control/")),
        ("the log", cast.service.log().display().to_string()),
        ("the operator's key", cast.operator.key().to_owned()),
        ("the tenant's key", cast.tenant.key().to_owned()),
    ] {
        println!("    {what:<34} {where_to}");
    }
    let key = cast.tenant.key();
    println!("\n    curl -H 'Authorization: Bearer {key}' \\\n      'http://{SERVICE}{call}'");
    println!("\n  Ctrl-C ends it.\n");
    Ok(())
}

fn shown(component: &Component) -> String {
    format!("/admin/v1/components/{}", component.appid)
}

fn step(number: u8, what: &str, result: &str) {
    println!("  {number}. {what}");
    if !result.is_empty() {
        detail(result);
    }
}

fn detail(text: &str) {
    println!("     {text}");
}

fn plain(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn taken(address: &str) -> String {
    format!("is {address} in use by something else? End that first")
}

/// The timer has pushed already, but before the component was registered here: WeChat would push
/// again within ten minutes, the demo does not wait.
async fn push_ticket(emulator: &Url) -> Result<()> {
    let url = emulator.join("control/api/tickets")?;
    http_client().post(url).json(&json!({})).send().await?.error_for_status()?;
    Ok(())
}

async fn wait_for_the_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    println!("  ended");
    Ok(())
}
