//! Web authorizations (网页授权): the code that a fan brought along, taken in for who the fan is.

use lingpai_authorizer::{ExchangedFan, FanProfile, FieldSource, WebAuthorizations, WebTokens};
use lingpai_model::web_authorization::WebScope;
use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::{
    Group,
    fans::{Fields, LangView, MissingView, fields},
};
use crate::{
    auth::{TenantAuth, WechatCall},
    example,
    input::Input,
    problem::Result,
};

pub(crate) struct WebAuthorizationsApi {
    pub(super) web_authorizations: WebAuthorizations,
    pub(super) web_tokens: WebTokens,
}

/// The code that a fan brought along.
#[derive(Object)]
#[oai(rename = "NewCodeExchange", skip_serializing_if_is_none, example)]
struct NewCodeExchange {
    /// The `code` with which the fan came to your redirect URI, `lpc_…`.
    #[oai(validator(min_length = 1, max_length = 128))]
    code: String,
    /// The language that the profile is told in; `zh_CN` if absent.
    #[oai(nullable)]
    lang: Option<LangView>,
}

impl Example for NewCodeExchange {
    fn example() -> Self {
        Self { code: example::ONE_TIME_CODE.to_owned(), lang: None }
    }
}

/// Who came. The fan's names are text of others: escape them.
#[derive(Debug, Object)]
#[oai(rename = "ExchangedFan", skip_serializing_if_is_none, example)]
struct ExchangedFanView {
    /// The account that the fan granted to.
    authorizer_appid: String,
    /// The fan, as this account knows him.
    openid: String,
    /// The fan across the accounts of one owner, where WeChat tells it.
    unionid: Option<String>,
    /// What the fan granted, as WeChat writes it: `snsapi_base`, `snsapi_userinfo` or both with a comma.
    scope: String,
    /// Whether this is no fan but the virtual one of a page that is only looked at (快照页): his openid
    /// is nobody's.
    is_snapshot_user: bool,
    /// What WeChat tells of the fan, under WeChat's names; only where `scope` holds `snsapi_userinfo`.
    profile: Option<Fields>,
    /// Why there is no profile although the fan granted it. The code is used up all the same: ask again
    /// with `POST /v1/authorizers/{appid}/user-info`.
    profile_missing: Option<MissingView>,
}

impl Example for ExchangedFanView {
    fn example() -> Self {
        Self {
            authorizer_appid: example::AUTHORIZER_APPID.to_owned(),
            openid: example::OPENID.to_owned(),
            unionid: Some(example::UNIONID.to_owned()),
            scope: WebScope::UserInfo.as_str().to_owned(),
            is_snapshot_user: false,
            profile: Some(example_profile()),
            profile_missing: None,
        }
    }
}

fn example_profile() -> Fields {
    let told = [
        ("openid", example::OPENID),
        ("nickname", "小林"),
        ("headimgurl", "https://thirdwx.qlogo.cn/mmopen/vi_32/example/132"),
        ("unionid", example::UNIONID),
    ];
    fields(told.map(|(name, value)| (name.to_owned(), value.into())))
}

impl From<ExchangedFan> for ExchangedFanView {
    fn from(exchanged: ExchangedFan) -> Self {
        let ExchangedFan { fan, is_snapshot_user } = exchanged;
        let owner = fan.grant.owner;
        Self {
            authorizer_appid: fan.authorizer.appid.to_string(),
            openid: owner.openid,
            unionid: fan.grant.unionid,
            scope: owner.scope,
            is_snapshot_user,
            profile: None,
            profile_missing: None,
        }
    }
}

impl ExchangedFanView {
    /// The same with what was read of the profile. WeChat may tell the unionid there only.
    fn with(mut self, read: lingpai_authorizer::Result<FanProfile>) -> Self {
        match read {
            Ok(profile) => {
                self.unionid = self.unionid.or_else(|| profile.unionid().map(str::to_owned));
                self.profile = Some(fields(profile.into_fields()));
            }
            Err(error) => {
                self.profile_missing = Some(MissingView::of(FieldSource::WebToken, error));
            }
        }
        self
    }
}

