//! Web authorizations (网页授权): fans are sent to WeChat by way of our domain, come back by way of
//! it, and bring the tenant a one-time code, which it takes to us for what WeChat's is worth.
//!
//! WeChat sends fans back to few registered domains; this is one for the accounts of all tenants. A
//! fan's browser carries nothing but states and codes: WeChat's code is kept here, sealed, until the
//! tenant's key comes with ours. Redirect targets are the tenant's own registered ones, letter by
//! letter, so that nobody makes the relay lead anywhere else.

mod code;
mod pace;

use std::sync::Arc;

use chrono::Duration;
use governor::clock::DefaultClock;
use lingpai_component_token::{ComponentTokens, KeeperBase, patiently};
use lingpai_model::{
    Appid, Instant, Secret,
    authorization::LinkToken,
    authorizer::{Authorizer, AuthorizerState},
    caller::Caller,
    id::{TenantId, WebAuthorizationId},
    token::AccessToken,
    web_authorization::{
        WEB_AUTHORIZATION_LIFE, WebAuthorization, WebAuthorizationRefusal, WebAuthorizationState,
        WebScope,
    },
    web_token::WebTokenOwner,
};
use lingpai_storage::Tx;
use lingpai_wechat::{
    call::{
        Call,
        oauth::{EXCHANGE_WEB_CODE, EXCHANGE_WEB_CODE_ON_BEHALF, WebToken},
    },
    client::{Client, ClientError},
    oauth::{Popup, WebAuthorizationLink},
};
use url::{Url, form_urlencoded::byte_serialize};

use self::pace::{Pace, pace};
use crate::{
    AuthorizationUrls, Error, KnownFan, NewWebToken, Result, WebTokens, authorizations::ours,
    credentials::Credentials, errands::Errands, tokens::refuse_revoked,
};

/// How long an attempt is kept after its end: until then a code is told apart that was used from one
/// that never was.
const KEPT: Duration = Duration::minutes(10);

/// Sends fans to WeChat, takes them back, and exchanges the codes that they bring to tenants.
#[derive(Debug, Clone)]
pub struct WebAuthorizations {
    base: KeeperBase,
    wechat: Client,
    component_tokens: ComponentTokens,
    web_tokens: WebTokens,
    urls: Arc<AuthorizationUrls>,
    pace: Arc<Pace>,
    errands: Errands,
}

/// What a fan's browser asks for when it sets out.
#[derive(Debug)]
pub struct StartWebAuthorization {
    /// The account.
    pub appid: Appid,
    /// The component by which the account is connected, if the page insists on one.
    pub component_appid: Option<Appid>,
    /// Where the fan goes on to, decoded once.
    pub redirect_uri: String,
    /// What the fan is asked for.
    pub scope: WebScope,
    /// The tenant's own `state`, decoded once.
    pub state: Option<String>,
    /// Whether WeChat is to ask in any case.
    pub popup: Popup,
}

/// A fan on his way to WeChat. It shows nothing: all of it is for one browser.
pub struct StartedWebAuthorization {
    /// WeChat's page.
    pub url: Url,
    /// What comes back in the address.
    pub state: LinkToken,
    /// What the browser's cookie keeps.
    pub browser: LinkToken,
    /// Until when the fan may come back.
    pub expires_at: Instant,
}

/// What a browser brings back from WeChat.
#[derive(Debug)]
pub struct WebReturn {
    /// `state`.
    pub state: LinkToken,
    /// What the browser's cookie kept of the way out.
    pub browser: Option<LinkToken>,
    /// `code`; none from a fan who did not consent.
    pub code: Option<Secret<String>>,
}

/// A fan whom a tenant has just come to know.
#[derive(Debug, Clone)]
pub struct ExchangedFan {
    /// Who it is, and what he granted.
    pub fan: KnownFan,
    /// Whether the page was opened as a snapshot (快照页): what WeChat tells of such a fan is made up.
    pub is_snapshot_user: bool,
}

