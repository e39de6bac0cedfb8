//! Problems with fans: what they granted, the codes they bring, and what their mini programs send.

use std::{borrow::Cow, fmt::Display};

use lingpai_authorizer::MiniProgramError;
use lingpai_model::{Appid, web_authorization::WebAuthorizationRefusal};

use super::{Code, Problem};
use crate::gateway::{AUTHORIZE_PATH, Mount};

/// No such fan of the account's, or the account is not the caller's: both look alike.
pub(super) fn not_found() -> Problem {
    Problem::new(
        Code::FanNotFound,
        format!(
            "this fan has granted nothing to the account through lingpai: send the fan to \
             {}{AUTHORIZE_PATH} first, with the scope snsapi_userinfo for a profile",
            Mount::PREFIX
        ),
    )
}

/// Source: WeChat docs, "Web page authorization" (网页授权), step 3: once the refresh token has ended
/// the fan has to consent again.
pub(super) fn grant_ended() -> Problem {
    Problem::new(
        Code::FanGrantEnded,
        format!(
            "WeChat refreshes what the fan granted no longer: send the fan to \
             {}{AUTHORIZE_PATH} again",
            Mount::PREFIX
        ),
    )
}

/// No such one-time code, or not the caller's: both look alike.
pub(super) fn code_unknown() -> Problem {
    Problem::new(
        Code::OneTimeCodeUnknown,
        "no fan of yours brought this code: use the one that stands in the address of your page, \
         with a key of the tenant that the account belongs to",
    )
}

/// A fan's attempt does not go on.
pub(super) fn refused(refusal: WebAuthorizationRefusal) -> Problem {
    match refusal {
        WebAuthorizationRefusal::CodeUsed => Problem::new(
            Code::OneTimeCodeUsed,
            "the code was used before, and each is good once: keep what you got for it, and leave \
             your page by a redirect, so that a reload does not bring the code again",
        ),
        WebAuthorizationRefusal::CodeExpired => Problem::new(
            Code::OneTimeCodeExpired,
            format!(
                "the code is older than a minute: use it at once, and send the fan to \
                 {}{AUTHORIZE_PATH} again",
                Mount::PREFIX
            ),
        ),
        // Nobody got a code for these; an answer of their own would tell that they exist.
        WebAuthorizationRefusal::Ended | WebAuthorizationRefusal::OtherBrowser => code_unknown(),
    }
}

/// What is wrong with the address of a page that is to be signed.
pub(super) fn page_url_refused(fault: &impl Display) -> Problem {
    let detail = format!(
        "{fault}: send the address of the page as its browser has it (location.href), whole and \
         not encoded once more"
    );
    Problem { field: Some("url".into()), ..Problem::new(Code::PageUrlRefused, detail) }
}

/// Nobody with this openid has logged in to the mini program, or it is not the caller's.
pub(super) fn session_not_found(appid: &Appid) -> Problem {
    Problem::new(
        Code::MiniProgramSessionNotFound,
        format!(
            "no fan with this openid has logged in to {appid} through lingpai: log the fan in \
             first, with POST /v1/authorizers/{appid}/mini-program-sessions"
        ),
    )
}

/// What is wrong with what a mini program got encrypted.
///
/// Source: WeChat docs, "Signature verification and encryption of open data" (开放数据校验与解密): the
/// session key of an earlier wx.login opens nothing that was read after a later one.
pub(super) fn data_unreadable(fault: MiniProgramError) -> Problem {
    use MiniProgramError as E;
    let (field, way_out): (Option<&'static str>, _) = match fault {
        E::BadIv => (Some("iv"), "send the iv as the mini program got it, not encoded once more"),
        E::BadData | E::TooLarge => (
            Some("encrypted_data"),
            "send encryptedData as the mini program got it, whole and not encoded once more",
        ),
        E::WrongKey => (
            None,
            "each wx.login may change the session key, so log the fan in again and send what the \
             mini program reads after that",
        ),
        E::OtherAppid => (None, "use the appid of the mini program that it comes from"),
    };
    let detail = format!("the data cannot be read, because {fault}: {way_out}");
    let field = field.map(Cow::Borrowed);
    Problem { field, ..Problem::new(Code::MiniProgramDataUnreadable, detail) }
}
