//! Web OAuth tokens (网页授权): kept per authorizer, fan and scope, and refreshed only when somebody
//! asks for one, as long as WeChat takes the refresh token.
//!
//! A grant names no tenant: it is its account's owner's. What a fan granted before the account was
//! last released is nobody's, whoever owns the account next, until a sweep has erased it.

mod erase;
mod source;

use std::sync::Arc;

use lingpai_component_token::{ComponentTokens, Keeper, KeeperBase, patiently};
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::Authorizer,
    caller::{Caller, TenantScope},
    id::WebTokenId,
    token::{AccessToken, KeptToken, TokenKey},
    web_token::{WebGrant, WebTokenOwner},
};
use lingpai_wechat::{
    call::{
        Call,
        oauth::{CHECK_WEB_TOKEN, GET_FAN_PROFILE, WEB_REFRESH_TOKEN_LIFETIME},
        user::{FanProfile, Lang},
    },
    client::{Client, ClientError},
    errcode::Errcode,
};

use self::erase::erase_grants;
pub(crate) use self::erase::{CLOCK_TOLERANCE, erase_grants_of};
use self::source::{WebSource, is_ended, rests_for_good};
use crate::{
    Error, Ledger, Result, claims::refuse_given_up, errands::persistently, error::cached,
    tokens::refuse_revoked,
};

/// Keeps the web OAuth tokens of fans, and calls WeChat with them.
#[derive(Debug, Clone)]
pub struct WebTokens {
    keeper: Keeper<WebSource>,
    ledger: Ledger,
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

/// A fan's grant, and the account that it was made to.
#[derive(Debug, Clone)]
pub struct KnownFan {
    /// The account.
    pub authorizer: Authorizer,
    /// The grant.
    pub grant: WebGrant,
}

impl WebTokens {
    /// A service that calls `wechat`; calls that are made for callers are counted in `ledger`.
    #[must_use]
    pub fn new(
        base: KeeperBase,
        wechat: Client,
        component_tokens: ComponentTokens,
        ledger: Ledger,
    ) -> Self {
        let source = WebSource { base: base.clone(), wechat, component_tokens };
        Self { keeper: Keeper::new(source, base), ledger }
    }

    /// Keeps what a fan granted to the account, in the place of what the same fan granted before. What
    /// he has granted since stays, and is returned. As long as the database is away, or another grant
    /// of the fan is just being kept, it is tried again.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] when the account has changed hands since it was read;
    /// [`Error::Storage`] when the database failed.
    pub async fn keep(&self, account: &Authorizer, new: NewWebToken) -> Result<WebGrant> {
        persistently("a fan's tokens", || self.keep_once(account, &new)).await
    }

    async fn keep_once(&self, account: &Authorizer, new: &NewWebToken) -> Result<WebGrant> {
        let WebSource { base, .. } = self.keeper.source();
        let obtained_at = new.token.obtained_at;
        let tx = base.db.begin().await?;
        refuse_given_up(&tx, account).await?;
        let mut known = tx.web_tokens().system_find(&new.owner).await?;
        // The new owner learns neither the id nor the unionid that the old one knew.
        if let Some(old) = known.take_if(|known| is_given_up(known, account)) {
            erase_grants(&tx, &[old]).await?;
        }
        // A unionid that WeChat does not tell this time is not unlearnt.
        let (id, unionid) = match known {
            Some(known) => (known.id, new.unionid.clone().or(known.unionid)),
            None => (WebTokenId::new(obtained_at, &base.entropy), new.unionid.clone()),
        };
        let refresh_until = obtained_at + WEB_REFRESH_TOKEN_LIFETIME;
        let grant = WebGrant { id, owner: new.owner.clone(), unionid, refresh_until };
        // From here on whoever keeps another grant of the fan waits.
        if !tx.web_tokens().system_upsert(&grant, obtained_at).await? {
            let later = tx.web_tokens().system_find(&new.owner).await?;
            return later.ok_or(Error::FanUnknown);
        }
        let key = TokenKey::Web(grant.id.clone());
        let generation = tx.tokens().find(&key).await?.map_or(1, |kept| kept.generation + 1);
        let mut kept = KeptToken::unknown(key, generation);
        kept.token = Some(new.token.clone());
        kept.refresh_token = Some(new.refresh_token.clone());
        tx.tokens().replace(&kept).await?;
        tx.commit().await?;
        Ok(grant)
    }

    /// The fan behind one of the grants to the tenant's accounts.
    ///
    /// # Errors
    /// [`Error::FanUnknown`] when there is no such grant, or none to an account that is the tenant's
    /// now: both look alike; [`Error::Revoked`] when the account has withdrawn its own grant.
    pub async fn fan(&self, scope: &TenantScope, id: &WebTokenId) -> Result<KnownFan> {
        let db = &self.keeper.source().base.db;
        let grant = db.web_tokens().system_find_by_id(id).await?.ok_or(Error::FanUnknown)?;
        let account = db.cached_authorizer_by_id(&grant.owner.authorizer_id).await?;
        let authorizer = account
            .filter(|one| is_owned(one, scope) && !is_given_up(&grant, one))
            .map(Arc::unwrap_or_clone)
            .ok_or(Error::FanUnknown)?;
        refuse_revoked(&authorizer)?;
        Ok(KnownFan { authorizer, grant })
    }

