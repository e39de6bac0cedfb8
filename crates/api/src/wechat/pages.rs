//! The pages of an authorization: what both need.

use std::sync::Arc;

use lingpai_authorizer::{Authorizations, Error};
use lingpai_model::{
    authorization::LinkToken,
    clock::{Entropy, SharedClock},
};
use poem::{Request, Response};
use url::Url;

use super::{
    authorization_head::PageHead, authorization_return::ReturnPage, authorization_start::StartPage,
    html::set_cookie, language::Language, outcome::Outcome,
};
use crate::{
    middleware::{Cause, RequestId},
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
}

impl AuthorizationPages {
    pub(crate) fn new(
        authorizations: Authorizations,
        clock: SharedClock,
        entropy: Entropy,
        public_url: Url,
    ) -> Self {
        Self { inner: Arc::new(Inner { authorizations, clock, entropy, public_url }) }
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

    pub(super) fn entropy(&self) -> &Entropy {
        &self.inner.entropy
    }

    pub(super) fn is_https(&self) -> bool {
        self.inner.public_url.scheme() == "https"
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
        let mut answer =
            outcome.answer(visit.language, visit.link.as_ref(), &self.inner.entropy)?;
        visit.remember_language(&mut answer);
        Ok(answer)
    }

    /// The page for a failure; the cause is kept for the log.
    pub(super) fn show_failure(&self, error: &Error, visit: &Visit) -> Result<Response, Problem> {
        let outcome = match error {
            Error::LinkUnknown => Outcome::UnknownLink,
            Error::TooManyVisits { .. } => Outcome::Exhausted,
            Error::AuthorizationNotFound { .. }
            | Error::ReturnUrlUnregistered
            | Error::AuthorizerNotFound { .. }
            | Error::Revoked { .. }
            | Error::NeedsReauthorization { .. }
            | Error::NoApiPermission { .. }
            | Error::AccountElsewhere { .. }
            | Error::BadEncodingAesKey(_)
            | Error::FanUnknown
            | Error::FanGrantEnded
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

/// One look at a page.
pub(super) struct Visit {
    pub(super) language: Language,
    /// The link in the path; `None` when it cannot be one.
    pub(super) link: Option<LinkToken>,
    request_id: RequestId,
    chosen: Option<Language>,
}

impl Visit {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            language: Language::of(request),
            link: request.raw_path_param("link").and_then(LinkToken::parse),
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
