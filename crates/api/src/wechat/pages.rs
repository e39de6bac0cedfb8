//! The pages of an authorization: what both need.

use std::sync::Arc;

use lingpai_authorizer::{AuthorizationPage, Authorizations, Error, RENEWAL_PREFIX};
use lingpai_model::{
    authorization::{AuthorizationState, LinkToken},
    caller::Via,
    clock::{Entropy, SharedClock},
};
use poem::{Request, Response};
use url::Url;

use super::{
    authorization_head::PageHead,
    authorization_return::ReturnPage,
    authorization_start::StartPage,
    html::set_cookie,
    language::Language,
    outcome::{Back, Outcome, Ways},
    return_cookie::Reach,
};
use crate::{
    middleware::{Cause, RequestId, TrustedProxies},
    problem::Problem,
};

/// The pages that an account's administrator sees.
#[derive(Clone)]
pub(crate) struct AuthorizationPages {
    inner: Arc<Inner>,
}

struct Inner {
    authorizations: Authorizations,
    clock: SharedClock,
    entropy: Entropy,
    public_url: Url,
    reach: Reach,
    proxies: TrustedProxies,
}

impl AuthorizationPages {
    pub(crate) fn new(
        authorizations: Authorizations,
        clock: SharedClock,
        entropy: Entropy,
        public_url: Url,
        proxies: TrustedProxies,
    ) -> Self {
        let reach = Reach::of(&public_url);
        let inner = Inner { authorizations, clock, entropy, public_url, reach, proxies };
        Self { inner: Arc::new(inner) }
    }

    /// `GET /authorize/{link}`.
    pub(crate) fn start(self) -> StartPage {
        StartPage(self)
    }

    /// `GET /authorize/{link}/return`.
    pub(crate) fn back(self) -> ReturnPage {
        ReturnPage(self)
    }

    /// `HEAD` on both.
    pub(crate) fn head(self) -> PageHead {
        PageHead(self)
    }

    pub(super) fn authorizations(&self) -> &Authorizations {
        &self.inner.authorizations
    }

    /// On which way `request` came.
    pub(super) fn via(&self, request: &Request) -> Via {
        self.inner.proxies.via(request)
    }

    pub(super) fn entropy(&self) -> &Entropy {
        &self.inner.entropy
    }

    pub(super) fn reach(&self) -> Reach {
        self.inner.reach
    }

    /// Whole seconds from now to `at`, never negative.
    pub(super) fn secs_until(&self, at: lingpai_model::Instant) -> i64 {
        (at - self.inner.clock.now()).num_seconds().max(0)
    }

    /// The address of a start page as another device would open it.
    pub(super) fn start_url(&self, link: &LinkToken) -> String {
        let base = self.inner.public_url.as_str().trim_end_matches('/');
        format!("{base}/authorize/{}", link.expose_text())
    }

    /// The page for `outcome`.
    pub(super) fn show(&self, outcome: &Outcome, visit: &Visit) -> Result<Response, Problem> {
        self.show_with(outcome, visit, None)
    }

    /// The page for the outcome of `page`, which also leads back to the tenant.
    pub(super) fn show_of(
        &self,
        outcome: &Outcome,
        visit: &Visit,
        page: &AuthorizationPage,
    ) -> Result<Response, Problem> {
        let back = tenant_address(page)
            .map(|address| Back { tenant: page.tenant_name.clone(), address: address.into() });
        self.show_with(outcome, visit, back)
    }

    fn show_with(
        &self,
        outcome: &Outcome,
        visit: &Visit,
        back: Option<Back>,
    ) -> Result<Response, Problem> {
        let ways = Ways { start: visit.link.as_ref().map(Link::path), back };
        let mut answer = outcome.answer(visit.language, &ways, &self.inner.entropy)?;
        visit.remember_language(&mut answer);
        Ok(answer)
    }

    /// The page for a failure; the cause is kept for the log.
    pub(super) fn show_failure(&self, error: &Error, visit: &Visit) -> Result<Response, Problem> {
        let outcome = match error {
            Error::LinkUnknown => Outcome::UnknownLink,
            Error::TooManyVisits { .. } => Outcome::Exhausted,
            Error::RenewedJustNow { .. } => Outcome::RenewedJustNow,
            Error::RenewalExpired => Outcome::Expired,
            Error::AuthorizationNotFound { .. }
            | Error::ReturnUrlUnregistered
            | Error::AuthorizerNotFound { .. }
            | Error::AuthorizerAbsent { .. }
            | Error::AuthorizerClaimed { .. }
            | Error::TenantNotFound { .. }
            | Error::Revoked { .. }
            | Error::NeedsReauthorization { .. }
            | Error::NoApiPermission { .. }
            | Error::AccountElsewhere { .. }
            | Error::NoProfile { .. }
            | Error::ScopeMissing { .. }
            | Error::AllowanceUsedUp { .. }
            | Error::BadEncodingAesKey(_)
            | Error::FanUnknown
            | Error::FanGrantEnded
            | Error::WebLinkUnknown
            | Error::TooManyFans
            | Error::Busy
            | Error::WebAuthorizationUnknown
            | Error::WebAuthorizationRefused(_)
            | Error::OneTimeCodeUnknown
            | Error::BadPageUrl(_)
            | Error::MiniProgramSessionNotFound { .. }
            | Error::MiniProgramData(_)
            | Error::NoAccessToken { .. }
            | Error::NoOtherToken { .. }
            | Error::RefreshTokensRefused { .. }
            | Error::PathRefused(_)
            | Error::Component(_)
            | Error::Shared(_)
            | Error::Storage(_)
            | Error::Wechat(_) => {
                Outcome::Failed { request_id: visit.request_id.as_str().to_owned() }
            }
        };
        let mut answer = self.show(&outcome, visit)?;
        answer.set_data(Cause::chain(error));
        Ok(answer)
    }
}

