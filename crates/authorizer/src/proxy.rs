//! Calls WeChat's API on an authorizer's behalf: same method, path, query, body and answer; the
//! token is put in, and taken out of the answer again.

mod answer;
mod outgoing;

use std::{sync::Arc, time::Instant as Stopwatch};

use http::{HeaderMap, Method};
use lingpai_component_token::KeeperBase;
use lingpai_model::{Appid, Secret, api_key::Scope, authorizer::Authorizer, caller::Caller};
use lingpai_wechat::{
    client::{ByteStream, Client, ForwardResponse},
    errcode::Errcode,
};

use self::{
    answer::{Answer, looked_at},
    outgoing::OutgoingCall,
};
use crate::{
    AuthorizerTokens, JudgedPath, Ledger, Renewals, Result, Uncatalogued,
    allowance::{Allowance, Allowances},
    error::cached,
    hint::Hint,
    ledger::UNANSWERED,
    path::{Host, judge_method},
};

/// Calls WeChat for tenants.
#[derive(Debug, Clone)]
pub struct Proxy {
    wechat: Client,
    tokens: AuthorizerTokens,
    allowances: Allowances,
    ledger: Ledger,
    policy: Arc<ProxyPolicy>,
}

/// What the operator decided about calls, and what hints are made of.
#[derive(Debug)]
pub struct ProxyPolicy {
    /// What becomes of a path that the catalogue does not know.
    pub uncatalogued: Uncatalogued,
    /// Makes the links by which a tenant has rights granted that are missing.
    pub renewal: Renewals,
}

/// One call as the tenant made it.
pub struct ProxyRequest {
    /// Its method.
    pub method: Method,
    /// The raw path behind the proxy's own, beginning with `/`.
    pub raw_path: String,
    /// The raw query, without `?`.
    pub raw_query: String,
    /// Its headers; what must not go upstream is taken out on the way.
    pub headers: HeaderMap,
    /// Its body.
    pub body: ByteStream,
}

/// WeChat's answer, and what we have to say about it.
pub struct Answered {
    /// The answer as WeChat gave it, but for our token.
    pub response: ForwardResponse,
    /// What to do about a refusal, where we know it.
    pub hint: Option<Hint>,
}

impl Proxy {
    /// A service that calls `wechat` and counts every call in `ledger`.
    #[must_use]
    pub fn new(
        base: KeeperBase,
        wechat: Client,
        tokens: AuthorizerTokens,
        ledger: Ledger,
        policy: ProxyPolicy,
    ) -> Self {
        let KeeperBase { db, clock, entropy, .. } = base;
        let allowances = Allowances { db, clock, entropy };
        Self { wechat, tokens, allowances, ledger, policy: Arc::new(policy) }
    }

    /// Makes the call with the authorizer's token. When WeChat says that the token is stale, the
    /// call was not executed: with a newer token it is made once more, if its body can be sent
    /// again.
    ///
    /// # Errors
    /// [`crate::Error::AuthorizerNotFound`] for an account that is not the tenant's,
    /// [`crate::Error::PathRefused`], or what getting a token or reaching WeChat failed with. For a path
    /// that has calls counted anew also [`crate::Error::ScopeMissing`] and [`crate::Error::AllowanceUsedUp`]. An
    /// error *answer* of WeChat is no error here: it goes back as it came.
    pub async fn call(
        &self,
        caller: &Caller,
        appid: &Appid,
        request: ProxyRequest,
    ) -> Result<Answered> {
        let authorizer = cached(&self.allowances.db, &caller.scope, appid).await?;
        judge_method(&request.method)?;
        let path = JudgedPath::judge_by(&request.raw_path, self.policy.uncatalogued)?;
        let started = Stopwatch::now();
        let outcome = match Allowance::of(&path) {
            None => self.make(&authorizer, &path, request).await,
            Some(allowance) => {
                // Without a token nothing is called, and nothing is to be counted.
                self.tokens.get(&authorizer).await?;
                let spent = self.allowances.spend(caller, &authorizer, allowance).await?;
                let outcome = self.make(&authorizer, &path, request).await;
                spent.settle(outcome.as_ref().map(|answer| answer.errcode)).await;
                outcome
            }
        };
        if let Some(errcode) = counted(&outcome) {
            self.ledger.count(caller, &authorizer, &path, errcode);
        }
        let answer = outcome?;
        log_call(&authorizer, &path, &answer, started);
        // Whoever follows the link starts an authorization, which is not for every key to do.
        let renewals = caller.may(Scope::AuthorizerWrite).then_some(&self.policy.renewal);
        let hint = answer.errcode.and_then(|code| Hint::about(code, &authorizer, &path, renewals));
        Ok(Answered { response: answer.response, hint })
    }

