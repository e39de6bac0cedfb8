//! Fans: what WeChat tells of one, whichever way it is asked.

use std::collections::BTreeMap;

use lingpai_authorizer::{Errcode, Error, FanLookup, Fans, FieldSource, Lang};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::Path,
    payload::Json,
    types::{Any, Example},
};
use serde_json::{Value, json};

use super::{Group, authorizer_appid};
use crate::{
    auth::{TenantAuth, WechatCall},
    example,
    input::Input,
    middleware::Cause,
    parameter::AppidText,
    problem::{Problem, Result},
};

pub(crate) struct FansApi {
    pub(super) fans: Fans,
}

/// What WeChat tells, under WeChat's names.
pub(super) type Fields = BTreeMap<String, Any<Value>>;

/// What was told, as it is written.
pub(super) fn fields(told: impl IntoIterator<Item = (String, Value)>) -> Fields {
    told.into_iter().map(|(name, value)| (name, Any(value))).collect()
}

/// A language that WeChat tells a fan's country and the like in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "Lang", remote = "Lang")]
pub(super) enum LangView {
    /// Simplified Chinese.
    #[oai(rename = "zh_CN")]
    ZhCn,
    /// Traditional Chinese.
    #[oai(rename = "zh_TW")]
    ZhTw,
    /// English.
    #[oai(rename = "en")]
    En,
}

impl LangView {
    /// The language that was asked for.
    pub(super) fn of(asked: Option<Self>) -> Lang {
        asked.map(Lang::from).unwrap_or_default()
    }
}

/// Which token let WeChat tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "FanFieldSource", rename_all = "snake_case", remote = "FieldSource")]
enum SourceView {
    /// The fan's own, of web authorization (网页授权): `sns/userinfo`.
    WebToken,
    /// The account's: `cgi-bin/user/info`.
    AccountToken,
}

/// One way of asking that told nothing.
#[derive(Debug, PartialEq, Eq, Object)]
#[oai(rename = "MissingFanSource", skip_serializing_if_is_none, example)]
pub(super) struct MissingView {
    /// Which token WeChat would have told more by.
    from: SourceView,
    /// The problem, stable, for programs.
    code: String,
    /// What happened, and what to do about it.
    reason: String,
    /// The number that WeChat refused with, if it did.
    errcode: Option<i64>,
}

impl Example for MissingView {
    fn example() -> Self {
        Self::of(FieldSource::WebToken, Error::FanUnknown)
    }
}

impl MissingView {
    /// What is told of `error`. Nobody above hears of it, so that what the log is to know is written here.
    pub(super) fn of(from: FieldSource, error: Error) -> Self {
        let errcode = error.upstream_errcode();
        let problem = Problem::from(error);
        if problem.code().status().is_server_error() {
            let cause = Cause::chain(&problem);
            tracing::warn!(error = cause.as_str(), "less is told of a fan than was asked for");
        }
        Self {
            from: from.into(),
            code: problem.code().as_str().to_owned(),
            reason: problem.detail().to_owned(),
            errcode,
        }
    }
}

/// Which fan is asked about. He stands in a body because ids of people belong in no address.
#[derive(Object)]
#[oai(rename = "NewFanLookup", skip_serializing_if_is_none, example)]
struct NewFanLookup {
    /// The fan, as this account knows him.
    #[oai(validator(min_length = 1, max_length = 64))]
    openid: String,
    /// The language that places are told in; `zh_CN` if absent.
    #[oai(nullable)]
    lang: Option<LangView>,
}

impl Example for NewFanLookup {
    fn example() -> Self {
        Self { openid: example::OPENID.to_owned(), lang: Some(LangView::En) }
    }
}

/// One thing that WeChat tells of a fan.
#[derive(Debug, Object)]
#[oai(rename = "FanField", example)]
struct FieldView {
    /// As WeChat tells it.
    value: Any<Value>,
    /// Which token let WeChat tell it.
    from: SourceView,
}

impl Example for FieldView {
    fn example() -> Self {
        Self { value: Any(json!("小林")), from: SourceView::WebToken }
    }
}

