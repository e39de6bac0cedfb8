//! Pushes about registration, verification, filing and order pages.
//!
//! Nothing acts on them here, so every field may be missing: a field that WeChat leaves out must not
//! turn an authentic push into an unreadable one. Numbers are codes, told as they were sent.

use super::Fields;
use crate::{push::PushError, secret::Secret, xml::Node};

/// The outcome of a fast registration (快速注册) of a mini program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FastRegistration {
    /// The new mini program.
    pub appid: Option<String>,
    /// 0 = success, otherwise WeChat's code of the fault.
    pub status: Option<i64>,
    /// An authorization code, to be exchanged with `api_query_auth`.
    pub auth_code: Option<Secret<String>>,
    /// The outcome in words.
    pub msg: Option<String>,
    /// Who was registered.
    pub info: Option<Registrant>,
}

impl FastRegistration {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            appid: fields.text("appid"),
            status: fields.number("status")?,
            auth_code: fields.secret("auth_code"),
            msg: fields.text("msg"),
            info: fields.inside("info").map(Registrant::read),
        })
    }
}

/// Who registers or is verified: the fields that were handed in with the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registrant {
    /// The company.
    pub name: Option<String>,
    /// Its code.
    pub code: Option<String>,
    /// Which kind of code: 1 unified 18 digits, 2 organisation code, 3 licence of 15 digits.
    pub code_type: Option<String>,
    /// The legal person's WeChat id.
    pub legal_persona_wechat: Option<String>,
    /// The legal person's name.
    pub legal_persona_name: Option<String>,
    /// A person's WeChat id, for a personal mini program.
    pub wxuser: Option<String>,
    /// A person's name, for a personal mini program.
    pub idname: Option<String>,
    /// The telephone number of the third-party platform.
    pub component_phone: Option<String>,
}

impl Registrant {
    fn read(fields: Fields<'_, '_>) -> Self {
        Self {
            name: fields.text("name"),
            code: fields.text("code"),
            code_type: fields.text("code_type"),
            legal_persona_wechat: fields.text("legal_persona_wechat"),
            legal_persona_name: fields.text("legal_persona_name"),
            wxuser: fields.text("wxuser"),
            idname: fields.text("idname"),
            component_phone: fields.text("component_phone"),
        }
    }
}

/// The outcome of the registration of a trial mini program (试用小程序).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BetaRegistration {
    /// The new mini program.
    pub appid: Option<String>,
    /// 0 = success, otherwise WeChat's code of the fault.
    pub status: Option<i64>,
    /// The outcome in words.
    pub msg: Option<String>,
    /// The id that the request was answered with.
    pub unique_id: Option<String>,
    /// The name that was asked for.
    pub name: Option<String>,
}

impl BetaRegistration {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        let info = fields.inside("info");
        Ok(Self {
            appid: fields.text("appid"),
            status: fields.number("status")?,
            msg: fields.text("msg"),
            unique_id: info.and_then(|info| info.text("unique_id")),
            name: info.and_then(|info| info.text("name")),
        })
    }
}

/// The outcome of turning a trial mini program into a regular one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BetaVerification {
    /// The mini program.
    pub appid: Option<String>,
    /// 0 = success, otherwise WeChat's code of the fault.
    pub status: Option<i64>,
    /// The outcome in words.
    pub msg: Option<String>,
    /// Who was verified.
    pub info: Option<Registrant>,
}

impl BetaVerification {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            appid: fields.text("appid"),
            status: fields.number("status")?,
            msg: fields.text("msg"),
            info: fields.inside("info").map(Registrant::read),
        })
    }
}

/// A step of a mini program's verification (小程序认证流程).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountVerification {
    /// The mini program.
    pub appid: Option<String>,
    /// The verification's id.
    pub taskid: Option<String>,
    /// 0 start, 6 face ok, 9 telephone ok, 12 order created, 15 waiting for payment, and others.
    pub task_status: Option<i64>,
    /// 0 none, 1 to be paid, 2 under review, 3 returned, 4 passed, 5 finally failed.
    pub apply_status: Option<i64>,
    /// The step in words.
    pub message: Option<String>,
    /// The auditor.
    pub provider: Option<String>,
    /// How to reach the auditor.
    pub contact: Option<String>,
    /// When the auditor was given the case, in Unix seconds.
    pub dispatch_time: Option<i64>,
}

