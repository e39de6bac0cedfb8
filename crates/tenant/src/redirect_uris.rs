use lingpai_model::{
    audit::Action,
    caller::{Caller, TenantScope},
    clock::{Entropy, SharedClock},
};
use lingpai_storage::Db;
use url::Url;

use crate::{Error, Result, audit};

/// Keeps where a tenant's administrators and fans may be sent: exact addresses, nothing else.
#[derive(Debug, Clone)]
pub struct RedirectUris {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

/// How many addresses a tenant can register.
const MAX_COUNT: usize = 100;

/// The longest address that can be registered, in bytes.
const MAX_LEN: usize = 512;

impl RedirectUris {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// Registers an address. One that is registered already stays.
    ///
    /// # Errors
    /// [`Error::BadRedirectUri`] when nobody should be sent there.
    pub async fn register(&self, caller: &Caller, uri: &str) -> Result<()> {
        check(uri).map_err(|reason| Error::BadRedirectUri { reason })?;
        let (scope, now) = (&caller.scope, self.clock.now());
        let tx = self.db.begin().await?;
        let registered = tx.redirect_uris().list(scope).await?;
        if registered.iter().any(|known| known == uri) {
            return Ok(());
        }
        if registered.len() >= MAX_COUNT {
            return Err(Error::BadRedirectUri { reason: "a tenant registers at most 100" });
        }
        tx.redirect_uris().insert(scope, uri, now).await?;
        let done = (Action::RedirectUriRegistered, uri);
        audit::append(&tx, &caller.act(), done, (now, &self.entropy)).await?;
        Ok(tx.commit().await?)
    }

    /// Removes an address: from now on nobody is sent there.
    ///
    /// # Errors
    /// [`Error::RedirectUriNotFound`] when the tenant has not registered it.
    pub async fn remove(&self, caller: &Caller, uri: &str) -> Result<()> {
        let tx = self.db.begin().await?;
        if !tx.redirect_uris().delete(&caller.scope, uri).await? {
            return Err(Error::RedirectUriNotFound);
        }
        let done = (Action::RedirectUriRemoved, uri);
        audit::append(&tx, &caller.act(), done, (self.clock.now(), &self.entropy)).await?;
        Ok(tx.commit().await?)
    }

    /// The tenant's registered addresses, in alphabetical order.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(&self, scope: &TenantScope) -> Result<Vec<String>> {
        Ok(self.db.redirect_uris().list(scope).await?)
    }
}

fn check(uri: &str) -> std::result::Result<(), &'static str> {
    if uri.len() > MAX_LEN {
        return Err("a redirect URI has at most 512 bytes");
    }
    let url = Url::parse(uri).map_err(|_| "a redirect URI is an absolute URL")?;
    if url.as_str() != uri {
        return Err(
            "write the redirect URI as a browser would: lower-case host, a path, no blanks",
        );
    }
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("a redirect URI has no fragment and no user name");
    }
    if !is_safe_origin(&url) {
        return Err("a redirect URI begins with https://, or with http:// on localhost");
    }
    Ok(())
}

/// Whether nobody between a browser and this address can read or change what is there.
pub(crate) fn is_safe_origin(url: &Url) -> bool {
    matches!(
        (url.scheme(), url.host_str()),
        ("https", Some(_)) | ("http", Some("localhost" | "127.0.0.1" | "[::1]"))
    )
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_plain_absolute_addresses_pass() {
        for good in ["https://shop.example/done?x=1", "http://localhost:3000/", "http://[::1]/a"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "http://shop.example/",
            "javascript:alert(1)",
            "https://shop.example",
            "https://a:b@shop.example/",
            "https://shop.example/#top",
            "//shop.example/",
            "https://SHOP.example/",
            "https://shop.example/ a",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