    /// The fan of the tenant's account with what he granted last that tells his profile.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] for an account that is not the tenant's; [`Error::Revoked`];
    /// [`Error::FanUnknown`] when the fan has granted nothing of the kind.
    pub async fn fan_of(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        openid: &str,
    ) -> Result<KnownFan> {
        let db = &self.keeper.source().base.db;
        let authorizer = Arc::unwrap_or_clone(cached(db, scope, appid).await?);
        refuse_revoked(&authorizer)?;
        let grants = db.web_tokens().system_list(&authorizer.id, openid).await?;
        let grant = grants
            .into_iter()
            .filter(|grant| grant.owner.tells_profile() && !is_given_up(grant, &authorizer))
            .max_by_key(|grant| grant.refresh_until)
            .ok_or(Error::FanUnknown)?;
        Ok(KnownFan { authorizer, grant })
    }

    /// Makes sure that there is a living token of the fan's: one that has run out is refreshed.
    ///
    /// # Errors
    /// [`Error::FanUnknown`] for a fan of somebody else's account, or one that withdrew meanwhile;
    /// [`Error::FanGrantEnded`] when WeChat takes the refresh token no more; otherwise what the
    /// refresh failed with.
    pub async fn make_sure(&self, caller: &Caller, fan: &KnownFan) -> Result<()> {
        self.token_for(caller, fan).await.map(drop)
    }

    /// The fan's profile, as WeChat tells it by the fan's own token. The call is counted.
    ///
    /// # Errors
    /// As [`WebTokens::make_sure`], and what the call failed with: 48001 where the fan granted no
    /// more than his openid.
    pub async fn profile(&self, caller: &Caller, fan: &KnownFan, lang: Lang) -> Result<FanProfile> {
        let (wechat, openid) = (&self.keeper.source().wechat, fan.grant.owner.openid.as_str());
        let ask = |token| async move { wechat.get_fan_profile(&token, openid, lang).await };
        self.call((caller, fan), GET_FAN_PROFILE, ask).await
    }

    /// Asks WeChat whether the fan's token is good. The call is counted.
    ///
    /// # Errors
    /// As [`WebTokens::make_sure`], and what the call failed with.
    pub async fn check(&self, caller: &Caller, fan: &KnownFan) -> Result<()> {
        let (wechat, openid) = (&self.keeper.source().wechat, fan.grant.owner.openid.as_str());
        let ask = |token| async move { wechat.check_web_token(&token, openid).await };
        self.call((caller, fan), CHECK_WEB_TOKEN, ask).await
    }

    /// Where calls are counted that are made with fans' codes and tokens.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Makes one call with the fan's token, and again with a newer one when WeChat says that the
    /// first was stale. A busy WeChat is asked again. What came of it is counted once.
    async fn call<T, F>(
        &self,
        (caller, fan): (&Caller, &KnownFan),
        call: Call,
        ask: impl Fn(Secret<String>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let token = self.token_for(caller, fan).await?.value;
        let outcome = self.ask_with(fan, token, ask).await;
        let account = Arc::new(fan.authorizer.clone());
        self.ledger.count_outcome(caller, &account, call, &outcome);
        outcome
    }

    async fn ask_with<T, F>(
        &self,
        fan: &KnownFan,
        mut token: Secret<String>,
        ask: impl Fn(Secret<String>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut is_last = false;
        loop {
            match patiently(None, || ask(token.clone())).await.map_err(Error::from) {
                Err(error) if !is_last && error.errcode().is_some_and(Errcode::is_stale_token) => {
                    let landed = match self.keeper.after_rejection(fan, token).await {
                        Err(error) => return Err(self.explained(fan, error).await?),
                        Ok(landed) => landed,
                    };
                    (token, is_last) = (landed.token.value, landed.is_new);
                }
                outcome => return outcome,
            }
        }
    }

    /// The fan's token, for the owner of the account only.
    async fn token_for(&self, caller: &Caller, fan: &KnownFan) -> Result<AccessToken> {
        if !is_owned(&fan.authorizer, &caller.scope) {
            return Err(Error::FanUnknown);
        }
        match self.keeper.get(fan).await {
            Err(error) => Err(self.explained(fan, error).await?),
            token => token,
        }
    }

    /// Why there is no token, in the words that the caller can act on.
    async fn explained(&self, fan: &KnownFan, error: Error) -> Result<Error> {
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
}

fn is_owned(authorizer: &Authorizer, scope: &TenantScope) -> bool {
    authorizer.tenant_id.as_ref() == Some(scope.tenant_id())
}

/// When the fan made this grant.
fn granted_at(grant: &WebGrant) -> Instant {
    grant.refresh_until - WEB_REFRESH_TOKEN_LIFETIME
}

/// Whether the account was released since the fan made this grant.
///
/// Invariant: a new owner never comes by what fans granted to the old one.
fn is_given_up(grant: &WebGrant, authorizer: &Authorizer) -> bool {
    authorizer.released_at.is_some_and(|released_at| granted_at(grant) <= released_at)
}
