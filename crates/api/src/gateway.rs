//! The drop-in gateway: an SDK that talks to WeChat talks to us instead, with an API key for its
//! secret, and nothing else of it changes.
//!
//! An SDK reads `errcode` and little else, so what we refuse here is HTTP 200 in WeChat's shape, with
//! WeChat's number for the nearest thing. What failed on our side keeps its HTTP status, so that
//! proxies and alarms see it.
//!
//! What fans' browsers and fans' tokens need of WeChat is here too: its authorization page, and its few
//! interfaces below `/sns/`.
//!
//! Paths are cut raw, never from the framework's parameters, which are decoded.

mod call;
mod fans;
mod refusal;
mod token;

use lingpai_model::{
    api_key::Scope,
    caller::{Caller, Via},
    clock::SharedClock,
};
use lingpai_tenant::{Admission, Limits};
use poem::{Endpoint, Request, Response};
use tracing::Span;

use self::{
    call::Calls,
    fans::{FanCall, FanCalls},
    refusal::Refusal,
    token::Tokens,
};
use crate::{
    door::Doorman,
    middleware::{Pool, RateHeaders},
    problem::Problem,
    routes::{ApiSettings, Services},
    wechat::FanPages,
};

/// Where a fan sets out for WeChat's page, whom no key is asked of. Source: WeChat docs, "Web page
/// authorization" (网页授权), step 1; there it is open.weixin.qq.com that serves it.
pub(crate) const AUTHORIZE_PATH: &str = "/connect/oauth2/authorize";

/// Where a gateway stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mount {
    /// Below `/gateway`, beside everything else.
    Prefixed,
    /// At the root of a listener of its own, for SDKs that can change the host only.
    Root,
}

impl Mount {
    /// What a prefixed gateway's paths begin with.
    pub(crate) const PREFIX: &str = "/gateway";

    /// The pattern of what it serves.
    pub(crate) fn pattern(self) -> String {
        match self {
            Self::Prefixed => format!("{}/*path", Self::PREFIX),
            Self::Root => "/*path".to_owned(),
        }
    }

    /// WeChat's path in the raw path of a request, with its first slash.
    fn cut(self, path: &str) -> &str {
        match self {
            Self::Prefixed => path.strip_prefix(Self::PREFIX).unwrap_or(path),
            Self::Root => path,
        }
    }
}

/// Everything below a gateway's mount.
pub(crate) struct Gateway {
    mount: Mount,
    entrance: Entrance,
    tokens: Tokens,
    fan_calls: FanCalls,
    fan_pages: FanPages,
    calls: Calls,
}

impl Gateway {
    /// A gateway whose calls take their seats in `pool`, and whose fans go by `fan_pages`.
    pub(crate) fn new(
        services: &Services,
        settings: &ApiSettings,
        (doorman, pool): (Doorman, Pool),
        mount: Mount,
        fan_pages: FanPages,
    ) -> Self {
        Self {
            mount,
            entrance: Entrance {
                doorman,
                pool,
                limits: services.limits.clone(),
                clock: services.clock.clone(),
            },
            tokens: Tokens::new(services, settings.body_timeout),
            fan_calls: FanCalls::new(services),
            fan_pages,
            calls: Calls::new(services),
        }
    }

    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        let path = self.mount.cut(request.uri().path());
        if token::is_token_path(path) {
            self.tokens.hand_out(&self.entrance, request).await
        } else if let Some(call) = FanCall::at(path) {
            // In a box as whatever is seldom: every call would carry and copy the room for it.
            Box::pin(self.fan_calls.make(&self.entrance, request, call)).await
        } else {
            let path = path.to_owned();
            self.calls.make(&self.entrance, request, path).await
        }
    }
}

impl Endpoint for Gateway {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if self.mount.cut(request.uri().path()) == AUTHORIZE_PATH {
            return match self.mount {
                Mount::Prefixed => Box::pin(self.fan_pages.start(&request)).await,
                Mount::Root => self.fan_pages.lead_home(&request),
            };
        }
        let answered = self.answer(request).await;
        Ok(self.entrance.answer(answered))
    }
}

/// How callers get in: by a key or a virtual token that is valid, with the scope to call WeChat,
/// within their limits.
struct Entrance {
    doorman: Doorman,
    pool: Pool,
    limits: Limits,
    /// Tells how long it is until a refusal may have passed.
    clock: SharedClock,
}

/// What a caller holds while its request is worked on.
struct Held {
    _admission: Admission,
    rate: Option<RateHeaders>,
}

impl Entrance {
    fn via(&self, request: &Request) -> Via {
        self.doorman.via(request)
    }

    async fn verify<T>(&self, verifying: impl Future<Output = T>) -> Result<T, Refusal> {
        Ok(self.doorman.verify(verifying).await?)
    }

    /// Lets a verified `caller` in.
    async fn admit(&self, caller: &Caller) -> Result<Held, Refusal> {
        Span::current().record("tenant.id", caller.scope.tenant_id().as_str());
        if !caller.may(Scope::WechatCall) {
            return Err(Problem::scope_missing(Scope::WechatCall).into());
        }
        let admission = self.limits.admit(caller).await.map_err(Problem::from)?;
        let rate = admission.rate.as_ref().map(RateHeaders::of);
        Ok(Held { _admission: admission, rate })
    }

    /// The answer that a refusal becomes, or the one that there is.
    fn answer(&self, answered: Result<Response, Refusal>) -> Response {
        answered.unwrap_or_else(|refusal| refusal.into_answer(self.clock.now()))
    }

    /// The same for a caller that was let in, who is told how much it may still ask, whatever came
    /// of it.
    fn tell(&self, held: Held, answered: Result<Response, Refusal>) -> Response {
        let mut answer = self.answer(answered);
        if let Some(rate) = held.rate {
            rate.write(answer.headers_mut());
        }
        answer
    }
}
