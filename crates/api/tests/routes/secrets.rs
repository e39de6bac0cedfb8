//! No key, token or secret that a request carries reaches the log.

use std::{
    io,
    sync::{Arc, Mutex},
};

use poem::http::Request;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::house::{House, SHOP};

/// A log that is kept in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("nobody panics here")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics here").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_key_and_no_token_reaches_the_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _held = tracing::subscriber::set_default(subscriber);
    let house = House::start().await;
    house.connect_shop().await;
    let token = house.token(&house.key).await;
    let real = house.get(&format!("/v1/authorizers/{SHOP}/access-token"), Some(&house.key)).await;
    let real = real.json()["access_token"].as_str().expect("a token").to_owned();
    for query in [
        format!("/gateway/cgi-bin/user/get?access_token={token}"),
        format!("/gateway/cgi-bin/component/x?access_token={token}"),
        format!("/gateway/cgi-bin/user/get?access_token={token}canary1"),
        "/gateway/cgi-bin/token?grant_type=client_credential&appid=wxcanary2&secret=canary3"
            .to_owned(),
        format!("/gateway/cgi-bin/token?grant_type=canary4&appid={SHOP}&secret={}", house.key),
    ] {
        house.get(&query, None).await;
    }
    house.get("/v1/authorizers", Some("lpk_canary5")).await;
    let body =
        json!({ "grant_type": "client_credential", "appid": "canary6", "secret": "canary7" });
    let request = Request::builder().method("POST").uri("/gateway/cgi-bin/stable_token");
    house.send(request, &body.to_string()).await;
    let once = Request::builder()
        .method("POST")
        .uri("/v1/redirect-uris")
        .header("authorization", format!("Bearer {}", house.key))
        .header("idempotency-key", "canary8");
    house.send(once, "{\"canary9\":1}").await;
    for (path, body) in [
        (
            "/v1/endpoints",
            json!({ "kind": "wechat", "url": "https://shop.example/?canary10",
            "token": "canary11", "encoding_aes_key": "a".repeat(43) }),
        ),
        ("/v1/endpoints", json!({ "kind": "webhook", "url": "https://canary12@shop.example/" })),
        ("/v1/events/search", json!({ "openid": "canary13", "type": "canary14*" })),
        ("/v1/events/canary15/reply", json!({ "xml": "<xml>canary16</xml>" })),
        ("/v1/authorizers/wx1/erasures", json!({ "openid": "canary17" })),
    ] {
        let request = Request::builder().method("POST").uri(path);
        let request = request.header("authorization", format!("Bearer {}", house.key));
        house.send(request.header("content-type", "application/json"), &body.to_string()).await;
    }
    house.get("/v1/events/stream?types=canary18*", Some(&house.key)).await;
    house.push("<xml>canary19").await;
    let log = log.text();
    assert!(log.contains("the gateway refused"), "the log was kept: {log}");
    for secret in [&house.key, &house.operator_key, &token, &real] {
        assert!(!log.contains(secret.as_str()), "a secret stands in the log");
    }
    assert!(!log.contains("canary"), "something of a request stands in the log");
}
