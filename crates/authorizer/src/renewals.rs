//! Renewal links: by one of them an account's administrator authorizes again, without the tenant
//! having to start an authorization first.
//!
//! A link names the authorizer and its own end and proves both, so that no row is needed and every
//! answer may carry one. It proves the owner as well, and when the account was last released: all
//! links made before are void then, whoever owns it next. Following one starts an authorization of
//! the owner's, as the tenant could at any time; nothing else comes of it, and the administrator
//! still has to consent at WeChat.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration};
use lingpai_model::{
    Instant,
    authorizer::Authorizer,
    clock::SharedClock,
    id::{AuthorizerId, TenantId},
};
use lingpai_storage::Db;
use url::Url;

use crate::{Error, Result, authorizations::ours};

/// How long a link can be followed.
const LIFETIME: Duration = Duration::days(7);

/// How the last part of a renewal link begins, which sets it apart from an authorization's.
pub const RENEWAL_PREFIX: &str = "r_";

/// How many characters tell when a link ends.
const EXPIRY_LEN: usize = 8;

/// What the proof is made for; the same key makes no other.
const PURPOSE: &str = "renewal-link";

/// Makes renewal links, and knows its own.
#[derive(Debug, Clone)]
pub struct Renewals {
    db: Db,
    clock: SharedClock,
    public_url: Url,
}

impl Renewals {
    /// A service that makes links below `public_url` with the master key of `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, public_url: Url) -> Self {
        Self { db, clock, public_url }
    }

    /// A link for this authorizer, good for seven days; `None` where there is nobody to authorize
    /// for, or nothing to authorize: an account that is connected by its own secret.
    #[must_use]
    pub fn link(&self, authorizer: &Authorizer) -> Option<Url> {
        authorizer.connection.component_id()?;
        let owner = authorizer.tenant_id.as_ref()?;
        let ulid = authorizer.id.as_str().strip_prefix(AuthorizerId::PREFIX)?;
        let expiry = expiry_text(self.clock.now() + LIFETIME);
        let released = released_text(authorizer);
        let mac = self.db.mac(PURPOSE, &proven(authorizer, (owner, &released), &expiry));
        let mac = BASE64_URL_SAFE_NO_PAD.encode(mac);
        let text = format!("{RENEWAL_PREFIX}{ulid}{expiry}_{mac}");
        Some(ours(&self.public_url, &["authorize", &text]))
    }

    /// The authorizer that the last part of a link is for, which was not released since, and its
    /// owner.
    ///
    /// # Errors
    /// [`Error::LinkUnknown`] for what is none of our links, or none any more;
    /// [`Error::RenewalExpired`]; [`Error::Storage`].
    pub(crate) async fn verify(&self, text: &str) -> Result<(Authorizer, TenantId)> {
        let (id, expiry, mac) = parts(text).ok_or(Error::LinkUnknown)?;
        let stored = self.db.authorizers().system_list(std::slice::from_ref(&id)).await?;
        let stored = stored.into_iter().next().ok_or(Error::LinkUnknown)?;
        let owner = stored.tenant_id.clone().ok_or(Error::LinkUnknown)?;
        let released = released_text(&stored);
        if !self.db.mac_matches(PURPOSE, &proven(&stored, (&owner, &released), expiry), &mac) {
            return Err(Error::LinkUnknown);
        }
        let ends_at = expiry_of(expiry).ok_or(Error::LinkUnknown)?;
        if self.clock.now() >= ends_at {
            return Err(Error::RenewalExpired);
        }
        Ok((stored, owner))
    }
}

/// What the proof is about.
fn proven<'a>(
    authorizer: &'a Authorizer,
    (owner, released): (&'a TenantId, &'a str),
    expiry: &'a str,
) -> [&'a [u8]; 4] {
    [authorizer.id.as_str(), owner.as_str(), released, expiry].map(str::as_bytes)
}

/// When the account was last released; empty if never.
fn released_text(authorizer: &Authorizer) -> String {
    authorizer.released_at.map(|at| at.timestamp_millis().to_string()).unwrap_or_default()
}

/// Cuts the last part of a link into whose it is, when it ends, and its proof.
fn parts(text: &str) -> Option<(AuthorizerId, &str, Vec<u8>)> {
    let (head, mac) = text.strip_prefix(RENEWAL_PREFIX)?.split_once('_')?;
    let ulid_len = head.len().checked_sub(EXPIRY_LEN)?;
    let (ulid, expiry) = head.is_ascii().then(|| head.split_at(ulid_len))?;
    let id = AuthorizerId::parse(&format!("{}{ulid}", AuthorizerId::PREFIX)).ok()?;
    Some((id, expiry, BASE64_URL_SAFE_NO_PAD.decode(mac).ok()?))
}

fn expiry_text(at: Instant) -> String {
    format!("{:08x}", at.timestamp())
}

fn expiry_of(text: &str) -> Option<Instant> {
    DateTime::from_timestamp(i64::from_str_radix(text, 16).ok()?, 0)
}
