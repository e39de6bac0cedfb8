//! The whole-network publish test (全网发布检测) played against our own addresses, as WeChat would: from
//! the internet's side, through whatever stands before us. Each step comes with its verdict, and with
//! what cures it.

mod stage;

use std::{fmt, time::Duration};

use futures_util::future::join_all;
use lingpai_model::{
    Appid,
    audit::{Act, Action, AuditEntry},
    clock::{Entropy, SharedClock},
    component::Component,
    publish_test::PublishCheck,
};
use lingpai_storage::Db;
use lingpai_webhook::Sender;
use lingpai_wechat::{
    errcode::Errcode,
    push::publish_test::{self, TEST_ACCOUNTS, TEXT_REPLY, TestAccount, TestAccountKind},
};
use url::Url;

use self::stage::{Heard, Stage};
use crate::{Error, release_check::code_digest};

/// How long WeChat waits for the answer to a push.
///
/// Source: WeChat docs, "Whole-network publishing detection" (全网发布接入检测说明): within five seconds.
const WECHAT_WAITS: Duration = Duration::from_secs(5);

/// How long we wait for the log to tell what became of a code, and how often it is read meanwhile.
const CODE_TAKES: Duration = Duration::from_secs(15);
const LOG_READ_EVERY: Duration = Duration::from_millis(100);

/// Rehearses the publish test.
#[derive(Debug, Clone)]
pub struct Rehearsals {
    db: Db,
    sender: Sender,
    public_url: Url,
    clock: SharedClock,
    entropy: Entropy,
}

/// A step of a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RehearsalStep {
    /// The test is answered for this component at all.
    Switch,
    /// The check of an address is answered.
    UrlCheck,
    /// The newest ticket is taken once more.
    Ticket,
    /// What is signed by somebody else is refused.
    ForeignSignature,
    /// The text is replied to.
    Text,
    /// The event is replied to.
    Event,
    /// The code is answered by nothing, and WeChat was asked about it.
    ApiReply,
}

impl RehearsalStep {
    /// All steps, in their order.
    pub const ALL: [Self; 7] = [
        Self::Switch,
        Self::UrlCheck,
        Self::Ticket,
        Self::ForeignSignature,
        Self::Text,
        Self::Event,
        Self::ApiReply,
    ];

    /// As the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::UrlCheck => "url_check",
            Self::Ticket => "ticket",
            Self::ForeignSignature => "foreign_signature",
            Self::Text => "text",
            Self::Event => "event",
            Self::ApiReply => "api_reply",
        }
    }
}

/// How one step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which step.
    pub step: RehearsalStep,
    /// The test account that it was played for, if it was for one.
    pub appid: Option<Appid>,
    /// Whether WeChat would be content.
    pub passed: bool,
    /// How long the answer took.
    pub took: Duration,
    /// What to do about it, if it failed.
    pub cure: Option<String>,
}

impl Verdict {
    fn of(
        step: RehearsalStep,
        appid: Option<Appid>,
        outcome: (Result<(), String>, Duration),
    ) -> Self {
        let (judged, took) = outcome;
        let cure = judged.err();
        Self { step, appid, passed: cure.is_none(), took, cure }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.passed { "passed" } else { "FAILED" };
        write!(f, "{word}  {:<17}", self.step.as_str())?;
        if let Some(appid) = &self.appid {
            write!(f, " {appid}")?;
        }
        write!(f, " ({} ms)", self.took.as_millis())?;
        self.cure.as_ref().map_or(Ok(()), |cure| write!(f, "\n        {cure}"))
    }
}

impl Rehearsals {
    /// A service that pushes to our own addresses below `public_url`: `sender` must be one that may
    /// reach them.
    #[must_use]
    pub fn new(
        db: Db,
        sender: Sender,
        public_url: Url,
        clock: SharedClock,
        entropy: Entropy,
    ) -> Self {
        Self { db, sender, public_url, clock, entropy }
    }

