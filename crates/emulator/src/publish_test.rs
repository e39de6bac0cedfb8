//! WeChat's whole-network publish test (全网发布检测): the steps as WeChat plays them, each with a
//! verdict.
//!
//! Source: WeChat docs, "Whole-network publication access test" (全网发布接入检测说明). The event is no
//! longer among the steps that it lists; services answer it all the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use lingpai_wechat::push::publish_test::{
    self, CODE_PREFIX, TEST_ACCOUNTS, TEXT, TEXT_REPLY, TestAccount, TestAccountKind,
};
use lingpai_wechat::push::reply::Reply;
use serde::Serialize;

use crate::fan_messages::FanMessage;
use crate::pusher::PushRecord;
use crate::state::codes::AUTHORIZATION_CODE_LIFE_MS;
use crate::state::mint;
use crate::world::World;

/// The event that is pushed.
const EVENT: &str = "LOCATION";

/// A step of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestStep {
    /// A ticket is pushed.
    Ticket,
    /// The test account authorizes.
    Authorized,
    /// A text that is to be answered at once.
    Text,
    /// A code that is to be exchanged, and answered by a customer-service message.
    ApiReply,
    /// An event that is to be answered by its name.
    Event,
}

/// What came of one step.
#[derive(Debug, Clone, Serialize)]
pub struct StepVerdict {
    /// The group of the account; none for the component's own step.
    pub group: Option<u8>,
    /// The test account, or the component.
    pub appid: String,
    /// Which step.
    pub step: TestStep,
    /// Whether it went well.
    pub passed: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it failed.
    pub failure: Option<String>,
}

impl World {
    /// Plays the test with the two accounts of `group`, or with all ten.
    pub(crate) async fn publish_test(self: &Arc<Self>, group: Option<u8>) -> Vec<StepVerdict> {
        self.verdicts().clear();
        let mut verdicts = Vec::new();
        let component = self.platform().component.appid.clone();
        let began = Instant::now();
        let ticket = self.test_ticket().await;
        self.note(&mut verdicts, (None, &component, TestStep::Ticket), began, ticket);
        let drawn = TEST_ACCOUNTS.iter().filter(|one| group.is_none_or(|group| one.group == group));
        for account in drawn {
            for step in steps(account.kind) {
                let began = Instant::now();
                let outcome = self.test_step(account, *step).await;
                self.note(
                    &mut verdicts,
                    (Some(account.group), account.appid, *step),
                    began,
                    outcome,
                );
            }
        }
        verdicts
    }

