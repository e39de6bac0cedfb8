use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join;
use lingpai_model::{Appid, authorizer::Authorizer, caller::Caller};
use lingpai_storage::Db;
use lingpai_wechat::{
    call::user::{FanProfile, GET_USER_INFO, Lang},
    client::Client,
};
use serde_json::{Map, Value};

use crate::{AuthorizerTokens, Error, Ledger, Result, WebTokens, error::cached};

/// Tells what WeChat knows of a fan, by both ways to ask.
#[derive(Debug, Clone)]
pub struct Fans {
    wechat: Client,
    db: Db,
    tokens: AuthorizerTokens,
    web_tokens: WebTokens,
    ledger: Ledger,
}

/// What WeChat told of a fan. Neither way tells everything, and either may fail.
#[derive(Debug)]
pub struct FanLookup {
    /// By the fan's own token (`sns/userinfo`): who he is.
    pub by_web_token: Result<FanProfile, Error>,
    /// By the account's token (`cgi-bin/user/info`): how he stands to the account.
    pub by_account_token: Result<FanProfile, Error>,
}

/// By which token a field was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldSource {
    /// The fan's own.
    WebToken,
    /// The account's.
    AccountToken,
}

impl Fans {
    /// A service that calls `wechat` with `tokens` and `web_tokens`, and counts that in `ledger`.
    #[must_use]
    pub fn new(
        wechat: Client,
        db: Db,
        tokens: AuthorizerTokens,
        web_tokens: WebTokens,
        ledger: Ledger,
    ) -> Self {
        Self { wechat, db, tokens, web_tokens, ledger }
    }

    /// Asks WeChat for a fan of the tenant's account, by both ways at once.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] when the account is not there or not the tenant's;
    /// [`Error::Storage`]. What became of the two ways is in the answer.
    pub async fn look_up(
        &self,
        caller: &Caller,
        appid: &Appid,
        openid: &str,
        lang: Lang,
    ) -> Result<FanLookup> {
        let authorizer = cached(&self.db, &caller.scope, appid).await?;
        let (by_web_token, by_account_token) = join(
            self.by_web_token(caller, appid, openid, lang),
            self.by_account_token(caller, &authorizer, openid, lang),
        )
        .await;
        Ok(FanLookup { by_web_token, by_account_token })
    }

    async fn by_web_token(
        &self,
        caller: &Caller,
        appid: &Appid,
        openid: &str,
        lang: Lang,
    ) -> Result<FanProfile> {
        let fan = self.web_tokens.fan_of(&caller.scope, appid, openid).await?;
        self.web_tokens.profile(caller, &fan, lang).await
    }

    async fn by_account_token(
        &self,
        caller: &Caller,
        authorizer: &Arc<Authorizer>,
        openid: &str,
        lang: Lang,
    ) -> Result<FanProfile> {
        let wechat = &self.wechat;
        let ask = |token| async move { wechat.get_user_info(&token, openid, lang).await };
        let outcome = self.tokens.call(authorizer, ask).await;
        self.ledger.count_outcome(caller, authorizer, GET_USER_INFO, &outcome);
        outcome
    }
}

impl FanLookup {
    /// All that was told, field by field in alphabetical order, and by which token: what one way alone
    /// tells as it tells it; how the fan stands to the account as the account's token tells it; all
    /// else as the fan's does, unless that leaves it empty.
    #[must_use]
    pub fn joined(&self) -> Vec<(String, Value, FieldSource)> {
        joined(told(&self.by_web_token), told(&self.by_account_token))
    }
}

fn told(answer: &Result<FanProfile>) -> Option<&Map<String, Value>> {
    answer.as_ref().ok().map(FanProfile::fields)
}

fn joined(
    by_web_token: Option<&Map<String, Value>>,
    by_account_token: Option<&Map<String, Value>>,
) -> Vec<(String, Value, FieldSource)> {
    let names: BTreeSet<&String> =
        by_web_token.into_iter().chain(by_account_token).flat_map(Map::keys).collect();
    let field = |name: &String| {
        let web = by_web_token.and_then(|fields| fields.get(name));
        let account = by_account_token.and_then(|fields| fields.get(name));
        let (value, source) = match (web, account) {
            (Some(web), Some(account)) => choose(name, web, account),
            (Some(web), None) => (web, FieldSource::WebToken),
            (None, account) => (account?, FieldSource::AccountToken),
        };
        Some((name.clone(), value.clone(), source))
    };
    names.into_iter().filter_map(field).collect()
}

fn choose<'a>(name: &str, web: &'a Value, account: &'a Value) -> (&'a Value, FieldSource) {
    let is_empty_there_only = is_empty(web) && !is_empty(account);
    if is_accounts_matter(name) || is_empty_there_only {
        (account, FieldSource::AccountToken)
    } else {
        (web, FieldSource::WebToken)
    }
}

/// Whether a field tells how the fan stands to the account.
///
/// Source: WeChat docs, "Get basic user information" (获取用户基本信息).
fn is_accounts_matter(name: &str) -> bool {
    name.starts_with("subscribe")
        || name.starts_with("qr_scene")
        || matches!(name, "remark" | "groupid" | "tagid_list" | "language")
}

/// Whether a value tells nothing: WeChat sends such ones for what it does not tell any more.
///
/// Source: WeChat docs, "Web page authorization" (网页授权) and "Get basic user information": since
/// 2021 sex is 0, and province, city and country are empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FieldSource::*, *};

    fn fields(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn each_field_comes_from_the_token_that_knows_it() {
        let web = fields(&json!({
            "openid": "o1", "nickname": "小林", "sex": 0, "city": "", "country": "",
            "headimgurl": "https://w.example/1", "privilege": [], "language": "en", "remark": "r",
            "only_web": null,
        }));
        let account = fields(&json!({
            "openid": "o1", "nickname": "", "sex": 1, "city": "杭州", "country": "",
            "subscribe": 0, "subscribe_time": 7, "remark": "", "groupid": 0, "tagid_list": [],
            "qr_scene": 0, "qr_scene_str": "", "language": "zh_CN", "privilege": ["x"],
        }));
        let expected = [
            ("city", json!("杭州"), AccountToken),
            ("country", json!(""), WebToken),
            ("groupid", json!(0), AccountToken),
            ("headimgurl", json!("https://w.example/1"), WebToken),
            ("language", json!("zh_CN"), AccountToken),
            ("nickname", json!("小林"), WebToken),
            ("only_web", json!(null), WebToken),
            ("openid", json!("o1"), WebToken),
            ("privilege", json!(["x"]), AccountToken),
            ("qr_scene", json!(0), AccountToken),
            ("qr_scene_str", json!(""), AccountToken),
            ("remark", json!(""), AccountToken),
            ("sex", json!(1), AccountToken),
            ("subscribe", json!(0), AccountToken),
            ("subscribe_time", json!(7), AccountToken),
            ("tagid_list", json!([]), AccountToken),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(name, value, from)| (name.to_owned(), value, from))
            .collect();
        assert_eq!(joined(Some(&web), Some(&account)), expected);
    }

    #[test]
    fn what_one_way_could_not_tell_the_other_tells_alone() {
        let known = fields(&json!({ "openid": "o1", "subscribe": 1, "nickname": "" }));
        for (web, account, from) in
            [(Some(&known), None, WebToken), (None, Some(&known), AccountToken)]
        {
            let told = joined(web, account);
            assert_eq!(told.len(), 3);
            assert!(told.iter().all(|(name, value, source)| {
                *source == from && Some(value) == known.get(name)
            }));
        }
        assert!(joined(None, None).is_empty());
    }
}
