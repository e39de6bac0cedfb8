mod page;
mod renewed;

use std::sync::Arc;

use chrono::Duration;
use lingpai_component_token::{ComponentTokens, Components};
use lingpai_model::{
    Appid, Secret,
    audit::{Act, Action, AuditEntry},
    authorization::{AccountKind, Authorization, AuthorizationState, LinkToken},
    authorizer::ProfileKind,
    caller::{Caller, TenantScope, Via},
    clock::{Entropy, SharedClock},
    component::Component,
    exchange::{CodeOffer, CodeSource},
    id::{AuthorizationId, TenantId},
    page::{Page, PageRequest},
};
use lingpai_storage::{AuthorizationFilter, Db};
use url::Url;

pub use self::page::AuthorizationPage;
use self::renewed::{Renewed, Step};
use crate::{Error, Grants, Renewals, Result, error::found};

/// How far apart two renewals of one account are at least, in one process.
pub const RENEWALS_APART: Duration = Duration::minutes(1);

/// Starts authorizations, shows their page, takes the browser's return.
#[derive(Debug, Clone)]
pub struct Authorizations {
    db: Db,
    components: Components,
    component_tokens: ComponentTokens,
    grants: Grants,
    clock: SharedClock,
    entropy: Entropy,
    urls: Arc<AuthorizationUrls>,
    renewals: Renewals,
    renewed: Renewed,
}

/// The addresses that take part in an authorization.
#[derive(Debug)]
pub struct AuthorizationUrls {
    /// How browsers reach us.
    pub public_url: Url,
    /// WeChat's `mp.weixin.qq.com`: the page for desktops.
    pub mp_url: Url,
    /// WeChat's `open.weixin.qq.com`: the page for phones.
    pub open_url: Url,
}

/// What a tenant asks for.
#[derive(Debug)]
pub struct StartAuthorization {
    /// The component that is to be granted.
    pub component_appid: Appid,
    /// Which accounts to offer.
    pub account_kind: AccountKind,
    /// The only account that may authorize.
    pub appid: Option<Appid>,
    /// The permission sets to ask for; empty: those of the published platform.
    pub category_ids: Vec<u32>,
    /// Where the administrator goes at the end; registered before.
    pub return_url: Option<String>,
    /// The tenant's own words for this attempt.
    pub reference: Option<String>,
    /// What the administrator is told the rights are for.
    pub purpose: Option<String>,
}

/// Who starts an authorization.
#[derive(Debug, Clone, Copy)]
enum Starter<'a> {
    /// The tenant itself.
    Caller(&'a Caller),
    /// Whoever follows a renewal link, in this tenant's name, on this way.
    Renewal(&'a TenantId, &'a Via),
}

impl Starter<'_> {
    fn tenant_id(&self) -> &TenantId {
        match self {
            Self::Caller(caller) => caller.scope.tenant_id(),
            Self::Renewal(tenant, _) => tenant,
        }
    }

    fn act(&self) -> Act {
        match self {
            Self::Caller(caller) => caller.act(),
            Self::Renewal(tenant, via) => {
                Act { via: (*via).clone(), ..Act::of_lingpai() }.about(tenant)
            }
        }
    }
}

/// An authorization that has just been started. It shows nothing: the link is a secret.
#[derive(Clone)]
pub struct Started {
    /// The authorization.
    pub authorization: Authorization,
    /// The link to its start page, for this answer only.
    pub url: Url,
}

/// The links that lead an administrator to WeChat, and the state that must come back. It shows
/// nothing: all of them are secrets.
pub struct ConsentLinks {
    /// For desktops: WeChat shows a code to scan.
    pub desktop: Url,
    /// For phones, inside the WeChat client.
    pub mobile: Url,
    /// The single-use state, to be kept in the browser's cookie.
    pub state: LinkToken,
}

/// What a browser brings back from WeChat.
#[derive(Debug)]
pub struct Return {
    /// The state in the address.
    pub state: LinkToken,
    /// The state in the browser's cookie.
    pub cookie: LinkToken,
    /// `auth_code`.
    pub authorization_code: Secret<String>,
}

impl Authorizations {
    /// A service on `db`.
    #[must_use]
    pub fn new(
        db: Db,
        component_tokens: ComponentTokens,
        grants: Grants,
        (clock, entropy): (SharedClock, Entropy),
        urls: AuthorizationUrls,
    ) -> Self {
        let components = Components::new(db.clone(), Arc::clone(&clock), entropy.clone());
        let renewals = Renewals::new(db.clone(), Arc::clone(&clock), urls.public_url.clone());
        Self {
            db,
            components,
            component_tokens,
            grants,
            clock,
            entropy,
            urls: Arc::new(urls),
            renewals,
            renewed: Renewed::default(),
        }
    }

