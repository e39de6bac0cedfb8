//! Judges refreshes from outside: by what WeChat handed out, never by what lingpai says of itself.
//!
//! The emulator writes down every access token it issues and what the one before it had left. A
//! refresh is right when the token before it was in its last part, dead, or killed; anything
//! earlier is a refresh too many. That no refresh token was lost is proved by using every one.

use std::collections::BTreeMap;

use anyhow::Result;
use lingpai_emulator::{Emulator, Issue};

use crate::{
    cluster::{Cluster, LONG, ask_once, renew},
    processes::within,
};

/// The call that refreshes an authorizer's token.
pub const AUTHORIZER_TOKEN: &str = "/cgi-bin/component/api_authorizer_token";

/// The call that fetches the component's token.
pub const COMPONENT_TOKEN: &str = "/cgi-bin/component/api_component_token";

/// How far ahead of its end a token may be refreshed, in percent of its life: a margin of at most
/// 20 (ten minutes of two hours are less) and a spread of at most 10.
const AHEAD_PERCENT: i64 = 30;

/// How far the clocks of WeChat and database may seem apart: a look at each takes time.
const SLACK_MS: i64 = 1000;

/// Watches what WeChat hands out from a moment on.
#[derive(Debug, Clone, Copy)]
pub struct Oracle {
    after: u64,
    ahead_ms: i64,
}

/// What was handed out.
#[derive(Debug, Clone, Default)]
pub struct Finding {
    /// Refreshes by account, those without any included.
    pub refreshes: BTreeMap<String, usize>,
    /// Refreshes of tokens that had more left than any refresh ahead leaves.
    pub early: Vec<String>,
    /// Refreshes of tokens that had ended already.
    pub late: usize,
    /// The most refreshes of one account that were in flight at once, since WeChat began.
    pub most_in_flight: u64,
}

/// What came of using every stored refresh token.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// Accounts that could not be called any more, with the reason.
    pub lost: Vec<String>,
    /// Refresh tokens that WeChat refused: a lost one that was found again some other way.
    pub refused: u64,
}

impl Oracle {
    /// Watches from now on; tokens live for `life_secs`.
    #[must_use]
    pub fn watch(emulator: &Emulator, life_secs: u64) -> Self {
        let after = emulator.issues().last().map_or(0, |issue| issue.number);
        let life_ms = i64::try_from(life_secs).unwrap_or(i64::MAX / 1000) * 1000;
        Self { after, ahead_ms: life_ms / 100 * AHEAD_PERCENT + SLACK_MS }
    }

    /// What has been handed out to these accounts since.
    #[must_use]
    pub fn finding(&self, emulator: &Emulator, appids: &[String]) -> Finding {
        let mut finding = Finding::default();
        finding.refreshes.extend(appids.iter().map(|appid| (appid.clone(), 0)));
        for issue in emulator.issues_since(self.after) {
            let Some(count) = finding.refreshes.get_mut(&issue.appid) else { continue };
            *count += 1;
            match issue.previous_remaining_ms {
                Some(left) if left > self.ahead_ms => finding.early.push(told(&issue, left)),
                Some(left) if left < 0 => finding.late += 1,
                _ => {}
            }
        }
        let in_flight = |appid: &String| {
            let paths = [AUTHORIZER_TOKEN, COMPONENT_TOKEN];
            paths.map(|path| emulator.stats(path, appid).max_in_flight).into_iter().max()
        };
        finding.most_in_flight = appids.iter().filter_map(in_flight).max().unwrap_or_default();
        finding
    }
}

fn told(issue: &Issue, left_ms: i64) -> String {
    format!("{} by {}, {left_ms} ms before its end", issue.appid, issue.path)
}

impl Finding {
    /// All refreshes together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.refreshes.values().sum()
    }

    /// Those of the account with the fewest.
    #[must_use]
    pub fn fewest(&self) -> usize {
        self.refreshes.values().copied().min().unwrap_or_default()
    }

    /// Those of the account with the most.
    #[must_use]
    pub fn most(&self) -> usize {
        self.refreshes.values().copied().max().unwrap_or_default()
    }
}

