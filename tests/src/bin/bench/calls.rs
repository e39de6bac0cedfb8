//! Calls that are passed on: what is called, who stands for WeChat, and `wrk` that calls.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lingpai_tests::{people::Program, world::SHOP};
use reqwest::StatusCode;

use crate::{
    load::{CONNECTIONS, Requests},
    nginx::Nginx,
};

/// The interface that is called, as a tenant would.
const CALL: &str = "/cgi-bin/user/info?openid=oLingPai000000000000000fan01&lang=zh_CN";

/// The length of the answer in bytes.
const ANSWER_BYTES: usize = 1024;

/// An nginx that gives the same answer to every call, in place of WeChat.
///
/// # Errors
/// When it does not start.
pub(crate) async fn upstream(folder: &Path) -> Result<Nginx> {
    let start = r#"{"subscribe":1,"openid":"oLingPai000000000000000fan01","remark":""#;
    let answer = format!("{start}{}\"}}", "x".repeat(ANSWER_BYTES - start.len() - 2));
    let http = format!(
        "server {{ listen $ADDRESS; location / {{ default_type application/json; \
         return 200 '{answer}'; }} }}"
    );
    Nginx::start(folder, &http).await
}

/// An nginx that passes every call on, as it is usually told to.
///
/// # Errors
/// When it does not start.
pub(crate) async fn proxy_pass(folder: &Path, upstream: &Nginx) -> Result<Nginx> {
    let http = format!(
        "upstream wechat {{ server {}; keepalive 128; keepalive_requests 100000000; }}\n\
         server {{ listen $ADDRESS; location / {{ proxy_pass http://wechat; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}",
        upstream.address
    );
    Nginx::start(folder, &http).await
}

/// A call to somebody: where, and with which key.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    address: String,
    path: String,
    key: String,
}

impl Target {
    /// The call through lingpai.
    ///
    /// # Errors
    /// When it does not come back with the whole answer.
    pub(crate) async fn lingpai(address: &str, tenant: &Program) -> Result<Self> {
        let path = format!("/v1/authorizers/{SHOP}/proxy{CALL}");
        let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
        ensure!(answer.text.len() == ANSWER_BYTES, "another answer: {}", answer.text);
        Ok(Self { address: address.to_owned(), path, key: tenant.key().to_owned() })
    }

    /// The same call as an SDK makes it: through the gateway, with a token that stands for the key.
    ///
    /// # Errors
    /// When no token is given, or the call does not come back with the whole answer.
    pub(crate) async fn gateway(address: &str, tenant: &Program) -> Result<Self> {
        let ask = format!(
            "/gateway/cgi-bin/token?grant_type=client_credential&appid={SHOP}&secret={}",
            tenant.key()
        );
        let token = tenant.get(&ask).await?.expect(StatusCode::OK)?.field("access_token")?;
        let path = format!("/gateway{CALL}&access_token={token}");
        let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
        ensure!(answer.text.len() == ANSWER_BYTES, "another answer: {}", answer.text);
        Ok(Self { address: address.to_owned(), path, key: tenant.key().to_owned() })
    }

    /// The same call through nginx, with a token in the query as lingpai would put it there.
    pub(crate) fn nginx(address: &str, key: &str) -> Self {
        let token = "61_CANARY0000000000000000000000000000000000000000000000000000000000";
        let path = format!("{CALL}&access_token={token}");
        Self { address: address.to_owned(), path, key: key.to_owned() }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The key, to call somebody else with the same headers.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The same call this many times.
    pub(crate) fn requests(&self, count: usize) -> Requests {
        let Self { path, key, .. } = self;
        let one = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        Arc::new(vec![one.into_bytes().into(); count])
    }

    /// Has `wrk` call as fast as it is answered.
    ///
    /// # Errors
    /// When `wrk` is not there or an answer is not 200.
    pub(crate) fn saturate(&self, limit: Duration) -> Result<WrkOutcome> {
        let output = Command::new("wrk")
            .args(["--threads", "1", "--latency", "--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{}s", limit.as_secs())])
            .args(["--header", &format!("Authorization: Bearer {}", self.key)])
            .arg(format!("http://{}{}", self.address, self.path))
            .output()
            .context("wrk could not be started")?;
        WrkOutcome::read(&String::from_utf8_lossy(&output.stdout))
    }
}

/// What `wrk` printed.
#[derive(Debug)]
pub(crate) struct WrkOutcome {
    /// Answers per second.
    pub(crate) rate: f64,
    /// Half of the answers took no longer, in milliseconds.
    pub(crate) p50_ms: f64,
    /// All but one in a hundred took no longer, in milliseconds.
    pub(crate) p99_ms: f64,
}

impl WrkOutcome {
    fn read(printed: &str) -> Result<Self> {
        let word_after = |start: &str| {
            let mut lines = printed.lines().map(str::trim_start);
            let rest = lines.find_map(|line| line.strip_prefix(start));
            rest.and_then(|rest| rest.split_whitespace().next())
                .with_context(|| format!("no {start} in {printed}"))
        };
        ensure!(!printed.contains("Non-2xx"), "calls were refused: {printed}");
        Ok(Self {
            rate: word_after("Requests/sec:")?.parse()?,
            p50_ms: milliseconds(word_after("50%")?)?,
            p99_ms: milliseconds(word_after("99%")?)?,
        })
    }
}

/// A time as `wrk` writes it: `913.00us`, `1.27ms` or `1.03s`.
fn milliseconds(text: &str) -> Result<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let mut read = units
        .iter()
        .filter_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor));
    read.next().with_context(|| format!("{text} is no time"))
}
