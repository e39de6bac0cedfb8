//! WeChat's whole-network publish test (全网发布检测): what its accounts ask is answered here and by
//! nobody else, while the operator has that switched on.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant as Stopwatch,
};

use lingpai_authorizer::PublishTests;
use lingpai_model::{
    Appid,
    auto_reply::Reply,
    clock::{Entropy, SharedClock},
    component::Component,
    digest::Digest,
    id::{AuthorizerId, ComponentId, PublishCheckId},
    publish_test::{PublishCheck, PublishStep},
    push::Recorded,
};
use lingpai_storage::Db;
use lingpai_wechat::push::{
    message::MessagePush,
    publish_test::{self, Question, TEXT_REPLY, TestAccountKind},
};
use tokio_util::task::TaskTracker;

use crate::{Taken, message_push::Owner, recipient::Sealer};

/// Answers WeChat's test accounts, and notes what became of each step.
#[derive(Debug, Clone)]
pub struct ReleaseCheck {
    db: Db,
    publish_tests: PublishTests,
    clock: SharedClock,
    entropy: Entropy,
    tasks: TaskTracker,
    /// The codes that are being exchanged in this process. Clones share it.
    under_way: Arc<Mutex<HashSet<Digest>>>,
}

/// What one of WeChat's test accounts asks.
pub(crate) struct Test {
    pub(crate) appid: Appid,
    ask: Ask,
    began: Stopwatch,
}

enum Ask {
    Text,
    Code(String),
    Event(String),
}

impl Test {
    /// What `message` asks; `None` unless it is one of the test's questions, and both the path and the
    /// message name the same test account. A mini program cannot be replied to, so it asks for the
    /// answer through the API only.
    pub(crate) fn asked(appid: &Appid, message: &MessagePush) -> Option<Self> {
        let account = publish_test::find(appid.as_str(), &message.to_user_name)?;
        let ask = match (account.kind, publish_test::question(message)?) {
            (_, Question::Code(code)) => Ask::Code(code.to_owned()),
            (TestAccountKind::OfficialAccount, Question::Text) => Ask::Text,
            (TestAccountKind::OfficialAccount, Question::Event(event)) => {
                Ask::Event(event.to_owned())
            }
            (TestAccountKind::MiniProgram, Question::Text | Question::Event(_)) => return None,
        };
        Some(Self { appid: appid.clone(), ask, began: Stopwatch::now() })
    }
}

impl Owner {
    /// Nobody's: a test account that is no authorizer. Its messages are told apart from those of other
    /// accounts by an id that stands for no row.
    pub(crate) fn of_test(component: &Component, appid: &Appid) -> Self {
        let parts = ["test account", component.id.as_str(), appid.as_str()].map(str::as_bytes);
        let digits = Digest::of(&parts).to_hex().to_uppercase();
        let text = format!("{}0{}", AuthorizerId::PREFIX, &digits[..25]);
        Self {
            authorizer_id: AuthorizerId::parse(&text).expect("hexadecimal digits make a ULID"),
            tenant_id: None,
            component_appid: Some(component.appid.clone()),
            appid: appid.clone(),
        }
    }
}

/// A code that is being exchanged, until this is dropped.
struct UnderWay {
    codes: Arc<Mutex<HashSet<Digest>>>,
    code: Digest,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.code);
    }
}

/// Recognises a code of the test in its log.
pub(crate) fn code_digest(code: &str) -> Digest {
    Digest::of(&[b"publish test code", code.as_bytes()])
}

impl ReleaseCheck {
    /// A service on `db`; codes are answered by `publish_tests`, in a task of `tasks`.
    #[must_use]
    pub fn new(
        db: Db,
        publish_tests: PublishTests,
        (clock, entropy): (SharedClock, Entropy),
        tasks: TaskTracker,
    ) -> Self {
        Self { db, publish_tests, clock, entropy, tasks, under_way: Arc::default() }
    }

