//! The outer envelopes: of a push, whom it is for and the ciphertext; of a reply, the ciphertext and
//! what it is signed with.

use serde::Deserialize;

use super::{PushError, PushQuery, field::Fields, tree};
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

/// The envelope of an encrypted reply, before anything is verified: what goes to
/// [`crate::crypt::Crypt::open`].
///
/// Source: WeChat docs, "Message encryption" (消息加解密): `Encrypt`, `MsgSignature`, `TimeStamp` and
/// `Nonce`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReply {
    /// What the reply is signed with, in the place of a push's query.
    pub query: PushQuery,
    /// The ciphertext in base64, without surrounding blanks.
    pub encrypt: String,
}

impl SealedReply {
    /// Reads XML, or the JSON of an account that chose it.
    ///
    /// # Errors
    /// [`PushError::Xml`] and [`PushError::Json`] when the body breaks a bound or is no document,
    /// [`PushError::Missing`] when one of the four elements is missing, [`PushError::Query`] when a
    /// value is outside of its alphabet.
    pub fn parse(body: &[u8]) -> Result<Self, PushError> {
        let root = tree::parse(body)?;
        let fields = Fields(&root);
        Ok(Self {
            query: PushQuery::from_reply(
                fields.needed("TimeStamp")?,
                fields.needed("Nonce")?,
                fields.needed("MsgSignature")?,
            )?,
            encrypt: fields.needed("Encrypt")?.to_owned(),
        })
    }
}