    async fn make(
        &self,
        authorizer: &Authorizer,
        path: &JudgedPath,
        request: ProxyRequest,
    ) -> Result<Answer> {
        match path.host() {
            Host::Api => {
                let token = self.tokens.get(authorizer).await?.value;
                let call = OutgoingCall::of(path, request).await;
                self.make_with(authorizer, token, call).await
            }
            Host::Pages => {
                let OutgoingCall { request, body } = OutgoingCall::of(path, request).await;
                let response = self.wechat.forward_to_pages(&request, body.first()).await?;
                Ok(looked_at(response, None).await)
            }
        }
    }

    /// Makes the call, and again with a newer token as long as WeChat says that the token is stale
    /// and the newer one was only remembered elsewhere: that may be stale too. A new one is the last.
    ///
    /// When the token was refreshed so often that one more rejection tells nothing of it, WeChat's
    /// answer goes back as it came.
    async fn make_with(
        &self,
        authorizer: &Authorizer,
        mut token: Secret<String>,
        call: OutgoingCall,
    ) -> Result<Answer> {
        let OutgoingCall { request, body } = call;
        let kept = body.kept();
        let response = self.wechat.forward(&request, body.first(), &token).await?;
        let mut answer = looked_at(response, Some(&token)).await;
        let mut is_last = false;
        while let Some(again) = &kept
            && !is_last
            && answer.errcode.is_some_and(Errcode::is_stale_token)
        {
            (token, is_last) = match self.tokens.after_rejection(authorizer, &token).await {
                Ok(landed) => (landed.token.value, landed.is_new),
                Err(error) if error.is_ceiling() => return Ok(answer),
                Err(error) => return Err(error),
            };
            let response = self.wechat.forward(&request, again.body(), &token).await?;
            answer = looked_at(response, Some(&token)).await;
        }
        Ok(answer)
    }
}

/// Under which number the call is counted; `None` if it was not made.
fn counted(outcome: &Result<Answer>) -> Option<i64> {
    match outcome {
        Ok(answer) => Some(answer.errcode.map_or(0, |errcode| errcode.0)),
        Err(error) => error.leaves_effect_open().then_some(UNANSWERED),
    }
}

fn log_call(authorizer: &Authorizer, path: &JudgedPath, answer: &Answer, started: Stopwatch) {
    let is_refused = answer.errcode.is_some() || answer.response.status.is_client_error();
    let is_broken = answer.response.status.is_server_error();
    let errcode = answer.errcode.map(|code| code.0);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if !is_refused && !is_broken {
        tracing::debug!(
            authorizer.appid = %authorizer.appid,
            upstream.path = path.as_str(),
            duration_ms,
            "called {}",
            path.as_str()
        );
    } else {
        tracing::info!(
            authorizer.appid = %authorizer.appid,
            upstream.path = path.as_str(),
            upstream.errcode = errcode,
            upstream.status = answer.response.status.as_u16(),
            duration_ms,
            "WeChat refused {} for {}",
            path.as_str(),
            authorizer.appid
        );
    }
}
