//! The ordinary `access_token`: the account's own secret is exchanged for it.

use chrono::Duration;
use lingpai_component_token::{Hold, Obtained, Wanted, patiently};
use lingpai_model::{
    authorizer::{AccountSecret, Authorizer, TokenApi},
    token::{AccessToken, RefreshPolicy},
};
use lingpai_wechat::{
    call::account::{OrdinaryAccessToken, StableTokenMode},
    client::{Client, ClientError},
};

use super::AccountSource;
use crate::{Error, Result};

/// An account that is connected by its own secret.
pub(super) struct Ordinary<'a> {
    pub(super) source: &'a AccountSource,
    pub(super) authorizer: &'a Authorizer,
}

/// When an ordinary token is refreshed: in its last five minutes, since before them `stable_token`
/// gives the same token again.
///
/// Source: WeChat docs, "Get stable access token" (获取稳定版接口调用凭据).
pub(crate) fn policy() -> RefreshPolicy {
    RefreshPolicy {
        longest_margin: Duration::minutes(4),
        longest_spread: Duration::seconds(50),
        ..RefreshPolicy::default()
    }
}

impl Ordinary<'_> {
    /// Asks by the interface that the tenant chose.
    pub(super) async fn obtain(&self, wanted: Wanted<'_>, hold: &Hold<'_>) -> Result<Obtained> {
        let AccountSource { base, wechat, .. } = self.source;
        let secret = base.db.account_secrets().system_get(&self.authorizer.id).await?;
        let obtained_at = base.clock.now();
        let mut answer = ask(wechat, &secret, Some(hold)).await?;
        // A token that WeChat no longer takes is given again as long as it should have lived. Another
        // can be had a few times a day; that this fails says nothing of the usual way.
        if wanted.not == Some(&answer.access_token) {
            hold.on().await?;
            answer = force(wechat, &secret).await.map_err(|error| {
                tracing::warn!(%error, "no other token of {} can be had", secret.appid);
                Error::NoOtherToken { appid: secret.appid.clone() }
            })?;
        }
        let token = AccessToken::obtained(answer.access_token, obtained_at, answer.expires_in);
        Ok(Obtained { token, refresh_token: None })
    }
}

/// Gets a token by the account's own secret.
pub(crate) async fn ask(
    wechat: &Client,
    secret: &AccountSecret,
    hold: Option<&Hold<'_>>,
) -> Result<OrdinaryAccessToken> {
    let (appid, appsecret) = (&secret.appid, &secret.appsecret);
    let answer = patiently(hold, || async move {
        match secret.token_api {
            TokenApi::StableToken => {
                wechat.stable_token(appid, appsecret, StableTokenMode::Normal).await
            }
            TokenApi::Token => wechat.access_token(appid, appsecret).await,
        }
    });
    Ok(answer.await?)
}

async fn force(
    wechat: &Client,
    secret: &AccountSecret,
) -> Result<OrdinaryAccessToken, ClientError> {
    wechat.stable_token(&secret.appid, &secret.appsecret, StableTokenMode::Forced).await
}