    /// Plays the test for one component and says how each step went. As long as the test is switched
    /// off, the steps of the test accounts are left out.
    ///
    /// It takes WeChat's own keys and, for the codes, WeChat itself: a code that nobody made is refused
    /// there, which proves that it was asked.
    ///
    /// # Errors
    /// [`Error::ComponentNotFound`] when no such component is registered; [`Error::Storage`].
    pub async fn run(&self, by: &Act, component_appid: &Appid) -> Result<Vec<Verdict>, Error> {
        let component = self.db.components().find(component_appid).await?;
        let component =
            component.ok_or_else(|| Error::ComponentNotFound { appid: component_appid.clone() })?;
        let at = (self.clock.now(), &self.entropy);
        let subject = component.appid.as_str();
        let tx = self.db.begin().await?;
        tx.audit().append(&AuditEntry::of(by, Action::RehearsalAsked, subject, at)).await?;
        tx.commit().await?;
        let stage = Stage::new(self, &component);
        let mut verdicts = vec![switch(&component)];
        verdicts.push(self.url_check(&stage).await);
        verdicts.push(self.ticket(&stage, &component).await?);
        verdicts.push(self.foreign_signature(&stage).await);
        if component.answers_publish_test {
            let official = || official_accounts().map(|account| self.text(&stage, account));
            verdicts.extend(join_all(official()).await);
            let official = || official_accounts().map(|account| self.event(&stage, account));
            verdicts.extend(join_all(official()).await);
            let all = TEST_ACCOUNTS.iter().map(|account| self.code(&stage, account));
            for verdict in join_all(all).await {
                verdicts.push(verdict?);
            }
        }
        Ok(verdicts)
    }

    async fn url_check(&self, stage: &Stage<'_>) -> Verdict {
        let echostr = stage.number();
        let outcome = match stage.check_url(&echostr).await {
            Ok(heard) => {
                let right = heard.status == 200 && heard.body == echostr.as_bytes();
                (right.then_some(()).ok_or_else(|| heard.otherwise("the echostr")), heard.took)
            }
            Err(cure) => (Err(cure), Duration::ZERO),
        };
        Verdict::of(RehearsalStep::UrlCheck, None, outcome)
    }

    async fn ticket(&self, stage: &Stage<'_>, component: &Component) -> Result<Verdict, Error> {
        let not_before = lingpai_component_token::oldest_usable_ticket(self.clock.now());
        let outcome = match self.db.tickets().newest(&component.id, not_before).await? {
            None => {
                let url = stage.component_url();
                let cure = format!(
                    "WeChat has pushed no ticket in the last twelve hours: enter {url} as the \
                     authorization event URL (授权事件接收URL) in WeChat's console, have tickets pushed \
                     by POST /admin/v1/components/{}/ticket-push, and wait ten minutes",
                    component.appid
                );
                (Err(cure), Duration::ZERO)
            }
            Some(ticket) => judged(stage.push_ticket(&ticket).await, |heard| {
                let right = heard.status == 200 && heard.body == b"success";
                right.then_some(()).ok_or_else(|| heard.otherwise("success"))
            }),
        };
        Ok(Verdict::of(RehearsalStep::Ticket, None, outcome))
    }

    async fn foreign_signature(&self, stage: &Stage<'_>) -> Verdict {
        let account = &TEST_ACCOUNTS[0];
        let outcome = judged(stage.push_foreign(account).await, |heard| {
            if (400..500).contains(&heard.status) {
                return Ok(());
            }
            Err(format!(
                "a message that somebody else signed was answered with HTTP {}: whatever stands before \
                 lingpai answers in its place, or another program has this address",
                heard.status
            ))
        });
        Verdict::of(RehearsalStep::ForeignSignature, None, outcome)
    }

    async fn text(&self, stage: &Stage<'_>, account: &TestAccount) -> Verdict {
        let heard = stage.push_text(account, publish_test::TEXT).await;
        let outcome = judged(heard, |heard| stage.is_reply(account, heard, TEXT_REPLY));
        Verdict::of(RehearsalStep::Text, appid(account), outcome)
    }

