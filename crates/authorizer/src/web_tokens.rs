//! Web OAuth tokens (网页授权): kept per authorizer, fan and scope, and refreshed only when somebody
//! asks for one, as long as WeChat takes the refresh token.

use chrono::Duration;
use lingpai_component_token::{
    ComponentTokens, Hold, Keeper, KeeperBase, Obtained, PROBE_PAUSE, Reaction, Source, Wanted,
    patiently,
};
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::Authorizer,
    caller::TenantScope,
    id::{AuthorizerId, WebTokenId},
    token::{AccessToken, KeptToken, TokenKey, TokenKind},
    web_token::{WebGrant, WebTokenOwner},
};
use lingpai_storage::Tx;
use lingpai_wechat::{call::oauth::WEB_REFRESH_TOKEN_LIFETIME, client::Client, errcode::Errcode};

use crate::{Error, Result, error::cached};

/// How much later than a withdrawal a grant may seem to be and still be meant by it: the one carries
/// WeChat's time, the other ours.
const CLOCK_TOLERANCE: Duration = Duration::minutes(10);

/// How many grants are erased in one transaction: those who write wait meanwhile.
const ERASED_AT_ONCE: u64 = 500;

/// Keeps the web OAuth tokens of fans.
#[derive(Debug, Clone)]
pub struct WebTokens {
    keeper: Keeper<WebSource>,
}

/// What WeChat gave for a fan's code.
#[derive(Debug)]
pub struct NewWebToken {
    /// Whose it is.
    pub owner: WebTokenOwner,
    /// The fan across the accounts of one owner, where WeChat tells it.
    pub unionid: Option<String>,
    /// The token.
    pub token: AccessToken,
    /// What it is refreshed with.
    pub refresh_token: Secret<String>,
}

impl WebTokens {
    /// A service that calls `wechat`.
    #[must_use]
    pub fn new(base: KeeperBase, wechat: Client, component_tokens: ComponentTokens) -> Self {
        let source = WebSource { base: base.clone(), wechat, component_tokens };
        Self { keeper: Keeper::new(source, base) }
    }

