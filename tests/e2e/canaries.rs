//! Secrets leave no trace: neither in the log, nor in the database's files, nor in answers.

use std::{fs, path::Path};

use anyhow::Result;
use lingpai_emulator::{AccountConfig, Emulator, EmulatorConfig, Fault, FaultKind, Kill};
use lingpai_tests::{
    people::{Administrator, Program},
    processes::eventually,
    sdk::Sdk,
    site::Site,
    world::SHOP,
};
use reqwest::{StatusCode, header::LOCATION};
use serde_json::json;
use url::Url;

/// Every secret of the emulator's world, and everything it mints, contains this word.
const CANARY: &str = "CANARY";

#[tokio::test]
async fn no_secret_is_found_in_clear() -> Result<()> {
    let loud = [("LINGPAI_LOG__LEVEL", "trace")];
    let config = EmulatorConfig { many_accounts: 1, ..EmulatorConfig::for_tests() };
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
    let minted = mint_everything(&process.url, operator).await?;
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
    Ok(())
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
