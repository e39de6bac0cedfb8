//! Peers that nobody here wrote: SDKs of WeChat, a fuzzer, a generator of clients.

mod documents;
mod handlers;
mod oauth;
mod process;
mod sdks;

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use lingpai_tests::{needs, people::Component, recorder::RawPush, world::World};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Has the peer do one thing: JSON in, JSON out.
async fn peer(python: &str, asked: Value) -> Result<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/wechatpy_peer.py");
    let (python, asked) = (python.to_owned(), asked.to_string());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python).arg(script).arg(asked).stdin(Stdio::null()).output()
    })
    .await??;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "the peer failed: {said}");
    serde_json::from_slice(&output.stdout).context("the peer speaks JSON")
}

fn credentials(component: &Component) -> Value {
    json!({
        "appid": component.appid,
        "appsecret": component.appsecret,
        "token": component.push_token,
        "encoding_aes_key": component.encoding_aes_key,
    })
}

#[tokio::test]
async fn a_ticket_that_wechatpy_pushes_is_accepted() -> Result<()> {
    let Some(python) = needs("LINGPAI_TEST_PYTHON") else { return Ok(()) };
    let world = World::start().await?;
    let asked = json!({
        "do": "push",
        "url": world.events_url(),
        "xml": world.ticket_xml("ticket@@@from-wechatpy"),
        "component": credentials(&world.component),
    });
    let answer = peer(&python, asked).await?;
    assert_eq!(answer, json!({ "status": 200, "body": "success" }));
    let path = format!("/admin/v1/components/{}", world.component.appid);
    let shown = world.operator.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(shown.json["ticket"]["age_secs"], 0, "{}", shown.text);
    world.end().await
}

#[tokio::test]
async fn wechatpy_reads_what_our_wire_encrypts() -> Result<()> {
    let Some(python) = needs("LINGPAI_TEST_PYTHON") else { return Ok(()) };
    let world = World::start().await?;
    let xml = world.ticket_xml("ticket@@@票据🌸");
    // The emulator seals with the same wire crate that lingpai replies with.
    let pushed = RawPush::record(&world.emulator, &world.events_url(), &xml).await?;
    let asked = json!({
        "do": "read",
        "msg_signature": pushed.parameter("msg_signature"),
        "timestamp": pushed.parameter("timestamp"),
        "nonce": pushed.parameter("nonce"),
        "body": pushed.body,
        "component": credentials(&world.component),
    });
    let read = peer(&python, asked).await?;
    assert_eq!(read, json!({ "type": "component_verify_ticket", "ticket": "ticket@@@票据🌸" }));
    world.end().await
}
