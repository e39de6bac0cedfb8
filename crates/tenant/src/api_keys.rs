mod uses;

use std::{sync::Arc, time::Duration};

use lingpai_model::{
    Instant,
    api_key::{ApiKey, KeyKind, KeyText, PreviousKey, Scopes},
    audit::Action,
    caller::{Caller, OperatorCaller, TenantScope, Via},
    clock::{Entropy, SharedClock},
    digest::Digest,
    id::{ApiKeyId, TenantId},
    network::Network,
    page::{Page, PageRequest},
};
use lingpai_storage::{Db, Error as StorageError, Tx};

use self::uses::Uses;
use crate::{Error, Result, audit, limits::check_rate};

/// The longest time for which the old text of a rotated key goes on working.
pub const MAX_OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many networks the address list of a key can name.
pub const MAX_NETWORKS: usize = 64;

/// How many uses are written in one transaction, so that nobody else waits long for his.
const USES_AT_ONCE: usize = 500;

/// Creates, lists, changes, rotates, revokes and verifies the API keys of tenants. Clones share
/// what they remember of the keys' uses.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
    uses: Uses,
}

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it ends by itself, if it does.
    pub expires_at: Option<Instant>,
    /// From where it may be used; from anywhere if empty.
    pub networks: Vec<Network>,
    /// How many requests a second it may send, if that is less than its tenant may.
    pub requests_per_second: Option<u32>,
}

/// What shall change about a key; `None` leaves a part as it is.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyChange {
    /// What it is called.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<Scopes>,
    /// When it ends by itself; `Some(None)`: not at all.
    pub expires_at: Option<Option<Instant>>,
    /// From where it may be used; from anywhere if empty.
    pub networks: Option<Vec<Network>>,
    /// How many requests a second it may send; `Some(None)`: as many as its tenant.
    pub requests_per_second: Option<Option<u32>>,
}

