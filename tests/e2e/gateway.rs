//! The drop-in gateway: what an SDK sees that was told another host and a key of ours for a secret.

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::{EmulatorConfig, Fault, FaultKind, Kill, TokenKind};
use lingpai_tests::{
    people::{Administrator, Answer, Program},
    processes::{eventually, free_url},
    sdk::Sdk,
    site::Site,
    world::{ORDERS, SHOP, World},
};
use reqwest::{Method, StatusCode, header::LOCATION};
use serde_json::{Value, json};
use url::Url;

const USERS: &str = "/cgi-bin/user/get";
const ECHO: &str = "/wxa/emulator/echo";

async fn world() -> Result<(World, Program, Sdk)> {
    let (world, tenant) = World::with_authorizer().await?;
    let sdk = world.sdk(SHOP, &tenant);
    Ok((world, tenant, sdk))
}

/// A refusal of ours, in the shape that SDKs read.
fn assert_refused(answer: &Answer, errcode: i64) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json["errcode"], errcode, "{}", answer.text);
    let errmsg = answer.json["errmsg"].as_str().unwrap_or_default();
    assert!(errmsg.starts_with("lingpai: ") && errmsg.len() > 20, "{}", answer.text);
    assert!(answer.headers.contains_key("lingpai-request-id"), "{:?}", answer.headers);
}

#[tokio::test]
async fn both_token_interfaces_give_a_virtual_token_in_wechats_shape() -> Result<()> {
    let (world, _, sdk) = world().await?;
    let calls = world.emulator.calls().len();
    for answer in [sdk.ask_token().await?, sdk.ask_stable_token().await?] {
        let answer = answer.expect(StatusCode::OK)?;
        assert!(answer.field("access_token")?.starts_with("lpv_"), "{}", answer.text);
        assert_eq!(answer.json["expires_in"], 7200);
        assert_eq!(answer.json.as_object().map(serde_json::Map::len), Some(2), "{}", answer.text);
        let kind = answer.headers["content-type"].to_str()?;
        assert!(kind.starts_with("application/json"), "{kind}");
    }
    assert_eq!(world.emulator.calls().len(), calls, "WeChat was not asked");
    world.end().await
}

#[tokio::test]
async fn a_token_is_asked_for_by_query_by_form_and_by_json() -> Result<()> {
    let (world, tenant, sdk) = world().await?;
    let fields = [("grant_type", "client_credential"), ("appid", SHOP), ("secret", tenant.key())];
    let json = json!({
        "grant_type": "client_credential", "appid": SHOP, "secret": tenant.key(),
        "force_refresh": true,
    });
    for path in ["/cgi-bin/token", "/cgi-bin/stable_token"] {
        let url = format!("{}{path}", sdk.host());
        let http = tenant.http();
        for request in [
            http.get(&url).query(&fields),
            http.post(&url).query(&fields),
            http.post(&url).form(&fields),
            http.post(&url).json(&json),
            // Many an SDK sends JSON and says nothing of it, or that it is a form.
            http.post(&url).body(json.to_string()),
        ] {
            let answer = Answer::read(request.send().await?).await?;
            let given = answer.field("access_token");
            assert!(given.is_ok_and(|token| token.starts_with("lpv_")), "{path}: {}", answer.text);
        }
    }
    world.end().await
}

#[tokio::test]
async fn a_call_goes_out_with_the_real_token_and_comes_back_as_it_is() -> Result<()> {
    let (world, _, sdk) = world().await?;
    let token = sdk.token().await?;
    let user = sdk.get("/cgi-bin/user/info?openid=oLingPai000000000000000fan02", &token).await?;
    assert_eq!(user.json["nickname"], "Ada 🌸", "{}", user.text);
    let refused = sdk.get("/cgi-bin/user/info?openid=nobody", &token).await?;
    assert_eq!(refused.json["errcode"], 40003, "{}", refused.text);
    assert!(!refused.text.contains("lingpai"), "WeChat's refusals stay WeChat's");
    let menu = json!({ "button": [{ "type": "click", "name": "今日歌曲", "key": "V1" }] });
    assert_eq!(sdk.post("/cgi-bin/menu/create", &token, &menu).await?.json["errcode"], 0);
    assert_eq!(sdk.get("/cgi-bin/menu/get", &token).await?.json["menu"], menu);
    let calls = world.emulator.calls_to("/cgi-bin/menu/get");
    assert_eq!((calls[0].appid.as_str(), calls[0].token), (SHOP, TokenKind::Authorizer));
    world.end().await
}

