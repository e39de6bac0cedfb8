//! The text of a virtual token, read back into its parts.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lingpai_model::{
    Appid, Instant,
    id::{ApiKeyId, WebTokenId},
};

use super::{Subject, SubjectKind};

const ULID_LEN: usize = 26;
const EXPIRY_LEN: usize = 8;
/// The Base64 of 32 bytes without padding.
const PROOF_LEN: usize = 43;

/// A token's text in its parts. What they are worth, the proof says.
pub(super) struct Shown<'a> {
    pub(super) key_id: ApiKeyId,
    pub(super) expires_at: Instant,
    pub(super) subject: Subject,
    /// The parts that the proof covers, as they are written.
    pub(super) message: [&'a str; 3],
    pub(super) proof: [u8; 32],
}

impl<'a> Shown<'a> {
    /// Reads a token of `kind`; `None` when the form is another.
    pub(super) fn parse(kind: SubjectKind, text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(kind.prefix()).filter(|rest| rest.is_ascii())?;
        let (rest, proof) = rest.split_at_checked(rest.len().checked_sub(PROOF_LEN)?)?;
        let (ulid, rest) = rest.split_at_checked(ULID_LEN)?;
        let (expiry, rest) = rest.split_at_checked(EXPIRY_LEN)?;
        let subject = rest.strip_suffix('_')?;
        let secs = i64::from_str_radix(expiry, 16).ok()?;
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        Some(Self {
            key_id: ApiKeyId::parse(&format!("{}{ulid}", ApiKeyId::PREFIX)).ok()?,
            expires_at: Instant::from_timestamp(secs, 0)?,
            subject: read(kind, subject)?,
            message: [ulid, expiry, subject],
            proof: proof.try_into().ok()?,
        })
    }
}

/// The subject as a token names it; which kind it is, the prefix says.
pub(super) fn written(subject: &Subject) -> &str {
    match subject {
        Subject::Account(appid) => appid.as_str(),
        Subject::WebToken(id) | Subject::WebRefresh(id) => &id.as_str()[WebTokenId::PREFIX.len()..],
    }
}

fn read(kind: SubjectKind, text: &str) -> Option<Subject> {
    let grant = || WebTokenId::parse(&format!("{}{text}", WebTokenId::PREFIX)).ok();
    match kind {
        SubjectKind::Account => Appid::parse(text).ok().map(Subject::Account),
        SubjectKind::WebToken => grant().map(Subject::WebToken),
        SubjectKind::WebRefresh => grant().map(Subject::WebRefresh),
    }
}

/// What the proof covers: the parts of the text, and the key's text by its digest.
pub(super) fn signed<'a>([ulid, expiry, subject]: [&'a str; 3], digest: &'a str) -> [&'a [u8]; 4] {
    [ulid, expiry, subject, digest].map(str::as_bytes)
}
