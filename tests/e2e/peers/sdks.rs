//! WeChat SDKs that nobody here wrote, unmodified: what they do at WeChat with an account's own
//! secret they do at the gateway with an API key. Their host and their secret change, nothing else.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::{EmulatorConfig, TokenKind};
use lingpai_tests::{
    needs,
    people::Program,
    world::{SHOP, World},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::Peer;

const FAN: &str = "oLingPai000000000000000fan02";

const TEXT: &str = "你好 🌸 \"引号\" \\ ";

/// One of the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Package {
    /// PyPI's `wechatpy`.
    Wechatpy,
    /// npm's `co-wechat-api`.
    CoWechatApi,
    /// npm's `wechat-api`.
    WechatApi,
}

impl Package {
    /// A program that is built on the package and calls this host with this secret; `None` where the
    /// package is not installed.
    fn start(self, host: &str, appid: &str, secret: &str) -> Result<Option<Peer>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = match self {
            Self::Wechatpy => {
                let Some(python) = needs("LINGPAI_TEST_PYTHON") else { return Ok(None) };
                let mut command = Command::new(python);
                command.arg(folder.join("e2e/wechatpy_sdk.py"));
                command
            }
            Self::CoWechatApi | Self::WechatApi => {
                let Some(packages) = needs("LINGPAI_TEST_NODE") else { return Ok(None) };
                let mut command = Command::new("node");
                command.env("NODE_PATH", Path::new(&packages).join("node_modules"));
                command.arg(folder.join("peers/sdks.cjs")).arg(self.name());
                command
            }
        };
        let host = host.trim_end_matches('/');
        command.arg(json!({ "host": host, "appid": appid, "secret": secret }).to_string());
        Peer::start(&mut command).map(Some)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Wechatpy => "wechatpy",
            Self::CoWechatApi => "co-wechat-api",
            Self::WechatApi => "wechat-api",
        }
    }

    /// The program at lingpai's gateway.
    fn at_gateway(self, world: &World, tenant: &Program) -> Result<Option<Peer>> {
        self.start(&gateway(world), SHOP, tenant.key())
    }
}

fn gateway(world: &World) -> String {
    format!("{}gateway", world.base)
}

/// 令牌小店's own secret at WeChat.
fn own_secret() -> Result<String> {
    let shop = EmulatorConfig::default().accounts.into_iter().find(|one| one.appid == SHOP);
    shop.and_then(|shop| shop.appsecret).context("the shop has a secret")
}

/// Has the SDK do one thing, and refuses a refusal.
async fn done(sdk: &mut Peer, asked: Value) -> Result<Value> {
    let mut told = sdk.ask(asked.clone()).await?;
    anyhow::ensure!(told.get("refused").is_none(), "{asked} was refused: {told}");
    Ok(told["answer"].take())
}

/// What the SDK raises.
async fn refused(sdk: &mut Peer, asked: Value) -> Result<(i64, String)> {
    let told = sdk.ask(asked).await?;
    let errcode = told["refused"].as_i64().with_context(|| told.to_string())?;
    Ok((errcode, told["why"].as_str().unwrap_or_default().to_owned()))
}

/// What such a program does all day. Gives what it was told, as far as that is the same every day.
async fn usual_day(sdk: &mut Peer) -> Result<Vec<Value>> {
    let mut told = Vec::new();
    told.push(done(sdk, json!({ "do": "fans" })).await?);
    told.push(done(sdk, json!({ "do": "fan", "openid": FAN })).await?);
    told.push(done(sdk, json!({ "do": "several_fans", "openids": [FAN] })).await?);
    told.push(refused(sdk, json!({ "do": "fan", "openid": "nobody" })).await?.0.into());

    let menu = json!({ "button": [
        { "type": "click", "name": "点单", "key": "ORDER" },
        { "type": "view", "name": "关于我们", "url": "https://shop.example/?a=1&b=%E4%BD%A0" },
    ] });
    told.push(done(sdk, json!({ "do": "create_menu", "menu": menu })).await?);
    let created = done(sdk, json!({ "do": "menu" })).await?;
    assert_eq!(created["menu"], menu);
    told.push(done(sdk, json!({ "do": "delete_menu" })).await?);
    // wechatpy makes an empty answer of WeChat's 46003, the others raise it.
    let mut deleted = sdk.ask(json!({ "do": "menu" })).await?;
    if let Some(told) = deleted.as_object_mut() {
        told.remove("why");
    }
    told.push(deleted);

    send_and_fetch_a_picture(sdk).await?;
    told.push(done(sdk, json!({ "do": "send_text", "openid": FAN, "text": TEXT })).await?);
    Ok(told)
}