    /// How a question is answered that is recorded. What has to be done through the API is begun, and
    /// goes on after the answer.
    ///
    /// Source: WeChat docs, "Whole-network publishing detection" (全网发布接入检测说明): texts are replied
    /// to at once; a code is answered by an empty body, and then by a message.
    pub(crate) fn answer(
        &self,
        component: &Arc<Component>,
        test: &Test,
        (message, sealer): (&MessagePush, &Sealer),
        recorded: Recorded,
    ) -> Taken {
        let at = self.clock.now();
        let check = |step, code| PublishCheck {
            id: PublishCheckId::new(at, &self.entropy),
            component_id: component.id.clone(),
            appid: test.appid.clone(),
            step,
            code,
            at,
            took: test.began.elapsed(),
            failure: None,
            errcode: None,
        };
        let reply = |content: String| {
            let (fan, account) = (&message.from_user_name, &message.to_user_name);
            let xml = Reply::Text { content }.to_xml(fan, account, at.timestamp());
            Taken::Reply(sealer.seal(&xml, at, &self.entropy))
        };
        match &test.ask {
            Ask::Text => {
                self.note(check(PublishStep::Text, None));
                reply(TEXT_REPLY.to_owned())
            }
            Ask::Event(event) => {
                self.note(check(PublishStep::Event, None));
                reply(publish_test::event_reply(event))
            }
            Ask::Code(code) => {
                let digest = code_digest(code);
                let check = check(PublishStep::ApiReply, Some(digest));
                let openid = message.from_user_name.clone();
                let component = Arc::clone(component);
                if self.begin(digest) {
                    let asked = (code.clone(), openid);
                    self.redeem(component, (check, digest), asked, (recorded, test.began));
                }
                Taken::Empty
            }
        }
    }

    /// Whether nobody in this process exchanges the code already.
    fn begin(&self, code: Digest) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(code)
    }

    /// WeChat takes each code once. Of a repetition the log tells whether that was done: whoever was
    /// to do it may have died behind the commit.
    fn redeem(
        &self,
        component: Arc<Component>,
        (mut check, digest): (PublishCheck, Digest),
        (code, openid): (String, String),
        (recorded, began): (Recorded, Stopwatch),
    ) {
        let this = self.clone();
        self.tasks.spawn(async move {
            let under_way = UnderWay { codes: Arc::clone(&this.under_way), code: digest };
            if recorded == Recorded::Repeated && this.is_known(&check.component_id, &digest).await {
                return;
            }
            let answered =
                this.publish_tests.answer(&component, &check.appid, &code, &openid).await;
            if let Err(error) = answered {
                tracing::warn!(
                    component.appid = %component.appid,
                    authorizer.appid = %check.appid,
                    %error,
                    "the publish test's question for a message through the API was not answered"
                );
                check.errcode = error.upstream_errcode();
                check.failure = Some(error.to_string());
            }
            check.took = began.elapsed();
            this.keep(check).await;
            drop(under_way);
        });
    }

    /// Whether the log knows the code. While it cannot be read the code counts as known: it is good
    /// once.
    async fn is_known(&self, component: &ComponentId, code: &Digest) -> bool {
        match self.db.publish_checks().find_by_code(component, code).await {
            Ok(check) => check.is_some(),
            Err(error) => {
                tracing::warn!(%error, "the log of the publish test could not be read");
                true
            }
        }
    }

    fn note(&self, check: PublishCheck) {
        let this = self.clone();
        self.tasks.spawn(async move { this.keep(check).await });
    }

    async fn keep(&self, check: PublishCheck) {
        let (appid, step) = (&check.appid, check.step.as_str());
        tracing::info!(
            authorizer.appid = %appid,
            step,
            failure = check.failure.as_deref(),
            "WeChat's test account {appid} asked"
        );
        if let Err(error) = self.append(&check).await {
            tracing::warn!(%error, "a step of the publish test could not be noted");
        }
    }

    async fn append(&self, check: &PublishCheck) -> lingpai_storage::Result<()> {
        let tx = self.db.begin().await?;
        tx.publish_checks().append(check).await?;
        tx.commit().await
    }
}