    async fn event(&self, stage: &Stage<'_>, account: &TestAccount) -> Verdict {
        let heard = stage.push_event(account, "LOCATION").await;
        let expected = publish_test::event_reply("LOCATION");
        let outcome = judged(heard, |heard| stage.is_reply(account, heard, &expected));
        Verdict::of(RehearsalStep::Event, appid(account), outcome)
    }

    async fn code(&self, stage: &Stage<'_>, account: &TestAccount) -> Result<Verdict, Error> {
        let code = format!("queryauthcode@@@rehearsal-{}", stage.number());
        let text = format!("{}{code}", publish_test::CODE_PREFIX);
        let heard = stage.push_text(account, &text).await;
        let mut outcome = judged(heard, |heard| {
            let right = heard.status == 200 && heard.body.is_empty();
            right.then_some(()).ok_or_else(|| heard.otherwise("an empty body"))
        });
        if outcome.0.is_ok() {
            outcome.0 = judge_code(self.logged(stage, &code).await?);
        }
        Ok(Verdict::of(RehearsalStep::ApiReply, appid(account), outcome))
    }

    /// What the log says of a code, as soon as it says something.
    async fn logged(&self, stage: &Stage<'_>, code: &str) -> Result<Option<PublishCheck>, Error> {
        let (component, digest) = (stage.component_id(), code_digest(code));
        let read = async {
            loop {
                let check = self.db.publish_checks().find_by_code(component, &digest).await?;
                if check.is_some() {
                    return Ok(check);
                }
                tokio::time::sleep(LOG_READ_EVERY).await;
            }
        };
        tokio::time::timeout(CODE_TAKES, read).await.unwrap_or(Ok(None))
    }
}

fn switch(component: &Component) -> Verdict {
    let cure = format!(
        "the publish test is not answered: PATCH /admin/v1/components/{} with \
         answers_publish_test true, and rehearse again",
        component.appid
    );
    let judged = component.answers_publish_test.then_some(()).ok_or(cure);
    Verdict::of(RehearsalStep::Switch, None, (judged, Duration::ZERO))
}

fn official_accounts() -> impl Iterator<Item = &'static TestAccount> {
    TEST_ACCOUNTS.iter().filter(|account| account.kind == TestAccountKind::OfficialAccount)
}

fn appid(account: &TestAccount) -> Option<Appid> {
    Appid::parse(account.appid).ok()
}

/// What came back, judged; and too late is wrong as well.
fn judged(
    heard: Result<Heard, String>,
    judge: impl FnOnce(&Heard) -> Result<(), String>,
) -> (Result<(), String>, Duration) {
    let heard = match heard {
        Ok(heard) => heard,
        Err(cure) => return (Err(cure), Duration::ZERO),
    };
    let outcome = judge(&heard).and_then(|()| {
        if heard.took < WECHAT_WAITS {
            return Ok(());
        }
        Err("the answer was right but took too long: WeChat waits five seconds".to_owned())
    });
    (outcome, heard.took)
}

/// A code that nobody made is refused by WeChat itself: then all that leads there is in order.
///
/// Source: WeChat docs, "Return codes" (返回码): 61009 for a code that is none, 61010 for one that has
/// expired.
fn judge_code(check: Option<PublishCheck>) -> Result<(), String> {
    let Some(check) = check else {
        let secs = CODE_TAKES.as_secs();
        return Err(format!(
            "the code was answered, but in {secs} seconds nobody has asked WeChat about it: see the \
             log of the instance that took the message"
        ));
    };
    let refused = [Errcode::AUTHORIZATION_CODE_INVALID, Errcode::AUTHORIZATION_CODE_EXPIRED];
    match (check.errcode.map(Errcode), check.failure) {
        (Some(errcode), _) if refused.contains(&errcode) => Ok(()),
        (_, None) => Ok(()),
        (_, Some(failure)) => Err(format!(
            "WeChat was to be asked about the code, and it failed before: {failure}; bring the \
             component's token in order"
        )),
    }
}