    /// Keeps what a fan granted, in the place of what the same fan granted before.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn keep(&self, new: NewWebToken) -> Result<WebGrant> {
        let WebSource { base, .. } = self.keeper.source();
        let obtained_at = new.token.obtained_at;
        let tx = base.db.begin().await?;
        let known = tx.web_tokens().system_find(&new.owner).await?;
        let id =
            known.map_or_else(|| WebTokenId::new(obtained_at, &base.entropy), |known| known.id);
        let refresh_until = obtained_at + WEB_REFRESH_TOKEN_LIFETIME;
        let grant = WebGrant { id, owner: new.owner, unionid: new.unionid, refresh_until };
        tx.web_tokens().system_upsert(&grant, obtained_at).await?;
        let key = TokenKey::Web(grant.id.clone());
        let generation = tx.tokens().find(&key).await?.map_or(1, |kept| kept.generation + 1);
        let mut kept = KeptToken::unknown(key, generation);
        kept.token = Some(new.token);
        kept.refresh_token = Some(new.refresh_token);
        tx.tokens().replace(&kept).await?;
        tx.commit().await?;
        Ok(grant)
    }

    /// The fan's token of this scope, refreshed if it has run out.
    ///
    /// # Errors
    /// [`Error::FanUnknown`] when the fan granted nothing of that scope, [`Error::FanGrantEnded`]
    /// when WeChat takes the refresh token no more; otherwise what the refresh failed with.
    pub async fn get(
        &self,
        authorizer: &Authorizer,
        openid: &str,
        scope: &str,
    ) -> Result<AccessToken> {
        let owner = WebTokenOwner {
            authorizer_id: authorizer.id.clone(),
            openid: openid.to_owned(),
            scope: scope.to_owned(),
        };
        let db = &self.keeper.source().base.db;
        let grant = db.web_tokens().system_find(&owner).await?.ok_or(Error::FanUnknown)?;
        let fan = Fan { authorizer: authorizer.clone(), grant };
        match self.keeper.get(&fan).await {
            Err(error) => Err(self.explained(&fan, error).await?),
            token => token,
        }
    }

    /// Why there is no token, in the words that the caller can act on.
    async fn explained(&self, fan: &Fan, error: Error) -> Result<Error> {
        let WebSource { base, .. } = self.keeper.source();
        let key = TokenKey::Web(fan.grant.id.clone());
        let grant = base.db.web_tokens().system_find(&fan.grant.owner).await?;
        if grant.is_none_or(|grant| grant.id != fan.grant.id) {
            // The fan withdrew meanwhile; whoever waited for the lease has made an empty row again.
            let tx = base.db.begin().await?;
            tx.tokens().erase(&key).await?;
            tx.commit().await?;
            return Ok(Error::FanUnknown);
        }
        if is_ended(&error) {
            return Ok(Error::FanGrantEnded);
        }
        let kept = base.db.tokens().find(&key).await?;
        let has_ended = kept.is_some_and(|kept| rests_for_good(&kept));
        Ok(if error.is_resting() && has_ended { Error::FanGrantEnded } else { error })
    }

    /// Erases what the fan had granted to the authorizer when he withdrew it; what he has granted
    /// since stays.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn erase(
        &self,
        authorizer: &AuthorizerId,
        openid: &str,
        withdrawn_at: Instant,
    ) -> Result<()> {
        let tx = self.keeper.source().base.db.begin().await?;
        let mut grants = tx.web_tokens().system_list(authorizer, openid).await?;
        grants.retain(|grant| {
            let granted_at = grant.refresh_until - WEB_REFRESH_TOKEN_LIFETIME;
            granted_at <= withdrawn_at + CLOCK_TOLERANCE
        });
        erase_grants(&tx, &grants).await?;
        Ok(tx.commit().await?)
    }

    /// Erases all that one fan granted to the tenant's account, because the tenant wants nothing of him
    /// kept; returns how many grants there were.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] for an account that is not the tenant's; [`Error::Storage`].
    pub async fn erase_fan(&self, scope: &TenantScope, appid: &Appid, openid: &str) -> Result<u64> {
        let db = &self.keeper.source().base.db;
        let authorizer = cached(db, scope, appid).await?;
        let tx = db.begin().await?;
        let grants = tx.web_tokens().system_list(&authorizer.id, openid).await?;
        erase_grants(&tx, &grants).await?;
        tx.commit().await?;
        Ok(count(&grants))
    }

    /// Erases all that any fan granted to the tenant's account; returns how many grants there were.
    ///
    /// # Errors
    /// As [`WebTokens::erase_fan`].
    pub async fn erase_authorizer(&self, scope: &TenantScope, appid: &Appid) -> Result<u64> {
        let db = &self.keeper.source().base.db;
        let authorizer = cached(db, scope, appid).await?;
        let mut erased = 0;
        loop {
            let tx = db.begin().await?;
            let grants = tx.web_tokens().system_list_some(&authorizer.id, ERASED_AT_ONCE).await?;
            erase_grants(&tx, &grants).await?;
            tx.commit().await?;
            erased += count(&grants);
            if count(&grants) < ERASED_AT_ONCE {
                return Ok(erased);
            }
        }
    }
}

async fn erase_grants(tx: &Tx, grants: &[WebGrant]) -> Result<()> {
    for grant in grants {
        tx.tokens().erase(&TokenKey::Web(grant.id.clone())).await?;
        tx.web_tokens().system_erase(&grant.id).await?;
    }
    Ok(())
}

fn count(grants: &[WebGrant]) -> u64 {
    u64::try_from(grants.len()).unwrap_or(u64::MAX)
}

