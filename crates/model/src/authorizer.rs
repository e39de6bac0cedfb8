//! An authorizer (授权方): one account's grant to one component, or an account that is connected by
//! its own secret.

use crate::{
    Appid, Instant, Secret,
    digest::Digest,
    id::{AuthorizerId, ComponentId, TenantId},
    token::TokenKey,
};

/// One authorizer. It is bound to a tenant by the `pre_auth_code` that came back in the push, or by
/// its secret, which the tenant entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorizer {
    /// Its id.
    pub id: AuthorizerId,
    /// How it is connected.
    pub connection: Connection,
    /// Its owner; `None` while it is unclaimed.
    pub tenant_id: Option<TenantId>,
    /// When an operator said that this account, which nobody owns, is not to be served.
    pub refused_at: Option<Instant>,
    /// When an owner last gave it up, or it was taken from one. What was granted before makes nobody
    /// its owner any more.
    pub released_at: Option<Instant>,
    /// The account's appid.
    pub appid: Appid,
    /// Whether the grant stands.
    pub state: AuthorizerState,
    /// Counts the grants of this account: a token of an older one never replaces a newer one's.
    pub generation: i64,
    /// When the present grant was made, by WeChat's clock; when it was connected, if by its secret.
    pub granted_at: Instant,
    /// What WeChat tells of the account.
    pub profile: Profile,
    /// The permission sets that were granted, as `func_info` lists them.
    pub func_info: Vec<u32>,
    /// When it first granted.
    pub created_at: Instant,
    /// When the row last changed.
    pub updated_at: Instant,
}

impl Authorizer {
    /// The token with which WeChat is called for it.
    #[must_use]
    pub fn token_key(&self) -> TokenKey {
        match self.connection {
            Connection::Component { .. } => TokenKey::Authorizer(self.id.clone()),
            Connection::Secret => TokenKey::Ordinary(self.id.clone()),
        }
    }
}

/// Whether a grant stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorizerState {
    /// It stands.
    Active,
    /// WeChat no longer takes its refresh token, and none could be recovered.
    NeedsReauthorization {
        /// Since when.
        since: Instant,
    },
    /// The administrator withdrew it.
    Revoked {
        /// When.
        at: Instant,
    },
}

/// The state does not allow this change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an authorizer that is {from} cannot be {to}")]
pub struct InvalidTransition {
    /// The state it is in.
    pub from: &'static str,
    /// The state that was wanted.
    pub to: &'static str,
}

impl AuthorizerState {
    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NeedsReauthorization { .. } => "needs_reauthorization",
            Self::Revoked { .. } => "revoked",
        }
    }

    /// The administrator withdrew the grant at `at`.
    ///
    /// # Errors
    /// [`InvalidTransition`] when it was withdrawn before.
    pub fn revoke(&self, at: Instant) -> Result<Self, InvalidTransition> {
        match self {
            Self::Active | Self::NeedsReauthorization { .. } => Ok(Self::Revoked { at }),
            Self::Revoked { .. } => Err(InvalidTransition { from: self.as_str(), to: "revoked" }),
        }
    }

    /// WeChat takes no refresh token of it any more, known since `since`.
    ///
    /// # Errors
    /// [`InvalidTransition`] unless the grant stood.
    pub fn lose(&self, since: Instant) -> Result<Self, InvalidTransition> {
        match self {
            Self::Active => Ok(Self::NeedsReauthorization { since }),
            Self::NeedsReauthorization { .. } | Self::Revoked { .. } => {
                Err(InvalidTransition { from: self.as_str(), to: "needs_reauthorization" })
            }
        }
    }

    /// A refresh went well after all.
    ///
    /// # Errors
    /// [`InvalidTransition`] unless a new authorization was needed.
    pub fn recover(&self) -> Result<Self, InvalidTransition> {
        match self {
            Self::NeedsReauthorization { .. } => Ok(Self::Active),
            Self::Active | Self::Revoked { .. } => {
                Err(InvalidTransition { from: self.as_str(), to: "active" })
            }
        }
    }
}

/// How an account is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// It granted rights to a component.
    Component {
        /// The component's id.
        id: ComponentId,
        /// The component's appid.
        appid: Appid,
    },
    /// A tenant entered the account's own secret.
    Secret,
}

impl Connection {
    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Component { .. } => "component",
            Self::Secret => "secret",
        }
    }

    /// The component it granted to, if it did.
    #[must_use]
    pub fn component_id(&self) -> Option<&ComponentId> {
        match self {
            Self::Component { id, .. } => Some(id),
            Self::Secret => None,
        }
    }

    /// The appid of the component it granted to, if it did.
    #[must_use]
    pub fn component_appid(&self) -> Option<&Appid> {
        match self {
            Self::Component { appid, .. } => Some(appid),
            Self::Secret => None,
        }
    }
}

/// What a tenant entered to connect an account by its own secret.
#[derive(Debug, Clone)]
pub struct AccountSecret {
    /// The authorizer it belongs to.
    pub authorizer_id: AuthorizerId,
    /// The account's appid.
    pub appid: Appid,
    /// The account's secret.
    pub appsecret: Secret<String>,
    /// Which of WeChat's two interfaces gives its token.
    pub token_api: TokenApi,
    /// 令牌 (Token): signs every push to it; `None` if it gets none.
    pub push_token: Option<Secret<String>>,
    /// 消息加解密密钥 (EncodingAESKey): encrypts every push to it; `None` if it gets none.
    pub encoding_aes_key: Option<Secret<String>>,
    /// When it was entered.
    pub created_at: Instant,
}

