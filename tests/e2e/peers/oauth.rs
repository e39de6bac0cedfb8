//! OAuth SDKs that nobody here wrote, unmodified: a fan signs in with what they write for WeChat.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use lingpai_tests::{
    fans::FAN,
    needs,
    visitor::{Choice, Visitor, parameter},
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::process::Peer;

/// Where the tenant wants its fans.
const BACK: &str = "https://shop.example/back?from=wechat";

/// One of the packages.
#[derive(Debug, Clone, Copy)]
enum Package {
    /// PyPI's `wechatpy.oauth`.
    Wechatpy,
    /// npm's `co-wechat-oauth`.
    CoWechatOauth,
}

impl Package {
    /// A program that is built on the package; `None` where that is not installed.
    fn start(self, host: &str, secret: &str) -> Result<Option<Peer>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = match self {
            Self::Wechatpy => {
                let Some(python) = needs("LINGPAI_TEST_PYTHON") else { return Ok(None) };
                let mut command = Command::new(python);
                command.arg(folder.join("e2e/wechatpy_oauth.py"));
                command
            }
            Self::CoWechatOauth => {
                let Some(packages) = needs("LINGPAI_TEST_NODE") else { return Ok(None) };
                let mut command = Command::new("node");
                command.env("NODE_PATH", Path::new(&packages).join("node_modules"));
                command.arg(folder.join("peers/oauth.cjs"));
                command
            }
        };
        command.arg(json!({ "host": host, "appid": SHOP, "secret": secret }).to_string());
        Peer::start(&mut command).map(Some)
    }
}

async fn done(sdk: &mut Peer, asked: Value) -> Result<Value> {
    let mut told = sdk.ask(asked.clone()).await?;
    ensure!(told.get("refused").is_none(), "{asked} was refused: {told}");
    Ok(told["answer"].take())
}

async fn refused(sdk: &mut Peer, asked: Value) -> Result<i64> {
    let told = sdk.ask(asked).await?;
    told["refused"].as_i64().with_context(|| told.to_string())
}

/// A fan opens the address that the SDK made, and consents; gives the code that he brings.
async fn consent(way_in: &str, choice: Choice) -> Result<Option<String>> {
    let home = Visitor::default().sign_in(&way_in.parse()?, choice).await?;
    ensure!(home.as_str().starts_with(BACK), "{home}");
    ensure!(parameter(&home, "state").as_deref() == Some("s7"), "{home}");
    Ok(parameter(&home, "code"))
}

async fn a_fan_signs_in(package: Package) -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    tenant.post("/v1/redirect-uris", &json!({ "uri": BACK })).await?.expect(StatusCode::CREATED)?;
    let host = format!("{}gateway", world.base);
    let Some(mut sdk) = package.start(&host, tenant.key())? else { return Ok(()) };
    let way_in = json!({
        "do": "way_in", "redirect_uri": BACK, "scope": "snsapi_userinfo", "state": "s7",
    });
    let way_in = done(&mut sdk, way_in).await?;
    let way_in = way_in.as_str().context("an address")?;
    assert_eq!(consent(way_in, Choice::Refuse).await?, None, "a refusal has no code");

    let code = consent(way_in, Choice::Allow).await?.context("a code")?;
    let token = done(&mut sdk, json!({ "do": "exchange", "code": code })).await?;
    assert_eq!((&token["openid"], &token["scope"]), (&json!(FAN), &json!("snsapi_userinfo")));
    let fan = done(&mut sdk, json!({ "do": "fan", "openid": FAN })).await?;
    assert_eq!((&fan["openid"], &fan["nickname"]), (&json!(FAN), &json!("小林")));
    let check = json!({ "do": "check", "openid": FAN, "access_token": token["access_token"] });
    assert_eq!(done(&mut sdk, check).await?, true);

    let refresh = json!({ "do": "refresh", "refresh_token": token["refresh_token"] });
    let newer = done(&mut sdk, refresh).await?;
    assert_eq!(newer["openid"], FAN);
    let fan = done(&mut sdk, json!({ "do": "fan", "openid": FAN })).await?;
    assert_eq!(fan["nickname"], "小林");

    assert_eq!(refused(&mut sdk, json!({ "do": "exchange", "code": code })).await?, 40163);
    assert_eq!(refused(&mut sdk, json!({ "do": "exchange", "code": "x" })).await?, 40029);
    let nonsense = json!({ "do": "refresh", "refresh_token": "x" });
    assert_eq!(refused(&mut sdk, nonsense).await?, 40030);
    for told in [&token, &newer] {
        let text = told.to_string();
        assert!(text.contains("\"lpw_") && text.contains("\"lpr_"), "virtual ones only: {text}");
    }
    world.end().await
}

#[tokio::test]
async fn with_wechatpy_a_fan_signs_in() -> Result<()> {
    a_fan_signs_in(Package::Wechatpy).await
}

#[tokio::test]
async fn with_co_wechat_oauth_a_fan_signs_in() -> Result<()> {
    a_fan_signs_in(Package::CoWechatOauth).await
}