#[tokio::test]
async fn method_query_and_body_arrive_as_they_were_sent() -> Result<()> {
    let (world, tenant, sdk) = world().await?;
    let token = sdk.token().await?;
    let body = "{\"b\":1,\"a\":\"\\u4f60\",\"n\":12345678901234567890}\r\n";
    let url = |query: &str| format!("{}{ECHO}?{query}", sdk.host());
    for (query, arrived) in [
        (
            format!("z=1&a=%2F+x&access_token={token}&action=create&leak=1"),
            "z=1&a=%2F+x&action=create&leak=1",
        ),
        (
            format!("access_token={token}&中=文&%E4%B8%AD=+&leak=1"),
            "%E4%B8%AD=%E6%96%87&%E4%B8%AD=+&leak=1",
        ),
        (format!("leak=1&access_token={token}"), "leak=1"),
    ] {
        let request =
            tenant.http().post(url(&query)).body(body).header("Content-Type", "text/x-odd");
        let request = request.header("Wechatmp-Appid", SHOP).header("Wechatmp-Signature", "a+b/=");
        let echo = Answer::read(request.send().await?).await?;
        assert_eq!(echo.field("method")?, "POST");
        assert_eq!(echo.field("query")?, format!("{arrived}&access_token="), "{}", echo.text);
        assert_eq!(echo.json["body_bytes"], body.len(), "{}", echo.text);
        assert_eq!(echo.json["headers"]["content-type"], json!(["text/x-odd"]), "{}", echo.text);
        assert_eq!(echo.json["headers"]["content-length"], json!([body.len().to_string()]));
        assert_eq!(echo.json["headers"]["wechatmp-signature"], json!(["a+b/="]), "{}", echo.text);
        assert_eq!(echo.headers["wechatmp-signature"], "a+b/=", "they come back too");
        assert!(echo.headers.contains_key("wechatmp-serial"), "{:?}", echo.headers);
        let leaked = echo.field("leaked_token")?;
        assert!(leaked.bytes().all(|byte| byte == b'*'), "WeChat told our token: {leaked}");
    }
    world.end().await
}

#[tokio::test]
async fn a_picture_goes_up_and_comes_down_byte_for_byte() -> Result<()> {
    let (world, _, sdk) = world().await?;
    let token = sdk.token().await?;
    let picture: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 253) as u8).collect();
    let mut form = b"--x\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.jpg\"\r\n\
                     Content-Type: image/jpeg\r\n\r\n"
        .to_vec();
    form.extend_from_slice(&picture);
    form.extend_from_slice(b"\r\n--x--\r\n");
    let request = sdk.request(Method::POST, "/cgi-bin/media/upload?type=image", &token);
    let request = request.header("Content-Type", "multipart/form-data; boundary=x").body(form);
    let uploaded = Answer::read(request.send().await?).await?.expect(StatusCode::OK)?;
    let path = format!("/cgi-bin/media/get?media_id={}", uploaded.field("media_id")?);
    let got = sdk.request(Method::GET, &path, &token).send().await?;
    assert_eq!(got.headers()["content-type"], "image/jpeg");
    assert!(got.headers().contains_key("content-disposition"));
    assert_eq!(got.headers()["content-length"], picture.len().to_string());
    assert!(got.bytes().await?.as_ref() == picture, "the bytes are equal");
    world.end().await
}