impl WebAuthorizations {
    /// A service that calls `wechat`, keeps tokens in `web_tokens`, and leads fans past our own public
    /// address.
    #[must_use]
    pub fn new(
        base: KeeperBase,
        wechat: Client,
        component_tokens: ComponentTokens,
        web_tokens: WebTokens,
        urls: AuthorizationUrls,
    ) -> Self {
        let (urls, pace) = (Arc::new(urls), Arc::new(pace(DefaultClock::default())));
        let errands = Errands::new(base.tasks.clone());
        Self { base, wechat, component_tokens, web_tokens, urls, pace, errands }
    }

    /// Sends a fan out: the address of WeChat's page, and what the browser is to keep.
    ///
    /// Where an appid is connected several times, the connection counts whose tenant registered the
    /// redirect URI; of several of one tenant's the one that stands, then the newest.
    ///
    /// # Errors
    /// [`Error::WebLinkUnknown`] when no such account is connected or its tenant has not registered
    /// exactly this redirect URI, or when several tenants have: all look alike.
    /// [`Error::TooManyFans`] when more of the account's fans set out than are sent.
    pub async fn start(&self, wanted: StartWebAuthorization) -> Result<StartedWebAuthorization> {
        let (authorizer, tenant_id) = self.account(&wanted).await?;
        self.pace.check_key(&authorizer.id).map_err(|_| Error::TooManyFans)?;
        let KeeperBase { db, clock, entropy, .. } = &self.base;
        let created_at = clock.now();
        let (state, browser) = (LinkToken::draw(entropy), LinkToken::draw(entropy));
        let attempt = WebAuthorization {
            id: WebAuthorizationId::new(created_at, entropy),
            tenant_id,
            authorizer_id: authorizer.id.clone(),
            redirect_uri: wanted.redirect_uri,
            scope: wanted.scope,
            tenant_state: wanted.state,
            state_digest: state.digest(),
            browser_digest: browser.digest(),
            state: WebAuthorizationState::Away,
            created_at,
            expires_at: created_at + WEB_AUTHORIZATION_LIFE,
        };
        // Fans may be many, and none of them goes before what WeChat pushes.
        let tx = db.begin_patiently().await?;
        tx.web_authorizations().system_insert(&attempt).await?;
        tx.commit().await?;
        let return_to = ours(&self.urls.public_url, &["oauth2", "return"]);
        let link = WebAuthorizationLink {
            appid: &authorizer.appid,
            redirect_uri: return_to.as_str(),
            scope: wanted.scope.as_str(),
            state: state.expose_text(),
            component_appid: authorizer.connection.component_appid(),
            popup: wanted.popup,
        };
        let page = format!("{}{}", self.urls.open_url.as_str().trim_end_matches('/'), link.path());
        let url = Url::parse(&page).expect("WeChat's address is checked to be an http(s) URL");
        Ok(StartedWebAuthorization { url, state, browser, expires_at: attempt.expires_at })
    }

    /// Takes a fan back from WeChat: where he goes on to, with a one-time code if he consented. The
    /// same return again within the code's life gives the same address.
    ///
    /// # Errors
    /// [`Error::WebAuthorizationUnknown`] for a state that is none of ours;
    /// [`Error::WebAuthorizationRefused`] when it was begun in another browser or has ended;
    /// [`Error::WebLinkUnknown`] when the account is not the tenant's any more, or the redirect URI no
    /// longer registered.
    pub async fn come_back(&self, back: WebReturn) -> Result<Url> {
        let db = &self.base.db;
        let tx = db.begin_patiently().await?;
        let attempt = tx.web_authorizations().system_lock_by_state(&back.state.digest()).await?;
        let attempt = attempt.ok_or(Error::WebAuthorizationUnknown)?;
        let (before, now) = (attempt.state.clone(), self.base.clock.now());
        let browser = back.browser.as_ref().map(LinkToken::digest);
        let attempt = attempt.come_back(browser.as_ref(), back.code, now)?;
        let (tenant, uri) = (&attempt.tenant_id, &attempt.redirect_uri);
        if account_of(&tx, &attempt).await?.is_none()
            || !tx.redirect_uris().system_contains(tenant, uri).await?
        {
            return Err(Error::WebLinkUnknown);
        }
        if attempt.state != before {
            tx.web_authorizations().system_update(&attempt).await?;
        }
        tx.commit().await?;
        let code = match attempt.state {
            WebAuthorizationState::Returned { .. } => Some(code::of(db, &attempt.id)),
            WebAuthorizationState::Away
            | WebAuthorizationState::Declined { .. }
            | WebAuthorizationState::Exchanged { .. } => None,
        };
        onward(&attempt, code.as_deref()).ok_or(Error::WebLinkUnknown)
    }