/// What WeChat tells of one fan. Names are text of others: escape them.
#[derive(Debug, Object)]
#[oai(rename = "Fan", skip_serializing_if_is_none, example)]
struct FanView {
    /// The fan, as this account knows him.
    openid: String,
    /// The fan across the accounts of one owner, where WeChat tells it.
    unionid: Option<String>,
    /// Whether the fan follows the account; absent where only the fan's own token told anything.
    subscribe: Option<bool>,
    /// Everything that was told, under WeChat's names, each with where it came from. What both ways told
    /// comes from the fan's own token, but for what only the account's knows well, as `subscribe`.
    fields: BTreeMap<String, FieldView>,
    /// The ways that told nothing, each with the reason; empty where both did.
    missing: Vec<MissingView>,
}

impl Example for FanView {
    fn example() -> Self {
        let told = [
            ("openid", json!(example::OPENID), FieldSource::AccountToken),
            ("remark", json!("常客"), FieldSource::AccountToken),
            ("subscribe", json!(1), FieldSource::AccountToken),
            ("unionid", json!(example::UNIONID), FieldSource::AccountToken),
        ];
        let told = told.map(|(name, value, from)| (name.to_owned(), value, from)).into();
        let missing = vec![(FieldSource::WebToken, Error::FanUnknown)];
        Self::told(example::OPENID.to_owned(), told, missing)
    }
}

impl FanView {
    /// What was found out about the fan, if anything was.
    fn of(openid: String, found: FanLookup) -> Result<Self> {
        let told = found.joined();
        let missing = match (found.by_web_token.err(), found.by_account_token.err()) {
            (Some(_), Some(by_account_token)) => return Err(refused(by_account_token)),
            (Some(error), None) => vec![(FieldSource::WebToken, error)],
            (None, Some(error)) => vec![(FieldSource::AccountToken, error)],
            (None, None) => vec![],
        };
        Ok(Self::told(openid, told, missing))
    }

    fn told(
        openid: String,
        told: Vec<(String, Value, FieldSource)>,
        missing: Vec<(FieldSource, Error)>,
    ) -> Self {
        let value_of =
            |wanted: &str| told.iter().find(|(name, ..)| name == wanted).map(|(_, value, _)| value);
        let unionid = value_of("unionid").and_then(Value::as_str).filter(|text| !text.is_empty());
        // Source: WeChat docs, "Get user's basic information" (user/info): 0 has not followed, 1 follows.
        let subscribe = value_of("subscribe").and_then(Value::as_i64).map(|number| number != 0);
        let unionid = unionid.map(str::to_owned);
        let missing = missing.into_iter().map(|(from, error)| MissingView::of(from, error));
        let fields = told
            .into_iter()
            .map(|(name, value, from)| (name, FieldView { value: Any(value), from: from.into() }))
            .collect();
        Self { openid, unionid, subscribe, fields, missing: missing.collect() }
    }
}

/// What WeChat says of an openid that is none of the account's.
///
/// Source: WeChat docs, "Return codes" (返回码): 40003 invalid openid.
const BLAMED: [(Errcode, &str); 1] = [(Errcode::INVALID_OPENID, "openid")];

fn refused(error: Error) -> Problem {
    Problem::from(error).blaming(&BLAMED)
}

#[OpenApi(tag = "Group::Fans")]
impl FansApi {
    /// Look up one fan.
    ///
    /// Asks WeChat in both ways at once: with the account's token, and with the fan's own where the fan
    /// granted `snsapi_userinfo` to the account (网页授权). One that fails leaves what the other tells.
    /// Changes nothing. Needs the scope `wechat:call`.
    #[oai(path = "/authorizers/:appid/user-info", method = "post", operation_id = "look_up_fan")]
    async fn look_up(
        &self,
        auth: TenantAuth<WechatCall>,
        /// The account's appid.
        appid: Path<AppidText>,
        input: Input<NewFanLookup>,
    ) -> Result<Json<FanView>> {
        let Input(NewFanLookup { openid, lang }) = input;
        let (appid, lang) = (authorizer_appid(&appid)?, LangView::of(lang));
        let found = self.fans.look_up(auth.caller(), &appid, &openid, lang).await?;
        Ok(Json(FanView::of(openid, found)?))
    }
}

#[cfg(test)]
mod tests {
    use lingpai_authorizer::FanProfile;
    use lingpai_model::Appid;
    use lingpai_wechat::{call::Answer as _, client::ClientError};
    use poem_openapi::types::ToJSON as _;

