use lingpai_component_token::{ComponentTokens, Components, KeeperBase};
use lingpai_model::{
    Appid,
    caller::{Caller, TenantScope},
};
use lingpai_storage::Db;
use lingpai_wechat::{call::quota::QuotaFigures, client::Client};

use crate::{
    AuthorizerTokens, Result,
    allowance::{Allowance, Allowances},
    error::cached,
    path::judge_spelling,
};

/// Tells how far quotas are used up, and has calls counted anew.
#[derive(Debug, Clone)]
pub struct Quotas {
    db: Db,
    wechat: Client,
    components: Components,
    component_tokens: ComponentTokens,
    tokens: AuthorizerTokens,
    allowances: Allowances,
}

/// An account's calls count from zero again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleared {
    /// How often that was done this month, as far as it went through here.
    pub used_this_month: u64,
    /// How often a month allows it, WeChat's console included.
    pub allowance: u64,
}

impl Quotas {
    /// A service that calls `wechat`.
    #[must_use]
    pub fn new(
        base: KeeperBase,
        wechat: Client,
        component_tokens: ComponentTokens,
        tokens: AuthorizerTokens,
    ) -> Self {
        let KeeperBase { db, clock, entropy, .. } = base;
        let components = Components::new(db.clone(), clock.clone(), entropy.clone());
        let allowances = Allowances { db: db.clone(), clock, entropy };
        Self { db, wechat, components, component_tokens, tokens, allowances }
    }

    /// How far the quota of `cgi_path` is used up for the tenant's authorizer, by whoever calls for
    /// that account.
    ///
    /// # Errors
    /// [`crate::Error::AuthorizerNotFound`] when it is not there or not the tenant's;
    /// [`crate::Error::PathRefused`] for what cannot be a path; [`crate::Error::Component`] with WeChat's refusal,
    /// 76021 for a path that it does not know and 76022 for one of another kind of token.
    pub async fn get(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        cgi_path: &str,
    ) -> Result<QuotaFigures> {
        let authorizer = cached(&self.db, scope, appid).await?;
        judge_spelling(cgi_path)?;
        let ask = |token| async move { self.wechat.get_api_quota(&token, cgi_path).await };
        self.tokens.call(&authorizer, ask).await
    }

    /// How far the quota of `cgi_path` is used up for the component's own calls.
    ///
    /// # Errors
    /// [`lingpai_component_token::Error::ComponentNotFound`]; otherwise as [`Quotas::get`].
    pub async fn of_component(&self, appid: &Appid, cgi_path: &str) -> Result<QuotaFigures> {
        let component = self.components.get(appid).await?;
        judge_spelling(cgi_path)?;
        let ask = |token| async move { self.wechat.get_api_quota(&token, cgi_path).await };
        Ok(self.component_tokens.call(&component, ask).await?)
    }

    /// Has all calls of the tenant's authorizer counted anew, which uses up one of ten times a
    /// month.
    ///
    /// # Errors
    /// [`crate::Error::AuthorizerNotFound`]; [`crate::Error::ScopeMissing`] without the scope for it;
    /// [`crate::Error::AllowanceUsedUp`]; otherwise what getting a token or the call failed with. A refusal
    /// uses up nothing, an answer that never came may have.
    pub async fn clear(&self, caller: &Caller, appid: &Appid) -> Result<Cleared> {
        let authorizer = cached(&self.db, &caller.scope, appid).await?;
        // Without a token nothing is called, and nothing is to be counted.
        self.tokens.get(&authorizer).await?;
        let allowance = Allowance::ClearQuota;
        let spent = self.allowances.spend(caller, &authorizer, allowance).await?;
        let used_this_month = spent.used;
        let clear = |token| async move { self.wechat.clear_quota(&token, appid).await };
        let outcome = self.tokens.call(&authorizer, clear).await;
        spent.settle(outcome.as_ref().map(|()| None)).await;
        outcome?;
        Ok(Cleared { used_this_month, allowance: allowance.a_month() })
    }
}
