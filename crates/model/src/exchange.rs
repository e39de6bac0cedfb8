//! The exchange of an authorization code: one-shot, short-lived, and therefore a durable job.
//!
//! The push and the browser's return hand in the same code in either order; both meet in one
//! exchange, found by the digest of component and code.

use crate::{
    Appid, Instant, Secret,
    digest::Digest,
    id::{AuthorizationId, ComponentId},
};

/// A code that somebody brought, before it is known whether it is already being exchanged.
#[derive(Debug, Clone)]
pub struct CodeOffer {
    /// Whose `api_query_auth` takes it.
    pub component_id: ComponentId,
    /// The code itself.
    pub authorization_code: Secret<String>,
    /// Who says so, and what else is known.
    pub source: CodeSource,
}

/// Who brought a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeSource {
    /// The encrypted push, which alone may bind an authorizer to a tenant.
    Push {
        /// The account that granted.
        authorizer_appid: Appid,
        /// Digest of the `PreAuthCode` inside the push, if it had one.
        pre_auth_code_digest: Option<Digest>,
        /// `CreateTime` inside the push.
        granted_at: Instant,
    },
    /// The administrator's browser, which binds nothing.
    Browser {
        /// The authorization whose link the browser came from. It gets the outcome if the account
        /// turns out to be its tenant's already; it makes nobody an owner.
        authorization_id: AuthorizationId,
        /// When the browser came back.
        returned_at: Instant,
    },
}

impl CodeOffer {
    /// The key under which the same code is found again.
    #[must_use]
    pub fn exchange_key(&self) -> Digest {
        let code = self.authorization_code.expose().as_bytes();
        Digest::of(&[b"exchange", self.component_id.as_str().as_bytes(), code])
    }
}

/// One exchange and how far it got.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Digest of component and code: the same code is the same exchange.
    pub key: Digest,
    /// Whose `api_query_auth` takes the code.
    pub component_id: ComponentId,
    /// The code itself.
    pub authorization_code: Secret<String>,
    /// The account that granted: told by the push, or by WeChat's answer.
    pub authorizer_appid: Option<Appid>,
    /// Digest of the `PreAuthCode`, once a push told it.
    pub pre_auth_code_digest: Option<Digest>,
    /// The authorization whose link a browser came back from, once one did.
    pub returned_authorization_id: Option<AuthorizationId>,
    /// When the account granted: the push's `CreateTime`, or else the browser's return.
    pub granted_at: Instant,
    /// How far it got.
    pub state: ExchangeState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first offered.
    pub created_at: Instant,
}

/// How far an exchange got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeState {
    /// The code waits for `api_query_auth`.
    Offered,
    /// The code was sent to WeChat, and no answer is known: it may have been taken.
    Sent,
    /// WeChat took the code; its refresh token is in the history, the authorizer is not stored yet.
    Exchanged,
    /// The authorizer is stored.
    Settled,
    /// It cannot succeed any more: the code is void and nothing could be recovered.
    Failed,
}

impl ExchangeState {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::Offered, Self::Sent, Self::Exchanged, Self::Settled, Self::Failed];

    /// Reads a state; `None` when there is none of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// As the database writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Sent => "sent",
            Self::Exchanged => "exchanged",
            Self::Settled => "settled",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Settled | Self::Failed)
    }
}
