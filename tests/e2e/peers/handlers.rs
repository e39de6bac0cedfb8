//! Message handlers that nobody here wrote: unmodified, behind an endpoint that speaks to them as WeChat
//! does. And who verifies our webhooks by the rules of Standard Webhooks.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use lingpai_emulator::{FanMessage, PushRecord};
use lingpai_model::endpoint::Mode;
use lingpai_tests::{
    handler::Handler,
    needs,
    receiver::{Manner, Receiver, Taken},
    world::{SHOP, World},
    xml::element,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::process::Peer;

/// One of the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Package {
    /// PyPI's `wechatpy`: crypto, parser and replies.
    Wechatpy,
    /// npm's `co-wechat`, in koa.
    CoWechat,
}

/// A running program of one of the packages, and where it takes pushes.
struct Program {
    peer: Peer,
    url: String,
}

fn node(script: &str) -> Option<Command> {
    let packages = needs("LINGPAI_TEST_NODE")?;
    let mut command = Command::new("node");
    command.env("NODE_PATH", Path::new(&packages).join("node_modules"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script));
    Some(command)
}

impl Package {
    /// A handler of 令牌小店's pushes; `None` where the package is not installed.
    async fn start(self) -> Result<Option<Program>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let command = match self {
            Self::Wechatpy => needs("LINGPAI_TEST_PYTHON").map(|python| {
                let mut command = Command::new(python);
                command.arg(folder.join("e2e/wechatpy_handler.py"));
                command
            }),
            Self::CoWechat => node("handler.cjs"),
        };
        let Some(mut command) = command else { return Ok(None) };
        let mut set_up = Handler::settings(Mode::Secure);
        set_up["appid"] = json!(SHOP);
        let mut peer = Peer::start(command.arg(set_up.to_string()))?;
        let told = peer.ask(json!({ "do": "listen" })).await?;
        let port = told["port"].as_u64().with_context(|| told.to_string())?;
        Ok(Some(Program { peer, url: format!("http://127.0.0.1:{port}/wx") }))
    }
}

/// What a fan says, and how he is answered.
async fn says(world: &World, message: &FanMessage) -> Result<PushRecord> {
    let record = world.emulator.fan_message(message).await?;
    anyhow::ensure!(record.invalid_reply.is_none(), "WeChat refuses the reply: {record:?}");
    Ok(record)
}

fn part(record: &PushRecord, name: &str) -> String {
    record.reply.as_deref().and_then(|reply| element(reply, name)).unwrap_or_default()
}

/// The handler answers fans through lingpai: in encrypted mode, unmodified, in every form that it has.
async fn answers_fans(package: Package) -> Result<()> {
    let Some(mut program) = package.start().await? else { return Ok(()) };
    let (world, tenant) = World::with_authorizer().await?;
    let mut endpoint = Handler::settings(Mode::Secure);
    endpoint["url"] = json!(program.url);
    endpoint["replying"] = json!(true);
    let id = tenant.create_endpoint(&endpoint).await?.field("id")?;

    let text = "你好 🌸 <b> & \"引号\"";
    let replied = says(&world, &FanMessage::text(SHOP, text)).await?;
    assert_eq!(part(&replied, "Content"), format!("收到：{text}"), "{replied:?}");
    let replied = says(&world, &FanMessage::text(SHOP, "图片")).await?;
    assert_eq!(
        (part(&replied, "MsgType"), part(&replied, "MediaId")),
        ("image".into(), "m1".into())
    );
    let replied = says(&world, &FanMessage::text(SHOP, "图文")).await?;
    assert_eq!(
        (part(&replied, "MsgType"), part(&replied, "Title")),
        ("news".into(), "目录".into())
    );
    let quiet = says(&world, &FanMessage::text(SHOP, "安静")).await?;
    assert!(quiet.outcome.is_accepted(), "{quiet:?}");
    let replied = says(&world, &FanMessage::event(SHOP, "subscribe").with("EventKey", "")).await?;
    assert_eq!(part(&replied, "Content"), "欢迎", "{replied:?}");

    let seen = program.peer.ask(json!({ "do": "seen" })).await?;
    assert_eq!(seen.as_array().map(Vec::len), Some(5), "{seen}");
    world.deliver().await?;
    let listed = tenant.list_all(&format!("/v1/deliveries?endpoint_id={id}")).await?;
    assert!(listed.iter().all(|delivery| delivery["state"] == "delivered"), "{listed:?}");
    world.end().await
}

#[tokio::test]
async fn wechatpys_handler_answers_fans_unmodified() -> Result<()> {
    answers_fans(Package::Wechatpy).await
}

#[tokio::test]
async fn co_wechats_handler_answers_fans_unmodified() -> Result<()> {
    answers_fans(Package::CoWechat).await
}

/// What svix says to a webhook.
async fn verified(svix: &mut Peer, secret: &str, taken: &Taken) -> Result<Value> {
    let headers: serde_json::Map<String, Value> =
        taken.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    svix.ask(json!({ "secret": secret, "headers": headers, "payload": taken.body })).await
}

#[tokio::test]
async fn svix_verifies_our_webhooks() -> Result<()> {
    let Some(mut command) = node("verify.cjs") else { return Ok(()) };
    let mut svix = Peer::start(&mut command)?;
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::well()).await?;
    let (id, secret) = tenant.create_webhook(&receiver.url()).await?;
    world.says(SHOP, "你好 🌸 \"引号\" \\").await?;
    world.deliver().await?;
    let taken = receiver.take_one()?;
    let read = verified(&mut svix, &secret, &taken).await?;
    assert_eq!(read["payload"], taken.json());

    let path = format!("/v1/endpoints/{id}/secret");
    let rotated = tenant.post(&path, &json!({ "overlap_secs": 600 })).await?;
    let new = rotated.expect(StatusCode::OK)?.field("secret")?;
    tenant.post(&format!("/v1/endpoints/{id}/test"), &json!({})).await?.expect(StatusCode::OK)?;
    let test = receiver.take_one()?;
    for secret in [&secret, &new] {
        assert_eq!(verified(&mut svix, secret, &test).await?["payload"], test.json());
    }
    let forged = Taken { body: taken.body.replace("你好", "再见"), ..taken.clone() };
    for (secret, taken) in [(&secret, &forged), (&new, &taken)] {
        let refused = verified(&mut svix, secret, taken).await?;
        assert!(refused["refused"].is_string(), "{refused}");
    }
    world.end().await
}
