//! The outer envelope of a push: whom it is for, and the ciphertext.

use serde::Deserialize;

use super::PushError;
use crate::{
    json,
    xml::{MAX_BYTES, Node, XmlError},
};

/// The envelope of an encrypted push, before anything is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Whom the envelope names, if anybody. Not signed: route by what is inside.
    pub to: Option<Addressee>,
    /// The ciphertext in base64, without surrounding blanks.
    pub encrypt: String,
}

/// Whom an envelope names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// `AppId`, on the authorization-event URL.
    Component(String),
    /// `ToUserName`, on the message-and-event URL: the account's `gh_…`.
    Account(String),
}

impl Envelope {
    /// Reads the XML of a push. A component is never sent anything else, and an account with keys of
    /// its own may choose it.
    ///
    /// # Errors
    /// [`PushError::Xml`] when the body breaks a bound or is no document, [`PushError::Missing`]
    /// when there is no `Encrypt`.
    pub fn parse(body: &[u8]) -> Result<Self, PushError> {
        let root = Node::parse(body)?;
        let encrypt = root.child_text("Encrypt").ok_or(PushError::Missing("Encrypt"))?.to_owned();
        let component = root.child_text("AppId").map(str::to_owned).map(Addressee::Component);
        let account = || root.child_text("ToUserName").map(str::to_owned).map(Addressee::Account);
        Ok(Self { to: component.or_else(account), encrypt })
    }

    /// Reads the JSON that an account with keys of its own may choose instead.
    ///
    /// # Errors
    /// [`PushError::Json`] when the body is too large, too deep, or no such object,
    /// [`PushError::Missing`] when there is no `Encrypt`.
    pub fn parse_json(body: &[u8]) -> Result<Self, PushError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "ToUserName")]
            to_user_name: Option<String>,
            #[serde(rename = "Encrypt", default)]
            encrypt: String,
        }
        if body.len() > MAX_BYTES {
            return Err(XmlError::TooLarge.into());
        }
        if !json::is_shallow(body) {
            return Err(PushError::Json);
        }
        let wire: Wire = serde_json::from_slice(body).map_err(|_| PushError::Json)?;
        if wire.encrypt.is_empty() {
            return Err(PushError::Missing("Encrypt"));
        }
        Ok(Self { to: wire.to_user_name.map(Addressee::Account), encrypt: wire.encrypt })
    }
}
