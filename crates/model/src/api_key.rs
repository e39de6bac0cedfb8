//! API keys: their text, their scopes, and the record that remembers them.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    Instant, Secret,
    clock::Entropy,
    digest::Digest,
    id::{ApiKeyId, OperatorId, TenantId},
    network::Network,
};

/// What a key may do. Written `noun:verb` in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// See authorizations and authorizers.
    AuthorizerRead,
    /// Start authorizations, release authorizers.
    AuthorizerWrite,
    /// Read real access tokens.
    TokenRead,
    /// Call WeChat through proxy and gateway, and look after fans.
    WechatCall,
    /// Read events and deliveries.
    EventRead,
    /// Change endpoints and what accounts answer by themselves, and replay deliveries.
    EndpointWrite,
    /// Erase what is kept of fans.
    EventErase,
    /// Read the tenant's own figures.
    UsageRead,
    /// Read the tenant's own audit trail.
    AuditRead,
    /// Change domain verification files.
    FileWrite,
    /// Have WeChat count an account's calls anew; it allows few of these a month.
    QuotaClear,
}

impl Scope {
    /// All scopes: what a key gets when none are named.
    pub const ALL: [Self; 11] = [
        Self::AuthorizerRead,
        Self::AuthorizerWrite,
        Self::TokenRead,
        Self::WechatCall,
        Self::EventRead,
        Self::EndpointWrite,
        Self::EventErase,
        Self::UsageRead,
        Self::AuditRead,
        Self::FileWrite,
        Self::QuotaClear,
    ];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizerRead => "authorizer:read",
            Self::AuthorizerWrite => "authorizer:write",
            Self::TokenRead => "token:read",
            Self::WechatCall => "wechat:call",
            Self::EventRead => "event:read",
            Self::EndpointWrite => "endpoint:write",
            Self::EventErase => "event:erase",
            Self::UsageRead => "usage:read",
            Self::AuditRead => "audit:read",
            Self::FileWrite => "file:write",
            Self::QuotaClear => "quota:clear",
        }
    }

    /// Reads one scope; `None` when there is none of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// The scopes of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Every scope there is.
    #[must_use]
    pub fn all() -> Self {
        Self(Scope::ALL.into())
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// The scopes in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// One API key of a tenant, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, also inside the key's text.
    pub id: ApiKeyId,
    /// Whose key it is.
    pub tenant_id: TenantId,
    /// What its owner calls it.
    pub name: String,
    /// Digest of the key's text.
    pub key_digest: Digest,
    /// The text before the present one, after a rotation.
    pub previous: Option<PreviousKey>,
    /// What it may do.
    pub scopes: Scopes,
    /// From where it may be used; empty: from anywhere.
    pub networks: Vec<Network>,
    /// How many requests a second it may make; without a number only its tenant's limit counts.
    pub requests_per_second: Option<u32>,
    /// When it ends by itself, if it does.
    pub expires_at: Option<Instant>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<Instant>,
    /// When it was created.
    pub created_at: Instant,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Instant>,
}

/// The text that a key had before its rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousKey {
    /// Digest of that text.
    pub digest: Digest,
    /// Until when it still counts.
    pub until: Instant,
}

impl ApiKey {
    /// Whether it is neither revoked nor expired.
    #[must_use]
    pub fn is_live(&self, at: Instant) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| at < end)
    }

    /// Whether `shown` is the digest of its text, or of the one before while that still counts.
    /// Takes the same time whichever it is, and whether it is either.
    #[must_use]
    pub fn accepts(&self, shown: &Digest, at: Instant) -> bool {
        self.digests(at).fold(false, |known, digest| known | (digest == shown))
    }

    /// The digests of the texts that count at `at`, the present one first.
    pub fn digests(&self, at: Instant) -> impl Iterator<Item = &Digest> {
        let previous = self.previous.as_ref().filter(|previous| at < previous.until);
        std::iter::once(&self.key_digest).chain(previous.map(|previous| &previous.digest))
    }

    /// Whether it may be used from the address `peer`. An address that is not known is within no
    /// network.
    #[must_use]
    pub fn admits(&self, peer: Option<IpAddr>) -> bool {
        self.networks.is_empty()
            || peer.is_some_and(|peer| self.networks.iter().any(|network| network.contains(peer)))
    }
}

/// The text of a key, shown once and never stored: `lpk_<id><secret>_<checksum>`.
///
/// The id names the row, 256 random bits make the secret, and the checksum lets a mistyped or
/// invented key be refused before the database is asked.
#[derive(Debug)]
pub struct KeyText {
    id: String,
    text: Secret<String>,
}

/// Which door a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A tenant's key, `lpk_`.
    Tenant,
    /// An operator's key, `lpo_`.
    Operator,
}

const ID_LEN: usize = 26;
const SECRET_LEN: usize = 64;
const CHECKSUM_LEN: usize = 8;

impl KeyKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Tenant => "lpk_",
            Self::Operator => "lpo_",
        }
    }

    fn id_prefix(self) -> &'static str {
        match self {
            Self::Tenant => ApiKeyId::PREFIX,
            Self::Operator => OperatorId::PREFIX,
        }
    }
}

impl KeyText {
    /// Draws the text of a tenant's key.
    #[must_use]
    pub fn for_api_key(id: &ApiKeyId, entropy: &Entropy) -> Self {
        Self::draw(KeyKind::Tenant, id.as_str(), entropy)
    }