    /// Exchanges a one-time code: asks WeChat who the fan is, and keeps what he granted. If `appid` is
    /// given, only a code for that account counts.
    ///
    /// The code is used up before WeChat is asked; a caller who hangs up changes nothing.
    ///
    /// # Errors
    /// [`Error::OneTimeCodeUnknown`] for a code that is none of ours, or not for this tenant or account:
    /// nothing is used up. [`Error::WebAuthorizationRefused`] when it was used or has expired.
    /// [`Error::Revoked`] when the account has withdrawn its own grant. [`Error::Busy`] when too much is
    /// exchanged at once: nothing is used up. [`Error::AuthorizerNotFound`] when the account was
    /// released meanwhile. Otherwise what asking WeChat failed with.
    pub async fn exchange(
        &self,
        caller: &Caller,
        appid: Option<&Appid>,
        code: &str,
    ) -> Result<ExchangedFan> {
        let id = code::read(&self.base.db, code).ok_or(Error::OneTimeCodeUnknown)?;
        let (exchange, appid) =
            (Exchange { of: self.clone(), caller: caller.clone() }, appid.cloned());
        self.errands.run(async move { exchange.perform(appid.as_ref(), &id).await }).await
    }

    /// Erases attempts that are long over; returns how many there were.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn sweep(&self) -> Result<u64> {
        self.pace.retain_recent();
        let before = self.base.clock.now() - KEPT;
        let mut swept = 0;
        loop {
            let tx = self.base.db.begin_patiently().await?;
            let attempts = tx.web_authorizations().sweep(before).await?;
            tx.commit().await?;
            swept += attempts;
            if attempts == 0 {
                return Ok(swept);
            }
        }
    }

    /// The account that the fan grants to, and its tenant.
    ///
    /// An account may be connected by several tenants, and nothing proves whose an address is. Were the
    /// newest connection to count, one tenant could register another's address and get its fans.
    async fn account(&self, wanted: &StartWebAuthorization) -> Result<(Authorizer, TenantId)> {
        let StartWebAuthorization { appid, component_appid, redirect_uri, .. } = wanted;
        let (authorizers, uris) = (self.base.db.authorizers(), self.base.db.redirect_uris());
        let mut matching: Vec<(Authorizer, TenantId)> = Vec::new();
        for one in authorizers.system_list_connected(appid, component_appid.as_ref()).await? {
            let Some(tenant) = one.tenant_id.clone() else { continue };
            if refuse_revoked(&one).is_ok() && uris.system_contains(&tenant, redirect_uri).await? {
                matching.push((one, tenant));
            }
        }
        if let [(_, first), others @ ..] = matching.as_slice()
            && let Some((_, other)) = others.iter().find(|(_, tenant)| tenant != first)
        {
            tracing::warn!(
                authorizer.appid = %appid,
                "tenants {first} and {other} have both connected {appid} and registered the redirect \
                 URI that a fan came with: only a link that names component_appid leads there",
            );
            return Err(Error::WebLinkUnknown);
        }
        let rank =
            |(one, _): &(Authorizer, _)| (one.state == AuthorizerState::Active, one.granted_at);
        matching.into_iter().max_by_key(rank).ok_or(Error::WebLinkUnknown)
    }
}

/// One exchange of a code for a caller.
struct Exchange {
    of: WebAuthorizations,
    caller: Caller,
}

