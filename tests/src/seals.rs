//! Seals and opens messages as WeChat does, past the emulator: for many a second, and for replies.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use lingpai_wechat::{
    crypt::{Crypt, EncodingAesKey, KeySlot, envelope_to_account, plain_signature},
    id::Appid,
    push::PushQuery,
    secret::Secret,
};

use crate::{people::Component, xml::element};

/// A push as it goes over the wire.
#[derive(Debug, Clone)]
pub struct SealedPush {
    /// The raw query, without the `?`.
    pub query: String,
    /// The envelope.
    pub body: String,
}

/// The keys of a component, of an account or of a handler, with the appid that frames carry.
#[derive(Debug)]
pub struct Seals {
    crypt: Crypt,
    push_token: Secret<String>,
    drawn: AtomicU64,
}

impl Seals {
    /// # Errors
    /// When appid or key cannot be read.
    pub fn new(appid: &str, push_token: &str, encoding_aes_key: &str) -> Result<Self> {
        let push_token = Secret::new(push_token.to_owned());
        let key = EncodingAesKey::parse(encoding_aes_key).context("the EncodingAESKey")?;
        let appid = Appid::parse(appid).context("the appid")?;
        let crypt = Crypt::new(push_token.clone(), appid, key, None);
        Ok(Self { crypt, push_token, drawn: AtomicU64::new(0) })
    }

    /// Those of a component, which serve the messages of all its accounts.
    ///
    /// # Errors
    /// When appid or key cannot be read.
    pub fn of(component: &Component) -> Result<Self> {
        Self::new(&component.appid, &component.push_token, &component.encoding_aes_key)
    }

    /// Seals a message to the account with this original id.
    #[must_use]
    pub fn push(&self, user_name: &str, xml: &str, at_secs: i64) -> SealedPush {
        let (nonce, random) = self.draw();
        let sealed = self.crypt.seal(xml.as_bytes(), KeySlot::Current, at_secs, &nonce, random);
        let signature = plain_signature(&self.push_token, &at_secs.to_string(), &nonce);
        let query = format!(
            "signature={signature}&timestamp={at_secs}&nonce={nonce}&encrypt_type=aes\
             &msg_signature={}",
            sealed.msg_signature
        );
        SealedPush { query, body: envelope_to_account(user_name, &sealed.encrypt) }
    }

    /// Seals a reply: the envelope as a handler answers with it.
    #[must_use]
    pub fn reply(&self, xml: &str, at_secs: i64) -> String {
        let (nonce, random) = self.draw();
        self.crypt.seal(xml.as_bytes(), KeySlot::Current, at_secs, &nonce, random).to_xml()
    }

    /// The reply inside an envelope; `None` when WeChat could not open it.
    #[must_use]
    pub fn open_reply(&self, envelope: &str) -> Option<String> {
        let query = PushQuery {
            timestamp: element(envelope, "TimeStamp")?,
            nonce: element(envelope, "Nonce")?,
            msg_signature: element(envelope, "MsgSignature")?,
        };
        self.open(&query, &element(envelope, "Encrypt")?)
    }

    /// The message inside a push; `None` when it was not sealed with these keys.
    #[must_use]
    pub fn open_push(&self, raw_query: &str, envelope: &str) -> Option<String> {
        self.open(&PushQuery::parse(raw_query).ok()?, &element(envelope, "Encrypt")?)
    }

    /// Whether the plain `signature` of a query is right.
    #[must_use]
    pub fn has_signed(&self, parameter: impl Fn(&str) -> Option<String>) -> bool {
        let (Some(timestamp), Some(nonce)) = (parameter("timestamp"), parameter("nonce")) else {
            return false;
        };
        parameter("signature") == Some(plain_signature(&self.push_token, &timestamp, &nonce))
    }

    fn open(&self, query: &PushQuery, encrypt: &str) -> Option<String> {
        let opened = self.crypt.open(query, encrypt).ok()?;
        String::from_utf8(opened.plaintext).ok()
    }

    /// A nonce and random bytes that were not drawn before; nobody has to be surprised by them.
    fn draw(&self) -> (String, [u8; 16]) {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        (format!("{}", 400_000_000 + number), u128::from(number).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use lingpai_emulator::EmulatorConfig;

    use super::*;

    #[test]
    fn what_is_sealed_can_be_opened_with_the_same_keys_only() {
        let component = Component::of(&EmulatorConfig::default());
        let seals = Seals::of(&component).unwrap();
        let pushed = seals.push("gh_1", "<xml>你好</xml>", 1_700_000_000);
        assert_eq!(seals.open_push(&pushed.query, &pushed.body).unwrap(), "<xml>你好</xml>");
        let envelope = seals.reply("<xml>回复</xml>", 1_700_000_000);
        assert_eq!(seals.open_reply(&envelope).unwrap(), "<xml>回复</xml>");
        let others = Component { appid: "wx0000000000000000".to_owned(), ..component };
        assert_eq!(Seals::of(&others).unwrap().open_reply(&envelope), None);
    }
}
