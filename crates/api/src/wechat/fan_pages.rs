//! The way of a fan through us: out from a tenant's page to WeChat's, and back. Whoever comes here has
//! no key; nobody is sent anywhere but to WeChat, or to an address that a tenant registered.

use std::sync::Arc;

use lingpai_authorizer::{
    Error, StartWebAuthorization, StartedWebAuthorization, WebAuthorizations, WebReturn,
};
use lingpai_model::{
    Instant,
    clock::{Entropy, SharedClock},
    web_authorization::{ONE_TIME_CODE_LIFE, WebAuthorizationRefusal},
};
use poem::{
    Endpoint, Request, Response,
    error::MethodNotAllowedError,
    http::{Method, StatusCode, header},
};
use url::Url;

use super::{
    fan_notice::FanNotice,
    html::{CONTENT_TYPE, set_cookie},
    language::Language,
    return_cookie::{Reach, ReturnCookie},
    web_authorization_query::{Brought, read_return, read_start},
};
use crate::{
    gateway::{AUTHORIZE_PATH, Mount},
    middleware::{Cause, Pool, RequestId},
    routes::{ApiSettings, Services},
};

/// How many fans set out at the same time, and how many come back: each writes a row, and those who
/// set out, whom anybody can send, take no seat from those who come back.
const SEATS: usize = 8;

/// Sends fans out to WeChat's page, and takes them back.
#[derive(Clone)]
pub(crate) struct FanPages {
    inner: Arc<Inner>,
}

struct Inner {
    web_authorizations: WebAuthorizations,
    clock: SharedClock,
    entropy: Entropy,
    public_url: Url,
    reach: Reach,
    out: Pool,
    home: Pool,
}