impl ApiKeys {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy, uses: Uses::default() }
    }

    /// Creates a key of a tenant. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`] when there is no such tenant, [`Error::BadField`].
    pub async fn create(
        &self,
        by: &OperatorCaller,
        tenant_id: &TenantId,
        new: NewApiKey,
    ) -> Result<(ApiKey, KeyText)> {
        let now = self.clock.now();
        let id = ApiKeyId::new(now, &self.entropy);
        let text = KeyText::for_api_key(&id, &self.entropy);
        let key = ApiKey {
            id,
            tenant_id: tenant_id.clone(),
            name: new.name,
            key_digest: text.digest(),
            scopes: new.scopes,
            created_at: now,
            revoked_at: None,
            expires_at: new.expires_at,
            networks: new.networks,
            requests_per_second: new.requests_per_second,
            previous: None,
            last_used_at: None,
        };
        check(&key)?;
        check_end(&key, now)?;
        let tx = self.db.begin().await?;
        if tx.tenants().find(tenant_id).await?.is_none() {
            return Err(Error::TenantNotFound { id: tenant_id.clone() });
        }
        tx.api_keys().insert(&key).await?;
        self.record(&tx, by, (Action::ApiKeyCreated, &key), now).await?;
        tx.commit().await?;
        Ok((key, text))
    }

    /// The keys of a tenant, oldest first.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`] when there is no such tenant.
    pub async fn list(&self, tenant_id: &TenantId, page: &PageRequest) -> Result<Page<ApiKey>> {
        if self.db.tenants().find(tenant_id).await?.is_none() {
            return Err(Error::TenantNotFound { id: tenant_id.clone() });
        }
        Ok(self.db.api_keys().list(tenant_id, page).await?)
    }

    /// One key of a tenant, also when it has ended.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`] when the tenant has no such key.
    pub async fn get(&self, tenant_id: &TenantId, id: &ApiKeyId) -> Result<ApiKey> {
        match self.db.api_keys().system_get_for(tenant_id, id).await {
            Ok(key) => Ok(key),
            Err(StorageError::NotFound { .. }) => Err(absent(tenant_id, id)),
            Err(error) => Err(error.into()),
        }
    }

    /// The key that the caller has shown.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`] when it is gone meanwhile.
    pub async fn own(&self, caller: &Caller) -> Result<ApiKey> {
        self.get(caller.scope.tenant_id(), &caller.key_id).await
    }

    /// Changes a key, which keeps its text. Holds within seconds on every instance.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`] when the tenant has no such key or it was revoked,
    /// [`Error::BadField`].
    pub async fn change(
        &self,
        by: &OperatorCaller,
        tenant_id: &TenantId,
        id: &ApiKeyId,
        change: ApiKeyChange,
    ) -> Result<ApiKey> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let key = changeable(&tx, tenant_id, id).await?;
        let changed = ApiKey {
            name: change.name.unwrap_or_else(|| key.name.clone()),
            scopes: change.scopes.unwrap_or_else(|| key.scopes.clone()),
            expires_at: change.expires_at.unwrap_or(key.expires_at),
            networks: change.networks.unwrap_or_else(|| key.networks.clone()),
            requests_per_second: change.requests_per_second.unwrap_or(key.requests_per_second),
            ..key.clone()
        };
        check(&changed)?;
        if changed.expires_at != key.expires_at {
            check_end(&changed, now)?;
        }
        if changed != key {
            tx.api_keys().update(&changed).await?;
            self.record(&tx, by, (Action::ApiKeyChanged, &changed), now).await?;
            tx.commit().await?;
        }
        Ok(changed)
    }

    /// Gives a key a new text, which is in the answer and nowhere else. The old text goes on working
    /// for `overlap`; a text that was still in the overlap of an earlier rotation ends at once.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`] when the tenant has no such key or it was revoked,
    /// [`Error::BadField`] when the overlap is longer than [`MAX_OVERLAP`].
    pub async fn rotate(
        &self,
        by: &OperatorCaller,
        tenant_id: &TenantId,
        id: &ApiKeyId,
        overlap: Duration,
    ) -> Result<(ApiKey, KeyText)> {
        if overlap > MAX_OVERLAP {
            return Err(bad("overlap_secs", "the old text goes on working for at most 7 days"));
        }
        let now = self.clock.now();
        let text = KeyText::for_api_key(id, &self.entropy);
        let tx = self.db.begin().await?;
        let mut key = changeable(&tx, tenant_id, id).await?;
        let previous = PreviousKey { digest: key.key_digest, until: now + overlap };
        key.previous = (!overlap.is_zero()).then_some(previous);
        key.key_digest = text.digest();
        tx.api_keys().update(&key).await?;
        self.record(&tx, by, (Action::ApiKeyRotated, &key), now).await?;
        tx.commit().await?;
        Ok((key, text))
    }

    /// Ends a key. A key that was revoked before stays as it was.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`] when the tenant has no such key.
    pub async fn revoke(
        &self,
        by: &OperatorCaller,
        tenant_id: &TenantId,
        id: &ApiKeyId,
    ) -> Result<()> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let key = stored(&tx, tenant_id, id).await?;
        if key.revoked_at.is_some() {
            return Ok(());
        }
        tx.api_keys().mark_revoked(tenant_id, id, now).await?;
        self.record(&tx, by, (Action::ApiKeyRevoked, &key), now).await?;
        Ok(tx.commit().await?)
    }

    /// Verifies the text of a key that is used from `via`. Within seconds of its end a key is
    /// refused on every instance.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when it is none, unknown or ended; [`Error::AddressRefused`] when
    /// it is valid, but not from there.
    pub async fn authenticate(&self, text: &str, via: Via) -> Result<Caller> {
        let shown = KeyText::parse(KeyKind::Tenant, text).ok_or(Error::Unauthenticated)?;
        let id = shown.api_key_id().ok_or(Error::Unauthenticated)?;
        let now = self.clock.now();
        let stored = self.cached(&id).await?;
        let shown = shown.digest();
        let matches = match &stored {
            Some(key) => key.accepts(&shown, now),
            // An unknown id takes the same comparison, against a digest that no key has.
            None => shown == Digest::of(&[]),
        };
        let key = stored.filter(|key| matches && key.is_live(now));
        self.open(&*key.ok_or(Error::Unauthenticated)?, via)
    }

    /// What `key`, which was proved to be the caller's, opens for one who uses it from `via`.
    pub(crate) fn open(&self, key: &ApiKey, via: Via) -> Result<Caller> {
        if !key.admits(via.peer) {
            return Err(Error::AddressRefused);
        }
        self.uses.note(key, self.clock.now());
        Ok(Caller {
            scope: TenantScope::authenticated(key.tenant_id.clone()),
            key_id: key.id.clone(),
            scopes: key.scopes.clone(),
            requests_per_second: key.requests_per_second,
            via,
        })
    }

    /// Writes down when keys were last used, exact to the minute, and returns how many keys that
    /// were. For a worker. What fails is tried again with the next call; what a crash loses is lost.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn flush_uses(&self) -> Result<usize> {
        let uses = self.uses.take();
        let mut written = 0;
        for some in uses.chunks(USES_AT_ONCE) {
            if let Err(error) = self.write_uses(some).await {
                self.uses.put_back(&uses[written..]);
                return Err(error);
            }
            written += some.len();
        }
        Ok(written)
    }

    async fn write_uses(&self, uses: &[(ApiKeyId, Instant)]) -> Result<()> {
        let tx = self.db.begin().await?;
        tx.api_keys().touch(uses).await?;
        Ok(tx.commit().await?)
    }

    /// The key with this id, at most seconds old.
    pub(crate) async fn cached(&self, id: &ApiKeyId) -> Result<Option<Arc<ApiKey>>> {
        Ok(self.db.cached_api_key(id).await?)
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    async fn record(
        &self,
        tx: &Tx,
        by: &OperatorCaller,
        (action, key): (Action, &ApiKey),
        at: Instant,
    ) -> Result<()> {
        let act = by.act().about(&key.tenant_id);
        audit::append(tx, &act, (action, key.id.as_str()), (at, &self.entropy)).await
    }
}

/// The tenant's key as it stands, held until the transaction ends.
async fn stored(tx: &Tx, tenant_id: &TenantId, id: &ApiKeyId) -> Result<ApiKey> {
    let key = tx.api_keys().lock(tenant_id, id).await?;
    key.ok_or_else(|| absent(tenant_id, id))
}

/// The same, unless it was revoked: such a key stays as it ended.
async fn changeable(tx: &Tx, tenant_id: &TenantId, id: &ApiKeyId) -> Result<ApiKey> {
    let key = stored(tx, tenant_id, id).await?;
    if key.revoked_at.is_some() { Err(absent(tenant_id, id)) } else { Ok(key) }
}

fn check(key: &ApiKey) -> Result<()> {
    if key.networks.len() > MAX_NETWORKS {
        return Err(bad("networks", "a key names at most 64 networks"));
    }
    check_rate(key.requests_per_second)
}

fn check_end(key: &ApiKey, now: Instant) -> Result<()> {
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(bad(
            "expires_at",
            "name a time that is still to come; to end a key, revoke it",
        ));
    }
    Ok(())
}

fn bad(field: &'static str, reason: &'static str) -> Error {
    Error::BadField { field, reason }
}

fn absent(tenant_id: &TenantId, id: &ApiKeyId) -> Error {
    Error::ApiKeyNotFound { tenant_id: tenant_id.clone(), id: id.clone() }
}
