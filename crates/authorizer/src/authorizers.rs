use lingpai_model::{
    Appid,
    authorizer::{Authorizer, Profile, ProfileKind},
    caller::TenantScope,
    clock::SharedClock,
    page::{Page, PageRequest},
    token::{RefreshPolicy, TokenHealth},
};
use lingpai_storage::{AuthorizerFilter, Db};
use lingpai_wechat::call::authorizer::AuthorizerInfo;

use crate::{Error, Result, error::found};

/// Reads authorizers and what WeChat tells of them.
#[derive(Debug, Clone)]
pub struct Authorizers {
    db: Db,
    clock: SharedClock,
}

impl Authorizers {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
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
        let read = self.db.authorizers().get(scope, appid).await;
        let authorizer = found(read, || Error::AuthorizerNotFound { appid: appid.clone() })?;
        let tokens = self.db.authorizer_tokens().system_find(&authorizer.id).await?;
        let kept = tokens.map(|tokens| tokens.access).unwrap_or_default();
        Ok((authorizer, kept.health(self.clock.now(), &RefreshPolicy::default())))
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
        Ok(self.db.authorizers().list(scope, filter, page).await?)
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
