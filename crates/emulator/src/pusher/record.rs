//! What is remembered of pushes.

use serde::Serialize;

use super::Push;

/// What came of a push's first attempt; repeats go on in the background.
#[derive(Debug, Clone, Serialize)]
pub struct PushOutcome {
    /// The InfoType, message type or event.
    pub name: String,
    /// The HTTP status of the answer, if one came in time.
    pub status: Option<u16>,
    /// The body of the answer.
    pub body: String,
    /// Why no answer came, or why nothing was sent.
    pub error: Option<String>,
}

impl PushOutcome {
    /// Whether the answer was exactly HTTP 200 and `success`.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.status == Some(200) && self.body == "success"
    }

    pub(super) fn unsent(name: &str, why: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: None,
            body: String::new(),
            error: Some(why.to_owned()),
        }
    }
}

/// One attempt to push.
#[derive(Debug, Clone, Serialize)]
pub struct PushRecord {
    /// The same for all attempts of one push.
    pub series: u64,
    /// Counts the attempts of a series from 1; 0 when nothing was sent.
    pub attempt: u32,
    /// The account whose message or event it is; none for the component's own pushes.
    pub appid: Option<String>,
    /// When it was sent, Unix milliseconds of the emulator's clock.
    pub at_ms: i64,
    /// How long the answer took, in milliseconds.
    pub took_ms: u64,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: PushOutcome,
    /// What was inside, in clear.
    pub plaintext: String,
    /// The reply in clear, when the answer was one that WeChat shows to the fan.
    pub reply: Option<String>,
    /// Why WeChat would tell the fan that the account is out of order: the answer was neither
    /// `success` nor empty nor a reply.
    pub invalid_reply: Option<String>,
}

impl PushRecord {
    pub(super) fn unsent(push: &Push, at_ms: i64, why: &str) -> Self {
        Self {
            series: push.series,
            attempt: 0,
            appid: push.appid().map(str::to_owned),
            at_ms,
            took_ms: 0,
            outcome: PushOutcome::unsent(&push.name, why),
            plaintext: push.plaintext.clone(),
            reply: None,
            invalid_reply: None,
        }
    }
}
