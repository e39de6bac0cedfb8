//! Programs of a tenant that call without a pause worth naming, each at every instance and for
//! every authorizer in turn, and count what they got.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use anyhow::Result;
use reqwest::Client;
use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::Cluster;
use crate::people::{Answer, Program, http_client};

/// Between two calls of one caller: the instances under it share their processors with it.
const BREATH: Duration = Duration::from_millis(20);

/// What a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A call that lingpai passes on.
    Proxy,
    /// The token, which is tried at WeChat at once.
    Token,
}

/// What callers got.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Calls that did what they should.
    pub succeeded: u64,
    /// Calls that an instance answered otherwise, by the code of the problem.
    pub failed: BTreeMap<String, u64>,
    /// Calls that met nobody, or whose connection ended with the process behind it.
    pub unreachable: u64,
}

impl Tally {
    /// How many calls were answered otherwise than they should.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    pub(crate) fn count(&mut self, outcome: Result<Result<(), String>>) {
        match outcome {
            Ok(Ok(())) => self.succeeded += 1,
            Ok(Err(code)) => *self.failed.entry(code).or_default() += 1,
            Err(_) => self.unreachable += 1,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        self.unreachable += other.unreachable;
        for (code, count) in other.failed {
            *self.failed.entry(code).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls succeeded, {} failed", self.succeeded, self.failures())?;
        for (code, count) in &self.failed {
            write!(f, ", {count} × {code}")?;
        }
        if self.unreachable > 0 {
            write!(f, ", {} met a dead instance", self.unreachable)?;
        }
        Ok(())
    }
}

/// Callers at work.
pub struct Callers {
    stop: CancellationToken,
    tasks: JoinSet<Tally>,
}

impl Callers {
    /// Sends out `count` callers, each of whom asks for these things in turn.
    #[must_use]
    pub fn start(cluster: &Cluster, count: usize, asks: &'static [Ask]) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (tenants, appids) = (Arc::new(cluster.tenants()), Arc::new(cluster.appids.clone()));
        for number in 0..count {
            let (tenants, appids) = (Arc::clone(&tenants), Arc::clone(&appids));
            let (stop, wechat) = (stop.clone(), WechatDirect::of(cluster));
            tasks.spawn(async move {
                let mut tally = Tally::default();
                for turn in (number..).step_by(count) {
                    if stop.is_cancelled() {
                        break;
                    }
                    let appid = &appids[turn % appids.len()];
                    // Another instance for the same authorizer in each round.
                    let tenant = &tenants[(turn + turn / appids.len()) % tenants.len()];
                    let ask = asks[turn % asks.len()];
                    tally.count(call(tenant, appid, ask, &wechat).await);
                    sleep(BREATH).await;
                }
                tally
            });
        }
        Self { stop, tasks }
    }

    /// Calls them back, after their last answer, and adds up what they got.
    ///
    /// # Errors
    /// When a caller died.
    pub async fn stop(mut self) -> Result<Tally> {
        self.stop.cancel();
        let mut all = Tally::default();
        while let Some(tally) = self.tasks.join_next().await {
            all.add(tally?);
        }
        Ok(all)
    }
}

/// One proxied call; `Err` inside has the code of the problem.
///
/// # Errors
/// When the instance cannot be reached.
pub async fn ask_once(tenant: &Program, appid: &str) -> Result<Result<(), String>> {
    let path = format!("/v1/authorizers/{appid}/proxy/cgi-bin/user/get");
    Ok(judged(&tenant.get(&path).await?))
}

/// Has a token renewed now, and tries the new one at WeChat; `Err` inside has the code of the
/// problem.
///
/// # Errors
/// When the instance cannot be reached.
pub async fn renew(cluster: &Cluster, tenant: &Program, appid: &str) -> Result<Result<(), String>> {
    let path = format!("/v1/authorizers/{appid}/access-token");
    WechatDirect::of(cluster).judge(&tenant.post(&path, &Value::Null).await?).await
}

/// WeChat, called past lingpai with a token that lingpai gave.
struct WechatDirect {
    http: Client,
    url: String,
}

impl WechatDirect {
    fn of(cluster: &Cluster) -> Self {
        let url = format!("{}/cgi-bin/user/get", cluster.emulator.base_url());
        Self { http: http_client(), url }
    }

    /// Tries the token in an answer of lingpai's.
    async fn judge(&self, answer: &Answer) -> Result<Result<(), String>> {
        let Some(token) = answer.json["access_token"].as_str() else {
            return Ok(Err(code_of(answer)));
        };
        let url = format!("{}?access_token={token}", self.url);
        let answer = Answer::read(self.http.get(url).send().await?).await?;
        Ok(judged(&answer).map_err(|code| format!("token refused: {code}")))
    }
}

async fn call(
    tenant: &Program,
    appid: &str,
    ask: Ask,
    wechat: &WechatDirect,
) -> Result<Result<(), String>> {
    if ask == Ask::Proxy {
        return ask_once(tenant, appid).await;
    }
    let path = format!("/v1/authorizers/{appid}/access-token");
    wechat.judge(&tenant.get(&path).await?).await
}

/// A list of followers is a success; everything else has a code.
fn judged(answer: &Answer) -> Result<(), String> {
    let listed = answer.status.is_success() && answer.json["total"].is_number();
    if listed { Ok(()) } else { Err(code_of(answer)) }
}

fn code_of(answer: &Answer) -> String {
    match (&answer.json["code"], &answer.json["errcode"]) {
        (Value::String(code), _) => code.clone(),
        (_, Value::Number(errcode)) => format!("errcode {errcode}"),
        _ => format!("HTTP {}", answer.status.as_u16()),
    }
}