impl Exchange {
    async fn perform(
        &self,
        appid: Option<&Appid>,
        id: &WebAuthorizationId,
    ) -> Result<ExchangedFan> {
        let (authorizer, code) = self.use_up(appid, id).await?;
        let asked_at = self.of.base.clock.now();
        let (call, outcome) = self.ask(&authorizer, &code).await?;
        let outcome = outcome.and_then(|token| told(&authorizer, call, (token, asked_at)));
        let account = Arc::new(authorizer);
        let web_tokens = &self.of.web_tokens;
        web_tokens.ledger().count_outcome(&self.caller, &account, call, &outcome);
        let (new, is_snapshot_user) = outcome?;
        let grant = web_tokens.keep(&account, new).await?;
        let fan = KnownFan { authorizer: Arc::unwrap_or_clone(account), grant };
        Ok(ExchangedFan { fan, is_snapshot_user })
    }

    /// Takes WeChat's code out, once. What is not for this caller stays as it is.
    async fn use_up(
        &self,
        appid: Option<&Appid>,
        id: &WebAuthorizationId,
    ) -> Result<(Authorizer, Secret<String>)> {
        let tx = self.of.base.db.begin().await?;
        let attempt = tx.web_authorizations().lock(&self.caller.scope, id).await?;
        let attempt = attempt.ok_or(Error::OneTimeCodeUnknown)?;
        let account = account_of(&tx, &attempt).await?;
        let authorizer = account
            .filter(|one| appid.is_none_or(|appid| *appid == one.appid))
            .ok_or(Error::OneTimeCodeUnknown)?;
        refuse_revoked(&authorizer)?;
        let (attempt, code) = match attempt.exchange(self.of.base.clock.now()) {
            Err(WebAuthorizationRefusal::Ended) => return Err(Error::OneTimeCodeUnknown),
            exchanged => exchanged?,
        };
        tx.web_authorizations().system_update(&attempt).await?;
        tx.commit().await?;
        Ok((authorizer, code))
    }

    /// What WeChat says, and which of its interfaces was asked.
    async fn ask(
        &self,
        authorizer: &Authorizer,
        code: &Secret<String>,
    ) -> Result<(Call, Result<WebToken>)> {
        let WebAuthorizations { base, wechat, component_tokens, .. } = &self.of;
        let appid = &authorizer.appid;
        Ok(match Credentials::of(&base.db, authorizer).await? {
            Credentials::Secret(secret) => {
                let ask = || wechat.exchange_web_code(appid, &secret, code);
                (EXCHANGE_WEB_CODE, patiently(None, ask).await.map_err(Error::from))
            }
            Credentials::Component(component) => {
                let component_appid = &component.appid;
                let ask = |token| async move {
                    wechat.exchange_web_code_on_behalf(&token, component_appid, appid, code).await
                };
                let answered = component_tokens.call(&component, ask).await;
                (EXCHANGE_WEB_CODE_ON_BEHALF, answered.map_err(Error::from))
            }
        })
    }
}

/// The account of an attempt, if it is still that tenant's.
async fn account_of(tx: &Tx, attempt: &WebAuthorization) -> Result<Option<Authorizer>> {
    let ids = std::slice::from_ref(&attempt.authorizer_id);
    let account = tx.authorizers().system_list(ids).await?.pop();
    Ok(account.filter(|one| one.tenant_id.as_ref() == Some(&attempt.tenant_id)))
}

