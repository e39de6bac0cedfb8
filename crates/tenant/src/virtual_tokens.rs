use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lingpai_model::{
    Appid, Instant, Secret,
    api_key::{ApiKey, KeyKind, KeyText},
    caller::{Caller, Via},
    digest::Digest,
    id::ApiKeyId,
};

use crate::{ApiKeys, Error, Result};

/// How long a virtual token lives: as long as WeChat's own, so that SDKs fetch the next one as they
/// are used to.
///
/// Source: WeChat docs, "Get stable version interface call credentials" (getStableAccessToken):
/// `expires_in` is at most 7200.
pub const VIRTUAL_TOKEN_LIFE: Duration = Duration::from_secs(7200);

/// What the proof of a virtual token is derived for.
const PURPOSE: &str = "virtual-token";

const PREFIX: &str = "lpv_";
const ULID_LEN: usize = 26;
const EXPIRY_LEN: usize = 8;
/// The Base64 of 32 bytes without padding.
const PROOF_LEN: usize = 43;

/// Makes and verifies the tokens that SDKs get from the gateway instead of WeChat's.
///
/// A virtual token names a key, an account and its own end, and proves itself: there is no table of
/// them. The proof covers the very text of the key that it was fetched with, so it dies with that
/// text. It is worth nothing at WeChat.
///
/// Form: `lpv_<ULID of the key><end in Unix seconds, hex><appid>_<proof>`.
#[derive(Debug, Clone)]
pub struct VirtualTokens {
    api_keys: ApiKeys,
}

/// Who shows a virtual token, and for which account.
#[derive(Debug, Clone)]
pub struct VirtualCaller {
    /// The key that it was fetched with, and what that may do.
    pub caller: Caller,
    /// The account that it stands for.
    pub appid: Appid,
}

impl VirtualTokens {
    /// A service on these keys.
    #[must_use]
    pub fn new(api_keys: ApiKeys) -> Self {
        Self { api_keys }
    }

    /// Makes a token of `caller` for the account `appid`, and says how long it lives: less than
    /// [`VIRTUAL_TOKEN_LIFE`] where its key ends before. `shown` is the text of the key that the
    /// caller has just been verified by. Whose account it is, is not looked at here.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when that is not the text of the caller's key, or not any more.
    pub async fn mint(
        &self,
        caller: &Caller,
        shown: &str,
        appid: &Appid,
    ) -> Result<(Secret<String>, Duration)> {
        let now = self.api_keys.now();
        let shown = KeyText::parse(KeyKind::Tenant, shown).ok_or(Error::Unauthenticated)?.digest();
        let key = self.api_keys.cached(&caller.key_id).await?;
        let key = key.filter(|key| key.is_live(now) && key.accepts(&shown, now));
        let key = key.ok_or(Error::Unauthenticated)?;

        let end = end(&key, &shown, now);
        let ulid = &key.id.as_str()[ApiKeyId::PREFIX.len()..];
        let expiry = format!("{:08x}", whole_secs(end));
        let message = [ulid, &expiry, appid.as_str()];
        let proof = self.api_keys.db().mac(PURPOSE, &signed(message, &shown.to_hex()));
        let proof = URL_SAFE_NO_PAD.encode(proof);
        let text = Secret::new(format!("{PREFIX}{ulid}{expiry}{appid}_{proof}"));
        Ok((text, (end - now).to_std().unwrap_or_default()))
    }

    /// Verifies the text of a token that is used from `via`.
    ///
    /// # Errors
    /// [`Error::VirtualTokenRefused`] when it is none, was changed, or its key has ended;
    /// [`Error::VirtualTokenExpired`] when it was good and has run out; [`Error::AddressRefused`]
    /// when its key may not be used from there.
    pub async fn authenticate(&self, text: &str, via: Via) -> Result<VirtualCaller> {
        let shown = Shown::parse(text).ok_or(Error::VirtualTokenRefused)?;
        let now = self.api_keys.now();
        let key = self.api_keys.cached(&shown.key_id).await?.filter(|key| key.is_live(now));
        let is_proved = match &key {
            Some(key) => key.digests(now).any(|digest| self.is_proved(&shown, digest)),
            // An unknown key takes the same work, against a digest that no key has.
            None => self.is_proved(&shown, &Digest::of(&[])),
        };
        let key = key.filter(|_| is_proved).ok_or(Error::VirtualTokenRefused)?;
        if now >= shown.expires_at {
            return Err(Error::VirtualTokenExpired);
        }
        let caller = self.api_keys.open(&key, via)?;
        Ok(VirtualCaller { caller, appid: shown.appid })
    }

    /// Whether the token was made by us, with the key's text of this digest.
    fn is_proved(&self, shown: &Shown<'_>, digest: &Digest) -> bool {
        let digest = digest.to_hex();
        let message = signed(shown.message, &digest);
        self.api_keys.db().mac_matches(PURPOSE, &message, &shown.proof)
    }
}

/// When a token that is made now with the text `shown` of `key` ends.
fn end(key: &ApiKey, shown: &Digest, now: Instant) -> Instant {
    let overlap = key.previous.filter(|previous| key.key_digest != *shown && previous.until > now);
    let ends = [key.expires_at, overlap.map(|previous| previous.until)];
    ends.into_iter().flatten().fold(now + VIRTUAL_TOKEN_LIFE, Instant::min)
}

/// The end as the token names it: never before what was promised.
fn whole_secs(end: Instant) -> i64 {
    end.timestamp() + i64::from(end.timestamp_subsec_nanos() > 0)
}

/// A token's text in its parts.
struct Shown<'a> {
    key_id: ApiKeyId,
    expires_at: Instant,
    appid: Appid,
    /// The parts that the proof covers, as they are written.
    message: [&'a str; 3],
    proof: [u8; 32],
}

impl<'a> Shown<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX).filter(|rest| rest.is_ascii())?;
        let (rest, proof) = rest.split_at_checked(rest.len().checked_sub(PROOF_LEN)?)?;
        let (ulid, rest) = rest.split_at_checked(ULID_LEN)?;
        let (expiry, rest) = rest.split_at_checked(EXPIRY_LEN)?;
        let appid = rest.strip_suffix('_')?;
        let secs = i64::from_str_radix(expiry, 16).ok()?;
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        Some(Self {
            key_id: ApiKeyId::parse(&format!("{}{ulid}", ApiKeyId::PREFIX)).ok()?,
            expires_at: Instant::from_timestamp(secs, 0)?,
            appid: Appid::parse(appid).ok()?,
            message: [ulid, expiry, appid],
            proof: proof.try_into().ok()?,
        })
    }
}

/// What the proof covers: the parts of the text, and the key's text by its digest.
fn signed<'a>([ulid, expiry, appid]: [&'a str; 3], digest: &'a str) -> [&'a [u8]; 4] {
    [ulid, expiry, appid, digest].map(str::as_bytes)
}