impl FanPages {
    /// Pages with seats of their own.
    pub(crate) fn new(services: &Services, settings: &ApiSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                web_authorizations: services.web_authorizations.clone(),
                clock: services.clock.clone(),
                entropy: services.entropy.clone(),
                public_url: settings.public_url.clone(),
                reach: Reach::of(&settings.public_url),
                out: Pool::of(SEATS),
                home: Pool::of(SEATS),
            }),
        }
    }

    /// `GET /gateway/connect/oauth2/authorize`: leads the fan on to WeChat, or says why not. `HEAD`
    /// begins nothing.
    pub(crate) async fn start(&self, request: &Request) -> poem::Result<Response> {
        match *request.method() {
            Method::GET => match read_start(raw_query(request)) {
                Ok(asked) => self.send_out(asked, request).await,
                Err(bad) => self.show(&FanNotice::BadLink(bad), request),
            },
            Method::HEAD => self.look(request),
            _ => Err(MethodNotAllowedError.into()),
        }
    }

    /// `GET /connect/oauth2/authorize` at the root of the gateway's own listener: leads the fan to
    /// [`FanPages::start`], on the host that WeChat sends it back to. A cookie that this listener set
    /// would stay behind, or be dropped at once where it speaks plain http.
    pub(crate) fn lead_home(&self, request: &Request) -> poem::Result<Response> {
        match *request.method() {
            Method::GET => match read_start(raw_query(request)) {
                // What was read holds visible ASCII only; the fragment goes along in the browser.
                Ok(_) => Ok(found(&self.start_url(raw_query(request)))),
                Err(bad) => self.show(&FanNotice::BadLink(bad), request),
            },
            Method::HEAD => self.look(request),
            _ => Err(MethodNotAllowedError.into()),
        }
    }

    /// `HEAD` on a link: whether it can be read.
    fn look(&self, request: &Request) -> poem::Result<Response> {
        match read_start(raw_query(request)) {
            Ok(_) => Ok(head()),
            Err(bad) => Ok(without_body(self.show(&FanNotice::BadLink(bad), request)?)),
        }
    }

    /// `GET /oauth2/return`: leads the fan on to the tenant's page, or says why not. `HEAD` takes
    /// nobody back: link previews shall not end an attempt.
    pub(crate) async fn back(&self, request: &Request) -> poem::Result<Response> {
        match *request.method() {
            Method::GET => self.take_back(request).await,
            Method::HEAD => Ok(head()),
            _ => Err(MethodNotAllowedError.into()),
        }
    }

    async fn send_out(
        &self,
        asked: StartWebAuthorization,
        request: &Request,
    ) -> poem::Result<Response> {
        let Inner { web_authorizations, out, .. } = &*self.inner;
        let Ok(_seat) = out.seat_soon().await else {
            return self.show(&FanNotice::Busy, request);
        };
        match web_authorizations.start(asked).await {
            Ok(started) => Ok(self.on_the_way(&started, request)),
            Err(error) => self.show_failure(&error, request),
        }
    }

    /// The redirect to WeChat, with what the browser has to bring back.
    fn on_the_way(&self, started: &StartedWebAuthorization, request: &Request) -> Response {
        let mut answer = found(started.url.as_str());
        let reach = self.inner.reach;
        for old in ReturnCookie::surplus_of_fans(request, reach) {
            set_cookie(&mut answer, &old.clear());
        }
        let cookie = ReturnCookie::of_fan(&started.state, reach);
        let secs = self.secs_until(started.expires_at);
        set_cookie(&mut answer, &cookie.keep(&started.browser, secs));
        answer
    }

    async fn take_back(&self, request: &Request) -> poem::Result<Response> {
        let Inner { web_authorizations, reach, home, .. } = &*self.inner;
        let Some(Brought { state, code }) = read_return(raw_query(request)) else {
            return self.show(&FanNotice::Ended, request);
        };
        let cookie = ReturnCookie::of_fan(&state, *reach);
        let Ok(_seat) = home.seat_soon().await else {
            return self.show(&FanNotice::Busy, request);
        };
        let browser = cookie.read(request);
        match web_authorizations.come_back(WebReturn { state, browser, code }).await {
            Ok(address) => {
                let mut answer = found(address.as_str());
                // The same return is taken again for this long, and no longer.
                if let Some(browser) = cookie.read(request) {
                    set_cookie(
                        &mut answer,
                        &cookie.keep(&browser, ONE_TIME_CODE_LIFE.num_seconds()),
                    );
                }
                Ok(answer)
            }
            Err(error) => {
                let mut answer = self.show_failure(&error, request)?;
                if has_ended(&error) {
                    set_cookie(&mut answer, &cookie.clear());
                }
                Ok(answer)
            }
        }
    }

    /// The page for a failure; the cause is kept for the log.
    fn show_failure(&self, error: &Error, request: &Request) -> poem::Result<Response> {
        let notice = FanNotice::of(error, &RequestId::of(request));
        let mut answer = self.show(&notice, request)?;
        answer.set_data(Cause::chain(error));
        Ok(answer)
    }

    fn show(&self, notice: &FanNotice, request: &Request) -> poem::Result<Response> {
        Ok(notice.answer(Language::of(request), &self.inner.entropy)?)
    }

    /// Where a fan begins whose link has this query.
    fn start_url(&self, raw: &str) -> String {
        let base = self.inner.public_url.as_str().trim_end_matches('/');
        format!("{base}{}{AUTHORIZE_PATH}?{raw}", Mount::PREFIX)
    }

    /// Whole seconds from now to `at`, never negative.
    fn secs_until(&self, at: Instant) -> i64 {
        (at - self.inner.clock.now()).num_seconds().max(0)
    }
}

/// `GET /oauth2/return` as an endpoint.
pub(crate) struct FanReturn(pub(crate) FanPages);

impl Endpoint for FanReturn {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Self(pages) = self;
        pages.back(&request).await
    }
}

fn raw_query(request: &Request) -> &str {
    request.uri().query().unwrap_or_default()
}

/// Whether nothing comes of this browser's attempt any more.
fn has_ended(error: &Error) -> bool {
    matches!(error, Error::WebAuthorizationRefused(WebAuthorizationRefusal::Ended))
}

fn found(address: &str) -> Response {
    Response::builder().status(StatusCode::FOUND).header(header::LOCATION, address).finish()
}

fn head() -> Response {
    Response::builder().content_type(CONTENT_TYPE).finish()
}

fn without_body(mut answer: Response) -> Response {
    answer.set_body(());
    answer
}
