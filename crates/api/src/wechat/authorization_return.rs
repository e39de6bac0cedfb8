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
    outcome::{Outcome, Patience},
    pages::{AuthorizationPages, Link, Visit, tenant_address},
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
    /// Nothing: the clean address, or a page there that refreshes itself and counts how often.
    Nothing { looks: u32 },
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
        let Some(Link::Authorization(link)) = &visit.link else {
            return Ok(pages.show(&Outcome::UnknownLink, &visit)?);
        };
        match Brought::read(request.uri().query().unwrap_or_default()) {
            Brought::Nothing { looks } => {
                self.present(link, &Outcome::Waiting(Patience::after(looks)), &visit).await
            }
            Brought::NoCode => self.present(link, &Outcome::NoCode, &visit).await,
            Brought::Code { state, code: authorization_code } => {
                let cookie = ReturnCookie::of_link(link, pages.reach());
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
        if let Some(address) = way_on(&page) {
            return Ok(see_other(address.as_str()));
        }
        let known = Outcome::of(&page);
        Ok(pages.show_of(known.as_ref().unwrap_or(meanwhile), visit, &page)?)
    }
}

/// Where the browser goes on to without a look at a page of ours: a grant as it was asked for leaves
/// nothing to read here. One in part does; its page leads to the missing rights and back to the tenant.
fn way_on(page: &AuthorizationPage) -> Option<Url> {
    let is_finished = matches!(page.authorization.state, AuthorizationState::Finished { .. });
    (is_finished && page.missing.is_empty()).then(|| tenant_address(page)).flatten()
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
            None => {
                let looks = value("look").and_then(|looks| looks.parse().ok()).unwrap_or_default();
                Self::Nothing { looks }
            }
        }
    }
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
    use crate::{sample, wechat::return_cookie::Reach};

    #[test]
    fn only_a_grant_of_all_that_was_asked_for_goes_on_to_the_tenant_unseen() {
        let authorizer_appid = Appid::parse("wx1").unwrap();
        let finished =
            AuthorizationState::Finished { authorizer_appid, at: chrono::DateTime::UNIX_EPOCH };
        let leads_on = |state, missing: &[u32]| {
            let authorization = Authorization {
                return_url: Some("https://shop.example/done".to_owned()),
                state,
                ..sample::authorization()
            };
            let page = sample::page(authorization);
            way_on(&AuthorizationPage { missing: missing.to_vec(), ..page }).is_some()
        };
        assert!(leads_on(finished.clone(), &[]));
        assert!(!leads_on(finished, &[7]), "the missing rights are shown");
        assert!(!leads_on(AuthorizationState::Pending, &[]));
    }

    #[test]
    fn a_refresh_a_refusal_and_a_code_are_told_apart() {
        let state = LinkToken::draw(&Entropy::seeded(1));
        let query =
            |code: &str| format!("state={}&auth_code={code}&expires_in=600", state.expose_text());
        for (query, read) in [("", 0), ("lang=en", 0), ("look=7", 7), ("look=-1", 0)] {
            assert!(matches!(Brought::read(query), Brought::Nothing { looks } if looks == read));
        }
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
        let cookie = ReturnCookie::of_link(&link, Reach::Https);
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
}
