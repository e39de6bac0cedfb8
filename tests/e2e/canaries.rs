//! Secrets leave no trace: neither in the log, nor in the database's files, nor in answers.

mod fans;

use std::{fs, path::Path};

use anyhow::Result;
use lingpai_emulator::{
    AccountConfig, Emulator, EmulatorConfig, FanMessage, Fault, FaultKind, Kill,
};
use lingpai_model::endpoint::Mode;
use lingpai_tests::{
    handler::{Handler, Says},
    people::{Administrator, Program},
    processes::eventually,
    receiver::{Manner, Receiver},
    sdk::Sdk,
    site::Site,
    world::SHOP,
};
use reqwest::{StatusCode, header::LOCATION};
use serde_json::json;
use url::Url;

use self::fans::Fans;

/// Every secret of the emulator's world, and everything it mints, contains this word.
const CANARY: &str = "CANARY";

/// Stands in the query of an endpoint's address, which its tenant may see and the log may not.
const IN_ADDRESS: &str = "KNOWNTOTHETENANT";

#[tokio::test]
async fn no_secret_is_found_in_clear() -> Result<()> {
    let loud = [("LINGPAI_LOG__LEVEL", "trace")];
    let config = EmulatorConfig { many_accounts: 2, ..EmulatorConfig::for_tests() };
    let mut site = Site::open(config, &loud).await?;
    let Site { emulator, component, operator, start, dir, process } = &mut site;
    emulator.push_ticket().await;
    let shown = format!("/admin/v1/components/{}", component.appid);
    let mut answers = vec![operator.get(&shown).await?.text];
    let (_, tenant) = operator.create_tenant("花店").await?;
    let (_, link) = tenant.start_authorization(&component.appid).await?;
    let mut administrator = Administrator::new("zh");
    let page = administrator.open_start_page(&link).await?;
    let back = administrator.consent(&page, SHOP).await?;
    let result = administrator.come_back(&back).await?;
    assert!(!result.headers.contains_key(LOCATION));
    answers.push(result.text);
    let shown = format!("/v1/authorizers/{SHOP}");
    eventually("the authorizer is stored", async || {
        Ok(tenant.get(&shown).await?.status.is_success().then_some(()))
    })
    .await?;

    answers.extend(call_everything(emulator, operator, &tenant).await?);
    let mut minted = mint_everything(&process.url, operator).await?;
    let (told, secrets) = hear_everything(emulator, operator, &tenant).await?;
    answers.extend(told);
    minted.extend(secrets);
    let mut fans = Fans::of(emulator, &process.url, &tenant);
    fans.visit_pages(&AccountConfig::generated(2)).await?;
    fans.use_mini_program(&component.appid).await?;
    answers.extend(fans.told);
    minted.extend(fans.secrets);
    answers.push(start.command(&["doctor"]).unwrap_or_default());
    answers.push(start.command(&["config", "print"])?);
    process.kill()?;

    for answer in &answers {
        assert!(!answer.contains(CANARY), "an answer holds a secret: {answer}");
    }
    let master_key = fs::read_to_string(dir.path().join("master.key"))?;
    let master_key = master_key.trim().rsplit(':').next().unwrap_or_default().to_owned();
    let link_token = link.path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut secrets = vec![CANARY, operator.key(), tenant.key(), &link_token, &master_key];
    secrets.extend(minted.iter().map(String::as_str));
    let mut looked_at = 0;
    for entry in fs::read_dir(dir.path())? {
        let path = entry?.path();
        if path.ends_with("master.key") || path.is_dir() {
            continue;
        }
        looked_at += 1;
        holds_none(&path, &secrets)?;
    }
    assert!(looked_at >= 2, "log and database are there");
    holds_none(&process.log, &[IN_ADDRESS])
}

