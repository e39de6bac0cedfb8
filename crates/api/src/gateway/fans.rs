//! Fans' web authorization (网页授权) as SDKs know it: a code becomes a token, and the token tells who
//! the fan is. What an SDK holds is ours throughout: one-time codes, and virtual tokens that name a
//! fan's grant. WeChat's own never leave.

use lingpai_authorizer::{
    Error as AuthorizerError, ExchangedFan, KnownFan, Lang, Result as AuthorizerResult,
    WebAuthorizations, WebTokens,
};
use lingpai_model::{
    Appid,
    caller::{Caller, Via},
    web_token::WebGrant,
};
use lingpai_tenant::{
    ApiKeys, Error, Result as TenantResult, ShownKey, Subject, SubjectKind, VirtualCaller,
    VirtualTokens,
};
use poem::{Request, Response, http::Method};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{Entrance, refusal::Refusal, token};
use crate::{problem::Problem, routes::Services};

/// What SDKs send as `grant_type` to exchange a code. Source: WeChat docs, "Web page authorization"
/// (网页授权), step 2.
const CODE_GRANT_TYPE: &str = "authorization_code";

/// The same to refresh a token. Source: the same page, step 3.
const REFRESH_GRANT_TYPE: &str = "refresh_token";

/// One of WeChat's interfaces for fans' tokens. All of them are asked with GET.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), steps 2 to 4 and the appendix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FanCall {
    /// Gives tokens for a code.
    Exchange,
    /// Gives tokens for a refresh token.
    Refresh,
    /// Tells the fan's profile.
    Profile,
    /// Tells whether a token is good.
    Check,
}

impl FanCall {
    /// What stands under WeChat's `path`; nothing else below `/sns/` is served.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/sns/oauth2/access_token" => Self::Exchange,
            "/sns/oauth2/refresh_token" => Self::Refresh,
            "/sns/userinfo" => Self::Profile,
            "/sns/auth" => Self::Check,
            _ => return None,
        })
    }
}

/// Answers the calls for fans.
pub(super) struct FanCalls {
    keys: ApiKeys,
    tokens: VirtualTokens,
    web_authorizations: WebAuthorizations,
    web_tokens: WebTokens,
}