#[tokio::test]
async fn a_wrong_key_is_a_wrong_secret() -> Result<()> {
    let (world, tenant, sdk) = world().await?;
    let mistyped = format!("{}x", &tenant.key()[..tenant.key().len() - 1]);
    for secret in ["", "not a key", "lpk_made_up", &mistyped, world.operator.key()] {
        let wrong = Sdk::new(sdk.host(), SHOP, secret);
        for answer in [wrong.ask_token().await?, wrong.ask_stable_token().await?] {
            let missing = secret.is_empty() && answer.json["errcode"] == 41004;
            if !missing {
                assert_refused(&answer, 40125);
            }
            assert!(secret.is_empty() || !answer.text.contains(secret), "{}", answer.text);
        }
    }
    world.end().await
}

#[tokio::test]
async fn somebody_elses_account_answers_like_one_that_does_not_exist() -> Result<()> {
    let (world, tenant, sdk) = world().await?;
    let (_, stranger) = world.operator.create_tenant("另一家").await?;
    let theirs = world.sdk(SHOP, &stranger).ask_token().await?;
    let nobodys = world.sdk("wx0000000000000000", &stranger).ask_token().await?;
    for answer in [&theirs, &nobodys] {
        assert_refused(answer, 40013);
    }
    assert_eq!(
        theirs.text.replace(SHOP, "NAME"),
        nobodys.text.replace("wx0000000000000000", "NAME")
    );
    assert_refused(&sdk.of("no appid at all").ask_token().await?, 40013);
    // A token that was minted for one account opens that one only, and only for its tenant.
    world.authorize(&tenant, ORDERS).await?;
    let token = sdk.of(ORDERS).token().await?;
    assert_eq!(sdk.get(ECHO, &token).await?.field("appid")?, ORDERS);
    world.end().await
}

#[tokio::test]
async fn a_virtual_token_that_is_unknown_changed_or_old_is_refused_with_40001() -> Result<()> {
    let (world, tenant, sdk) = world().await?;
    let token = sdk.token().await?;
    let calls = world.emulator.calls().len();
    let other_account = token.replace(SHOP, ORDERS);
    assert_ne!(other_account, token);
    let last = if token.ends_with('A') { 'B' } else { 'A' };
    let (cut, changed) =
        (&token[..token.len() - 1], format!("{}{last}", &token[..token.len() - 1]));
    let longer_life = {
        let at = "lpv_".len() + 26;
        format!("{}ffffffff{}", &token[..at], &token[at + 8..])
    };
    let real = world.emulator.account(SHOP).and_then(|it| it.grant).and_then(|it| it.access_token);
    let real = real.context("the account has a token")?;
    for wrong in [
        "",
        "x",
        "lpv_",
        &format!("{token}A"),
        cut,
        &changed,
        &other_account,
        &longer_life,
        &real,
        tenant.key(),
        "lpv_%00",
        "lpv_..%2f",
    ] {
        let answer = sdk.get(USERS, wrong).await?;
        let is_missing = wrong.is_empty() && answer.json["errcode"] == 41001;
        if !is_missing {
            assert_refused(&answer, 40001);
        }
        let repeated = wrong.len() > 8 && answer.text.contains(wrong);
        assert!(!repeated, "a token is not repeated: {}", answer.text);
    }
    let bare = Answer::read(tenant.http().get(format!("{}{USERS}", sdk.host())).send().await?);
    assert_refused(&bare.await?, 41001);
    assert_eq!(world.emulator.calls().len(), calls, "WeChat saw none of them");
    assert_eq!(sdk.get(USERS, &token).await?.json["total"], 2);
    world.advance(Duration::minutes(121));
    assert_refused(&sdk.get(USERS, &token).await?, 40001);
    // What every SDK does then: it gets another one.
    world.push_ticket().await?;
    assert_eq!(sdk.get(USERS, &sdk.token().await?).await?.json["total"], 2);
    world.end().await
}

#[tokio::test]
async fn a_key_that_may_not_call_gets_no_way_in() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, _) = world.authorized().await?;
    let key = json!({ "name": "reader", "scopes": ["authorizer:read", "token:read"] });
    let (_, reader) = world.operator.create_key(&id, &key).await?;
    let sdk = world.sdk(SHOP, &reader);
    let answer = sdk.ask_token().await?;
    let refused = match answer.field("access_token") {
        Ok(token) => sdk.get(USERS, &token).await?,
        Err(_) => answer,
    };
    assert_refused(&refused, 48001);
    assert!(refused.text.contains("wechat:call"), "{}", refused.text);
    assert!(world.emulator.calls_to(USERS).is_empty());
    world.end().await
}