#[OpenApi(tag = "Group::Fans")]
impl WebAuthorizationsApi {
    /// Exchange a fan's code.
    ///
    /// The code is good once, for a minute, for the tenant that it was made for; whatever is answered then,
    /// the same code is not good again, and the fan has to come once more. With a profile where the fan
    /// granted one. No token leaves: they are kept here. Needs the scope `wechat:call`.
    #[oai(path = "/oauth/exchange", method = "post", operation_id = "exchange_one_time_code")]
    async fn exchange(
        &self,
        auth: TenantAuth<WechatCall>,
        input: Input<NewCodeExchange>,
    ) -> Result<Json<ExchangedFanView>> {
        let Input(NewCodeExchange { code, lang }) = input;
        let caller = auth.caller();
        let exchanged = self.web_authorizations.exchange(caller, None, &code).await?;
        if !exchanged.fan.grant.owner.tells_profile() {
            return Ok(Json(exchanged.into()));
        }
        // The code is used up: without the profile the rest is told nevertheless.
        let lang = LangView::of(lang);
        let read = self.web_tokens.profile(caller, &exchanged.fan, lang).await;
        Ok(Json(ExchangedFanView::from(exchanged).with(read)))
    }
}

#[cfg(test)]
mod tests {
    use lingpai_authorizer::{Error, KnownFan};
    use lingpai_model::{
        id::WebTokenId,
        web_token::{WebGrant, WebTokenOwner},
    };
    use lingpai_wechat::call::Answer as _;
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;
    use crate::{input, sample};

    fn exchanged(scope: &str) -> ExchangedFan {
        let (clock, entropy) = sample::world();
        let authorizer = sample::authorizer();
        let owner = WebTokenOwner {
            authorizer_id: authorizer.id.clone(),
            openid: example::OPENID.to_owned(),
            scope: scope.to_owned(),
        };
        let (id, refresh_until) = (WebTokenId::new(clock.now(), &entropy), clock.now());
        let grant = WebGrant { id, owner, unionid: None, refresh_until };
        ExchangedFan { fan: KnownFan { authorizer, grant }, is_snapshot_user: false }
    }

    #[test]
    fn a_fan_is_told_without_any_token_and_a_silent_one_without_a_profile() {
        let told = ExchangedFanView::from(exchanged("snsapi_base")).to_json();
        let wanted = json!({
            "authorizer_appid": example::AUTHORIZER_APPID,
            "openid": example::OPENID,
            "scope": "snsapi_base",
            "is_snapshot_user": false,
        });
        assert_eq!(told, Some(wanted));
    }

    #[test]
    fn a_profile_comes_under_wechats_names_and_brings_the_unionid() {
        let json = br#"{"openid":"o1","nickname":"\u5c0f\u6797","privilege":[],"unionid":"u1"}"#;
        let read = Ok(FanProfile::read(json).unwrap());
        let told =
            ExchangedFanView::from(exchanged("snsapi_userinfo")).with(read).to_json().unwrap();
        let wanted =
            json!({ "openid": "o1", "nickname": "小林", "privilege": [], "unionid": "u1" });
        assert_eq!((&told["profile"], &told["unionid"]), (&wanted, &json!("u1")));
        assert_eq!(told.get("profile_missing"), None);
    }

    #[test]
    fn a_profile_that_fails_leaves_the_fan_known() {
        let view =
            ExchangedFanView::from(exchanged("snsapi_userinfo")).with(Err(Error::FanGrantEnded));
        let told = view.to_json().unwrap();
        assert_eq!((&told["openid"], told.get("profile")), (&json!(example::OPENID), None));
        let missing = &told["profile_missing"];
        assert_eq!(
            (&missing["code"], &missing["from"]),
            (&json!("fan_grant_ended"), &json!("web_token"))
        );
    }

    #[test]
    fn a_code_of_ours_fits_and_one_without_bounds_does_not() {
        let read =
            |body: &serde_json::Value| input::read::<NewCodeExchange>(body.to_string().as_bytes());
        assert!(read(&json!({ "code": example::ONE_TIME_CODE, "lang": "zh_TW" })).is_ok());
        for code in ["", " ", &"c".repeat(129)] {
            let problem = read(&json!({ "code": code })).err().expect("it is no code");
            assert_eq!(problem.field(), Some("code"), "{code:?}");
        }
        let problem = read(&json!({ "code": "c", "lang": "fr" })).err().expect("no such language");
        assert_eq!(problem.field(), Some("lang"));
    }
}
