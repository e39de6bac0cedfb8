//! An authorization: one attempt of an account's administrator, from link to stored authorizer.

use crate::{
    Appid, Instant, Secret,
    clock::Entropy,
    digest::Digest,
    id::{AuthorizationId, ComponentId, TenantId},
};

/// Which accounts the authorization page offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// Official accounts (公众号) only.
    OfficialAccount,
    /// Mini programs (小程序) only.
    MiniProgram,
    /// Both.
    Any,
}

impl AccountKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::OfficialAccount, Self::MiniProgram, Self::Any];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OfficialAccount => "official_account",
            Self::MiniProgram => "mini_program",
            Self::Any => "any",
        }
    }

    /// Reads a kind; `None` when there is none of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One authorization.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// Its id.
    pub id: AuthorizationId,
    /// The tenant that started it, and that gets the authorizer.
    pub tenant_id: TenantId,
    /// The component that will be granted.
    pub component_id: ComponentId,
    /// Which accounts are offered.
    pub account_kind: AccountKind,
    /// The only account that may authorize, if the tenant named one.
    pub appid: Option<Appid>,
    /// The permission sets to ask for; empty: those of the published platform.
    pub category_ids: Vec<u32>,
    /// Where the administrator goes at the end, if the tenant named a place.
    pub return_url: Option<String>,
    /// The tenant's own words for this attempt.
    pub reference: Option<String>,
    /// What the administrator is told the rights are for.
    pub purpose: Option<String>,
    /// Digest of the link's last part.
    pub link_digest: Digest,
    /// The code that binds what comes back to this tenant.
    pub pre_auth_code: Secret<String>,
    /// How far it got.
    pub state: AuthorizationState,
    /// When it was started.
    pub created_at: Instant,
    /// When link and `pre_auth_code` end.
    pub expires_at: Instant,
}

/// How far an authorization got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorizationState {
    /// Waiting for the administrator and for WeChat's word.
    Pending,
    /// The authorizer is stored and belongs to the tenant.
    Finished {
        /// Which account granted.
        authorizer_appid: Appid,
        /// When it was stored.
        at: Instant,
    },
    /// The account granted, but it belongs to another tenant of the same component.
    OwnedElsewhere {
        /// Which account granted.
        authorizer_appid: Appid,
        /// When this was found out.
        at: Instant,
    },
    /// WeChat refused for good to tell what was granted.
    Refused {
        /// WeChat's number for the reason.
        errcode: i64,
        /// When it refused.
        at: Instant,
    },
}

impl Authorization {
    /// How `pre_auth_code`s are looked up without keeping them in clear.
    #[must_use]
    pub fn pre_auth_code_digest(pre_auth_code: &Secret<String>) -> Digest {
        Digest::of(&[b"pre_auth_code", pre_auth_code.expose().as_bytes()])
    }

    /// Whether the attempt ended without a word from WeChat.
    #[must_use]
    pub fn is_expired(&self, at: Instant) -> bool {
        self.state == AuthorizationState::Pending && at >= self.expires_at
    }
}

/// The last part of an authorization's link: 256 random bits, known to whoever holds the link.
#[derive(Debug)]
pub struct LinkToken(Secret<String>);

/// How many hexadecimal digits a link or return state has.
const TOKEN_LEN: usize = 64;

impl LinkToken {
    /// Draws a link, or the state of a browser's return.
    #[must_use]
    pub fn draw(entropy: &Entropy) -> Self {
        Self(Secret::new(base16ct::lower::encode_string(&entropy.bytes::<32>())))
    }

    /// Reads what a browser brings; `None` when it cannot be ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == TOKEN_LEN && text.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self(Secret::from(text)))
    }

    /// What the database keeps of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[b"link", self.0.expose().as_bytes()])
    }

    /// The text, for the link handed to the tenant and for the browser's cookie.
    #[must_use]
    pub fn expose_text(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_reads_back() {
        let link = LinkToken::draw(&Entropy::seeded(1));
        let read = LinkToken::parse(link.expose_text()).expect("our own form");
        assert_eq!(read.digest(), link.digest());
        assert!(LinkToken::parse("../../etc").is_none());
    }

    #[test]
    fn kinds_read_back() {
        for kind in AccountKind::ALL {
            assert_eq!(AccountKind::parse(kind.as_str()), Some(kind));
        }
    }
}