impl Proof {
    /// Waits until every account can be called, and has each token renewed once more: that needs
    /// the refresh token that lingpai kept. What is handed out then is tried at WeChat.
    ///
    /// # Errors
    /// When an account stays out of use, or an instance cannot be reached.
    pub async fn of(cluster: &Cluster) -> Result<Self> {
        let tenants = cluster.tenants();
        let each = || cluster.appids.iter().zip((0..tenants.len()).cycle());
        for (appid, instance) in each() {
            within(LONG, &format!("{appid} can be called"), async || {
                Ok(ask_once(&tenants[instance], appid).await?.ok())
            })
            .await?;
        }
        let refused = || -> u64 {
            let stats = |appid: &String| cluster.emulator.stats(AUTHORIZER_TOKEN, appid).refused;
            cluster.appids.iter().map(stats).sum()
        };
        let before = refused();
        let mut lost = Vec::new();
        for (appid, instance) in each() {
            if let Err(code) = renew(cluster, &tenants[instance], appid).await? {
                lost.push(format!("{appid}: {code}"));
            }
        }
        Ok(Self { lost, refused: refused() - before })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lingpai_emulator::{EmulatorConfig, Fault, FaultKind, Kill};
    use tokio::task::JoinSet;

    use super::*;
    use crate::people::http_client;

    const LIFE_SECS: u64 = 100;

    /// WeChat with one account, and a watch on it.
    async fn watched() -> (Emulator, Oracle, Vec<String>) {
        let mut config = EmulatorConfig::for_tests();
        config.accounts.clear();
        config.many_accounts = 1;
        config.switches.token_life_secs = LIFE_SECS;
        let emulator = Emulator::start(config).await.unwrap();
        let oracle = Oracle::watch(&emulator, LIFE_SECS);
        let appids = emulator.snapshot().accounts.into_iter().map(|it| it.appid).collect();
        (emulator, oracle, appids)
    }

    /// Fetches a token of the account's own: in the book it is an issue like all others.
    async fn fetch(emulator: &Emulator, appid: &str) {
        let secret = emulator.account(appid).unwrap().appsecret.unwrap();
        let base = emulator.base_url();
        let grant = "grant_type=client_credential";
        let url = format!("{base}/cgi-bin/token?{grant}&appid={appid}&secret={secret}");
        let answer = http_client().get(url).send().await.unwrap().text().await.unwrap();
        assert!(answer.contains("access_token"), "{answer}");
    }

    #[tokio::test]
    async fn a_refresh_in_the_last_part_of_a_life_or_after_it_is_right() {
        let (emulator, oracle, appids) = watched().await;
        fetch(&emulator, &appids[0]).await;
        emulator.advance_clock(Duration::from_secs(72));
        fetch(&emulator, &appids[0]).await;
        emulator.advance_clock(Duration::from_secs(101));
        fetch(&emulator, &appids[0]).await;
        let finding = oracle.finding(&emulator, &appids);
        assert_eq!((finding.total(), finding.late), (3, 1));
        assert!(finding.early.is_empty(), "{:?}", finding.early);
    }

    #[tokio::test]
    async fn a_refresh_while_much_is_left_is_one_too_many() {
        let (emulator, oracle, appids) = watched().await;
        fetch(&emulator, &appids[0]).await;
        emulator.advance_clock(Duration::from_secs(60));
        fetch(&emulator, &appids[0]).await;
        assert_eq!(oracle.finding(&emulator, &appids).early.len(), 1);
        let later = Oracle::watch(&emulator, LIFE_SECS);
        assert_eq!(later.finding(&emulator, &appids).total(), 0, "what was before is not counted");
    }

    #[tokio::test]
    async fn a_killed_token_may_be_replaced_at_once() {
        let (emulator, oracle, appids) = watched().await;
        fetch(&emulator, &appids[0]).await;
        emulator.kill(&Kill::OrdinaryTokens { appid: appids[0].clone() });
        fetch(&emulator, &appids[0]).await;
        let finding = oracle.finding(&emulator, &appids);
        assert_eq!((finding.total(), finding.early.len(), finding.late), (2, 0, 0));
    }

    #[tokio::test]
    async fn two_in_flight_for_one_account_are_seen() {
        let (emulator, oracle, appids) = watched().await;
        assert_eq!(oracle.finding(&emulator, &appids).most_in_flight, 0);
        emulator.set_fault(Fault::new(AUTHORIZER_TOKEN, FaultKind::Hold));
        let mut calls = JoinSet::new();
        for _ in 0..2 {
            let url = format!("{}{AUTHORIZER_TOKEN}", emulator.base_url());
            let body = serde_json::json!({ "authorizer_appid": appids[0] });
            calls.spawn(async move { http_client().post(url).json(&body).send().await.map(drop) });
        }
        emulator.wait_until(|wechat| wechat.held().len() == 2).await;
        emulator.release(None);
        calls.join_all().await.into_iter().collect::<Result<(), _>>().unwrap();
        assert_eq!(oracle.finding(&emulator, &appids).most_in_flight, 2);
    }
}
