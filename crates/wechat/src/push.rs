//! What WeChat sends to us: query and envelope as long as it is not decrypted, pushes afterwards.
//!
//! Query and envelope prove nothing before [`crate::crypt::Crypt::open`] has accepted them; both are
//! bounded because anybody can send them.

pub mod component;
mod envelope;
mod field;
pub mod message;
pub mod publish_test;
mod query;
pub mod reply;
mod tree;

pub use envelope::{Addressee, Envelope, SealedReply};
pub use query::{PushQuery, UrlCheckQuery};

use crate::xml::XmlError;

/// Why a query, an envelope or a decrypted push could not be read. It tells nothing of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The query breaks our strict syntax.
    #[error("the query is refused: {0}")]
    Query(&'static str),
    /// The body is no bounded XML document.
    #[error("the XML is refused: {0}")]
    Xml(#[from] XmlError),
    /// The body is no bounded JSON document.
    #[error("the JSON is refused")]
    Json,
    /// An element that must be there is missing or empty.
    #[error("the element {0} is missing or empty")]
    Missing(&'static str),
    /// An element has a value that it cannot have.
    #[error("the element {0} has an impossible value")]
    Malformed(&'static str),
}
