//! Passive replies (被动回复): what may be answered to a message within its push.

mod check;
mod customer_message;
mod xml;

use serde::{Deserialize, Serialize};

use crate::xml::XmlError;

/// The most bytes of a text.
///
/// Assumed: WeChat's page on replies names no limit; customer-service texts have this one (#5).
pub const MAX_TEXT_BYTES: usize = 2048;

/// The most articles of one reply. In reply to a message WeChat shows the first one only.
///
/// Source: WeChat docs, "Passive user reply message" (被动回复用户消息): eight, and one in reply to a
/// text, picture, voice message, video, location or link.
pub const MAX_ARTICLES: usize = 8;

/// One reply.
///
/// Source: WeChat docs, "Passive user reply message" (被动回复用户消息), and "Forward messages to
/// customer service" for the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// A text; line feeds are allowed.
    Text {
        /// The text, at most 2,048 bytes.
        content: String,
    },
    /// A picture.
    Image {
        /// The picture's media id.
        media_id: String,
    },
    /// A voice message.
    Voice {
        /// The recording's media id.
        media_id: String,
    },
    /// A video.
    Video {
        /// The video's media id.
        media_id: String,
        /// Its title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// What it shows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    /// Music.
    Music {
        /// Its title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// What it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Where it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        music_url: Option<String>,
        /// Where it is in better quality; used on Wi-Fi.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hq_music_url: Option<String>,
        /// The media id of its picture.
        thumb_media_id: String,
    },
    /// Articles: one, or up to eight as the answer to an event.
    News {
        /// The articles.
        articles: Vec<Article>,
    },
    /// The fan is handed over to the account's customer service.
    TransferCustomerService {
        /// To this clerk; to whoever is free if none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kf_account: Option<String>,
    },
}

/// One article of a [`Reply::News`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Article {
    /// Its title.
    pub title: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its picture is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pic_url: Option<String>,
    /// Where it is read.
    pub url: String,
}

/// A reply that was read from XML, with whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedReply {
    /// The reply.
    pub reply: Reply,
    /// `ToUserName`: the fan's openid.
    pub to_user_name: String,
    /// `FromUserName`: the account's original id, `gh_…`.
    pub from_user_name: String,
}

/// Why something is no reply that WeChat takes. It tells nothing of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// It is no bounded XML document.
    #[error("the reply is refused: {0}")]
    Xml(#[from] XmlError),
    /// It is no bounded JSON document.
    #[error("the reply's JSON is refused")]
    Json,
    /// Something that this kind of reply needs is missing or empty.
    #[error("the reply's {0} is missing or empty")]
    Missing(&'static str),
    /// Something is longer than WeChat takes.
    #[error("the reply's {element} is longer than {most_bytes} bytes")]
    TooLong {
        /// What it is.
        element: &'static str,
        /// How long it may be.
        most_bytes: usize,
    },
    /// Not 1 to [`MAX_ARTICLES`] articles.
    #[error("a reply has one to eight articles")]
    ArticleCount,
    /// `ArticleCount` is another number than there are articles.
    #[error("the reply's ArticleCount is not the number of its articles")]
    WrongArticleCount,
    /// A character that no XML can have, a control character for instance.
    #[error("the reply's {0} has a character that XML cannot have")]
    Unwritable(&'static str),
    /// A `MsgType` that cannot be replied with.
    #[error("the reply's MsgType is none that can be replied with")]
    UnknownType,
}
