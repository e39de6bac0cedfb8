//! How a fan's web token is refreshed.

use lingpai_component_token::{
    ComponentTokens, Hold, KeeperBase, Obtained, PROBE_PAUSE, Reaction, Source, Wanted, patiently,
};
use lingpai_model::token::{AccessToken, KeptToken, TokenKey, TokenKind};
use lingpai_wechat::{client::Client, errcode::Errcode};

use super::KnownFan;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct WebSource {
    pub(super) base: KeeperBase,
    pub(super) wechat: Client,
    pub(super) component_tokens: ComponentTokens,
}

impl Source for WebSource {
    type Owner = KnownFan;
    type Error = Error;

    /// No worker looks at them: most fans never come back.
    const KINDS: &'static [TokenKind] = &[];

    fn key(&self, fan: &KnownFan) -> TokenKey {
        TokenKey::Web(fan.grant.id.clone())
    }

    async fn owners(&self, _: Vec<TokenKey>) -> Result<Vec<KnownFan>> {
        Ok(Vec::new())
    }

    async fn obtain(
        &self,
        fan: &KnownFan,
        wanted: Wanted<'_>,
        hold: &Hold<'_>,
    ) -> Result<Obtained> {
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
fn check_fan(fan: &KnownFan, openid: Option<&str>) -> Result<()> {
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
pub(super) fn is_ended(error: &Error) -> bool {
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
pub(super) fn rests_for_good(kept: &KeptToken) -> bool {
    let Some(failure) = &kept.failure else { return false };
    kept.due_at == Some(failure.at + PROBE_PAUSE)
}