/// A picture goes up and comes back as it was.
async fn send_and_fetch_a_picture(sdk: &mut Peer) -> Result<()> {
    let dir = TempDir::new()?;
    let (up, down) = (dir.path().join("up.jpg"), dir.path().join("down.jpg"));
    // Every byte value, and what ends parts and lines elsewhere.
    let picture: Vec<u8> =
        (0..300_000_u64).map(|i| (i * i / 7 % 256) as u8).chain(*b"\r\n--x--\r\n\0").collect();
    fs::write(&up, &picture)?;
    let media = done(sdk, json!({ "do": "upload", "path": up })).await?;
    assert_eq!(media["type"], "image", "{media}");
    let asked = json!({ "do": "download", "media_id": media["media_id"], "path": down });
    done(sdk, asked).await?;
    assert!(fs::read(&down)? == picture, "the bytes are equal");
    Ok(())
}

/// At WeChat with the account's own secret, then at the gateway with a key: the program is told the
/// same, fans receive the same, and WeChat sees a delegated account.
async fn moves_over(package: Package) -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let at_wechat = package.start(world.emulator.base_url(), SHOP, &own_secret()?)?;
    let Some(mut at_wechat) = at_wechat else { return world.end().await };
    let own = usual_day(&mut at_wechat).await?;
    let before = world.emulator.calls().len();

    let Some(mut sdk) = package.at_gateway(&world, &tenant)? else { return world.end().await };
    let delegated = usual_day(&mut sdk).await?;
    assert_eq!(delegated, own);

    let calls = world.emulator.calls().split_off(before);
    assert!(calls.len() >= 10, "{calls:?}");
    for call in calls {
        assert_eq!((call.token, &*call.appid), (TokenKind::Authorizer, SHOP), "{call:?}");
    }
    let messages = world.emulator.account(SHOP).context("the shop is there")?.messages;
    let [first, second] = &*messages else { anyhow::bail!("{messages:?}") };
    assert!(first.body.contains("你好 🌸"), "{}", first.body);
    assert_eq!((&first.openid, &first.body), (&second.openid, &second.body));
    world.end().await
}

#[tokio::test]
async fn wechatpy_moves_over_by_its_host_and_secret() -> Result<()> {
    moves_over(Package::Wechatpy).await
}

#[tokio::test]
async fn co_wechat_api_moves_over_by_its_host_and_secret() -> Result<()> {
    moves_over(Package::CoWechatApi).await
}

#[tokio::test]
async fn wechat_api_moves_over_by_its_host_and_secret() -> Result<()> {
    moves_over(Package::WechatApi).await
}

/// Whether an SDK learns by a refusal that its token has ended. `wechat-api` sends a refused token
/// once more, at WeChat as well, and gets a new one only when its own clock says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learns {
    ByRefusal,
    ByItsClock,
}

/// A program that has been running for longer than its token lives goes on without noticing.
async fn goes_on(package: Package, learns: Learns) -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let Some(mut sdk) = package.at_gateway(&world, &tenant)? else { return world.end().await };
    let fans = done(&mut sdk, json!({ "do": "fans" })).await?;
    world.advance(Duration::hours(3));
    world.push_ticket().await?;
    if learns == Learns::ByItsClock {
        assert_eq!(refused(&mut sdk, json!({ "do": "fans" })).await?.0, 40001);
        done(&mut sdk, json!({ "do": "later", "secs": 3 * 3600 })).await?;
    }
    assert_eq!(done(&mut sdk, json!({ "do": "fans" })).await?, fans);
    send_and_fetch_a_picture(&mut sdk).await?;
    world.end().await
}

#[tokio::test]
async fn wechatpy_fetches_a_new_token_when_its_own_has_ended() -> Result<()> {
    goes_on(Package::Wechatpy, Learns::ByRefusal).await
}

#[tokio::test]
async fn co_wechat_api_fetches_a_new_token_when_its_own_has_ended() -> Result<()> {
    goes_on(Package::CoWechatApi, Learns::ByRefusal).await
}

#[tokio::test]
async fn wechat_api_fetches_a_new_token_when_its_own_has_ended() -> Result<()> {
    goes_on(Package::WechatApi, Learns::ByItsClock).await
}

/// What the gateway itself refuses, SDKs raise as they raise WeChat's refusals, with our words.
async fn raises_our_refusals(package: Package) -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (_, stranger) = world.operator.create_tenant("另一家").await?;
    let cases = [
        (SHOP, "lpk_nonsense", 40125),
        (SHOP, stranger.key(), 40013),
        ("wx0000000000000000", tenant.key(), 40013),
    ];
    for (appid, secret, errcode) in cases {
        let Some(mut sdk) = package.start(&gateway(&world), appid, secret)? else { break };
        let (raised, why) = refused(&mut sdk, json!({ "do": "fans" })).await?;
        assert_eq!(raised, errcode, "{appid}: {why}");
        assert!(why.starts_with("lingpai: "), "{why}");
    }
    world.end().await
}

#[tokio::test]
async fn wechatpy_raises_what_the_gateway_refuses() -> Result<()> {
    raises_our_refusals(Package::Wechatpy).await
}

#[tokio::test]
async fn co_wechat_api_raises_what_the_gateway_refuses() -> Result<()> {
    raises_our_refusals(Package::CoWechatApi).await
}

#[tokio::test]
async fn wechat_api_raises_what_the_gateway_refuses() -> Result<()> {
    raises_our_refusals(Package::WechatApi).await
}