    /// Starts an authorization: fetches a `pre_auth_code`, which binds what will come back to this
    /// tenant, and makes the link to the start page.
    ///
    /// # Errors
    /// [`lingpai_component_token::Error::ComponentNotFound`], [`Error::ReturnUrlUnregistered`], or
    /// what fetching the `pre_auth_code` failed with.
    pub async fn start(&self, caller: &Caller, input: StartAuthorization) -> Result<Started> {
        if let Some(return_url) = &input.return_url
            && !self.db.redirect_uris().contains(&caller.scope, return_url).await?
        {
            return Err(Error::ReturnUrlUnregistered);
        }
        self.begin(Starter::Caller(caller), input).await
    }

    /// Starts an authorization for whoever follows a renewal link, in the name of the account's
    /// owner and with the permission sets of the published platform. What a link of the account
    /// started within the last minute is given again.
    ///
    /// # Errors
    /// [`Error::LinkUnknown`] for what is no renewal link, or none any more since the account was
    /// released; [`Error::RenewalExpired`]; [`Error::RenewedJustNow`] when one of this account was
    /// followed within the last minute and nothing came of it; otherwise as
    /// [`Authorizations::start`].
    pub async fn renew(&self, text: &str, via: Via) -> Result<Started> {
        let (authorizer, owner) = self.renewals.verify(text).await?;
        let component_appid =
            authorizer.connection.component_appid().cloned().ok_or(Error::LinkUnknown)?;
        let attempt = self.renewed.attempt(&authorizer.id, &owner, self.clock.now());
        let mut step = attempt.lock().await;
        match &*step {
            Step::Started(started) => return Ok(Started::clone(started)),
            Step::Tried => return Err(Error::RenewedJustNow { appid: authorizer.appid }),
            Step::Untried => *step = Step::Tried,
        }
        let input = StartAuthorization {
            component_appid,
            account_kind: match authorizer.profile.kind {
                Some(ProfileKind::OfficialAccount) => AccountKind::OfficialAccount,
                Some(ProfileKind::MiniProgram) => AccountKind::MiniProgram,
                None => AccountKind::Any,
            },
            appid: Some(authorizer.appid),
            category_ids: Vec::new(),
            return_url: None,
            reference: None,
            purpose: None,
        };
        let started = self.begin(Starter::Renewal(&owner, &via), input).await?;
        *step = Step::Started(Box::new(started.clone()));
        Ok(started)
    }

    async fn begin(&self, by: Starter<'_>, input: StartAuthorization) -> Result<Started> {
        let component = self.components.get(&input.component_appid).await?;
        let created_at = self.clock.now();
        let code = self.component_tokens.pre_auth_code(&component).await?;
        let link = LinkToken::draw(&self.entropy);
        let authorization = Authorization {
            id: AuthorizationId::new(created_at, &self.entropy),
            tenant_id: by.tenant_id().clone(),
            component_id: component.id,
            account_kind: input.account_kind,
            appid: input.appid,
            category_ids: input.category_ids,
            return_url: input.return_url,
            reference: input.reference,
            purpose: input.purpose,
            link_digest: link.digest(),
            pre_auth_code: code.pre_auth_code,
            state: AuthorizationState::Pending,
            created_at,
            expires_at: created_at + code.expires_in,
        };
        let (act, subject) = (by.act(), authorization.id.as_str());
        let started = Action::AuthorizationStarted;
        let entry = AuditEntry::of(&act, started, subject, (created_at, &self.entropy));
        let tx = self.db.begin().await?;
        match by {
            Starter::Caller(caller) => {
                tx.authorizations().insert(&caller.scope, &authorization).await?;
            }
            Starter::Renewal(..) => tx.authorizations().system_insert(&authorization).await?,
        }
        tx.audit().append(&entry).await?;
        tx.commit().await?;
        let url = self.ours(&["authorize", link.expose_text()]);
        Ok(Started { authorization, url })
    }

    /// One authorization of the tenant.
    ///
    /// # Errors
    /// [`Error::AuthorizationNotFound`] when it is not there or not the tenant's: both look alike.
    pub async fn get(&self, scope: &TenantScope, id: &AuthorizationId) -> Result<Authorization> {
        let read = self.db.authorizations().get(scope, id).await;
        found(read, || Error::AuthorizationNotFound { id: id.clone() })
    }

