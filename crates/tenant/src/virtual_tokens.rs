mod text;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lingpai_model::{
    Appid, Instant, Secret,
    api_key::{ApiKey, KeyKind, KeyText},
    caller::{Caller, Via},
    digest::Digest,
    id::{ApiKeyId, WebTokenId},
};

use self::text::{Shown, signed};
use crate::{ApiKeys, Error, Result};

/// How long a virtual token lives where nothing else is said: as long as WeChat's own, so that SDKs
/// fetch the next one as they are used to.
///
/// Source: WeChat docs, "Get stable version interface call credentials" (getStableAccessToken):
/// `expires_in` is at most 7200; "Web page authorization" (网页授权), step 2: 7200 as well.
pub const VIRTUAL_TOKEN_LIFE: Duration = Duration::from_secs(7200);

/// Makes and verifies the tokens that SDKs get from the gateway instead of WeChat's.
///
/// A virtual token names a key, what it stands for and its own end, and proves itself: there is no
/// table of them. The proof covers the very text of the key that it was fetched with, so it dies with
/// that text. It is worth nothing at WeChat.
///
/// Form: `lpv_<ULID of the key><end in Unix seconds, hex><appid>_<proof>`; for what a fan granted
/// `lpw_` and `lpr_`, with the ULID of the grant in the place of the appid. Each kind is proved for a
/// purpose of its own, so that none is ever taken for another.
#[derive(Debug, Clone)]
pub struct VirtualTokens {
    api_keys: ApiKeys,
}

/// What a virtual token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The token of an account: `lpv_…`.
    Account(Appid),
    /// A fan's web token: `lpw_…`.
    WebToken(WebTokenId),
    /// What a fan's web token is refreshed with: `lpr_…`.
    WebRefresh(WebTokenId),
}

/// Which kind of virtual token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// The token of an account: `lpv_…`.
    Account,
    /// A fan's web token: `lpw_…`.
    WebToken,
    /// What a fan's web token is refreshed with: `lpr_…`.
    WebRefresh,
}

/// The text of a key as it was shown, of which only the digest is kept: what a virtual token is made
/// with, and dies with.
#[derive(Debug, Clone, Copy)]
pub struct ShownKey(Digest);

/// Who shows a virtual token, and for what.
#[derive(Debug, Clone)]
pub struct VirtualCaller {
    /// The key that it was fetched with, and what that may do.
    pub caller: Caller,
    /// What it stands for.
    pub subject: Subject,
    /// The text of the key that it was fetched with: what is made for it is to die with it too.
    pub shown: ShownKey,
}

impl Subject {
    /// Of which kind it is.
    #[must_use]
    pub fn kind(&self) -> SubjectKind {
        match self {
            Self::Account(_) => SubjectKind::Account,
            Self::WebToken(_) => SubjectKind::WebToken,
            Self::WebRefresh(_) => SubjectKind::WebRefresh,
        }
    }
}

impl SubjectKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Account, Self::WebToken, Self::WebRefresh];

    /// How tokens of this kind begin.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Account => "lpv_",
            Self::WebToken => "lpw_",
            Self::WebRefresh => "lpr_",
        }
    }

    /// The kind that `text` says it is of, whatever it is worth.
    #[must_use]
    pub fn claimed_by(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
    }

    /// What the proof of such a token is derived for.
    fn purpose(self) -> &'static str {
        match self {
            Self::Account => "virtual-token",
            Self::WebToken => "virtual-web-token",
            Self::WebRefresh => "virtual-web-refresh-token",
        }
    }
}

impl ShownKey {
    /// The key of this text. Whether it is valid is for [`ApiKeys::authenticate`] to say.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when the text has not the form of a tenant's key.
    pub fn of(text: &str) -> Result<Self> {
        let text = KeyText::parse(KeyKind::Tenant, text).ok_or(Error::Unauthenticated)?;
        Ok(Self(text.digest()))
    }
}

impl VirtualTokens {
    /// A service on these keys.
    #[must_use]
    pub fn new(api_keys: ApiKeys) -> Self {
        Self { api_keys }
    }

