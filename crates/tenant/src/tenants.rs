use lingpai_model::{
    Instant,
    audit::Action,
    caller::OperatorCaller,
    clock::{Entropy, SharedClock},
    id::TenantId,
    page::{Page, PageRequest},
    tenant::{Tenant, TenantLimits},
};
use lingpai_storage::{Db, Tx};
use url::Url;

use crate::{
    Error, Result, audit,
    limits::{check_rate, check_seats},
    redirect_uris::is_safe_origin,
};

/// The longest address of a logo, in bytes.
const MAX_LOGO_URL: usize = 512;

/// Creates tenants, changes them and lists them. For operators.
#[derive(Debug, Clone)]
pub struct Tenants {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

/// What a new tenant shall be.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// The name people read, also on the authorization page.
    pub name: String,
    /// Where its logo is, for the authorization page.
    pub logo_url: Option<String>,
    /// How much it may ask of us.
    pub limits: TenantLimits,
}

/// What shall change about a tenant; `None` leaves a part as it is.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// The name people read.
    pub name: Option<String>,
    /// Where its logo is; `Some(None)`: it has none.
    pub logo_url: Option<Option<String>>,
    /// Its requests a second; `Some(None)`: as the installation says for all.
    pub requests_per_second: Option<Option<u32>>,
    /// Its requests at once; `Some(None)`: as the installation says for all.
    pub concurrent_requests: Option<Option<u32>>,
}

impl Tenants {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// Creates a tenant.
    ///
    /// # Errors
    /// [`Error::BadField`] when a value is not acceptable.
    pub async fn create(&self, by: &OperatorCaller, new: NewTenant) -> Result<Tenant> {
        let now = self.clock.now();
        let tenant = Tenant {
            id: TenantId::new(now, &self.entropy),
            name: new.name,
            logo_url: new.logo_url,
            limits: new.limits,
            created_at: now,
            updated_at: now,
        };
        check(&tenant)?;
        let tx = self.db.begin().await?;
        tx.tenants().insert(&tenant).await?;
        self.record(&tx, by, (Action::TenantCreated, &tenant), now).await?;
        tx.commit().await?;
        Ok(tenant)
    }

    /// The tenant with this id.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`] when there is none.
    pub async fn get(&self, id: &TenantId) -> Result<Tenant> {
        self.db.tenants().find(id).await?.ok_or_else(|| Error::TenantNotFound { id: id.clone() })
    }

    /// The tenants, oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(&self, page: &PageRequest) -> Result<Page<Tenant>> {
        Ok(self.db.tenants().list(page).await?)
    }

    /// Changes a tenant. New limits hold within seconds on every instance.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`] when there is none; [`Error::BadField`] when a value is not
    /// acceptable.
    pub async fn change(
        &self,
        by: &OperatorCaller,
        id: &TenantId,
        change: TenantChange,
    ) -> Result<Tenant> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let tenant = tx.tenants().lock(id).await?;
        let tenant = tenant.ok_or_else(|| Error::TenantNotFound { id: id.clone() })?;
        let TenantLimits { requests_per_second, concurrent_requests } = tenant.limits;
        let limits = TenantLimits {
            requests_per_second: change.requests_per_second.unwrap_or(requests_per_second),
            concurrent_requests: change.concurrent_requests.unwrap_or(concurrent_requests),
        };
        let mut changed = Tenant {
            name: change.name.unwrap_or_else(|| tenant.name.clone()),
            logo_url: change.logo_url.unwrap_or_else(|| tenant.logo_url.clone()),
            limits,
            ..tenant.clone()
        };
        check(&changed)?;
        if changed != tenant {
            changed.updated_at = now;
            tx.tenants().update(&changed).await?;
            self.record(&tx, by, (Action::TenantChanged, &changed), now).await?;
            tx.commit().await?;
        }
        Ok(changed)
    }

    async fn record(
        &self,
        tx: &Tx,
        by: &OperatorCaller,
        (action, tenant): (Action, &Tenant),
        at: Instant,
    ) -> Result<()> {
        let act = by.act().about(&tenant.id);
        audit::append(tx, &act, (action, tenant.id.as_str()), (at, &self.entropy)).await
    }
}

fn check(tenant: &Tenant) -> Result<()> {
    if let Some(url) = &tenant.logo_url {
        check_logo(url).map_err(|reason| Error::BadField { field: "logo_url", reason })?;
    }
    check_rate(tenant.limits.requests_per_second)?;
    check_seats(tenant.limits.concurrent_requests)
}

/// Whether a logo may be there. Its origin goes into the head of the authorization page, so it has
/// to be written as a browser would write it.
fn check_logo(text: &str) -> std::result::Result<(), &'static str> {
    if text.len() > MAX_LOGO_URL {
        return Err("the address of a logo has at most 512 bytes");
    }
    let url = Url::parse(text).map_err(|_| "the address of a logo is an absolute URL")?;
    if url.as_str() != text {
        return Err("write the address as a browser would: lower-case host, a path, no blanks");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address of a logo has no user name");
    }
    if !is_safe_origin(&url) {
        return Err("the address of a logo begins with https://, or with http:// on localhost");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_logo;

    #[test]
    fn a_logo_is_at_a_plain_address() {
        for good in ["https://shop.example/logo.png?v=2", "http://localhost:3000/logo.svg"] {
            assert_eq!(check_logo(good), Ok(()), "{good}");
        }
        let long = format!("https://shop.example/{}", "a".repeat(512));
        for bad in [
            "http://shop.example/logo.png",
            "data:image/png;base64,AAAA",
            "javascript:alert(1)",
            "https://a:b@shop.example/logo.png",
            "https://user@shop.example/logo.png",
            "https://shop.example",
            "https://shop.example/; script-src *",
            "//shop.example/logo.png",
            "",
            &long,
        ] {
            assert!(check_logo(bad).is_err(), "{bad}");
        }
    }
}