    fn note(
        &self,
        verdicts: &mut Vec<StepVerdict>,
        (group, appid, step): (Option<u8>, &str, TestStep),
        began: Instant,
        outcome: anyhow::Result<()>,
    ) {
        let verdict = StepVerdict {
            group,
            appid: appid.to_owned(),
            step,
            passed: outcome.is_ok(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            failure: outcome.err().map(|why| format!("{why:#}")),
        };
        self.verdicts().push(verdict.clone());
        self.changed();
        verdicts.push(verdict);
    }

    async fn test_ticket(self: &Arc<Self>) -> anyhow::Result<()> {
        let outcome = self.push_ticket().await;
        ensure!(outcome.is_accepted(), "{}", found(outcome.status, &outcome.body, outcome.error));
        Ok(())
    }

    async fn test_step(
        self: &Arc<Self>,
        account: &TestAccount,
        step: TestStep,
    ) -> anyhow::Result<()> {
        match step {
            TestStep::Ticket => self.test_ticket().await,
            TestStep::Authorized => self.test_authorized(account).await,
            TestStep::Text => {
                let record = self.fan_message(&FanMessage::text(account.appid, TEXT)).await?;
                expect_text(record, TEXT_REPLY)
            }
            TestStep::ApiReply => self.test_api_reply(account).await,
            TestStep::Event => {
                let event = FanMessage::event(account.appid, EVENT)
                    .with("Latitude", "23.137466")
                    .with("Longitude", "113.352425")
                    .with("Precision", "119.385040");
                expect_text(self.fan_message(&event).await?, &publish_test::event_reply(EVENT))
            }
        }
    }

    /// The account authorizes as any other would, although nobody sent it to a link.
    async fn test_authorized(self: &Arc<Self>, account: &TestAccount) -> anyhow::Result<()> {
        let now = self.now();
        let code = {
            let mut platform = self.platform();
            let found = platform.accounts.get(account.appid).context("no such account")?;
            let sets = found.config.permission_sets.clone();
            platform.grant(account.appid, sets, now).context("no such account")?;
            platform.codes.consent("", account.appid, now)
        };
        let expires_at = ((now + AUTHORIZATION_CODE_LIFE_MS) / 1000).to_string();
        let push = self.info_push(
            "authorized",
            &[
                ("AuthorizerAppid", account.appid),
                ("AuthorizationCode", &code),
                ("AuthorizationCodeExpiredTime", &expires_at),
                ("PreAuthCode", &mint::pre_auth_code()),
            ],
        );
        let outcome = self.dispatch(push).await.outcome;
        ensure!(outcome.is_accepted(), "{}", found(outcome.status, &outcome.body, outcome.error));
        Ok(())
    }

    async fn test_api_reply(self: &Arc<Self>, account: &TestAccount) -> anyhow::Result<()> {
        let code = self.platform().codes.consent("", account.appid, self.now());
        let asking = FanMessage::text(account.appid, &format!("{CODE_PREFIX}{code}"));
        let outcome = self.fan_message(&asking).await?.outcome;
        ensure!(
            outcome.status == Some(200) && outcome.body.is_empty(),
            "an empty answer was wanted: {}",
            found(outcome.status, &outcome.body, outcome.error)
        );
        let within = Duration::from_millis(self.push_policy.answer_within_ms);
        let mut changes = self.changes();
        let sent = tokio::time::timeout(within, async {
            loop {
                if let Some(token) = self.token_of_answer(account.appid, &code) {
                    return Some(token);
                }
                changes.changed().await.ok()?;
            }
        });
        let redeemed = |sent: Option<&str>| {
            let platform = self.platform();
            let redeemed = platform.accounts.get(account.appid)?.redeemed.as_ref()?;
            (redeemed.0 == code).then(|| sent.is_none_or(|token| redeemed.1 == token))
        };
        match sent.await.ok().flatten() {
            Some(token) if redeemed(Some(&token)) == Some(true) => Ok(()),
            Some(_) => bail!("the message was not sent with the token that came for the code"),
            None if redeemed(None).is_none() => bail!("the code was never exchanged"),
            None => bail!("the code was exchanged, but no message with its answer came"),
        }
    }

    /// The token of the customer-service text that answers the code, once it was sent.
    fn token_of_answer(&self, appid: &str, code: &str) -> Option<String> {
        let wanted = publish_test::code_reply(code);
        let platform = self.platform();
        let account = platform.accounts.get(appid)?;
        let is_answer = |body: &str| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            body["msgtype"] == "text" && body["text"]["content"] == wanted.as_str()
        };
        let sent = account.messages.iter().rev().find(|message| is_answer(&message.body))?;
        Some(sent.token.clone())
    }
}

fn steps(kind: TestAccountKind) -> &'static [TestStep] {
    match kind {
        TestAccountKind::OfficialAccount => {
            &[TestStep::Authorized, TestStep::Text, TestStep::ApiReply, TestStep::Event]
        }
        TestAccountKind::MiniProgram => &[TestStep::Authorized, TestStep::ApiReply],
    }
}

fn expect_text(record: PushRecord, wanted: &str) -> anyhow::Result<()> {
    if let Some(why) = record.invalid_reply {
        bail!("the answer is no reply: {why}");
    }
    let Some(reply) = record.reply else {
        let outcome = record.outcome;
        bail!("a reply was wanted: {}", found(outcome.status, &outcome.body, outcome.error));
    };
    match Reply::parse(&reply)?.reply {
        Reply::Text { content } if content == wanted => Ok(()),
        Reply::Text { content } => bail!("the reply says {content:?}, not {wanted:?}"),
        other => bail!("the reply is of the type {}, not a text", other.msg_type()),
    }
}

/// What came instead of what was wanted.
fn found(status: Option<u16>, body: &str, error: Option<String>) -> String {
    let shown: String = body.chars().take(100).collect();
    match (status, error) {
        (Some(status), _) => format!("HTTP {status} with {shown:?}"),
        (None, error) => error.unwrap_or_else(|| "no answer".to_owned()),
    }
}
