//! Mini programs (小程序): fans log in, and what their mini program signed or encrypted for its server is
//! checked and read here, so that their session keys never leave.

use lingpai_authorizer::{EncryptedData, Errcode, Error, LoggedInFan, MiniPrograms, SignedData};
use lingpai_model::Secret;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::Example};
use serde_json::json;

use super::{
    Group, authorizer_appid,
    fans::{Fields, fields},
};
use crate::{
    auth::{TenantAuth, WechatCall},
    example,
    input::{Input, Lines},
    parameter::AppidText,
    problem::{Problem, Result},
};

pub(crate) struct MiniProgramsApi {
    pub(super) mini_programs: MiniPrograms,
}

/// The code that a mini program got for its fan.
#[derive(Object)]
#[oai(rename = "NewMiniProgramSession", example)]
struct NewMiniProgramSession {
    /// The `code` that `wx.login` gave: good once, for five minutes.
    #[oai(validator(min_length = 1, max_length = 256))]
    js_code: String,
}

impl Example for NewMiniProgramSession {
    fn example() -> Self {
        Self { js_code: "0b3cDeFgHiJkLmNoPqRsTuVwXyZ01234".to_owned() }
    }
}

/// Who logged in.
#[derive(Debug, Object)]
#[oai(rename = "MiniProgramSession", skip_serializing_if_is_none, example)]
struct MiniProgramSessionView {
    /// The fan, as this mini program knows him.
    openid: String,
    /// The fan across the accounts of one owner, where WeChat tells it.
    unionid: Option<String>,
}

impl Example for MiniProgramSessionView {
    fn example() -> Self {
        Self { openid: example::OPENID.to_owned(), unionid: Some(example::UNIONID.to_owned()) }
    }
}

impl From<LoggedInFan> for MiniProgramSessionView {
    fn from(fan: LoggedInFan) -> Self {
        let LoggedInFan { openid, unionid } = fan;
        Self { openid, unionid }
    }
}

/// What a mini program signed.
#[derive(Object)]
#[oai(rename = "NewSignatureCheck", example)]
struct NewSignatureCheck {
    /// The fan who logged in.
    #[oai(validator(min_length = 1, max_length = 64))]
    openid: String,
    /// `rawData`, letter by letter as the mini program got it.
    raw_data: Lines<16384>,
    /// `signature`, as the mini program got it.
    #[oai(validator(min_length = 1, max_length = 64))]
    signature: String,
}

impl Example for NewSignatureCheck {
    fn example() -> Self {
        Self {
            openid: example::OPENID.to_owned(),
            raw_data: Lines(r#"{"nickName":"小林","gender":0,"language":"zh_CN"}"#.to_owned()),
            signature: "75e81ceda165f4ffa64f4068af58c64b8f54b88c".to_owned(),
        }
    }
}

/// Whether a mini program signed what it sent.
#[derive(Debug, Object)]
#[oai(rename = "SignatureCheck", example)]
struct SignatureCheckView {
    /// Whether the signature was made of this text, with the key of the fan's newest login.
    is_valid: bool,
}

impl Example for SignatureCheckView {
    fn example() -> Self {
        Self { is_valid: true }
    }
}

/// What a mini program got encrypted.
#[derive(Object)]
#[oai(rename = "NewDecryption", example)]
struct NewDecryption {
    /// The fan who logged in.
    #[oai(validator(min_length = 1, max_length = 64))]
    openid: String,
    /// `encryptedData`, as the mini program got it.
    #[oai(validator(min_length = 1, max_length = 61440))]
    encrypted_data: String,
    /// `iv`, as the mini program got it.
    #[oai(validator(min_length = 1, max_length = 64))]
    iv: String,
}

impl Example for NewDecryption {
    fn example() -> Self {
        Self {
            openid: example::OPENID.to_owned(),
            encrypted_data: "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS…"
                .into(),
            iv: "r7BXXKkLb8qrSNn05n0qiA==".to_owned(),
        }
    }
}

/// What was encrypted.
#[derive(Debug, Object)]
#[oai(rename = "DecryptedData", example)]
struct DecryptedDataView {
    /// Every field, under WeChat's names; `watermark` is this mini program's, which was checked.
    data: Fields,
}

impl Example for DecryptedDataView {
    fn example() -> Self {
        let (appid, at) = (example::AUTHORIZER_APPID, example::instant().timestamp());
        let told = [
            ("purePhoneNumber", json!("13800138000")),
            ("countryCode", json!("86")),
            ("watermark", json!({ "appid": appid, "timestamp": at })),
        ];
        Self { data: fields(told.map(|(name, value)| (name.to_owned(), value))) }
    }
}

/// What WeChat says of a code that is none, and of an account that is no mini program.
///
/// Source: WeChat docs, "Mini program login" (code2Session): 40029 invalid js_code; "Return codes"
/// (返回码): 40163 the code was used, 40013 invalid appid.
const BLAMED: [(Errcode, &str); 3] = [
    (Errcode::INVALID_CODE, "js_code"),
    (Errcode::WEB_CODE_USED, "js_code"),
    (Errcode::INVALID_APPID, "appid"),
];

fn refused(error: Error) -> Problem {
    Problem::from(error).blaming(&BLAMED)
}

#[OpenApi(tag = "Group::Fans")]
impl MiniProgramsApi {
    /// Log a fan of a mini program in.
    ///
    /// WeChat's `session_key` is kept here, in the place of the fan's last one, and never leaves: what it is
    /// good for, the two operations below do. Needs the scope `wechat:call`.
    #[oai(
        path = "/authorizers/:appid/mini-program-sessions",
        method = "post",
        operation_id = "log_in_fan"
    )]
    async fn log_in(
        &self,
        auth: TenantAuth<WechatCall>,
        /// The mini program's appid.
        appid: Path<AppidText>,
        input: Input<NewMiniProgramSession>,
    ) -> Result<Json<MiniProgramSessionView>> {
        let (appid, js_code) = (authorizer_appid(&appid)?, Secret::from(input.0.js_code));
        let fan = self.mini_programs.log_in(auth.caller(), &appid, &js_code).await;
        Ok(Json(fan.map_err(refused)?.into()))
    }

    /// Check what a mini program signed.
    ///
    /// With the key of the fan's newest login. Changes nothing. Needs the scope `wechat:call`.
    #[oai(
        path = "/authorizers/:appid/mini-program-sessions/signature-check",
        method = "post",
        operation_id = "check_fan_signature"
    )]
    async fn check_signature(
        &self,
        auth: TenantAuth<WechatCall>,
        /// The mini program's appid.
        appid: Path<AppidText>,
        input: Input<NewSignatureCheck>,
    ) -> Result<Json<SignatureCheckView>> {
        let (appid, check) = (authorizer_appid(&appid)?, input.0);
        let signed = SignedData { raw_data: &check.raw_data.0, signature: &check.signature };
        let checked =
            self.mini_programs.check_signature(auth.scope(), &appid, &check.openid, signed);
        Ok(Json(SignatureCheckView { is_valid: checked.await? }))
    }

    /// Decrypt what a mini program got encrypted.
    ///
    /// With the key of the fan's newest login: data from before it cannot be read. It must be of this mini
    /// program. Changes nothing, and nothing of it is kept. Needs the scope `wechat:call`.
    #[oai(
        path = "/authorizers/:appid/mini-program-sessions/decryption",
        method = "post",
        operation_id = "decrypt_fan_data"
    )]
    async fn decrypt(
        &self,
        auth: TenantAuth<WechatCall>,
        /// The mini program's appid.
        appid: Path<AppidText>,
        input: Input<NewDecryption>,
    ) -> Result<Json<DecryptedDataView>> {
        let Input(NewDecryption { openid, encrypted_data, iv }) = input;
        let appid = authorizer_appid(&appid)?;
        let data = EncryptedData { encrypted_data: &encrypted_data, iv: &iv };
        let data = self.mini_programs.decrypt(auth.scope(), &appid, &openid, data).await?;
        Ok(Json(DecryptedDataView { data: fields(data) }))
    }
}

