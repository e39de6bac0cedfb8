//! The two token interfaces: an API key goes in where the account's secret would, and a virtual token
//! comes out.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use lingpai_authorizer::Authorizers;
use lingpai_model::{Appid, Secret, caller::Caller};
use lingpai_tenant::{ApiKeys, Error, ShownKey, Subject, VirtualTokens};
use poem::{Request, Response, http::Method};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Entrance, refusal::Refusal};
use crate::{middleware::whole_body, problem::Problem, routes::Services};

/// Where WeChat hands out tokens. Source: WeChat docs, "Get access token" (cgi-bin/token) and "Get
/// stable access token" (cgi-bin/stable_token).
const PATHS: [&str; 2] = ["/cgi-bin/token", "/cgi-bin/stable_token"];

/// What SDKs send as `grant_type`. Source: the same pages.
const GRANT_TYPE: &str = "client_credential";

/// The most that a body here may have, in bytes.
const MAX_BODY_BYTES: usize = 8 * 1024;

/// Whether tokens are handed out under WeChat's `path`.
pub(super) fn is_token_path(path: &str) -> bool {
    PATHS.contains(&path)
}

/// Hands out virtual tokens.
pub(super) struct Tokens {
    keys: ApiKeys,
    tokens: VirtualTokens,
    authorizers: Authorizers,
    body_timeout: Duration,
}

impl Tokens {
    pub(super) fn new(services: &Services, body_timeout: Duration) -> Self {
        Self {
            keys: services.api_keys.clone(),
            tokens: services.virtual_tokens.clone(),
            authorizers: services.authorizers.clone(),
            body_timeout,
        }
    }

    /// Hands out a token for the account and the key that `request` names.
    ///
    /// The key is looked at first: who has none learns nothing of accounts.
    pub(super) async fn hand_out(
        &self,
        entrance: &Entrance,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        let credentials = self.read(&mut request).await?;
        let shown = credentials.secret.as_deref().ok_or_else(Refusal::secret_missing)?;
        let verifying = self.keys.authenticate(shown, entrance.via(&request));
        let caller = entrance.verify(verifying).await?.map_err(refused)?;
        let held = entrance.admit(&caller).await?;
        let minted = self.mint(entrance, &caller, (shown, credentials.appid.as_deref())).await;
        Ok(entrance.tell(held, minted))
    }

    /// A token for the account of this appid and the caller, who was let in by the key `shown`.
    async fn mint(
        &self,
        entrance: &Entrance,
        caller: &Caller,
        (shown, appid): (&str, Option<&str>),
    ) -> Result<Response, Refusal> {
        let _seat = entrance.pool.seat_soon().await?;
        let appid = appid.ok_or_else(Refusal::appid_missing)?;
        let appid = Appid::parse(appid).map_err(|_| Problem::authorizer_not_found())?;
        self.authorizers.get(&caller.scope, &appid).await.map_err(Problem::from)?;
        let (shown, subject) = (ShownKey::of(shown).map_err(refused)?, Subject::Account(appid));
        let minted = self.tokens.mint(caller, &shown, &subject, None).await;
        let (token, life) = minted.map_err(refused)?;
        Ok(answer(&token, life))
    }

    async fn read(&self, request: &mut Request) -> Result<Credentials, Refusal> {
        let body = match *request.method() {
            Method::GET => Bytes::new(),
            Method::POST => whole_body(request, MAX_BODY_BYTES, self.body_timeout).await?,
            _ => return Err(Refusal::token_method()),
        };
        let query = request.uri().query().unwrap_or_default();
        let credentials = Credentials::read(&body)?.or(Credentials::in_form(query.as_bytes()));
        if credentials.grant_type.as_deref() == Some(GRANT_TYPE) {
            Ok(credentials)
        } else {
            Err(Refusal::grant_type(GRANT_TYPE))
        }
    }
}