/// The tenant's address with what the fan brings there behind its own query. Its letters stay as they
/// were registered.
fn onward(attempt: &WebAuthorization, code: Option<&str>) -> Option<Url> {
    let mut url = Url::parse(&attempt.redirect_uri).ok()?;
    let mut query = url.query().unwrap_or_default().to_owned();
    for (name, value) in [("code", code), ("state", attempt.tenant_state.as_deref())] {
        let Some(value) = value else { continue };
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        // A blank is `%20`, which every reader of a query takes for one.
        query.push_str(&byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20"));
    }
    if !query.is_empty() {
        url.set_query(Some(&query));
    }
    Some(url)
}

/// What WeChat told of a fan, if it told all that is needed, and whether he is one that is made up.
/// The openid that WeChat tells is what counts.
fn told(
    authorizer: &Authorizer,
    call: Call,
    (answer, obtained_at): (WebToken, Instant),
) -> Result<(NewWebToken, bool)> {
    let garbled = |what: &str| ClientError::Garbled { call: call.name, what: what.to_owned() };
    let token = answer.access_token.ok_or_else(|| garbled("no access token"))?;
    let refresh_token = answer.refresh_token.ok_or_else(|| garbled("no refresh token"))?;
    let openid = answer.openid.ok_or_else(|| garbled("no openid"))?;
    let scope = answer.scope.as_deref().and_then(granted_scope);
    let scope = scope.ok_or_else(|| garbled("a missing or unknown scope"))?;
    let owner = WebTokenOwner {
        authorizer_id: authorizer.id.clone(),
        openid,
        scope: scope.as_str().to_owned(),
    };
    let token = AccessToken::obtained(token.value, obtained_at, token.expires_in);
    let new = NewWebToken { owner, unionid: answer.unionid, token, refresh_token };
    Ok((new, answer.is_snapshot_user))
}

/// What the fan granted, however WeChat orders it.
///
/// Assumed: a comma may stand at the end; answers to mobile apps are known to have one.
fn granted_scope(text: &str) -> Option<WebScope> {
    WebScope::parse(text.trim_end_matches(','))
}

#[cfg(test)]
mod tests {
    use lingpai_model::{clock::Entropy, digest::Digest, id::AuthorizerId};

    use super::*;

    fn attempt(redirect_uri: &str, tenant_state: Option<&str>) -> WebAuthorization {
        let (at, entropy) = (Instant::UNIX_EPOCH, Entropy::seeded(1));
        WebAuthorization {
            id: WebAuthorizationId::new(at, &entropy),
            tenant_id: TenantId::new(at, &entropy),
            authorizer_id: AuthorizerId::new(at, &entropy),
            redirect_uri: redirect_uri.to_owned(),
            scope: WebScope::Base,
            tenant_state: tenant_state.map(str::to_owned),
            state_digest: Digest::of(&[b"state"]),
            browser_digest: Digest::of(&[b"browser"]),
            state: WebAuthorizationState::Away,
            created_at: at,
            expires_at: at + WEB_AUTHORIZATION_LIFE,
        }
    }

    #[test]
    fn a_fan_goes_on_to_the_registered_address_letter_by_letter() {
        for (uri, state, code, expected) in [
            ("https://a.example/b", None, Some("c"), "https://a.example/b?code=c"),
            ("https://a.example/b", Some("s"), Some("c"), "https://a.example/b?code=c&state=s"),
            ("https://a.example/b", Some("s"), None, "https://a.example/b?state=s"),
            ("https://a.example/b", None, None, "https://a.example/b"),
            ("https://a.example/b?x=%e4+1", None, Some("c"), "https://a.example/b?x=%e4+1&code=c"),
            ("https://a.example/b?", Some(""), Some("c"), "https://a.example/b?code=c&state="),
            (
                "https://a.example/b",
                Some("a b&code=evil#x+/?令牌%20"),
                Some("c"),
                "https://a.example/b?code=c&state=a%20b%26code%3Devil%23x%2B%2F%3F%E4%BB%A4%E7%89%8C%2520",
            ),
        ] {
            let url = onward(&attempt(uri, state), code).unwrap();
            assert_eq!(url.as_str(), expected);
            let states: Vec<String> = url
                .query_pairs()
                .filter(|(name, _)| name == "state")
                .map(|(_, value)| value.into_owned())
                .collect();
            assert_eq!(states, Vec::from_iter(state.map(str::to_owned)), "untouched");
        }
    }

    #[test]
    fn a_scope_is_read_in_any_order_and_another_one_is_refused() {
        for (text, scope) in [
            ("snsapi_base", Some(WebScope::Base)),
            ("snsapi_userinfo,", Some(WebScope::UserInfo)),
            ("snsapi_userinfo,snsapi_base", Some(WebScope::Both)),
            ("snsapi_login", None),
            ("", None),
            (",", None),
        ] {
            assert_eq!(granted_scope(text), scope, "{text}");
        }
    }
}
