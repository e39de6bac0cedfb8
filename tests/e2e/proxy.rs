//! Calls on an authorizer's behalf.

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{Fault, FaultKind, Kill};
use lingpai_tests::{
    people::{Answer, Program, http_client},
    world::{SHOP, World},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

fn proxied(path: &str) -> String {
    format!("/v1/authorizers/{SHOP}/proxy{path}")
}

async fn send(
    world: &World,
    tenant: &Program,
    method: Method,
    path: &str,
    body: impl Into<reqwest::Body>,
) -> Result<Answer> {
    let url = format!("{}{}", world.base.as_str().trim_end_matches('/'), proxied(path));
    let request = http_client().request(method, url).bearer_auth(tenant.key()).body(body);
    Answer::read(request.send().await?).await
}

#[tokio::test]
async fn a_call_goes_through_and_comes_back() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let path = proxied("/cgi-bin/user/info?openid=oLingPai000000000000000fan01&lang=zh_CN");
    let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(answer.field("openid")?, "oLingPai000000000000000fan01");
    assert_eq!(answer.json["subscribe"], 1);

    let message = json!({
        "touser": "oLingPai000000000000000fan01",
        "msgtype": "text",
        "text": { "content": "你好" },
    });
    let sent = tenant.post(&proxied("/cgi-bin/message/custom/send"), &message).await?;
    assert_eq!(sent.json["errcode"], 0, "{}", sent.text);
    // WeChat's own refusals come back as they are.
    let refused = tenant.get(&proxied("/cgi-bin/user/info?openid=nobody")).await?;
    assert_eq!(refused.status, StatusCode::OK);
    assert_eq!(refused.json["errcode"], 40003, "{}", refused.text);
    world.end().await
}

#[tokio::test]
async fn query_and_body_arrive_as_they_were_sent() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let body = "{\"b\":1,\"a\":\"\\u4f60\",\"n\":12345678901234567890}";
    let query = "z=1&a=%2F+x&access_token=mine&action=create&access%5Ftoken=too";
    let path = format!("/wxa/emulator/echo?{query}&leak=1");
    let echo = send(&world, &tenant, Method::POST, &path, body).await?.expect(StatusCode::OK)?;
    assert_eq!(echo.field("method")?, "POST");
    let arrived = echo.field("query")?;
    assert!(arrived.starts_with("z=1&a=%2F+x&action=create&leak=1&access_token="), "{arrived}");
    assert!(!arrived.contains("mine") && !arrived.contains("too"), "{arrived}");
    assert_eq!(echo.json["body_bytes"], body.len(), "{}", echo.text);
    let leaked = echo.field("leaked_token")?;
    assert!(leaked.bytes().all(|byte| byte == b'*'), "WeChat told our token: {leaked}");
    let headers = echo.json["headers"].to_string().to_lowercase();
    for kept_here in ["authorization", "cookie", "x-forwarded-for"] {
        assert!(!headers.contains(kept_here), "{headers}");
    }
    world.end().await
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let picture: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut form = b"--x\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.jpg\"\r\n\
                     Content-Type: image/jpeg\r\n\r\n"
        .to_vec();
    form.extend_from_slice(&picture);
    form.extend_from_slice(b"\r\n--x--\r\n");
    let url = format!("{}v1/authorizers/{SHOP}/proxy/cgi-bin/media/upload?type=image", world.base);
    let request = http_client()
        .post(url)
        .bearer_auth(tenant.key())
        .header("Content-Type", "multipart/form-data; boundary=x")
        .body(form);
    let uploaded = Answer::read(request.send().await?).await?.expect(StatusCode::OK)?;
    let media_id = uploaded.field("media_id")?;

    let url =
        format!("{}v1/authorizers/{SHOP}/proxy/cgi-bin/media/get?media_id={media_id}", world.base);
    let got = http_client().get(url).bearer_auth(tenant.key()).send().await?;
    assert!(got.headers().contains_key("content-disposition"));
    assert_eq!(got.headers()["content-length"], picture.len().to_string());
    assert!(got.bytes().await?.as_ref() == picture, "the bytes are equal");
    world.end().await
}

#[tokio::test]
async fn a_token_killed_elsewhere_is_cured_within_the_call() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let refreshes = "/cgi-bin/component/api_authorizer_token";
    world.emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    let answer = tenant.get(&proxied("/cgi-bin/user/get")).await?;
    assert_eq!(answer.json["total"], 2, "{}", answer.text);
    assert_eq!(world.emulator.calls_to(refreshes).len(), 1);

    // A call whose body is too long to be kept gets WeChat's answer instead of a second try.
    world.emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    let long = vec![b'x'; 100_000];
    let answer = send(&world, &tenant, Method::POST, "/wxa/emulator/echo", long).await?;
    assert_eq!(answer.json["errcode"], 40001, "{}", answer.text);
    assert_eq!(world.emulator.calls_to(refreshes).len(), 1);
    world.end().await
}

#[tokio::test]
async fn a_call_refreshes_at_most_once() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.emulator.set_fault(Fault::errcode("/cgi-bin/user/get", 40001));
    let answer = tenant.get(&proxied("/cgi-bin/user/get")).await?;
    assert_eq!(answer.json["errcode"], 40001, "refused with a new token too: WeChat's word stands");
    let refreshes = world.emulator.calls_to("/cgi-bin/component/api_authorizer_token");
    assert_eq!(refreshes.len(), 1);
    world.end().await
}

#[tokio::test]
async fn another_tenants_account_answers_like_one_that_does_not_exist() -> Result<()> {
    let (world, _) = World::with_authorizer().await?;
    let (_, stranger) = world.operator.create_tenant("另一家").await?;
    let foreign = stranger.get(&proxied("/cgi-bin/user/get")).await?;
    let absent = stranger.get("/v1/authorizers/wx0000000000000000/proxy/cgi-bin/user/get").await?;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let mut bodies = [foreign.json, absent.json];
    for body in &mut bodies {
        body["request_id"].take();
    }
    let absent = bodies[1].to_string().replace("wx0000000000000000", SHOP);
    assert_eq!(bodies[0].to_string(), absent);
    world.end().await
}

#[tokio::test]
async fn a_broken_connection_is_told_and_the_call_is_not_repeated() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.emulator.set_fault(Fault::new("/cgi-bin/user/get", FaultKind::LoseAnswer).times(1));
    let answer = tenant.get(&proxied("/cgi-bin/user/get")).await?;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text);
    assert_eq!(world.emulator.calls_to("/cgi-bin/user/get").len(), 1);
    world.end().await
}

#[tokio::test]
async fn an_expired_token_is_refreshed_on_demand() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.advance(Duration::hours(3));
    world.push_ticket().await?;
    let answer = tenant.get(&proxied("/cgi-bin/user/get")).await?;
    assert_eq!(answer.json["total"], 2, "{}", answer.text);
    let shown = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(shown.field("token.state")?, "fresh");
    world.end().await
}