/// The two interfaces that give an ordinary `access_token`. They are independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenApi {
    /// `cgi-bin/stable_token`: others who fetch one get the same.
    StableToken,
    /// `cgi-bin/token`: each fetch voids the one before.
    Token,
}

impl TokenApi {
    /// Both.
    pub const ALL: [Self; 2] = [Self::StableToken, Self::Token];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StableToken => "stable_token",
            Self::Token => "token",
        }
    }
}

/// What WeChat tells of an account. Hostile text: escape it on output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Which kind of account it is, once the profile was read.
    pub kind: Option<ProfileKind>,
    /// Its name.
    pub nick_name: Option<String>,
    /// Its original id, `gh_…`.
    pub user_name: Option<String>,
    /// The legal entity behind it.
    pub principal_name: Option<String>,
    /// The WeChat id of an official account.
    pub alias: Option<String>,
    /// The introduction of a mini program.
    pub signature: Option<String>,
    /// Address of its avatar.
    pub head_img: Option<String>,
    /// Address of its QR code.
    pub qrcode_url: Option<String>,
    /// WeChat's `service_type_info.id`; its meaning depends on `kind`.
    pub service_type: Option<i64>,
    /// WeChat's `verify_type_info.id`.
    pub verify_type: Option<i64>,
}

/// Which kind of account a profile describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileKind {
    /// An official account (公众号).
    OfficialAccount,
    /// A mini program (小程序).
    MiniProgram,
}

impl ProfileKind {
    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OfficialAccount => "official_account",
            Self::MiniProgram => "mini_program",
        }
    }

    /// Reads a kind; `None` when there is none of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::OfficialAccount, Self::MiniProgram].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Profile {
    /// Takes over what `newer` says; an empty or missing field never replaces a good value.
    #[must_use]
    pub fn merge(self, newer: Self) -> Self {
        fn text(old: Option<String>, new: Option<String>) -> Option<String> {
            new.filter(|text| !text.is_empty()).or(old)
        }
        Self {
            kind: newer.kind.or(self.kind),
            nick_name: text(self.nick_name, newer.nick_name),
            user_name: text(self.user_name, newer.user_name),
            principal_name: text(self.principal_name, newer.principal_name),
            alias: text(self.alias, newer.alias),
            signature: text(self.signature, newer.signature),
            head_img: text(self.head_img, newer.head_img),
            qrcode_url: text(self.qrcode_url, newer.qrcode_url),
            service_type: newer.service_type.or(self.service_type),
            verify_type: newer.verify_type.or(self.verify_type),
        }
    }
}

/// One refresh token as it was received, for the history that nothing is ever deleted from.
#[derive(Debug, Clone)]
pub struct ReceivedRefreshToken {
    /// The component it was received by.
    pub component_id: ComponentId,
    /// The account it is for.
    pub authorizer_appid: Appid,
    /// The token itself.
    pub value: Secret<String>,
    /// Which call brought it.
    pub source: RefreshTokenSource,
    /// When it was received.
    pub received_at: Instant,
}

impl ReceivedRefreshToken {
    /// Recognises a token that was received before.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[b"refresh_token", self.value.expose().as_bytes()])
    }
}

/// Which call brought a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshTokenSource {
    /// `api_query_auth`.
    QueryAuth,
    /// `api_authorizer_token`.
    AuthorizerToken,
    /// `api_get_authorizer_info`.
    AuthorizerInfo,
    /// `api_get_authorizer_list`.
    AuthorizerList,
}

impl RefreshTokenSource {
    /// All sources.
    pub const ALL: [Self; 4] =
        [Self::QueryAuth, Self::AuthorizerToken, Self::AuthorizerInfo, Self::AuthorizerList];

    /// As the database writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueryAuth => "query_auth",
            Self::AuthorizerToken => "authorizer_token",
            Self::AuthorizerInfo => "authorizer_info",
            Self::AuthorizerList => "authorizer_list",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_grant_recovers_and_a_withdrawn_one_does_not() {
        let at = Instant::UNIX_EPOCH;
        let lost = AuthorizerState::Active.lose(at).expect("it stood");
        assert!(lost.lose(at).is_err(), "it is told once");
        assert_eq!(lost.recover(), Ok(AuthorizerState::Active));
        let revoked = lost.revoke(at).expect("it was there");
        assert!(revoked.recover().is_err() && revoked.lose(at).is_err());
        assert!(AuthorizerState::Active.recover().is_err());
    }

    #[test]
    fn an_empty_field_never_replaces_a_good_one() {
        let old =
            Profile {
                nick_name: Some("小店".into()), verify_type: Some(0), ..Profile::default()
            };
        let newer = Profile {
            nick_name: Some(String::new()),
            alias: Some("shop".into()),
            ..Profile::default()
        };
        let merged = old.merge(newer);
        assert_eq!(merged.nick_name.as_deref(), Some("小店"));
        assert_eq!(merged.alias.as_deref(), Some("shop"));
        assert_eq!(merged.verify_type, Some(0));
    }
}
