use lingpai_callback::{PublishChecks, RehearsalStep, Rehearsals, Verdict};
use lingpai_model::{
    Instant,
    publish_test::{PublishCheck, PublishStep},
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::{Group, components::component_appid};
use crate::{
    auth::OperatorAuth,
    example,
    page::PageView,
    parameter::{self, ComponentAppidText, CursorText, Limit},
    problem::Result,
    view,
};

pub(crate) struct PublishTestsApi {
    pub(super) publish_checks: PublishChecks,
    pub(super) rehearsals: Rehearsals,
}

/// A step of the whole-network publish test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "PublishStep", rename_all = "snake_case", remote = "PublishStep")]
enum PublishStepView {
    /// A text that is answered at once.
    Text,
    /// A code that is exchanged, and answered by a customer-service message.
    ApiReply,
    /// An event that is answered by its name.
    Event,
}

/// What became of one step of the test.
#[derive(Debug, Object)]
#[oai(rename = "PublishCheck", example)]
struct PublishCheckView {
    /// Its id.
    id: String,
    /// WeChat's test account that asked.
    appid: String,
    /// Which step.
    step: PublishStepView,
    /// When it was asked.
    at: Instant,
    /// How many milliseconds it took until we were done.
    took_ms: u64,
    /// Why it failed, in words; null if it went well.
    #[oai(nullable)]
    failure: Option<String>,
    /// WeChat's number for it; null if WeChat did not refuse.
    #[oai(nullable)]
    errcode: Option<i64>,
}

impl Example for PublishCheckView {
    fn example() -> Self {
        Self {
            id: "pck_01KAEXAMP1E00000000000000A".to_owned(),
            appid: example::AUTHORIZER_APPID.to_owned(),
            step: PublishStepView::ApiReply,
            at: example::instant(),
            took_ms: 412,
            failure: None,
            errcode: None,
        }
    }
}

impl From<PublishCheck> for PublishCheckView {
    fn from(check: PublishCheck) -> Self {
        Self {
            id: check.id.to_string(),
            appid: check.appid.to_string(),
            step: check.step.into(),
            at: check.at,
            took_ms: view::millis(check.took),
            failure: check.failure,
            errcode: check.errcode,
        }
    }
}

/// A step of a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "RehearsalStep", rename_all = "snake_case", remote = "RehearsalStep")]
enum RehearsalStepView {
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

/// How one step went.
#[derive(Debug, Object)]
#[oai(rename = "Verdict", example)]
struct VerdictView {
    /// Which step.
    step: RehearsalStepView,
    /// The test account that it was played for; null if it was for none.
    #[oai(nullable)]
    appid: Option<String>,
    /// Whether WeChat would be content.
    passed: bool,
    /// How many milliseconds the answer took.
    took_ms: u64,
    /// What to do about it; null if it passed.
    #[oai(nullable)]
    cure: Option<String>,
}

impl Example for VerdictView {
    fn example() -> Self {
        Self {
            step: RehearsalStepView::Text,
            appid: Some(example::AUTHORIZER_APPID.to_owned()),
            passed: true,
            took_ms: 23,
            cure: None,
        }
    }
}

impl From<Verdict> for VerdictView {
    fn from(verdict: Verdict) -> Self {
        let Verdict { step, appid, passed, took, cure } = verdict;
        let appid = appid.map(|appid| appid.to_string());
        Self { step: step.into(), appid, passed, took_ms: view::millis(took), cure }
    }
}

/// How a rehearsal went.
#[derive(Debug, Object)]
#[oai(rename = "Rehearsal", example)]
struct RehearsalView {
    /// Whether every step passed.
    passed: bool,
    /// The steps, in the order in which they were played.
    verdicts: Vec<VerdictView>,
}

impl Example for RehearsalView {
    fn example() -> Self {
        Self { passed: true, verdicts: vec![VerdictView::example()] }
    }
}

#[OpenApi(tag = "Group::Components")]
impl PublishTestsApi {
    /// List what WeChat's publish test asked.
    ///
    /// Newest first: each step of the whole-network publish test (全网发布检测) and of rehearsals, and how
    /// it went. For operators.
    #[oai(
        path = "/components/:appid/publish-test",
        method = "get",
        operation_id = "list_publish_checks"
    )]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// The component's appid.
        appid: Path<ComponentAppidText>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<PublishCheckView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let found = self.publish_checks.list(&component_appid(&appid)?, &page).await?;
        Ok(Json(PageView::of(found, PublishCheckView::from)))
    }

    /// Rehearse WeChat's publish test.
    ///
    /// Plays the whole-network publish test (全网发布检测) against this installation's own public URLs, for
    /// all ten test accounts, and gives a verdict with its cure on each step. It takes some seconds, and
    /// WeChat is asked about a made-up code of each account. No account, token or setting changes, but
    /// there is an entry of the audit trail, the steps are among those that are listed here, and the
    /// messages that it plays are events. Switch `answers_publish_test` on first. For operators.
    #[oai(
        path = "/components/:appid/rehearsal",
        method = "post",
        operation_id = "rehearse_publish_test"
    )]
    async fn rehearse(
        &self,
        auth: OperatorAuth,
        /// The component's appid.
        appid: Path<ComponentAppidText>,
    ) -> Result<Json<RehearsalView>> {
        let appid = component_appid(&appid)?;
        let verdicts = self.rehearsals.run(&auth.caller().act(), &appid).await?;
        let passed = verdicts.iter().all(|verdict| verdict.passed);
        let verdicts = verdicts.into_iter().map(VerdictView::from).collect();
        Ok(Json(RehearsalView { passed, verdicts }))
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::*;

    #[test]
    fn steps_are_written_as_the_services_write_them() {
        for step in PublishStep::ALL {
            assert_eq!(PublishStepView::from(step).to_json(), Some(step.as_str().into()));
        }
        for step in RehearsalStep::ALL {
            assert_eq!(RehearsalStepView::from(step).to_json(), Some(step.as_str().into()));
        }
    }
}