/// The tenant's registered address with what it needs to go on. Never a secret, and nothing of the
/// account: it is asked for with the tenant's key.
pub(super) fn tenant_address(page: &AuthorizationPage) -> Option<Url> {
    let authorization = &page.authorization;
    let state = match authorization.state {
        AuthorizationState::Pending if page.is_expired => "expired",
        AuthorizationState::Pending => "pending",
        AuthorizationState::Finished { .. } => "finished",
        AuthorizationState::OwnedElsewhere { .. } => "owned_elsewhere",
        AuthorizationState::Refused { .. } => "refused",
    };
    let mut address = Url::parse(authorization.return_url.as_deref()?).ok()?;
    let mut query = address.query_pairs_mut();
    query.append_pair("authorization_id", authorization.id.as_str());
    query.append_pair("authorization_state", state);
    if let Some(reference) = &authorization.reference {
        query.append_pair("reference", reference);
    }
    drop(query);
    Some(address)
}

/// What the path names.
pub(super) enum Link {
    /// One authorization.
    Authorization(LinkToken),
    /// A renewal of one account, to be verified where authorizations are started.
    Renewal(String),
}

impl Link {
    fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(RENEWAL_PREFIX) {
            let fits = rest.len() < 128
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            return fits.then(|| Self::Renewal(text.to_owned()));
        }
        LinkToken::parse(text).map(Self::Authorization)
    }

    /// Where it is opened.
    fn path(&self) -> String {
        let text = match self {
            Self::Authorization(link) => link.expose_text(),
            Self::Renewal(text) => text,
        };
        format!("/authorize/{text}")
    }
}

/// One look at a page.
pub(super) struct Visit {
    pub(super) language: Language,
    /// The link in the path; `None` when it cannot be one.
    pub(super) link: Option<Link>,
    request_id: RequestId,
    chosen: Option<Language>,
}

impl Visit {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            language: Language::of(request),
            link: request.raw_path_param("link").and_then(Link::parse),
            request_id: RequestId::of(request),
            chosen: Language::chosen(request),
        }
    }

    /// Keeps a language that was chosen on this page for the pages that follow.
    pub(super) fn remember_language(&self, answer: &mut Response) {
        if let Some(language) = self.chosen {
            set_cookie(answer, &language.cookie());
        }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{Appid, authorization::Authorization};

    use super::*;
    use crate::sample;

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
    fn the_tenant_learns_the_state_and_nothing_of_the_account() {
        let authorizer_appid = Appid::parse("wxcanary").unwrap();
        let at = chrono::DateTime::UNIX_EPOCH;
        let url = Some("https://shop.example/done?x=1");
        let states = [
            (AuthorizationState::Pending, "pending"),
            (AuthorizationState::Refused { errcode: 61028, at }, "refused"),
            (
                AuthorizationState::OwnedElsewhere {
                    authorizer_appid: authorizer_appid.clone(),
                    at,
                },
                "owned_elsewhere",
            ),
            (AuthorizationState::Finished { authorizer_appid, at }, "finished"),
        ];
        for (state, word) in states {
            assert_eq!(tenant_address(&page(state.clone(), None)), None);
            let address = tenant_address(&page(state, url)).unwrap();
            let text = address.as_str();
            assert!(text.starts_with("https://shop.example/done?x=1&authorization_id=atn_"));
            let end = format!("&authorization_state={word}&reference=a%26b%3Dc");
            assert!(text.ends_with(&end), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }

    #[test]
    fn links_are_told_apart_by_their_form() {
        let token = "0".repeat(64);
        assert!(matches!(Link::parse(&token), Some(Link::Authorization(_))));
        let renewal = "r_01KAEXAMPLE0000000000000AB69200000_AbC-_9";
        assert_eq!(Link::parse(renewal).unwrap().path(), format!("/authorize/{renewal}"));
        let long = format!("r_{}", "a".repeat(200));
        for text in ["", "x", "r_%2e", "r_a b", "r_a/b", &long, &token[1..]] {
            assert!(Link::parse(text).is_none(), "{text}");
        }
    }
}