#[tokio::test]
async fn a_withdrawn_grant_and_a_lost_one_speak_wechats_numbers() -> Result<()> {
    let (world, _, sdk) = world().await?;
    let token = sdk.token().await?;
    world.advance(Duration::minutes(1));
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    let refused = sdk.get(USERS, &token).await?;
    assert_refused(&refused, 61003);
    world.end().await?;

    let (world, tenant, sdk) = self::world().await?;
    let token = sdk.token().await?;
    world.emulator.kill(&Kill::RefreshToken { appid: SHOP.to_owned() });
    world.emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    // The first call learns that nothing helps; from then on it is known.
    assert_ne!(sdk.get(USERS, &token).await?.json["errcode"], 61023);
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "needs_reauthorization");
    assert_refused(&sdk.get(USERS, &token).await?, 61023);
    world.end().await
}

#[tokio::test]
async fn our_own_troubles_keep_their_status_and_speak_the_same_shape() -> Result<()> {
    let (world, _, sdk) = world().await?;
    let token = sdk.token().await?;
    world.emulator.set_fault(Fault::new(USERS, FaultKind::LoseAnswer).times(1));
    let answer = sdk.get(USERS, &token).await?;
    assert!(answer.status.is_server_error(), "{} {}", answer.status, answer.text);
    let errcode = answer.json["errcode"].as_i64().unwrap_or_default();
    assert!((7_900_000..7_910_000).contains(&errcode), "{}", answer.text);
    assert!(answer.field("errmsg")?.starts_with("lingpai: "), "{}", answer.text);
    assert_eq!(
        world.emulator.calls_to(USERS).len(),
        1,
        "what may have had its effect is not repeated"
    );
    world.end().await
}

#[tokio::test]
async fn a_stale_token_is_cured_behind_the_sdks_back() -> Result<()> {
    let (world, _, sdk) = world().await?;
    let token = sdk.token().await?;
    world.emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    assert_eq!(sdk.get(USERS, &token).await?.json["total"], 2);
    assert_eq!(world.emulator.calls_to("/cgi-bin/component/api_authorizer_token").len(), 1);
    world.end().await
}

/// Has 令牌小店 grant these permission sets only, by a link of the tenant's.
async fn grant(world: &World, tenant: &Program, link: &Url, sets: &[u32]) -> Result<()> {
    let mut administrator = Administrator::new("zh-CN");
    let page = administrator.open_start_page(link).await?;
    let back = world.emulator.consent(page.desktop.as_str(), SHOP, sets).await?;
    administrator.come_back(&back.parse()?).await?.expect(StatusCode::OK)?;
    world.work().await?;
    tenant.get(&format!("/v1/authorizers/{SHOP}")).await?.expect(StatusCode::OK)?;
    Ok(())
}

#[tokio::test]
async fn a_missing_permission_set_is_named_with_the_link_to_grant_it() -> Result<()> {
    const TEMPLATE: &str = "/cgi-bin/message/template/send";
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let (_, link) = tenant.start_authorization(&world.component.appid).await?;
    // 用户管理 alone.
    grant(&world, &tenant, &link, &[2]).await?;
    let sdk = world.sdk(SHOP, &tenant);
    let token = sdk.token().await?;
    let proxied = format!("/v1/authorizers/{SHOP}/proxy{TEMPLATE}");
    let by_proxy = tenant.post(&proxied, &json!({})).await?;
    let by_gateway = sdk.post(TEMPLATE, &token, &json!({})).await?;
    let mut links = Vec::new();
    for answer in [by_proxy, by_gateway] {
        assert_eq!(answer.json["errcode"], 61007, "the answer is WeChat's: {}", answer.text);
        let hint = answer.headers.get("lingpai-hint").context("there is a hint")?.to_str()?;
        let link = hint.split_whitespace().find(|word| word.starts_with("http"));
        let link = link.with_context(|| format!("no link in {hint}"))?;
        assert!(link.starts_with(&format!("{}authorize/r_", world.base)), "{hint}");
        links.push(link.trim_end_matches(['.', ',', ')']).parse::<Url>()?);
    }
    let mut administrator = Administrator::new("zh-CN");
    let led_on = administrator.open(&links[0]).await?.expect(StatusCode::SEE_OTHER)?;
    let start = world.base.join(led_on.headers[LOCATION].to_str()?)?;
    world.advance(Duration::minutes(1));
    grant(&world, &tenant, &start, &[]).await?;
    let list = tenant.get("/v1/authorizations").await?.expect(StatusCode::OK)?;
    let items = list.json["items"].as_array().context("a list has items")?;
    assert_eq!(items.len(), 2, "{}", list.text);
    assert!(items.iter().all(|item| item["state"] == "finished"), "{}", list.text);
    let sent = sdk.post(TEMPLATE, &token, &json!({})).await?;
    assert_ne!(sent.json["errcode"], 61007, "the set is there now: {}", sent.text);
    world.end().await
}