/// What is wanted of a fan whose token is shown.
enum Wanted<'a> {
    Profile { openid: &'a str, lang: Lang },
    Check { openid: &'a str },
}

impl FanCalls {
    pub(super) fn new(services: &Services) -> Self {
        Self {
            keys: services.api_keys.clone(),
            tokens: services.virtual_tokens.clone(),
            web_authorizations: services.web_authorizations.clone(),
            web_tokens: services.web_tokens.clone(),
        }
    }

    /// Makes the call that `request` asks for.
    pub(super) async fn make(
        &self,
        entrance: &Entrance,
        request: Request,
        call: FanCall,
    ) -> Result<Response, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::fan_method());
        }
        let query = Query::read(request.uri().query().unwrap_or_default());
        let via = entrance.via(&request);
        match call {
            FanCall::Exchange => self.exchange(entrance, &query, via).await,
            FanCall::Refresh => self.refresh(entrance, &query, via).await,
            FanCall::Profile => {
                let openid = query.openid()?;
                let lang = query.get("lang").and_then(Lang::parse).unwrap_or_default();
                self.ask(entrance, (&query, via), Wanted::Profile { openid, lang }).await
            }
            FanCall::Check => {
                let openid = query.openid()?;
                self.ask(entrance, (&query, via), Wanted::Check { openid }).await
            }
        }
    }

    /// Gives tokens for the one-time code that a fan has brought. As everywhere, the key is looked at
    /// before anything that it is to open.
    async fn exchange(
        &self,
        entrance: &Entrance,
        query: &Query,
        via: Via,
    ) -> Result<Response, Refusal> {
        let appid = query.get("appid").ok_or_else(Refusal::appid_missing)?;
        let secret = query.get("secret").ok_or_else(Refusal::secret_missing)?;
        let code = query.get("code").ok_or_else(Refusal::code_missing)?;
        query.check_grant_type(CODE_GRANT_TYPE)?;
        let verifying = self.keys.authenticate(secret, via);
        let caller = entrance.verify(verifying).await?.map_err(token::refused)?;
        let shown = ShownKey::of(secret).map_err(token::refused)?;
        let held = entrance.admit(&caller).await?;
        let answered = self.exchanged(entrance, (&caller, &shown), (appid, code)).await;
        Ok(entrance.tell(held, answered))
    }

    async fn exchanged(
        &self,
        entrance: &Entrance,
        (caller, shown): (&Caller, &ShownKey),
        (appid, code): (&str, &str),
    ) -> Result<Response, Refusal> {
        let _seat = entrance.pool.seat_soon().await?;
        let appid = Appid::parse(appid).map_err(|_| Problem::authorizer_not_found())?;
        let exchanged = self.web_authorizations.exchange(caller, Some(&appid), code).await;
        let ExchangedFan { fan, is_snapshot_user } = exchanged.map_err(failed)?;
        let tokens = self.tokens_of(caller, shown, &fan.grant).await;
        let mut body = tokens.map_err(token::refused)?;
        if let Some(unionid) = fan.grant.unionid {
            body.insert("unionid".to_owned(), unionid.into());
        }
        if is_snapshot_user {
            body.insert("is_snapshotuser".to_owned(), 1.into());
        }
        Ok(answer(body))
    }

    /// Gives tokens for a refresh token, which names the key that it was made with: none is sent.
    async fn refresh(
        &self,
        entrance: &Entrance,
        query: &Query,
        via: Via,
    ) -> Result<Response, Refusal> {
        let appid = query.get("appid").ok_or_else(Refusal::appid_missing)?;
        let shown = query.get("refresh_token").ok_or_else(Refusal::refresh_token_missing)?;
        query.check_grant_type(REFRESH_GRANT_TYPE)?;
        let verifying = self.tokens.authenticate(SubjectKind::WebRefresh, shown, via);
        let verified = entrance.verify(verifying).await?.map_err(refresh_token_refused)?;
        let held = entrance.admit(&verified.caller).await?;
        let answered = self.refreshed(entrance, &verified, appid).await;
        Ok(entrance.tell(held, answered))
    }

    async fn refreshed(
        &self,
        entrance: &Entrance,
        verified: &VirtualCaller,
        appid: &str,
    ) -> Result<Response, Refusal> {
        let _seat = entrance.pool.seat_soon().await?;
        let fan = self.fan(verified).await.map_err(refresh_failed)?;
        if fan.authorizer.appid.as_str() != appid {
            return Err(Refusal::refresh_token_refused());
        }
        let VirtualCaller { caller, shown, .. } = verified;
        self.web_tokens.make_sure(caller, &fan).await.map_err(refresh_failed)?;
        let tokens = self.tokens_of(caller, shown, &fan.grant).await;
        Ok(answer(tokens.map_err(refresh_token_refused)?))
    }

    /// Asks WeChat what is wanted of the fan whose token is shown.
    async fn ask(
        &self,
        entrance: &Entrance,
        (query, via): (&Query, Via),
        wanted: Wanted<'_>,
    ) -> Result<Response, Refusal> {
        let shown = query.get("access_token").ok_or_else(Refusal::fan_token_missing)?;
        let verifying = self.tokens.authenticate(SubjectKind::WebToken, shown, via);
        let verified = entrance.verify(verifying).await?;
        let verified = verified.map_err(|error| token_refused(error, shown))?;
        let held = entrance.admit(&verified.caller).await?;
        let answered = self.asked(entrance, &verified, wanted).await;
        Ok(entrance.tell(held, answered))
    }

    async fn asked(
        &self,
        entrance: &Entrance,
        verified: &VirtualCaller,
        wanted: Wanted<'_>,
    ) -> Result<Response, Refusal> {
        let _seat = entrance.pool.seat_soon().await?;
        let fan = self.fan(verified).await.map_err(use_failed)?;
        let (Wanted::Profile { openid, .. } | Wanted::Check { openid }) = wanted;
        if fan.grant.owner.openid != openid {
            return Err(Refusal::other_openid());
        }
        let caller = &verified.caller;
        match wanted {
            Wanted::Profile { lang, .. } => {
                let profile = self.web_tokens.profile(caller, &fan, lang).await;
                Ok(answer(profile.map_err(use_failed)?.into_fields()))
            }
            Wanted::Check { .. } => {
                self.web_tokens.check(caller, &fan).await.map_err(use_failed)?;
                Ok(answer(checked()))
            }
        }
    }

    /// The fan that a token stands for, if his grant is still to an account of the caller's tenant.
    async fn fan(&self, verified: &VirtualCaller) -> AuthorizerResult<KnownFan> {
        match &verified.subject {
            Subject::WebToken(id) | Subject::WebRefresh(id) => {
                self.web_tokens.fan(&verified.caller.scope, id).await
            }
            Subject::Account(_) => Err(AuthorizerError::FanUnknown),
        }
    }

    /// The tokens that stand for a grant, as WeChat tells its own. The refresh token ends with the
    /// grant.
    ///
    /// Source: WeChat docs, "Web page authorization" (网页授权), step 2.
    async fn tokens_of(
        &self,
        caller: &Caller,
        shown: &ShownKey,
        grant: &WebGrant,
    ) -> TenantResult<Map<String, Value>> {
        let token = Subject::WebToken(grant.id.clone());
        let (token, life) = self.tokens.mint(caller, shown, &token, None).await?;
        let (refresh, until) = (Subject::WebRefresh(grant.id.clone()), grant.refresh_until);
        let (refresh, _) = self.tokens.mint(caller, shown, &refresh, Some(until)).await?;
        let mut body = Map::new();
        body.insert("access_token".to_owned(), json!(token.expose()));
        body.insert("expires_in".to_owned(), life.as_secs().into());
        body.insert("refresh_token".to_owned(), json!(refresh.expose()));
        body.insert("openid".to_owned(), json!(grant.owner.openid));
        body.insert("scope".to_owned(), json!(grant.owner.scope));
        Ok(body)
    }
}