    use super::*;
    use crate::problem::Code;

    fn profile(json: &Value) -> lingpai_authorizer::Result<FanProfile> {
        Ok(FanProfile::read(json.to_string().as_bytes()).unwrap())
    }

    fn refusal(number: i64) -> Error {
        let errcode = Errcode(number);
        let error =
            ClientError::Rejected { call: "user/info", errcode, errmsg: "no such fan".to_owned() };
        error.into()
    }

    fn told(found: FanLookup) -> Result<Value> {
        FanView::of("o1".to_owned(), found).map(|view| view.to_json().unwrap())
    }

    #[test]
    fn what_both_ways_tell_is_one_fan_with_where_each_thing_came_from() {
        let told = told(FanLookup {
            by_web_token: profile(&json!({ "openid": "o1", "nickname": "小林", "sex": 0 })),
            by_account_token: profile(
                &json!({ "openid": "o1", "subscribe": 1, "unionid": "u1", "remark": "" }),
            ),
        })
        .unwrap();
        assert_eq!(told["openid"], "o1");
        assert_eq!((&told["subscribe"], &told["unionid"]), (&json!(true), &json!("u1")));
        assert_eq!(told["fields"]["nickname"], json!({ "value": "小林", "from": "web_token" }));
        assert_eq!(told["fields"]["remark"], json!({ "value": "", "from": "account_token" }));
        assert_eq!(told["missing"], json!([]));
    }

    #[test]
    fn a_way_that_fails_is_named_with_its_reason_and_the_other_is_told() {
        let one = told(FanLookup {
            by_web_token: Err(Error::FanUnknown),
            by_account_token: profile(&json!({ "openid": "o1", "subscribe": 0 })),
        })
        .unwrap();
        assert_eq!((&one["subscribe"], one.get("unionid")), (&json!(false), None));
        assert_eq!(one["missing"][0]["from"], "web_token");
        assert_eq!(one["missing"][0]["code"], "fan_not_found");
        assert_eq!(one["missing"][0].get("errcode"), None);
        let other = told(FanLookup {
            by_web_token: profile(&json!({ "openid": "o1", "nickname": "小林" })),
            by_account_token: Err(refusal(48001)),
        })
        .unwrap();
        assert_eq!(other.get("subscribe"), None);
        let missing = &other["missing"][0];
        assert_eq!(
            (&missing["from"], &missing["errcode"]),
            (&json!("account_token"), &json!(48001))
        );
        assert!(missing["reason"].as_str().unwrap().contains("48001"), "{missing}");
    }

    #[test]
    fn when_both_ways_fail_the_accounts_failure_is_the_problem() {
        let both = |by_account_token| {
            told(FanLookup {
                by_web_token: Err(Error::FanUnknown),
                by_account_token: Err(by_account_token),
            })
            .unwrap_err()
        };
        let appid = Appid::parse("wx1").unwrap();
        assert_eq!(both(Error::Revoked { appid }).code(), Code::AuthorizerRevoked);
        assert_eq!(both(refusal(48001)).code(), Code::UpstreamRejected);
        let no_such_fan = both(refusal(40003));
        assert_eq!((no_such_fan.code(), no_such_fan.field()), (Code::InvalidField, Some("openid")));
    }

    #[test]
    fn what_is_missing_names_its_problem_and_wechats_number_where_it_was_wechat() {
        let of = |error| MissingView::of(FieldSource::WebToken, error);
        let refused = of(refusal(40001));
        assert_eq!((refused.code.as_str(), refused.errcode), ("upstream_rejected", Some(40001)));
        let ended = of(Error::FanGrantEnded);
        assert_eq!((ended.code.as_str(), ended.errcode), ("fan_grant_ended", None));
    }

    #[test]
    fn languages_are_written_as_wechat_writes_them() {
        for lang in [Lang::ZhCn, Lang::ZhTw, Lang::En] {
            assert_eq!(LangView::from(lang).to_json(), Some(lang.as_str().into()));
            assert_eq!(LangView::of(Some(lang.into())), lang);
        }
        assert_eq!(LangView::of(None), Lang::ZhCn);
    }
}
