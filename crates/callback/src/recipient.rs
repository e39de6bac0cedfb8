//! What proves that a push is WeChat's, and for whom it is meant: the same for components and for
//! accounts with keys of their own.

use std::iter;

use chrono::{DateTime, Duration};
use lingpai_model::{
    Appid, Instant, Secret, authorizer::AccountSecret, clock::Entropy, component::Component,
};
use lingpai_wechat::{
    crypt::{Crypt, CryptError, EncodingAesKey, KeySlot},
    push::{Envelope, PushError, PushQuery, UrlCheckQuery},
};
use tracing::field;

use crate::Refusal;

/// How far WeChat's clock may be ahead of ours.
const CLOCK_TOLERANCE: Duration = Duration::minutes(10);

/// For whom pushes are meant, with what protects them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipient<'a> {
    kind: Kind,
    /// Every frame ends with it.
    appid: &'a Appid,
    push_token: &'a Secret<String>,
    /// As long as it counts.
    previous_push_token: Option<&'a Secret<String>>,
    encoding_aes_key: &'a Secret<String>,
    previous_encoding_aes_key: Option<&'a Secret<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Component,
    Account,
}

impl<'a> Recipient<'a> {
    /// A component, as it stands at `now`: after a rotation the push token before still counts for a
    /// while.
    pub(crate) fn component(component: &'a Component, now: Instant) -> Self {
        let previous = component.previous_push_token.as_ref();
        Self {
            kind: Kind::Component,
            appid: &component.appid,
            push_token: &component.push_token,
            previous_push_token: previous.filter(|(_, end)| now < *end).map(|(token, _)| token),
            encoding_aes_key: &component.encoding_aes_key,
            previous_encoding_aes_key: component.previous_encoding_aes_key.as_ref(),
        }
    }

    /// `None` when the account is to get no pushes.
    pub(crate) fn account(account: &'a AccountSecret) -> Option<Self> {
        Some(Self {
            kind: Kind::Account,
            appid: &account.appid,
            push_token: account.push_token.as_ref()?,
            previous_push_token: None,
            encoding_aes_key: account.encoding_aes_key.as_ref()?,
            previous_encoding_aes_key: None,
        })
    }

    /// Verifies and decrypts a push.
    ///
    /// # Errors
    /// [`Refusal::Unverified`]; which check failed stands in the log only.
    pub(crate) fn open(&self, raw_query: &str, body: &[u8]) -> Result<Opened, Refusal> {
        self.opened(raw_query, body).map_err(|check| self.unverified(check))
    }

    /// The text with which a URL check of WeChat's is answered.
    ///
    /// # Errors
    /// [`Refusal::Unverified`] when the signature is not WeChat's.
    pub(crate) fn check_url(&self, raw_query: &str) -> Result<String, Refusal> {
        let query = UrlCheckQuery::parse(raw_query).map_err(|_| self.unverified("query"))?;
        for push_token in self.push_tokens() {
            let crypt = self.crypt(push_token).map_err(|_| self.unverified("key"))?;
            if crypt.verify_url(&query) {
                return Ok(query.echostr);
            }
        }
        Err(self.unverified("signature"))
    }

    /// Which check failed helps the operator; the sender is not told.
    pub(crate) fn unverified(&self, check: &'static str) -> Refusal {
        tracing::warn!(
            component.appid = self.appid_of(Kind::Component).map(field::display),
            authorizer.appid = self.appid_of(Kind::Account).map(field::display),
            check,
            "a push to {} {} does not verify",
            self.noun(),
            self.appid
        );
        Refusal::Unverified
    }

    /// Tells the operator of an authentic push that `error` kept from being read.
    pub(crate) fn note_quarantine(&self, error: PushError) {
        tracing::error!(
            component.appid = self.appid_of(Kind::Component).map(field::display),
            authorizer.appid = self.appid_of(Kind::Account).map(field::display),
            %error,
            "an authentic push to {} {} cannot be read; it is kept in quarantine",
            self.noun(),
            self.appid
        );
    }

