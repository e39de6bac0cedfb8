//! What WeChat tells of accounts by `api_get_authorizer_info`: their profile, and their refresh token.

use lingpai_component_token::ComponentTokens;
use lingpai_model::{
    Appid,
    authorizer::{Profile, ProfileKind, RefreshTokenSource},
    clock::SharedClock,
    component::Component,
};
use lingpai_storage::Db;
use lingpai_wechat::{
    call::authorizer::{AuthorizerInfo, AuthorizerInfoAnswer},
    client::Client,
};

use crate::{Result, history::History};

/// Asks WeChat about accounts.
#[derive(Debug, Clone)]
pub(crate) struct Profiles {
    pub(crate) db: Db,
    pub(crate) wechat: Client,
    pub(crate) component_tokens: ComponentTokens,
    pub(crate) clock: SharedClock,
}

impl Profiles {
    /// Asks about one account. A refresh token in the answer is in the history before this returns.
    pub(crate) async fn ask(
        &self,
        component: &Component,
        appid: &Appid,
    ) -> Result<AuthorizerInfoAnswer> {
        let answer = self
            .component_tokens
            .call(component, |token| async move {
                self.wechat.get_authorizer_info(&token, &component.appid, appid).await
            })
            .await?;
        if let Some(value) = &answer.refresh_token {
            let history = History { db: &self.db, component_id: &component.id, appid };
            let source = RefreshTokenSource::AuthorizerInfo;
            history.remember(value, source, self.clock.now()).await?;
        }
        Ok(answer)
    }
}

/// Turns WeChat's words into ours.
pub(crate) fn profile_of(info: AuthorizerInfo) -> Profile {
    let kind =
        if info.is_mini_program { ProfileKind::MiniProgram } else { ProfileKind::OfficialAccount };
    Profile {
        kind: Some(kind),
        nick_name: info.nick_name,
        user_name: info.user_name,
        principal_name: info.principal_name,
        alias: info.alias,
        signature: info.signature,
        head_img: info.head_img,
        qrcode_url: info.qrcode_url,
        service_type: info.service_type,
        verify_type: info.verify_type,
    }
}
