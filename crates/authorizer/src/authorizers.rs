use std::sync::Arc;

use lingpai_component_token::{ComponentTokens, KeeperBase, keep_entry};
use lingpai_model::{
    Appid,
    audit::{Action, AuditEntry},
    authorizer::Authorizer,
    caller::{Caller, TenantScope},
    event::EventKind,
    id::ComponentId,
    page::{Page, PageRequest},
    token::{AccessToken, TokenHealth},
};
use lingpai_storage::AuthorizerFilter;
use lingpai_wechat::{call::authorizer::AuthorizerInfoAnswer, client::Client};

use crate::{
    AuthorizerTokens, Error, Result,
    error::{cached, found},
    profiles::{Profiles, profile_of},
    stream::emit,
};

/// Reads authorizers and what WeChat tells of them.
#[derive(Debug, Clone)]
pub struct Authorizers {
    base: KeeperBase,
    profiles: Profiles,
    tokens: AuthorizerTokens,
}

impl Authorizers {
    /// A service that asks `wechat` for profiles; `tokens` tells how tokens stand.
    #[must_use]
    pub fn new(
        base: KeeperBase,
        wechat: Client,
        component_tokens: ComponentTokens,
        tokens: AuthorizerTokens,
    ) -> Self {
        let (db, clock) = (base.db.clone(), Arc::clone(&base.clock));
        Self { base, profiles: Profiles { db, wechat, component_tokens, clock }, tokens }
    }

    /// One authorizer of the tenant, with the health of its token.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] when it is not there or not the tenant's: both look alike.
    pub async fn get(
        &self,
        scope: &TenantScope,
        appid: &Appid,
    ) -> Result<(Authorizer, TokenHealth)> {
        let authorizer = self.stored(scope, appid).await?;
        let health = self.tokens.health(&authorizer).await?;
        Ok((authorizer, health))
    }

    /// Reads the profile of the tenant's authorizer and what it grants from WeChat now. What has
    /// changed of the rights is told as by WeChat's own notice.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] as [`Authorizers::get`]; [`Error::NoProfile`] for an account
    /// that is connected by its own secret; otherwise what asking WeChat failed with.
    pub async fn refresh_profile(
        &self,
        caller: &Caller,
        appid: &Appid,
    ) -> Result<(Authorizer, TokenHealth)> {
        let seen = self.stored(&caller.scope, appid).await?;
        let Some(component_id) = seen.connection.component_id() else {
            return Err(Error::NoProfile { appid: appid.clone() });
        };
        let component = self.base.db.components().get(component_id).await?;
        let answer = self.profiles.ask(&component, appid).await?;
        let authorizer = self.take_in(caller, (component_id, appid), answer).await?;
        let health = self.tokens.health(&authorizer).await?;
        Ok((authorizer, health))
    }

    /// Stores what WeChat tells now, if the account is still the tenant's.
    async fn take_in(
        &self,
        caller: &Caller,
        (component_id, appid): (&ComponentId, &Appid),
        answer: AuthorizerInfoAnswer,
    ) -> Result<Authorizer> {
        let now = self.base.clock.now();
        let tx = self.base.db.begin().await?;
        let locked = tx.authorizers().system_lock(component_id, appid).await?;
        let owned = locked.filter(|one| one.tenant_id.as_ref() == Some(caller.scope.tenant_id()));
        let absent = || Error::AuthorizerNotFound { appid: appid.clone() };
        let mut authorizer = owned.ok_or_else(absent)?;
        let func_info = answer.func_info.unwrap_or_else(|| authorizer.func_info.clone());
        let has_changed = func_info != authorizer.func_info;
        let newer = answer.info.map(profile_of).unwrap_or_default();
        authorizer.profile = authorizer.profile.merge(newer);
        authorizer.func_info = func_info;
        authorizer.updated_at = now;
        tx.authorizers().system_update(&authorizer).await?;
        if has_changed {
            emit(&tx, &self.base.entropy, &authorizer, EventKind::Updated, now).await?;
        }
        let entry = self.entry(caller, Action::AuthorizerProfileRefreshed, appid);
        tx.audit().append(&entry).await?;
        tx.commit().await?;
        Ok(authorizer)
    }

    /// The token with which WeChat is called for the tenant's authorizer, and the whole seconds that
    /// are left of it: what a central token server hands out.
    ///
    /// # Errors
    /// As [`Authorizers::get`] and [`AuthorizerTokens::get`].
    pub async fn access_token(
        &self,
        scope: &TenantScope,
        appid: &Appid,
    ) -> Result<(AccessToken, u64)> {
        let authorizer = cached(&self.base.db, scope, appid).await?;
        let token = self.tokens.get(&authorizer).await?;
        let left = self.tokens.seconds_left(&token);
        Ok((token, left))
    }

    /// As [`Authorizers::access_token`], with a new token, whatever the present one is worth.
    ///
    /// # Errors
    /// As [`Authorizers::access_token`].
    pub async fn renew_access_token(
        &self,
        caller: &Caller,
        appid: &Appid,
    ) -> Result<(AccessToken, u64)> {
        let authorizer = cached(&self.base.db, &caller.scope, appid).await?;
        let asked = self.entry(caller, Action::AuthorizerTokenRefreshAsked, appid);
        keep_entry(&self.base.db, &asked).await?;
        let token = self.tokens.renew(&authorizer).await?;
        let left = self.tokens.seconds_left(&token);
        Ok((token, left))
    }

    /// The tenant's authorizers, oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(
        &self,
        scope: &TenantScope,
        filter: &AuthorizerFilter,
        page: &PageRequest,
    ) -> Result<Page<Authorizer>> {
        Ok(self.base.db.authorizers().list(scope, filter, page).await?)
    }

    async fn stored(&self, scope: &TenantScope, appid: &Appid) -> Result<Authorizer> {
        let read = self.base.db.authorizers().get(scope, appid).await;
        found(read, || Error::AuthorizerNotFound { appid: appid.clone() })
    }

    fn entry(&self, caller: &Caller, action: Action, appid: &Appid) -> AuditEntry {
        let at = (self.base.clock.now(), &self.base.entropy);
        AuditEntry::of(&caller.act(), action, appid.as_str(), at)
    }
}
