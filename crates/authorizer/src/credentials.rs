//! As whom we stand before WeChat when a fan's code is exchanged: as the account, with its own
//! secret, or as the component that it granted to.

use lingpai_model::{Secret, authorizer::Authorizer, component::Component};
use lingpai_storage::Db;

use crate::{Error, Result, error::found};

pub(crate) enum Credentials {
    /// The account's own secret.
    Secret(Secret<String>),
    /// The component, which has a token.
    Component(Box<Component>),
}

impl Credentials {
    /// # Errors
    /// [`Error::AuthorizerNotFound`] for an account that was connected by a secret which is erased:
    /// it was given up meanwhile.
    pub(crate) async fn of(db: &Db, account: &Authorizer) -> Result<Self> {
        let Some(component) = account.connection.component_id() else {
            let secret = db.account_secrets().system_get(&account.id).await;
            let absent = || Error::AuthorizerNotFound { appid: account.appid.clone() };
            return Ok(Self::Secret(found(secret, absent)?.appsecret));
        };
        Ok(Self::Component(Box::new(db.components().get(component).await?)))
    }
}