#[cfg(test)]
mod tests {
    use lingpai_wechat::client::ClientError;
    use poem_openapi::types::ToJSON as _;
    use serde_json::Value;

    use super::*;
    use crate::{input, problem::Code};

    #[test]
    fn who_logged_in_is_told_by_ids_and_nothing_else() {
        let fan = |unionid| LoggedInFan { openid: "o1".to_owned(), unionid };
        let told = |unionid| MiniProgramSessionView::from(fan(unionid)).to_json();
        assert_eq!(told(None), Some(json!({ "openid": "o1" })));
        let both = json!({ "openid": "o1", "unionid": "u1" });
        assert_eq!(told(Some("u1".to_owned())), Some(both));
    }

    #[test]
    fn a_code_that_wechat_does_not_know_is_a_fault_of_its_field() {
        let refused_with = |number| {
            let (errcode, errmsg) = (Errcode(number), "no".to_owned());
            refused(ClientError::Rejected { call: "jscode2session", errcode, errmsg }.into())
        };
        for number in [40029, 40163] {
            let problem = refused_with(number);
            assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some("js_code")));
        }
        assert_eq!(refused_with(40226).code(), Code::UpstreamRejected);
    }

    #[test]
    fn raw_data_is_taken_as_it_is_and_everything_is_bounded() {
        let check = |raw_data: &str, signature: &str| {
            let body = json!({ "openid": "o1", "raw_data": raw_data, "signature": signature });
            input::read::<NewSignatureCheck>(body.to_string().as_bytes())
        };
        let raw = "{\"nickName\": \"小林 🌸\",\n\t\"gender\":0} ";
        assert!(check(raw, "s").is_ok_and(|read| read.raw_data.0 == raw));
        for (raw_data, signature, field) in [
            ("", "s", "raw_data"),
            (&*"r".repeat(16_385), "s", "raw_data"),
            ("r", "", "signature"),
            ("r", &*"s".repeat(65), "signature"),
        ] {
            let problem = check(raw_data, signature).err().expect(field);
            assert_eq!(problem.field(), Some(field));
        }
        let decryption = |encrypted_data: &str, iv: &str| {
            let body = json!({ "openid": "o1", "encrypted_data": encrypted_data, "iv": iv });
            input::read::<NewDecryption>(body.to_string().as_bytes())
        };
        assert!(decryption(&"A".repeat(61_440), "r7BXXKkLb8qrSNn05n0qiA==").is_ok());
        for (encrypted_data, iv, field) in [
            ("", "iv", "encrypted_data"),
            (&*"A".repeat(61_441), "iv", "encrypted_data"),
            ("A", "", "iv"),
            ("A", &*"i".repeat(65), "iv"),
        ] {
            let problem = decryption(encrypted_data, iv).err().expect(field);
            assert_eq!(problem.field(), Some(field));
        }
    }

    #[test]
    fn what_was_encrypted_is_told_under_wechats_names() {
        let told = DecryptedDataView::example().to_json().unwrap();
        assert_eq!(told["data"]["purePhoneNumber"], "13800138000");
        assert_eq!(told["data"]["watermark"]["appid"], Value::from(example::AUTHORIZER_APPID));
    }
}