/// What fans write and what is answered, in every way that there is: delivered, refused, replied to in
/// time and too late, and not to be read at all. Gives what operator and tenant are shown of it, and
/// the secrets that were shown once.
async fn hear_everything(
    emulator: &Emulator,
    operator: &Program,
    tenant: &Program,
) -> Result<(Vec<String>, Vec<String>)> {
    let failing = Receiver::start(Manner::Answer(500, "CANARYanswer".to_owned())).await?;
    let address = format!("{}?key={IN_ADDRESS}", failing.url());
    let (id, secret) = tenant.create_webhook(&address).await?;
    let rotate = format!("/v1/endpoints/{id}/secret");
    let rotated = tenant.post(&rotate, &json!({ "overlap_secs": 60 })).await?.field("secret")?;
    let unreachable = format!("http://127.0.0.1:9/?key={IN_ADDRESS}");
    // The answer is kept for whoever asks again.
    let endpoint = json!({ "kind": "webhook", "url": unreachable });
    let kept = tenant.post_once("/v1/endpoints", &endpoint, "endpoint").await?;
    let third = kept.expect(StatusCode::CREATED)?.field("secret")?;
    let says = || Handler::new(SHOP, Mode::Secure, Says::Text("CANARYreply".to_owned()));
    let handler = Receiver::start(says()?).await?;
    let mut endpoint = Handler::settings(Mode::Secure);
    endpoint["url"] = json!(handler.url());
    endpoint["replying"] = json!(true);
    endpoint["late_reply"] = json!("customer_service");
    tenant.create_endpoint(&endpoint).await?;

    let text = FanMessage::text(SHOP, "CANARYtext");
    let replied = emulator.fan_message(&text).await?;
    assert!(replied.reply.is_some_and(|reply| reply.contains("CANARYreply")));
    handler.answer(Manner::Late(Box::new(says()?.into())));
    assert!(emulator.fan_message(&text).await?.outcome.is_accepted());
    handler.let_go();
    handler.answer(Handler::new(SHOP, Mode::Secure, Says::Raw("<xml>CANARYbroken".to_owned()))?);
    assert!(emulator.fan_message(&text).await?.outcome.is_accepted());
    assert!(emulator.push_message(SHOP, "CANARYunreadable").await?.is_accepted());
    eventually("the late reply is sent, and what fails was tried", async || {
        let sent = emulator.account(SHOP).is_some_and(|account| !account.messages.is_empty());
        Ok((sent && failing.counts().taken >= 3).then_some(()))
    })
    .await?;

    let mut told = Vec::new();
    for path in ["/v1/endpoints", "/v1/events", "/v1/deliveries", "/v1/audit"] {
        told.push(tenant.get(path).await?.text);
    }
    for delivery in tenant.list_all("/v1/deliveries").await? {
        let id = delivery["id"].as_str().unwrap_or_default();
        told.push(tenant.get(&format!("/v1/deliveries/{id}")).await?.text);
    }
    for path in ["/admin/v1/quarantine", "/admin/v1/deliveries", "/admin/v1/health"] {
        told.push(operator.get(path).await?.text);
    }
    Ok((told, vec![secret, rotated, third]))
}

/// What works, what WeChat refuses, what breaks, and what is nonsense.
async fn call_everything(
    emulator: &Emulator,
    operator: &Program,
    tenant: &Program,
) -> Result<Vec<String>> {
    let mut answers = Vec::new();
    let shown = format!("/v1/authorizers/{SHOP}");
    emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    for path in ["/cgi-bin/user/get", "/wxa/emulator/echo?access_token=x", "/cgi-bin/token"] {
        answers.push(tenant.get(&format!("{shown}/proxy{path}")).await?.text);
    }
    let token_call = "/cgi-bin/component/api_authorizer_token";
    emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    let garbled = FaultKind::OtherAnswer {
        status: 200,
        content_type: "text/plain".to_owned(),
        body: "{\"authorizer_access_token\":\"CANARYgarbled\",\"expires_in\":-1}".to_owned(),
    };
    for kind in [FaultKind::LoseAnswer, garbled] {
        emulator.set_fault(Fault::new(token_call, kind).times(1));
        answers.push(tenant.get(&format!("{shown}/proxy/cgi-bin/user/get")).await?.text);
    }
    answers.push(operator.post("/admin/v1/components", &json!({"appsecret": CANARY})).await?.text);
    for path in ["/admin/v1/components", "/admin/v1/tenants"] {
        answers.push(operator.get(path).await?.text);
    }
    answers.push(tenant.get(&shown).await?.text);
    answers.push(tenant.get("/v1/authorizations").await?.text);
    Ok(answers)
}

/// Has keys made, kept answers included, and virtual tokens, and uses them; gives all their texts.
async fn mint_everything(base: &Url, operator: &Program) -> Result<Vec<String>> {
    let (id, everything) = operator.create_tenant("书店").await?;
    let keys = format!("/admin/v1/tenants/{id}/api-keys");
    let created = operator.post_once(&keys, &json!({ "name": "kept" }), "once").await?;
    let rotate = format!("{keys}/{}/rotate", created.field("id")?);
    let rotated = operator.post_once(&rotate, &json!({ "overlap_secs": 60 }), "twice").await?;
    let colleague = operator.post("/admin/v1/operators", &json!({ "name": "colleague" })).await?;
    let appid = AccountConfig::generated(1);
    let connect =
        json!({ "connection": "secret", "appid": appid.appid, "appsecret": appid.appsecret });
    everything.post("/v1/authorizers", &connect).await?.expect(StatusCode::CREATED)?;
    let mut minted = vec![everything.key().to_owned(), colleague.field("key")?];
    for answer in [created, rotated] {
        let key = answer.field("key")?;
        let sdk = Sdk::new(&format!("{base}gateway"), &appid.appid, &key);
        let token = sdk.token().await?;
        let users = sdk.get("/cgi-bin/user/get", &token).await?.expect(StatusCode::OK)?;
        assert_eq!(users.json["total"], 0, "{}", users.text);
        sdk.get("/cgi-bin/token", &token).await?;
        minted.extend([key, token]);
    }
    Ok(minted)
}

fn holds_none(path: &Path, secrets: &[&str]) -> Result<()> {
    let bytes = fs::read(path)?;
    assert!(!bytes.is_empty(), "{} is empty", path.display());
    for secret in secrets {
        let found = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
        let around = found.map(|at| {
            let (from, to) = (at.saturating_sub(120), (at + 120).min(bytes.len()));
            String::from_utf8_lossy(&bytes[from..to]).into_owned()
        });
        assert_eq!(around, None, "a secret is in clear in {}", path.display());
    }
    Ok(())
}
