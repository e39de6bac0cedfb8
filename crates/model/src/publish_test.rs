//! WeChat's whole-network publish test (全网发布检测), as far as we remember it.

use std::time::Duration;

use crate::{
    Appid, Instant,
    digest::Digest,
    id::{ComponentId, PublishCheckId},
};

/// What became of one step of the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishCheck {
    /// Its id.
    pub id: PublishCheckId,
    /// The component under test.
    pub component_id: ComponentId,
    /// WeChat's test account that asked.
    pub appid: Appid,
    /// Which step.
    pub step: PublishStep,
    /// Recognises the code that was to be exchanged, for the steps that have one.
    pub code: Option<Digest>,
    /// When WeChat asked.
    pub at: Instant,
    /// How long it took until we were done.
    pub took: Duration,
    /// Why it failed, in words; `None` if it went well.
    pub failure: Option<String>,
    /// WeChat's number for it, if WeChat refused.
    pub errcode: Option<i64>,
}

/// A step of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishStep {
    /// A text that is answered at once.
    Text,
    /// A code that is exchanged, and answered by a customer-service message.
    ApiReply,
    /// An event that is answered by its name.
    Event,
}

impl PublishStep {
    /// All steps.
    pub const ALL: [Self; 3] = [Self::Text, Self::ApiReply, Self::Event];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::ApiReply => "api_reply",
            Self::Event => "event",
        }
    }
}