    /// Draws the text of an operator's key.
    #[must_use]
    pub fn for_operator(id: &OperatorId, entropy: &Entropy) -> Self {
        Self::draw(KeyKind::Operator, id.as_str(), entropy)
    }

    fn draw(kind: KeyKind, id: &str, entropy: &Entropy) -> Self {
        let ulid = &id[kind.id_prefix().len()..];
        let secret = base16ct::lower::encode_string(&entropy.bytes::<32>());
        let body = format!("{}{ulid}{secret}", kind.prefix());
        let text = Secret::new(format!("{body}_{}", checksum(&body)));
        Self { id: id.to_owned(), text }
    }

    /// Reads a key of `kind`; `None` when the form or the checksum is wrong.
    #[must_use]
    pub fn parse(kind: KeyKind, text: &str) -> Option<Self> {
        let body_len = kind.prefix().len() + ID_LEN + SECRET_LEN;
        if !text.is_ascii() || text.len() != body_len + 1 + CHECKSUM_LEN {
            return None;
        }
        let (body, tail) = text.split_at(body_len);
        let ulid = &body.strip_prefix(kind.prefix())?[..ID_LEN];
        (tail.strip_prefix('_')? == checksum(body)).then(|| Self {
            id: format!("{}{ulid}", kind.id_prefix()),
            text: Secret::new(text.to_owned()),
        })
    }

    /// The id of the tenant's key that this text names.
    #[must_use]
    pub fn api_key_id(&self) -> Option<ApiKeyId> {
        ApiKeyId::parse(&self.id).ok()
    }

    /// The id of the operator's key that this text names.
    #[must_use]
    pub fn operator_id(&self) -> Option<OperatorId> {
        OperatorId::parse(&self.id).ok()
    }

    /// What the record keeps of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[b"key", self.text.expose().as_bytes()])
    }

    /// Hands the text out, once, to whoever asked for the key.
    #[must_use]
    pub fn into_text(self) -> Secret<String> {
        self.text
    }
}

fn checksum(body: &str) -> String {
    Digest::of(&[b"checksum", body.as_bytes()]).to_hex()[..CHECKSUM_LEN].to_owned()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_key_reads_back_and_a_changed_one_does_not() {
        let entropy = Entropy::seeded(3);
        let id = ApiKeyId::new(Instant::UNIX_EPOCH, &entropy);
        let key = KeyText::for_api_key(&id, &entropy);
        let digest = key.digest();
        let text = key.into_text();
        let read = KeyText::parse(KeyKind::Tenant, text.expose()).expect("our own form");
        assert_eq!(read.api_key_id(), Some(id));
        assert_eq!(read.digest(), digest);

        assert!(KeyText::parse(KeyKind::Operator, text.expose()).is_none());
        let changed = text.expose().replacen("lpk_0", "lpk_1", 1);
        assert!(KeyText::parse(KeyKind::Tenant, &changed).is_none());
        for junk in ["", "lpk_", "lpk_é", &"l".repeat(103)] {
            assert!(KeyText::parse(KeyKind::Tenant, junk).is_none(), "{junk:?}");
        }
    }

    fn key() -> ApiKey {
        let (at, entropy) = (Instant::UNIX_EPOCH, Entropy::seeded(1));
        ApiKey {
            id: ApiKeyId::new(at, &entropy),
            tenant_id: TenantId::new(at, &entropy),
            name: "ci".to_owned(),
            key_digest: Digest::of(&[b"new"]),
            previous: None,
            scopes: Scopes::all(),
            networks: Vec::new(),
            requests_per_second: None,
            expires_at: None,
            last_used_at: None,
            created_at: at,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_lives_until_it_expires_or_is_revoked() {
        let [before, end] = [1, 2].map(|secs| Instant::UNIX_EPOCH + TimeDelta::seconds(secs));
        assert!(key().is_live(end));
        let expiring = ApiKey { expires_at: Some(end), ..key() };
        assert!(expiring.is_live(before) && !expiring.is_live(end));
        let revoked = ApiKey { revoked_at: Some(end), ..key() };
        assert!(!revoked.is_live(before), "whenever that was, by whichever clock");
    }

    #[test]
    fn the_text_before_a_rotation_counts_until_the_overlap_ends() {
        let [before, end] = [1, 2].map(|secs| Instant::UNIX_EPOCH + TimeDelta::seconds(secs));
        let [new, old, other] = [b"new", b"old", b"not"].map(|text| Digest::of(&[text]));
        let rotated = ApiKey { previous: Some(PreviousKey { digest: old, until: end }), ..key() };
        assert!(rotated.accepts(&new, before) && rotated.accepts(&old, before));
        assert!(rotated.accepts(&new, end) && !rotated.accepts(&old, end));
        assert!(!rotated.accepts(&other, before));
        assert_eq!(rotated.digests(before).collect::<Vec<_>>(), [&new, &old]);
        assert_eq!(rotated.digests(end).collect::<Vec<_>>(), [&new]);
    }

    #[test]
    fn a_key_with_networks_is_admitted_from_within_one_of_them_only() {
        let [within, outside] = ["10.1.2.3", "11.1.2.3"].map(|ip| ip.parse().ok());
        assert!(key().admits(None) && key().admits(outside), "no network: from anywhere");
        let networks = ["10.0.0.0/8", "::1"].map(|text| Network::parse(text).expect("a network"));
        let bound = ApiKey { networks: networks.to_vec(), ..key() };
        assert!(bound.admits(within));
        assert!(!bound.admits(outside) && !bound.admits(None));
    }

    #[test]
    fn scopes_read_back() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::parse("root"), None);
    }
}
