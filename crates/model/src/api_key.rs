//! API keys: their text, their scopes, and the record that remembers them.

use std::collections::BTreeSet;

use crate::{
    Instant, Secret,
    clock::Entropy,
    digest::Digest,
    id::{ApiKeyId, OperatorId, TenantId},
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
    /// Call WeChat through proxy and gateway.
    WechatCall,
    /// Read events and deliveries.
    EventRead,
    /// Change endpoints.
    EndpointWrite,
}

impl Scope {
    /// All scopes: what a key gets when none are named.
    pub const ALL: [Self; 6] = [
        Self::AuthorizerRead,
        Self::AuthorizerWrite,
        Self::TokenRead,
        Self::WechatCall,
        Self::EventRead,
        Self::EndpointWrite,
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
    /// What it may do.
    pub scopes: Scopes,
    /// When it was created.
    pub created_at: Instant,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Instant>,
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

    #[test]
    fn scopes_read_back() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::parse("root"), None);
    }
}