/// What an SDK sends to get a token. What else it sends, like `force_refresh`, means nothing here: a
/// virtual token is made anew each time, and older ones live on.
#[derive(Default)]
struct Credentials {
    grant_type: Option<String>,
    appid: Option<String>,
    secret: Option<String>,
}

impl Credentials {
    /// Reads a body by what it looks like: SDKs send JSON and forms under any content type.
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        match body.trim_ascii() {
            [] => Ok(Self::default()),
            json @ [b'{', ..] => Self::in_json(json).ok_or_else(Refusal::unreadable),
            form => Ok(Self::in_form(form)),
        }
    }

    fn in_json(json: &[u8]) -> Option<Self> {
        let Value::Object(mut fields) = serde_json::from_slice(json).ok()? else { return None };
        let mut text = |name| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        Some(Self { grant_type: text("grant_type"), appid: text("appid"), secret: text("secret") })
    }

    fn in_form(form: &[u8]) -> Self {
        let mut credentials = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            let field = match name.as_ref() {
                "grant_type" => &mut credentials.grant_type,
                "appid" => &mut credentials.appid,
                "secret" => &mut credentials.secret,
                _ => continue,
            };
            // The first of its name counts.
            field.get_or_insert_with(|| Cow::into_owned(value));
        }
        credentials
    }

    fn or(self, other: Self) -> Self {
        Self {
            grant_type: self.grant_type.or(other.grant_type),
            appid: self.appid.or(other.appid),
            secret: self.secret.or(other.secret),
        }
    }
}

/// Why a key is not taken for a secret.
pub(super) fn refused(error: Error) -> Refusal {
    match error {
        Error::Unauthenticated => Refusal::key_refused(),
        error => Problem::from(error).into(),
    }
}

/// Source: WeChat docs, "Get access token": `{"access_token":"ACCESS_TOKEN","expires_in":7200}`.
fn answer(token: &Secret<String>, life: Duration) -> Response {
    let body = json!({ "access_token": token.expose(), "expires_in": life.as_secs() });
    Response::builder().content_type("application/json").body(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(credentials: Credentials) -> [Option<String>; 3] {
        [credentials.grant_type, credentials.appid, credentials.secret]
    }

    fn all() -> [Option<String>; 3] {
        ["client_credential", "wx1", "lpk_1"].map(|text| Some(text.to_owned()))
    }

    #[test]
    fn credentials_are_read_as_sdks_send_them() {
        let json = br#" {"grant_type":"client_credential","appid":"wx1","secret":"lpk_1",
            "force_refresh":false}"#;
        assert_eq!(fields(Credentials::read(json).ok().unwrap()), all());
        let form = b"grant_type=client_credential&appid=wx1&secret=lpk%5F1&secret=other";
        assert_eq!(fields(Credentials::read(form).ok().unwrap()), all());
        let split = Credentials::read(br#"{"secret":"lpk_1"}"#).ok().unwrap();
        let query = Credentials::in_form(b"grant_type=client_credential&appid=wx1&secret=no");
        assert_eq!(fields(split.or(query)), all(), "the body comes before the query");
    }

    #[test]
    fn what_is_no_text_is_not_there_and_broken_json_is_said_to_be() {
        let odd = Credentials::read(br#"{"secret":7,"appid":null,"grant_type":{}}"#).ok().unwrap();
        assert_eq!(fields(odd), [None, None, None]);
        assert_eq!(fields(Credentials::read(b" \n").ok().unwrap()), [None, None, None]);
        for broken in ["{", "{\"secret\":\"lpk_1\"", "{} x"] {
            assert!(Credentials::read(broken.as_bytes()).is_err(), "{broken}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
        assert!(Credentials::read(deep.as_bytes()).is_err(), "no stack is used up");
    }

    #[test]
    fn only_the_two_token_interfaces_hand_out_tokens() {
        assert!(PATHS.iter().all(|path| is_token_path(path)));
        for path in ["/cgi-bin/Token", "/cgi-bin/token/", "/cgi-bin//token", "/cgi-bin/%74oken"] {
            assert!(!is_token_path(path), "{path}");
        }
    }
}
