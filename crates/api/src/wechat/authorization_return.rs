//! Where WeChat sends the administrator's browser back to. It hands in its code, binds nothing, and
//! goes on to the same address without the code, which shows what became of the authorization.

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
    /// Nothing: the clean address, or a page there that refreshes itself.
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
        match Brought::read(request.uri().query().unwrap_or_default()) {
            Brought::Nothing => self.present(link, &Outcome::Waiting, &visit).await,
            Brought::NoCode => self.present(link, &Outcome::NoCode, &visit).await,
            Brought::Code { state, code: authorization_code } => {
                let cookie = ReturnCookie::of(link, pages.is_https());
                let taken = match (state, cookie.read(&request)) {
                    (Some(state), Some(cookie)) => {
                        self.hand_in(link, Return { state, cookie, authorization_code }).await
                    }
                    _ => Taken::No,
                };
                let mut answer = to_clean_address(link, taken, &cookie);
                visit.remember_language(&mut answer);
                Ok(answer)
            }
        }
    }
}

/// Whether a code was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    No,
}

impl ReturnPage {
    /// Hands the code in, if the browser is the one that left. Whatever becomes of it, the state of
    /// the authorization is shown: WeChat's push may bring the same code.
    async fn hand_in(&self, link: &LinkToken, brought: Return) -> Taken {
        let Self(pages) = self;
        match timeout(EXCHANGE_WAIT, pages.authorizations().take_return(link, brought)).await {
            Ok(Ok(true)) => Taken::Yes,
            Ok(Ok(false) | Err(Error::LinkUnknown)) => Taken::No,
            Ok(Err(error)) => {
                tracing::warn!(
                    error = %error,
                    "a browser's return from WeChat could not be taken to its end"
                );
                Taken::No
            }
            Err(_) => {
                tracing::info!("a browser's return waits for an exchange that is still under way");
                Taken::Yes
            }
        }
    }

    /// What became of the authorization, or `meanwhile` while that is open.
    async fn present(
        &self,
        link: &LinkToken,
        meanwhile: &Outcome,
        visit: &Visit,
    ) -> poem::Result<Response> {
        let Self(pages) = self;
        let page = match pages.authorizations().page(link).await {
            Ok(page) => page,
            Err(error) => return Ok(pages.show_failure(&error, visit)?),
        };
        match return_address(&page) {
            Some(address) => Ok(see_other(address.as_str())),
            None => Ok(pages.show(Outcome::of(&page).as_ref().unwrap_or(meanwhile), visit)?),
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

/// Leads on to this page without a query: neither the code nor the state stays in the address bar,
/// in the history, or in what a reload sends.
fn to_clean_address(link: &LinkToken, taken: Taken, cookie: &ReturnCookie) -> Response {
    let mut answer = see_other(&format!("/authorize/{}/return", link.expose_text()));
    if taken == Taken::Yes {
        set_cookie(&mut answer, &cookie.clear());
    }
    answer
}

fn see_other(address: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, address).finish()
}

#[cfg(test)]
mod tests {
    use lingpai_model::{Appid, authorization::Authorization, clock::Entropy};

    use super::*;
    use crate::sample;

    #[test]
    fn a_refresh_a_refusal_and_a_code_are_told_apart() {
        let state = LinkToken::draw(&Entropy::seeded(1));
        let query =
            |code: &str| format!("state={}&auth_code={code}&expires_in=600", state.expose_text());
        assert!(matches!(Brought::read(""), Brought::Nothing));
        assert!(matches!(Brought::read("lang=en"), Brought::Nothing));
        assert!(matches!(Brought::read(&query("")), Brought::NoCode));
        match Brought::read(&query("queryauthcode%40%40%40x")) {
            Brought::Code { state: Some(read), code } => {
                assert_eq!(read.expose_text(), state.expose_text());
                assert_eq!(code, Secret::from("queryauthcode@@@x"));
            }
            other => panic!("{other:?}"),
        }
        let forged = Brought::read("state=1&auth_code=x");
        assert!(matches!(forged, Brought::Code { state: None, .. }));
    }

    #[test]
    fn a_code_leaves_the_address_whatever_became_of_it() {
        let link = LinkToken::draw(&Entropy::seeded(1));
        let cookie = ReturnCookie::of(&link, true);
        for (taken, cookies) in [(Taken::Yes, vec![cookie.clear()]), (Taken::No, vec![])] {
            let answer = to_clean_address(&link, taken, &cookie);
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            let clean = format!("/authorize/{}/return", link.expose_text());
            assert_eq!(answer.header("location"), Some(clean.as_str()));
            let set: Vec<_> =
                answer.headers().get_all(header::SET_COOKIE).into_iter().cloned().collect();
            assert_eq!(set, cookies, "{taken:?}");
        }
    }

    fn page(state: AuthorizationState, return_url: Option<&str>) -> AuthorizationPage {
        let page = sample::page(Authorization {
            return_url: return_url.map(str::to_owned),
            reference: Some("a&b=c".to_owned()),
            state,
            ..sample::authorization()
        });
        AuthorizationPage { authorizer_name: Some("canary".to_owned()), ..page }
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
