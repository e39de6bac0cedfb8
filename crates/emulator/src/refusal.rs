//! WeChat's refusals: a number, a text and an id to look the call up by.
//!
//! Source of the numbers: WeChat docs, "Return codes" (全局返回码) and "Third-party platform return
//! codes"; HTTP status is 200 for errors as well.

use serde_json::{Value, json};

use crate::state::mint;

/// A call that WeChat refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// WeChat's number.
    pub(crate) errcode: i64,
    /// WeChat's words, without the `rid`.
    pub(crate) errmsg: String,
}

impl Refusal {
    /// A refusal by number, with WeChat's words for it where they are known here.
    pub(crate) fn new(errcode: i64) -> Self {
        Self { errcode, errmsg: words(errcode).to_owned() }
    }

    /// The body as WeChat writes it, with a fresh `rid`.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "errcode": self.errcode, "errmsg": format!("{} rid: {}", self.errmsg, mint::rid()) })
    }
}

pub(crate) const WRONG_TOKEN: i64 = 40001;
pub(crate) const WRONG_GRANT_TYPE: i64 = 40002;
pub(crate) const WRONG_OPENID: i64 = 40003;
pub(crate) const WRONG_MEDIA_TYPE: i64 = 40004;
pub(crate) const WRONG_MEDIA_ID: i64 = 40007;
pub(crate) const WRONG_APPID: i64 = 40013;
pub(crate) const WRONG_WEB_CODE: i64 = 40029;
pub(crate) const WRONG_WEB_REFRESH_TOKEN: i64 = 40030;
pub(crate) const WRONG_TEMPLATE: i64 = 40037;
pub(crate) const WRONG_URL: i64 = 40066;
pub(crate) const WRONG_ARGUMENT: i64 = 40097;
pub(crate) const WRONG_SECRET: i64 = 40125;
pub(crate) const WEB_CODE_USED: i64 = 40163;
pub(crate) const OWN_IP_REFUSED: i64 = 40164;
pub(crate) const COUNT_TOO_LARGE: i64 = 40170;
pub(crate) const TOKEN_MISSING: i64 = 41001;
pub(crate) const APPID_MISSING: i64 = 41002;
pub(crate) const REFRESH_TOKEN_MISSING: i64 = 41003;
pub(crate) const SECRET_MISSING: i64 = 41004;
pub(crate) const FILE_MISSING: i64 = 41005;
pub(crate) const WEB_CODE_MISSING: i64 = 41008;
pub(crate) const OPENID_MISSING: i64 = 41009;
pub(crate) const TOKEN_EXPIRED: i64 = 42001;
pub(crate) const WEB_REFRESH_TOKEN_EXPIRED: i64 = 42002;
pub(crate) const WEB_CODE_EXPIRED: i64 = 42003;
pub(crate) const GET_REQUIRED: i64 = 43001;
pub(crate) const POST_REQUIRED: i64 = 43002;
pub(crate) const EMPTY_POST: i64 = 44002;
pub(crate) const MEDIA_TOO_LARGE: i64 = 45001;
pub(crate) const QUOTA_USED_UP: i64 = 45009;
pub(crate) const TOO_FAST: i64 = 45011;
pub(crate) const NO_MENU: i64 = 46003;
pub(crate) const BAD_JSON: i64 = 47001;
pub(crate) const NOT_GRANTED: i64 = 48001;
pub(crate) const CLEARINGS_USED_UP: i64 = 48006;
pub(crate) const NOT_AUTHORIZED: i64 = 61003;
pub(crate) const IP_REFUSED: i64 = 61004;
pub(crate) const TICKET_EXPIRED: i64 = 61005;
pub(crate) const WRONG_TICKET: i64 = 61006;
pub(crate) const SET_NOT_GRANTED: i64 = 61007;
pub(crate) const WRONG_CODE: i64 = 61009;
pub(crate) const CODE_EXPIRED: i64 = 61010;
pub(crate) const ACCOUNT_TOKEN_REQUIRED: i64 = 61015;
pub(crate) const WRONG_REFRESH_TOKEN: i64 = 61023;
pub(crate) const NO_SUCH_PATH: i64 = 76021;
pub(crate) const NOT_YOUR_PATH: i64 = 76022;

fn words(errcode: i64) -> &'static str {
    match errcode {
        -1 => "system error",
        WRONG_TOKEN => "invalid credential, access_token is invalid or not latest",
        WRONG_GRANT_TYPE => "invalid grant_type",
        WRONG_OPENID => "invalid openid",
        WRONG_MEDIA_TYPE => "invalid media type",
        WRONG_MEDIA_ID => "invalid media_id",
        WRONG_APPID => "invalid appid",
        WRONG_WEB_CODE => "invalid code",
        WRONG_WEB_REFRESH_TOKEN => "invalid refresh_token",
        WRONG_TEMPLATE => "invalid template_id",
        WRONG_URL => "invalid url",
        WRONG_ARGUMENT => "invalid args",
        WRONG_SECRET => "invalid appsecret",
        WEB_CODE_USED => "code been used",
        OWN_IP_REFUSED => "invalid ip, not in whitelist",
        COUNT_TOO_LARGE => "args count exceed count limit",
        // Only ever by a fault: nobody here is judged.
        40226 => "high risk user, login is blocked",
        TOKEN_MISSING => "access_token missing",
        APPID_MISSING => "appid missing",
        REFRESH_TOKEN_MISSING => "refresh_token missing",
        SECRET_MISSING => "appsecret missing",
        FILE_MISSING => "media data missing",
        WEB_CODE_MISSING => "missing code",
        OPENID_MISSING => "missing openid",
        TOKEN_EXPIRED => "access_token expired",
        WEB_REFRESH_TOKEN_EXPIRED => "refresh_token expired",
        WEB_CODE_EXPIRED => "code expired",
        GET_REQUIRED => "require GET method",
        POST_REQUIRED => "require POST method",
        EMPTY_POST => "empty post data",
        MEDIA_TOO_LARGE => "media size out of limit",
        QUOTA_USED_UP => "reach max api daily quota limit",
        TOO_FAST => "api minute-quota reach limit, must slower, retry next minute",
        NO_MENU => "menu no exist",
        BAD_JSON => "data format error",
        NOT_GRANTED => "api unauthorized",
        CLEARINGS_USED_UP => "forbid to clear quota because of reaching the limit",
        NOT_AUTHORIZED => "component is not authorized by this account",
        IP_REFUSED => "access clientip is not registered",
        TICKET_EXPIRED => "component ticket is expired",
        WRONG_TICKET => "component ticket is invalid",
        SET_NOT_GRANTED => "api is unauthorized to component",
        WRONG_CODE => "code is invalid",
        CODE_EXPIRED => "code is expired",
        ACCOUNT_TOKEN_REQUIRED => "this api needs an account's access_token",
        WRONG_REFRESH_TOKEN => "refresh_token is invalid",
        NO_SUCH_PATH => "cgi_path not found, please check",
        NOT_YOUR_PATH => "could not use this cgi_path, no permission",
        _ => "emulated error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_ends_in_a_rid() {
        let body = Refusal::new(WRONG_APPID).to_json();
        assert_eq!(body["errcode"], 40013);
        let text = body["errmsg"].as_str().unwrap();
        assert!(text.starts_with("invalid appid rid: "), "{text}");
        assert_eq!(text.rsplit(' ').next().unwrap().split('-').count(), 3);
    }
}
