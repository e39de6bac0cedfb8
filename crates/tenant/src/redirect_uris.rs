use lingpai_model::{caller::TenantScope, clock::SharedClock};
use lingpai_storage::Db;
use url::Url;

use crate::{Error, Result};

/// Keeps where a tenant's administrators and fans may be sent: exact addresses, nothing else.
#[derive(Debug, Clone)]
pub struct RedirectUris {
    db: Db,
    clock: SharedClock,
}

/// How many addresses a tenant can register.
const MAX_COUNT: usize = 100;

/// The longest address that can be registered, in bytes.
const MAX_LEN: usize = 512;

impl RedirectUris {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// Registers an address. One that is registered already stays.
    ///
    /// # Errors
    /// [`Error::BadRedirectUri`] when nobody should be sent there.
    pub async fn register(&self, scope: &TenantScope, uri: &str) -> Result<()> {
        check(uri).map_err(|reason| Error::BadRedirectUri { reason })?;
        let tx = self.db.begin().await?;
        if tx.redirect_uris().list(scope).await?.len() >= MAX_COUNT {
            return Err(Error::BadRedirectUri { reason: "a tenant registers at most 100" });
        }
        tx.redirect_uris().insert(scope, uri, self.clock.now()).await?;
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
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) | ("http", Some("localhost" | "127.0.0.1" | "[::1]")) => Ok(()),
        _ => Err("a redirect URI begins with https://, or with http:// on localhost"),
    }
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
