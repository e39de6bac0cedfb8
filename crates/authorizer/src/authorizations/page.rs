//! What the pages of an authorization show.

use lingpai_model::{
    Appid,
    authorization::{Authorization, AuthorizationState, LinkToken},
    authorizer::Authorizer,
};
use url::Url;

use super::Authorizations;
use crate::Result;

/// What the start page shows, and what it shows once there is an outcome.
#[derive(Debug)]
pub struct AuthorizationPage {
    /// The authorization. It has a return URL only as long as that is registered.
    pub authorization: Authorization,
    /// The name of the component that asks.
    pub component_name: String,
    /// The name of the tenant it asks for.
    pub tenant_name: String,
    /// Where the tenant's logo is, if it has one.
    pub tenant_logo_url: Option<String>,
    /// The account's name, where the profile was read: of the one that granted, or before that of
    /// the only one that may, if it is the tenant's already.
    pub authorizer_name: Option<String>,
    /// The permission sets that were asked for by number and that the account did not grant, once it
    /// granted.
    pub missing: Vec<u32>,
    /// Where the administrator authorizes again, if any are missing.
    pub renewal_url: Option<Url>,
    /// Whether the attempt ended without a word from WeChat.
    pub is_expired: bool,
}

impl Authorizations {
    /// What the page behind `link` shows.
    ///
    /// # Errors
    /// [`crate::Error::LinkUnknown`] when no authorization has this link.
    pub async fn page(&self, link: &LinkToken) -> Result<AuthorizationPage> {
        let mut authorization = self.by_link(link).await?;
        let component = self.db.components().get(&authorization.component_id).await?;
        let tenant = self.db.tenants().find(&authorization.tenant_id).await?;
        let (tenant_name, tenant_logo_url) =
            tenant.map(|tenant| (tenant.name, tenant.logo_url)).unwrap_or_default();
        if let Some(return_url) = &authorization.return_url
            && !self
                .db
                .redirect_uris()
                .system_contains(&authorization.tenant_id, return_url)
                .await?
        {
            authorization.return_url = None;
        }
        let account = self.account(&authorization).await?;
        let missing = account.as_ref().map(|one| missing(&authorization, one)).unwrap_or_default();
        let renewal_url = account
            .as_ref()
            .filter(|_| !missing.is_empty())
            .and_then(|account| self.renewals.link(account));
        Ok(AuthorizationPage {
            is_expired: self.is_expired(&authorization),
            component_name: component.name,
            tenant_name,
            tenant_logo_url,
            authorizer_name: account.and_then(|account| account.profile.nick_name),
            missing,
            renewal_url,
            authorization,
        })
    }

    /// The account that granted, or that alone may. Of one that is not the tenant's, or not any
    /// more, nothing is told.
    async fn account(&self, authorization: &Authorization) -> Result<Option<Authorizer>> {
        let Some(appid) = appid_of(authorization) else { return Ok(None) };
        let id = &authorization.component_id;
        let found = self.db.authorizers().system_find(id, appid).await?;
        Ok(found.filter(|one| one.tenant_id.as_ref() == Some(&authorization.tenant_id)))
    }
}

fn appid_of(authorization: &Authorization) -> Option<&Appid> {
    match &authorization.state {
        AuthorizationState::Finished { authorizer_appid, .. } => Some(authorizer_appid),
        AuthorizationState::Pending | AuthorizationState::Refused { .. } => {
            authorization.appid.as_ref()
        }
        AuthorizationState::OwnedElsewhere { .. } => None,
    }
}

/// The permission sets that were asked for and are not among those that were granted.
fn missing(authorization: &Authorization, account: &Authorizer) -> Vec<u32> {
    match authorization.state {
        AuthorizationState::Finished { .. } => {
            let asked = authorization.category_ids.iter().copied();
            asked.filter(|set| !account.func_info.contains(set)).collect()
        }
        AuthorizationState::Pending
        | AuthorizationState::Refused { .. }
        | AuthorizationState::OwnedElsewhere { .. } => Vec::new(),
    }
}