/// A fan's grant, and the account that it was made to.
#[derive(Debug, Clone)]
struct Fan {
    authorizer: Authorizer,
    grant: WebGrant,
}

#[derive(Debug)]
struct WebSource {
    base: KeeperBase,
    wechat: Client,
    component_tokens: ComponentTokens,
}

impl Source for WebSource {
    type Owner = Fan;
    type Error = Error;

    /// No worker looks at them: most fans never come back.
    const KINDS: &'static [TokenKind] = &[];

    fn key(&self, fan: &Fan) -> TokenKey {
        TokenKey::Web(fan.grant.id.clone())
    }

    async fn owners(&self, _: Vec<TokenKey>) -> Result<Vec<Fan>> {
        Ok(Vec::new())
    }

    async fn obtain(&self, fan: &Fan, wanted: Wanted<'_>, hold: &Hold<'_>) -> Result<Obtained> {
        let refresh_token = wanted.kept.refresh_token.as_ref().ok_or(Error::FanGrantEnded)?;
        let obtained_at = self.base.clock.now();
        if obtained_at >= fan.grant.refresh_until {
            return Err(Error::FanGrantEnded);
        }
        let appid = &fan.authorizer.appid;
        let answer = match fan.authorizer.connection.component_id() {
            None => {
                let ask = || self.wechat.refresh_web_token(appid, refresh_token);
                patiently(Some(hold), ask).await?
            }
            Some(component_id) => {
                let component = self.base.db.components().get(component_id).await?;
                let component_appid = &component.appid;
                self.component_tokens
                    .call_under(Some(hold), &component, |token| async move {
                        let wechat = &self.wechat;
                        wechat
                            .refresh_web_token_on_behalf(
                                &token,
                                component_appid,
                                appid,
                                refresh_token,
                            )
                            .await
                    })
                    .await?
            }
        };
        check_fan(fan, answer.openid.as_deref())?;
        let Some(token) = answer.access_token else {
            if let Some(refresh_token) = answer.refresh_token {
                hold.salvage(refresh_token);
            }
            return Err(Error::NoAccessToken { appid: appid.clone() });
        };
        Ok(Obtained {
            token: AccessToken::obtained(token.value, obtained_at, token.expires_in),
            refresh_token: answer.refresh_token,
        })
    }

    fn is_ceiling(&self, error: &Error) -> bool {
        error.is_ceiling()
    }

    fn reaction(&self, error: &Error) -> Reaction {
        if is_ended(error) {
            return Reaction::Reauthorize;
        }
        error.wechat().map_or(Reaction::Pause, Reaction::to)
    }
}

/// WeChat's answer must be about the fan that was asked for.
fn check_fan(fan: &Fan, openid: Option<&str>) -> Result<()> {
    match openid {
        Some(openid) if openid != fan.grant.owner.openid => {
            Err(Error::NoAccessToken { appid: fan.authorizer.appid.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether WeChat takes the refresh token no more: the fan has to consent again.
///
/// Source: WeChat docs, "Refresh the web page authorization token" (snsRefreshToken); for 42007,
/// "Return codes" (返回码): the user has changed his password, which voids both tokens.
fn is_ended(error: &Error) -> bool {
    match error {
        Error::FanGrantEnded => true,
        Error::Shared(error) => is_ended(error),
        error => matches!(
            error.errcode(),
            Some(
                Errcode::INVALID_REFRESH_TOKEN
                    | Errcode::WEB_REFRESH_TOKEN_EXPIRED
                    | Errcode::TOKENS_VOID_AFTER_PASSWORD_CHANGE
            )
        ),
    }
}

/// Whether the last refresh failed because the grant had ended: nothing else makes a token rest for
/// exactly so long.
fn rests_for_good(kept: &KeptToken) -> bool {
    let Some(failure) = &kept.failure else { return false };
    kept.due_at == Some(failure.at + PROBE_PAUSE)
}
