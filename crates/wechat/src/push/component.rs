//! What WeChat pushes to the authorization-event URL (授权事件接收URL), after decryption.

mod notice;

use std::fmt;

pub use notice::{
    AccountVerification, AnnualReview, BetaRegistration, BetaVerification, FaceCheck,
    FastRegistration, FilingResult, NicknameAudit, OrderPathApplied, OrderPathAudited, Registrant,
    VerificationAndFiling,
};

use super::{PushError, field::Fields};
use crate::{id::Appid, secret::Secret, xml::Node};

/// An `AuthorizationCodeExpiredTime` above this is a Unix time, below it a number of seconds.
///
/// Observed: the documentation only says "expiry"; implementations read both.
const SECONDS_OR_INSTANT: i64 = 1_000_000_000;

/// One decrypted push to a component.
#[derive(Clone, PartialEq, Eq)]
pub struct ComponentPush {
    /// `AppId`: the component it is for, as written inside.
    pub component_appid: String,
    /// `CreateTime` in Unix seconds.
    pub create_time: Option<i64>,
    /// What happened.
    pub info: InfoType,
}

impl ComponentPush {
    /// Reads the decrypted message.
    ///
    /// # Errors
    /// [`PushError::Xml`] when it breaks a bound, [`PushError::Missing`] and
    /// [`PushError::Malformed`] when an element that we act on is not there or makes no sense. Such a
    /// push is authentic all the same: keep it.
    pub fn parse(plaintext: &[u8]) -> Result<Self, PushError> {
        let root = Node::parse(plaintext)?;
        let fields = Fields(&root);
        Ok(Self {
            component_appid: fields.needed("AppId")?.to_owned(),
            create_time: fields.number("CreateTime")?,
            info: InfoType::read(fields)?,
        })
    }
}

impl fmt::Debug for ComponentPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentPush({}, {:?})", self.component_appid, self.info)
    }
}

/// What a push to a component tells. Its `Debug` shows the name only.
#[derive(Clone, PartialEq, Eq)]
pub enum InfoType {
    /// `component_verify_ticket`: a new ticket, every ten minutes.
    VerifyTicket {
        /// The ticket.
        ticket: Secret<String>,
    },
    /// `authorized`: an account granted permissions.
    Authorized(Grant),
    /// `updateauthorized`: an account granted other permissions than before.
    UpdateAuthorized(Grant),
    /// `unauthorized`: an account's administrator withdrew the grant.
    Unauthorized {
        /// The account.
        authorizer_appid: Appid,
    },
    /// `notify_third_fasteregister`, spelled so: a mini program was registered, or was not.
    FastRegister(FastRegistration),
    /// `notify_third_fastregisterbetaapp`: a trial mini program was created, or was not.
    FastRegisterBeta(BetaRegistration),
    /// `notify_third_fastverifybetaapp`: a trial mini program became a regular one, or did not.
    FastVerifyBeta(BetaVerification),
    /// `notify_3rd_wxa_auth`: a mini program's verification moved on.
    Verification(AccountVerification),
    /// `notify_3rd_wxa_wxverify`: a yearly verification is due.
    AnnualReview(AnnualReview),
    /// `notify_3rd_wxa_auth_and_icp`: verification and filing in one procedure moved on.
    VerificationAndFiling(VerificationAndFiling),
    /// `notify_icpfiling_verify_result`: the face check of a filing ended.
    FilingFaceCheck(FaceCheck),
    /// `notify_apply_icpfiling_result`: a filing moved on.
    FilingResult(FilingResult),
    /// `order_path_apply_result_notify`: order pages were handed in.
    OrderPathApplied(Vec<OrderPathApplied>),
    /// `order_path_audit_result_notify`: order pages were audited.
    OrderPathAudited(Vec<OrderPathAudited>),
    /// `wxa_nickname_audit`: a name was audited. Today it comes as an event of the account instead.
    NicknameAudit(NicknameAudit),
    /// Anything else, whole.
    Unknown {
        /// `InfoType` as sent.
        info_type: String,
        /// Every top-level element, in order, these two included.
        fields: Vec<Node<'static>>,
    },
}

impl InfoType {
    /// The account that granted, changed or withdrew its grant; none for everything else.
    #[must_use]
    pub fn authorizer_appid(&self) -> Option<&Appid> {
        match self {
            Self::Authorized(grant) | Self::UpdateAuthorized(grant) => {
                Some(&grant.authorizer_appid)
            }
            Self::Unauthorized { authorizer_appid } => Some(authorizer_appid),
            _ => None,
        }
    }