    /// Makes a token of `caller` for `subject`, and says how long it lives: until `until`, or for
    /// [`VIRTUAL_TOKEN_LIFE`], or less where its key ends before. `shown` is the text of the key that
    /// the caller has just been verified by. Whose the subject is, is not looked at here.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when that is not the text of the caller's key, or not any more.
    pub async fn mint(
        &self,
        caller: &Caller,
        shown: &ShownKey,
        subject: &Subject,
        until: Option<Instant>,
    ) -> Result<(Secret<String>, Duration)> {
        let now = self.api_keys.now();
        let ShownKey(shown) = shown;
        let key = self.api_keys.cached(&caller.key_id).await?;
        let key = key.filter(|key| key.is_live(now) && key.accepts(shown, now));
        let key = key.ok_or(Error::Unauthenticated)?;

        let end = end(&key, shown, now).min(until.unwrap_or(now + VIRTUAL_TOKEN_LIFE));
        let text = self.text(&key.id, shown, subject, end);
        Ok((text, (end - now).to_std().unwrap_or_default()))
    }

    /// Verifies the text of a token of `kind` that is used from `via`.
    ///
    /// # Errors
    /// [`Error::VirtualTokenRefused`] when it is none, is of another kind, was changed, or its key has
    /// ended; [`Error::VirtualTokenExpired`] when it was good and has run out;
    /// [`Error::AddressRefused`] when its key may not be used from there.
    pub async fn authenticate(
        &self,
        kind: SubjectKind,
        text: &str,
        via: Via,
    ) -> Result<VirtualCaller> {
        let shown = Shown::parse(kind, text).ok_or(Error::VirtualTokenRefused)?;
        let now = self.api_keys.now();
        let key = self.api_keys.cached(&shown.key_id).await?.filter(|key| key.is_live(now));
        let proving = match &key {
            Some(key) => key.digests(now).find(|digest| self.is_proved(&shown, digest)).copied(),
            // An unknown key takes the same work, against a digest that no key has.
            None => Some(Digest::of(&[])).filter(|digest| self.is_proved(&shown, digest)),
        };
        let (key, digest) = key.zip(proving).ok_or(Error::VirtualTokenRefused)?;
        if now >= shown.expires_at {
            return Err(Error::VirtualTokenExpired);
        }
        let caller = self.api_keys.open(&key, via)?;
        Ok(VirtualCaller { caller, subject: shown.subject, shown: ShownKey(digest) })
    }

    /// The text of a token that ends at `end`, made with the text `shown` of the key.
    fn text(
        &self,
        key: &ApiKeyId,
        shown: &Digest,
        subject: &Subject,
        end: Instant,
    ) -> Secret<String> {
        let kind = subject.kind();
        let ulid = &key.as_str()[ApiKeyId::PREFIX.len()..];
        let expiry = format!("{:08x}", whole_secs(end));
        let subject = text::written(subject);
        let message = [ulid, &expiry, subject];
        let proof = self.api_keys.db().mac(kind.purpose(), &signed(message, &shown.to_hex()));
        let proof = URL_SAFE_NO_PAD.encode(proof);
        Secret::new(format!("{}{ulid}{expiry}{subject}_{proof}", kind.prefix()))
    }

    /// Whether the token was made by us, with the key's text of this digest.
    fn is_proved(&self, shown: &Shown<'_>, digest: &Digest) -> bool {
        let (digest, purpose) = (digest.to_hex(), shown.subject.kind().purpose());
        let message = signed(shown.message, &digest);
        self.api_keys.db().mac_matches(purpose, &message, &shown.proof)
    }
}

/// When a token that is made now with the text `shown` of `key` ends at the latest.
fn end(key: &ApiKey, shown: &Digest, now: Instant) -> Instant {
    let overlap = key.previous.filter(|previous| key.key_digest != *shown && previous.until > now);
    let ends = [key.expires_at, overlap.map(|previous| previous.until)];
    ends.into_iter().flatten().fold(Instant::MAX_UTC, Instant::min)
}

/// The end as the token names it: never before what was promised.
fn whole_secs(end: Instant) -> i64 {
    end.timestamp() + i64::from(end.timestamp_subsec_nanos() > 0)
}
