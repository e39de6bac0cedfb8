//! Where WeChat sends the administrator's browser back to. It hands in its code, binds nothing, and
//! shows what became of the authorization.

use std::time::Duration;

use lingpai_authorizer::{AuthorizationPage, Error, Return};
use lingpai_model::{
    Secret,
    authorization::{AuthorizationState, LinkToken},
};
use poem::{
    Endpoint, Request, Response,
    http::{StatusCode, header},
};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

use super::{
    html::set_cookie,
    outcome::Outcome,
    pages::{AuthorizationPages, Visit},
    return_cookie::ReturnCookie,
};

/// How long a browser waits for the exchange before it is shown a page that waits. The exchange
/// itself goes on.
const EXCHANGE_WAIT: Duration = Duration::from_secs(8);

/// `GET /authorize/{link}/return`.
pub(crate) struct ReturnPage(pub(super) AuthorizationPages);

/// What the address brings back.
#[derive(Debug)]
enum Brought {
    /// Nothing: a page that refreshes itself.
    Nothing,
    /// A return without a code.
    NoCode,
    /// A code, and the state that should be in the cookie.
    Code { state: Option<LinkToken>, code: Secret<String> },
}

impl Endpoint for ReturnPage {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Self(pages) = self;
        let visit = Visit::of(&request);
        let Some(link) = &visit.link else {
            return Ok(pages.show(&Outcome::UnknownLink, &visit)?);
        };
        let brought = Brought::read(request.uri().query().unwrap_or_default());
        let came_without_code = matches!(brought, Brought::NoCode);
        let cookie = ReturnCookie::of(link, pages.is_https());
        let was_taken = self.hand_in(link, brought, cookie.read(&request)).await;
        let page = match pages.authorizations().page(link).await {
            Ok(page) => page,
            Err(error) => return Ok(pages.show_failure(&error, &visit)?),
        };
        let outcome = Outcome::of(&page);
        let mut answer = match (outcome, return_address(&page)) {
            (Some(_), Some(address)) => see_other(&address),
            (Some(outcome), None) => pages.show(&outcome, &visit)?,
            (None, _) if came_without_code => pages.show(&Outcome::NoCode, &visit)?,
            (None, _) => pages.show(&Outcome::Waiting, &visit)?,
        };
        if was_taken {
            set_cookie(&mut answer, &cookie.clear());
        }
        Ok(answer)
    }
}

impl ReturnPage {
    /// Hands the code in, if there is one and the browser is the one that left. Whatever becomes of
    /// it, the state of the authorization is shown: WeChat's push may bring the same code.
    async fn hand_in(&self, link: &LinkToken, brought: Brought, cookie: Option<LinkToken>) -> bool {
        let (Brought::Code { state: Some(state), code: authorization_code }, Some(cookie)) =
            (brought, cookie)
        else {
            return false;
        };
        let brought = Return { state, cookie, authorization_code };
        let Self(pages) = self;
        match timeout(EXCHANGE_WAIT, pages.authorizations().take_return(link, brought)).await {
            Ok(Ok(was_taken)) => was_taken,
            Ok(Err(Error::LinkUnknown)) => false,
            Ok(Err(error)) => {
                tracing::warn!(
                    error = %error,
                    "a browser's return from WeChat could not be taken to its end"
                );
                false
            }
            Err(_) => {
                tracing::info!("a browser's return waits for an exchange that is still under way");
                true
            }
        }
    }
}

impl Brought {
    fn read(query: &str) -> Self {
        let value = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        };
        let state = value("state");
        match value("auth_code").filter(|code| !code.is_empty()) {
            Some(code) => Self::Code {
                state: state.as_deref().and_then(LinkToken::parse),
                code: Secret::from(code),
            },
            None if state.is_some() => Self::NoCode,
            None => Self::Nothing,
        }
    }
}

/// The tenant's registered address with what it needs to go on, once the authorizer is theirs.
/// Never a secret, and nothing of the account: it is asked for with the tenant's key.
fn return_address(page: &AuthorizationPage) -> Option<Url> {
    let authorization = &page.authorization;
    let AuthorizationState::Finished { .. } = authorization.state else { return None };
    let mut address = Url::parse(authorization.return_url.as_deref()?).ok()?;
    let mut query = address.query_pairs_mut();
    query.append_pair("authorization_id", authorization.id.as_str());
    if let Some(reference) = &authorization.reference {
        query.append_pair("reference", reference);
    }
    drop(query);
    Some(address)
}

fn see_other(address: &Url) -> Response {
    Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(header::LOCATION, address.as_str())
        .finish()
}

#[cfg(test)]
mod tests {
    use lingpai_model::{
        Appid,
        authorization::{AccountKind, Authorization},
        clock::Entropy,
        digest::Digest,
        id::{AuthorizationId, ComponentId, TenantId},
    };

    use super::*;

    #[test]
    fn a_refresh_a_refusal_and_a_code_are_told_apart() {
        let state = LinkToken::draw(&Entropy::seeded(1));
        let query = |code: &str| format!("state={}&auth_code={code}&expires_in=600", state.text());
        assert!(matches!(Brought::read(""), Brought::Nothing));
        assert!(matches!(Brought::read("lang=en"), Brought::Nothing));
        assert!(matches!(Brought::read(&query("")), Brought::NoCode));
        match Brought::read(&query("queryauthcode%40%40%40x")) {
            Brought::Code { state: Some(read), code } => {
                assert_eq!(read.text(), state.text());
                assert_eq!(code, Secret::from("queryauthcode@@@x"));
            }
            other => panic!("{other:?}"),
        }
        let forged = Brought::read("state=1&auth_code=x");
        assert!(matches!(forged, Brought::Code { state: None, .. }));
    }

    fn page(state: AuthorizationState, return_url: Option<&str>) -> AuthorizationPage {
        let (at, entropy) = (chrono::DateTime::UNIX_EPOCH, Entropy::seeded(1));
        AuthorizationPage {
            authorization: Authorization {
                id: AuthorizationId::new(at, &entropy),
                tenant_id: TenantId::new(at, &entropy),
                component_id: ComponentId::new(at, &entropy),
                account_kind: AccountKind::Any,
                appid: None,
                category_ids: vec![],
                return_url: return_url.map(str::to_owned),
                reference: Some("a&b=c".to_owned()),
                purpose: None,
                link_digest: Digest::of(&[]),
                pre_auth_code: Secret::from("canary"),
                state,
                created_at: at,
                expires_at: at,
            },
            component_name: String::new(),
            tenant_name: String::new(),
            authorizer_name: Some("canary".to_owned()),
            is_expired: false,
        }
    }

    #[test]
    fn only_a_finished_authorization_leads_back_to_the_tenant() {
        let appid = Appid::parse("wxcanary").unwrap();
        let at = chrono::DateTime::UNIX_EPOCH;
        let url = Some("https://shop.example/done?x=1");
        let finished = AuthorizationState::Finished { authorizer_appid: appid.clone(), at };
        let elsewhere = AuthorizationState::OwnedElsewhere { authorizer_appid: appid, at };
        assert_eq!(return_address(&page(AuthorizationState::Pending, url)), None);
        assert_eq!(return_address(&page(elsewhere, url)), None);
        assert_eq!(return_address(&page(finished.clone(), None)), None);
        let address = return_address(&page(finished, url)).unwrap();
        let text = address.as_str();
        assert!(text.starts_with("https://shop.example/done?x=1&authorization_id=atn_"), "{text}");
        assert!(text.ends_with("&reference=a%26b%3Dc"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}