    /// The `InfoType` as sent.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::VerifyTicket { .. } => "component_verify_ticket",
            Self::Authorized(_) => "authorized",
            Self::UpdateAuthorized(_) => "updateauthorized",
            Self::Unauthorized { .. } => "unauthorized",
            Self::FastRegister(_) => "notify_third_fasteregister",
            Self::FastRegisterBeta(_) => "notify_third_fastregisterbetaapp",
            Self::FastVerifyBeta(_) => "notify_third_fastverifybetaapp",
            Self::Verification(_) => "notify_3rd_wxa_auth",
            Self::AnnualReview(_) => "notify_3rd_wxa_wxverify",
            Self::VerificationAndFiling(_) => "notify_3rd_wxa_auth_and_icp",
            Self::FilingFaceCheck(_) => "notify_icpfiling_verify_result",
            Self::FilingResult(_) => "notify_apply_icpfiling_result",
            Self::OrderPathApplied(_) => "order_path_apply_result_notify",
            Self::OrderPathAudited(_) => "order_path_audit_result_notify",
            Self::NicknameAudit(_) => "wxa_nickname_audit",
            Self::Unknown { info_type, .. } => info_type,
        }
    }

    fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(match fields.needed("InfoType")? {
            "component_verify_ticket" => {
                Self::VerifyTicket { ticket: Secret::from(fields.needed("ComponentVerifyTicket")?) }
            }
            "authorized" => Self::Authorized(Grant::read(fields)?),
            "updateauthorized" => Self::UpdateAuthorized(Grant::read(fields)?),
            "unauthorized" => {
                Self::Unauthorized { authorizer_appid: fields.appid("AuthorizerAppid")? }
            }
            "notify_third_fasteregister" => Self::FastRegister(FastRegistration::read(fields)?),
            "notify_third_fastregisterbetaapp" => {
                Self::FastRegisterBeta(BetaRegistration::read(fields)?)
            }
            "notify_third_fastverifybetaapp" => {
                Self::FastVerifyBeta(BetaVerification::read(fields)?)
            }
            "notify_3rd_wxa_auth" => Self::Verification(AccountVerification::read(fields)?),
            "notify_3rd_wxa_wxverify" => Self::AnnualReview(AnnualReview::read(fields)?),
            "notify_3rd_wxa_auth_and_icp" => {
                Self::VerificationAndFiling(VerificationAndFiling::read(fields)?)
            }
            "notify_icpfiling_verify_result" => Self::FilingFaceCheck(FaceCheck::read(fields)?),
            "notify_apply_icpfiling_result" => Self::FilingResult(FilingResult::read(fields)?),
            "order_path_apply_result_notify" => {
                Self::OrderPathApplied(fields.list(OrderPathApplied::read)?)
            }
            "order_path_audit_result_notify" => {
                Self::OrderPathAudited(fields.list(OrderPathAudited::read)?)
            }
            "wxa_nickname_audit" => Self::NicknameAudit(NicknameAudit::read(fields)?),
            info_type => Self::Unknown {
                info_type: info_type.to_owned(),
                fields: fields.0.children().iter().cloned().map(Node::into_owned).collect(),
            },
        })
    }
}

impl fmt::Debug for InfoType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An account's grant as it is pushed: a code that is to be exchanged once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The account.
    pub authorizer_appid: Appid,
    /// What `api_query_auth` takes, once.
    pub authorization_code: Secret<String>,
    /// As sent; [`Grant::code_expires_at`] reads it.
    pub authorization_code_expired_time: Option<i64>,
    /// The code that the authorization began with: it tells which tenant started it.
    pub pre_auth_code: Option<Secret<String>>,
}

impl Grant {
    /// When the code ends, in Unix seconds, for a push sent at `sent_at` in Unix seconds.
    #[must_use]
    pub fn code_expires_at(&self, sent_at: i64) -> Option<i64> {
        let time = self.authorization_code_expired_time.filter(|time| *time > 0)?;
        Some(if time > SECONDS_OR_INSTANT { time } else { sent_at.saturating_add(time) })
    }

    fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            authorizer_appid: fields.appid("AuthorizerAppid")?,
            authorization_code: Secret::from(fields.needed("AuthorizationCode")?),
            authorization_code_expired_time: fields.number("AuthorizationCodeExpiredTime")?,
            pre_auth_code: fields.secret("PreAuthCode"),
        })
    }
}