impl AccountVerification {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        let dispatch = fields.inside("dispatch_info");
        Ok(Self {
            appid: fields.text("appid"),
            taskid: fields.text("taskid"),
            task_status: fields.number("task_status")?,
            apply_status: fields.number("apply_status")?,
            message: fields.text("message"),
            provider: dispatch.and_then(|dispatch| dispatch.text("provider")),
            contact: dispatch.and_then(|dispatch| dispatch.text("contact")),
            dispatch_time: dispatch
                .map(|dispatch| dispatch.number("dispatch_time"))
                .transpose()?
                .flatten(),
        })
    }
}

/// The yearly verification is due (年审提醒).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnualReview {
    /// The mini program.
    pub appid: Option<String>,
    /// When the present verification ends, in Unix seconds.
    pub expired: Option<i64>,
    /// The reminder in words.
    pub message: Option<String>,
}

impl AnnualReview {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            appid: fields.text("appid"),
            expired: fields.number("expired")?,
            message: fields.text("message"),
        })
    }
}

/// A step of verification and filing in one (认证及备案).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationAndFiling {
    /// The procedure's id.
    pub procedure_id: Option<String>,
    /// Its step.
    pub procedure_status: Option<i64>,
    /// Every top-level element of the push: which ones come depends on the step.
    pub fields: Vec<Node<'static>>,
}

impl VerificationAndFiling {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            procedure_id: fields.text("procedure_id"),
            procedure_status: fields.number("procedure_status")?,
            fields: fields.0.children().iter().cloned().map(Node::into_owned).collect(),
        })
    }
}

/// The outcome of the administrator's face check for a filing (管理员人脸核身).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceCheck {
    /// The check's id.
    pub task_id: Option<String>,
    /// The mini program.
    pub verify_appid: Option<String>,
    /// 2 failed, 3 passed.
    pub result: Option<i64>,
    /// The outcome of the verification that went along with it.
    pub along_with_auth_result: Option<i64>,
}

impl FaceCheck {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            task_id: fields.text("task_id"),
            verify_appid: fields.text("verify_appid"),
            result: fields.number("result")?,
            along_with_auth_result: fields.number("along_with_auth_result")?,
        })
    }
}

/// A filing moved on (备案结果).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilingResult {
    /// The mini program.
    pub authorizer_appid: Option<String>,
    /// Its state.
    pub beian_status: Option<i64>,
}

impl FilingResult {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            authorizer_appid: fields.text("authorizer_appid"),
            beian_status: fields.number("beian_status")?,
        })
    }
}

/// Whether the order page of one mini program was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPathApplied {
    /// The mini program.
    pub appid: Option<String>,
    /// 0 taken, 1 repeated, -1 busy, -2 the appid is invalid.
    pub ret_code: Option<i64>,
}

impl OrderPathApplied {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self { appid: fields.text("appid"), ret_code: fields.number("ret_code")? })
    }
}

/// The audit of one mini program's order page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPathAudited {
    /// The mini program.
    pub appid: Option<String>,
    /// The audit's id.
    pub audit_id: Option<String>,
    /// 4 = passed.
    pub status: Option<i64>,
    /// When it was handed in, in Unix seconds.
    pub apply_time: Option<i64>,
    /// When it was audited, in Unix seconds.
    pub audit_time: Option<i64>,
    /// Why it did not pass.
    pub reason: Option<String>,
}

impl OrderPathAudited {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            appid: fields.text("appid"),
            audit_id: fields.text("audit_id"),
            status: fields.number("status")?,
            apply_time: fields.number("apply_time")?,
            audit_time: fields.number("audit_time")?,
            reason: fields.text("reason"),
        })
    }
}

/// The audit of a mini program's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicknameAudit {
    /// 2 refused, 3 passed.
    pub ret: Option<i64>,
    /// The name.
    pub nickname: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
}

impl NicknameAudit {
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        Ok(Self {
            ret: fields.number("ret")?,
            nickname: fields.text("nickname"),
            reason: fields.text("reason"),
        })
    }
}