/// The parameters of a call, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(raw: &str) -> Self {
        Self(form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    /// The first of this name; an empty one is missing.
    fn get(&self, wanted: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == wanted)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn openid(&self) -> Result<&str, Refusal> {
        self.get("openid").ok_or_else(Refusal::openid_missing)
    }

    fn check_grant_type(&self, wanted: &'static str) -> Result<(), Refusal> {
        if self.get("grant_type") == Some(wanted) {
            Ok(())
        } else {
            Err(Refusal::grant_type(wanted))
        }
    }
}

/// Source: WeChat docs, "Web page authorization" (网页授权), appendix:
/// `{"errcode":0,"errmsg":"ok"}`.
fn checked() -> Map<String, Value> {
    [("errcode".to_owned(), json!(0)), ("errmsg".to_owned(), json!("ok"))].into_iter().collect()
}

fn answer(body: Map<String, Value>) -> Response {
    Response::builder().content_type("application/json").body(Value::Object(body).to_string())
}

/// Why `shown` is not taken for a fan's token.
fn token_refused(error: Error, shown: &str) -> Refusal {
    match error {
        Error::VirtualTokenRefused => match SubjectKind::claimed_by(shown) {
            Some(SubjectKind::Account) => Refusal::token_of_account(),
            Some(SubjectKind::WebRefresh) => Refusal::refresh_token_as_token(),
            Some(SubjectKind::WebToken) | None => Refusal::fan_token_refused(),
        },
        Error::VirtualTokenExpired => Refusal::fan_token_expired(),
        error => Problem::from(error).into(),
    }
}

/// Why a refresh token is not taken, or gives no tokens.
fn refresh_token_refused(error: Error) -> Refusal {
    match error {
        Error::VirtualTokenRefused | Error::Unauthenticated => Refusal::refresh_token_refused(),
        Error::VirtualTokenExpired => Refusal::refresh_token_expired(),
        error => Problem::from(error).into(),
    }
}

/// Why there is nothing to tell of a fan. A grant that has ended is an expired token here: the SDK
/// refreshes it, and learns there that the fan must consent again.
fn use_failed(error: AuthorizerError) -> Refusal {
    match error {
        AuthorizerError::FanUnknown => Refusal::fan_unknown(),
        AuthorizerError::FanGrantEnded => Refusal::fan_token_expired(),
        error => failed(error),
    }
}

/// Why a fan's token cannot be refreshed.
fn refresh_failed(error: AuthorizerError) -> Refusal {
    match error {
        AuthorizerError::FanUnknown => Refusal::refresh_token_refused(),
        AuthorizerError::FanGrantEnded => Refusal::refresh_token_expired(),
        error => failed(error),
    }
}

/// What WeChat refused of itself keeps its number; all else is told as everywhere.
fn failed(error: AuthorizerError) -> Refusal {
    let said = error.web_oauth_errcode();
    let problem = Problem::from(error);
    match said {
        Some(errcode) => Refusal::of_wechat(errcode, problem),
        None => problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_interfaces_of_fans_are_served() {
        for (path, call) in [
            ("/sns/oauth2/access_token", FanCall::Exchange),
            ("/sns/oauth2/refresh_token", FanCall::Refresh),
            ("/sns/userinfo", FanCall::Profile),
            ("/sns/auth", FanCall::Check),
        ] {
            assert_eq!(FanCall::at(path), Some(call));
        }
        for path in [
            "/sns/oauth2/component/access_token",
            "/sns/oauth2/component/refresh_token",
            "/sns/jscode2session",
            "/sns/Userinfo",
            "/sns/userinfo/",
            "/sns//auth",
            "/sns/%61uth",
            "/cgi-bin/sns/auth",
        ] {
            assert_eq!(FanCall::at(path), None, "{path}");
        }
    }

    #[test]
    fn a_parameter_is_the_first_of_its_name_and_an_empty_one_is_missing() {
        let query = Query::read("a=1&a=2&openid=o%2D1+x&empty=&empty=3&=4&flag");
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.get("openid"), Some("o-1 x"));
        for missing in ["empty", "flag", "b", "A"] {
            assert_eq!(query.get(missing), None, "{missing}");
        }
    }

    #[test]
    fn what_is_no_query_breaks_nothing() {
        for odd in ["", "&&", "=", "%", "%zz=%ff", "a=%F0%28", &"a&".repeat(10_000)] {
            assert_eq!(Query::read(odd).get("appid"), None);
        }
    }
}