#[tokio::test]
async fn what_went_well_has_no_hint() -> Result<()> {
    let (world, _, sdk) = world().await?;
    let answer = sdk.get(USERS, &sdk.token().await?).await?;
    assert_eq!(answer.json["total"], 2);
    assert!(!answer.headers.contains_key("lingpai-hint"));
    world.end().await
}

#[tokio::test]
async fn a_path_that_the_catalogue_does_not_know_passes_unless_the_operator_denies_it() -> Result<()>
{
    let (world, tenant, sdk) = world().await?;
    let unknown = "/wxa/of_next_month";
    sdk.get(unknown, &sdk.token().await?).await?;
    assert_eq!(world.emulator.calls_to(unknown).len(), 1);
    world.end().await?;
    drop(tenant);

    let deny = [("LINGPAI_GATEWAY__UNCATALOGUED", "deny")];
    let world = World::start_set(EmulatorConfig::for_tests(), None, &deny).await?;
    world.push_ticket().await?;
    let (_, tenant) = world.authorized().await?;
    let sdk = world.sdk(SHOP, &tenant);
    let token = sdk.token().await?;
    assert_refused(&sdk.get(unknown, &token).await?, 48001);
    let path = format!("/v1/authorizers/{SHOP}/proxy{unknown}");
    let refused = tenant.get(&path).await?.expect(StatusCode::FORBIDDEN)?;
    assert_eq!(refused.field("code")?, "path_refused");
    assert!(world.emulator.calls_to(unknown).is_empty());
    assert_eq!(sdk.get(USERS, &token).await?.json["total"], 2);
    world.end().await
}

#[tokio::test]
async fn a_listener_of_its_own_serves_the_gateway_at_its_root_and_nothing_else() -> Result<()> {
    let own = free_url()?;
    let set = [("LINGPAI_GATEWAY__LISTEN", own.authority())];
    let site = Site::open(EmulatorConfig::for_tests(), &set).await?;
    let tenant = site.authorized(SHOP).await?;
    let sdk = Sdk::new(own.as_str().trim_end_matches('/'), SHOP, tenant.key());
    let token = eventually("the listener is there", async || Ok(sdk.token().await.ok())).await?;
    assert_eq!(sdk.get(USERS, &token).await?.json["total"], 2);
    let http = tenant.http();
    for path in
        ["v1/authorizers", "admin/v1/tenants", "healthz", "metrics", "docs", "openapi/tenant.json"]
    {
        let request = http.get(own.join(path)?).bearer_auth(tenant.key());
        let answer = Answer::read(request.send().await?).await?;
        // To the gateway these are calls without a token, and nothing else.
        assert_refused(&answer, 41001);
    }
    // Both listeners give the same tokens.
    let main = Sdk::new(&format!("{}gateway", site.process.url), SHOP, tenant.key());
    assert_eq!(main.get(USERS, &token).await?.json["total"], 2);
    let shown: Value = tenant.get("/v1/authorizers").await?.json;
    assert_eq!(shown["items"][0]["appid"], SHOP);
    Ok(())
}