    /// The tenant's authorizations, oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(
        &self,
        scope: &TenantScope,
        filter: &AuthorizationFilter,
        page: &PageRequest,
    ) -> Result<Page<Authorization>> {
        Ok(self.db.authorizations().list(scope, (filter, self.clock.now()), page).await?)
    }

    /// Whether the attempt ended without a word from WeChat.
    #[must_use]
    pub fn is_expired(&self, authorization: &Authorization) -> bool {
        authorization.is_expired(self.clock.now())
    }

    /// Opens a visit: the links to WeChat with a fresh single-use state in their return address.
    ///
    /// # Errors
    /// [`Error::LinkUnknown`], or [`Error::TooManyVisits`] when the page was opened too often.
    pub async fn open_visit(&self, link: &LinkToken) -> Result<ConsentLinks> {
        let authorization = self.by_link(link).await?;
        let component = self.db.components().get(&authorization.component_id).await?;
        let state = LinkToken::draw(&self.entropy);
        let tx = self.db.begin().await?;
        let opened = tx
            .authorizations()
            .system_open_visit(&authorization.id, &state.digest(), self.clock.now())
            .await?;
        if !opened {
            return Err(Error::TooManyVisits { id: authorization.id });
        }
        tx.commit().await?;
        let mut return_to = self.ours(&["authorize", link.expose_text(), "return"]);
        return_to.query_pairs_mut().append_pair("state", state.expose_text());
        let query = consent_query(&component, &authorization, &return_to);
        Ok(ConsentLinks {
            desktop: with_query(&self.urls.mp_url, "cgi-bin/componentloginpage", &query),
            mobile: {
                let path = "wxaopen/safe/bindcomponent";
                let query = format!("action=bindcomponent&no_scan=1&{query}");
                let mut url = with_query(&self.urls.open_url, path, &query);
                url.set_fragment(Some("wechat_redirect"));
                url
            },
            state,
        })
    }

    /// Takes the browser's return: if address and cookie carry the same unused state, the code
    /// goes to the one exchange. It binds nothing; an account that nobody owns waits for the push.
    ///
    /// Returns whether the code was handed in. When the exchange fails the page still shows the
    /// state of the authorization, because the push may bring the same code again.
    ///
    /// # Errors
    /// [`Error::LinkUnknown`], or what the exchange failed with.
    pub async fn take_return(&self, link: &LinkToken, brought: Return) -> Result<bool> {
        let authorization = self.by_link(link).await?;
        let state = brought.state.digest();
        if state != brought.cookie.digest() {
            return Ok(false);
        }
        let now = self.clock.now();
        let id = authorization.id;
        // One transaction: a browser that hangs up in between must not use up its state for nothing.
        let tx = self.db.begin().await?;
        if !tx.authorizations().system_close_visit(&id, &state, now).await? {
            return Ok(false);
        }
        let offer = CodeOffer {
            component_id: authorization.component_id,
            authorization_code: brought.authorization_code,
            source: CodeSource::Browser { authorization_id: id, returned_at: now },
        };
        let exchange = tx.exchanges().offer(&offer, now).await?;
        tx.commit().await?;
        self.grants.carry_through(exchange).await?;
        Ok(true)
    }

    async fn by_link(&self, link: &LinkToken) -> Result<Authorization> {
        let found = self.db.authorizations().system_find_by_link(&link.digest()).await?;
        found.ok_or(Error::LinkUnknown)
    }

    fn ours(&self, segments: &[&str]) -> Url {
        ours(&self.urls.public_url, segments)
    }
}

/// An address of ours below `public_url`.
pub(crate) fn ours(public_url: &Url, segments: &[&str]) -> Url {
    let mut url = public_url.clone();
    url.path_segments_mut()
        .expect("the public URL is checked to be an http(s) URL")
        .pop_if_empty()
        .extend(segments);
    url
}

/// The query of both consent pages.
///
/// Source: WeChat docs, "Authorization page" (授权页): `component_appid`, `pre_auth_code`,
/// `redirect_uri` and `auth_type` are required; `biz_appid` names the only account that may
/// authorize; `category_id_list` joins permission sets with `|`.
fn consent_query(component: &Component, authorization: &Authorization, return_to: &Url) -> String {
    let auth_type = match authorization.account_kind {
        AccountKind::OfficialAccount => "1",
        AccountKind::MiniProgram => "2",
        AccountKind::Any => "3",
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("component_appid", component.appid.as_str())
        .append_pair("pre_auth_code", authorization.pre_auth_code.expose())
        .append_pair("redirect_uri", return_to.as_str())
        .append_pair("auth_type", auth_type);
    if let Some(appid) = &authorization.appid {
        query.append_pair("biz_appid", appid.as_str());
    }
    if !authorization.category_ids.is_empty() {
        let ids: Vec<_> = authorization.category_ids.iter().map(u32::to_string).collect();
        query.append_pair("category_id_list", &ids.join("|"));
    }
    query.finish()
}

fn with_query(base: &Url, path: &str, query: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(Some(query));
    url
}
