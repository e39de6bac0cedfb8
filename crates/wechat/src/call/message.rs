//! Messages of an account to its fans.

use super::{Answer, AnswerError, Call, done};

/// Sends a fan a message of customer service (客服消息). The body is a JSON object that WeChat reads
/// as it is; text that is not ASCII goes as UTF-8, because the fan would be shown escapes.
///
/// Source: WeChat docs, "Customer service messages" (客服接口-发消息, sendCustomMessage): within 48
/// hours of what the fan did last, and few for each thing that he does (45015, 45047).
pub const SEND_CUSTOM_MESSAGE: Call =
    Call { name: "custom/send", path: "/cgi-bin/message/custom/send" };

/// Answer of [`SEND_CUSTOM_MESSAGE`]: the message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageSent;

impl Answer for MessageSent {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        done(json).map(|()| Self)
    }
}