    /// Opens the envelope; the error names the check that failed.
    fn opened(&self, raw_query: &str, body: &[u8]) -> Result<Opened, &'static str> {
        let query = PushQuery::parse(raw_query).map_err(|_| "query")?;
        let format = self.format(body);
        let envelope = match format {
            Format::Json => Envelope::parse_json(body),
            Format::Xml => Envelope::parse(body),
        };
        let envelope = envelope.map_err(|_| "envelope")?;
        for push_token in self.push_tokens() {
            let crypt = self.crypt(push_token).map_err(|_| "key")?;
            match crypt.open(&query, &envelope.encrypt) {
                Ok(opened) => {
                    let sealer = Sealer { crypt, key: opened.key, format };
                    return Ok(Opened { plaintext: opened.plaintext, sealer });
                }
                Err(CryptError::BadSignature) => {}
                Err(_) => return Err("ciphertext"),
            }
        }
        Err("signature")
    }

    /// With which pushes may be signed.
    fn push_tokens(&self) -> impl Iterator<Item = &'a Secret<String>> {
        iter::once(self.push_token).chain(self.previous_push_token)
    }

    /// An account may have chosen JSON in WeChat's console; a component cannot.
    fn format(&self, body: &[u8]) -> Format {
        let is_json = body.trim_ascii_start().starts_with(b"{");
        if self.kind == Kind::Account && is_json { Format::Json } else { Format::Xml }
    }

    fn crypt(&self, push_token: &Secret<String>) -> Result<Crypt, CryptError> {
        let current = EncodingAesKey::parse(self.encoding_aes_key.expose())?;
        let previous = self
            .previous_encoding_aes_key
            .map(|key| EncodingAesKey::parse(key.expose()))
            .transpose()?;
        Ok(Crypt::new(push_token.clone(), self.appid.clone(), current, previous))
    }

    fn appid_of(&self, kind: Kind) -> Option<&'a Appid> {
        (self.kind == kind).then_some(self.appid)
    }

    fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Component => "component",
            Kind::Account => "authorizer",
        }
    }
}

/// A push that is WeChat's.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The message, byte for byte.
    pub(crate) plaintext: Vec<u8>,
    /// What its reply is sealed with.
    pub(crate) sealer: Sealer,
}

/// In which form a push came, and its reply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As XML: always, but for accounts with keys of their own that chose otherwise.
    Xml,
    /// As JSON: a mini program or a store that is connected by its own secret.
    Json,
}

/// Seals the reply to one push, with the push token and the message key that fitted the push.
///
/// Source: WeChat docs, "Message encryption and decryption" (消息加解密): a reply is encrypted with the
/// key that decrypted the request, with the same appid in its frame.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    crypt: Crypt,
    key: KeySlot,
    pub(crate) format: Format,
}

impl Sealer {
    /// The envelope to answer with.
    pub(crate) fn seal(&self, reply: &str, now: Instant, entropy: &Entropy) -> String {
        let nonce = (u64::from_be_bytes(entropy.bytes()) % 10_000_000_000).to_string();
        let random = entropy.bytes();
        let sealed = self.crypt.seal(reply.as_bytes(), self.key, now.timestamp(), &nonce, random);
        match self.format {
            Format::Xml => sealed.to_xml(),
            Format::Json => sealed.to_json(),
        }
    }
}

/// The time inside a push, which orders what it says; when it was received if it has none. A time
/// far ahead is cut: nothing may stay the newest for ever.
pub(crate) fn inner_time(create_time: Option<i64>, received_at: Instant) -> Instant {
    let told = create_time.and_then(|secs| DateTime::from_timestamp(secs, 0));
    told.unwrap_or(received_at).min(received_at + CLOCK_TOLERANCE)
}
