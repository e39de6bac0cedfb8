//! Small bounded caches for the hot read path: keys, ownership and access tokens.
//!
//! They only speed things up. A commit that writes a row forgets it at once in this process; other
//! processes see the change when their entry ends, after [`LIFETIME`].

use std::{
    future::Future,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lingpai_model::{
    Appid,
    api_key::ApiKey,
    authorizer::{AccountSecret, Authorizer},
    caller::TenantScope,
    component::Component,
    id::{ApiKeyId, TenantId},
    tenant::Tenant,
    token::{KeptToken, TokenKey},
};

use crate::{
    db::Db,
    error::{Error, Result},
};

/// How long another process may go on with what we changed.
const LIFETIME: Duration = Duration::from_secs(5);
/// How many entries each cache holds: at most about 1 KB each.
const ENTRIES: u64 = 20_000;

/// A row whose cached form is out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    Tenant(TenantId),
    ApiKey(ApiKeyId),
    Component(Appid),
    Authorizer(TenantId, Appid),
    Token(TokenKey),
    AccountSecret(Appid),
}

/// Whose authorizer: one tenant's entry never answers another's question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Owned(TenantId, Appid);

/// All caches of one open database.
pub(crate) struct Caches {
    tenants: Cache<TenantId, Tenant>,
    api_keys: Cache<ApiKeyId, ApiKey>,
    components: Cache<Appid, Component>,
    authorizers: Cache<Owned, Authorizer>,
    tokens: Cache<TokenKey, KeptToken>,
    account_secrets: Cache<Appid, AccountSecret>,
}

impl Caches {
    pub(crate) fn new() -> Self {
        Self {
            tenants: Cache::new(),
            api_keys: Cache::new(),
            components: Cache::new(),
            authorizers: Cache::new(),
            tokens: Cache::new(),
            account_secrets: Cache::new(),
        }
    }

    /// Forgets what a commit changed.
    pub(crate) async fn forget(&self, changed: &[Changed]) {
        for row in changed {
            match row {
                Changed::Tenant(id) => self.tenants.forget(id).await,
                Changed::ApiKey(id) => self.api_keys.forget(id).await,
                Changed::Component(appid) => self.components.forget(appid).await,
                Changed::Authorizer(tenant, appid) => {
                    self.authorizers.forget(&Owned(tenant.clone(), appid.clone())).await;
                }
                Changed::Token(key) => self.tokens.forget(key).await,
                Changed::AccountSecret(appid) => self.account_secrets.forget(appid).await,
            }
        }
    }
}

impl Db {
    /// The tenant with this id; at most seconds old where another process changed it.
    ///
    /// # Errors
    /// As [`crate::repo::TenantRepo::find`].
    pub async fn cached_tenant(&self, id: &TenantId) -> Result<Option<Arc<Tenant>>> {
        let load = async { self.tenants().find(id).await };
        self.caches().tenants.get(id.clone(), load).await
    }

    /// The key with this id; at most seconds old where another process changed it.
    ///
    /// # Errors
    /// As [`crate::repo::ApiKeyRepo::system_find`].
    pub async fn cached_api_key(&self, id: &ApiKeyId) -> Result<Option<Arc<ApiKey>>> {
        let load = async { self.api_keys().system_find(id).await };
        self.caches().api_keys.get(id.clone(), load).await
    }

    /// The component with this appid; at most seconds old where another process changed it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn cached_component(&self, appid: &Appid) -> Result<Option<Arc<Component>>> {
        let load = async { self.components().find(appid).await };
        self.caches().components.get(appid.clone(), load).await
    }

    /// The calling tenant's authorizer; at most seconds old where another process changed it.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing one and somebody else's.
    pub async fn cached_authorizer(
        &self,
        scope: &TenantScope,
        appid: &Appid,
    ) -> Result<Arc<Authorizer>> {
        let key = Owned(scope.tenant_id().clone(), appid.clone());
        let load = async {
            match self.authorizers().get(scope, appid).await {
                Ok(authorizer) => Ok(Some(authorizer)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let found = self.caches().authorizers.get(key, load).await?;
        found.ok_or_else(|| Error::not_found("authorizer", appid))
    }

    /// The secret of the account with this appid; at most seconds old where another process changed
    /// it.
    ///
    /// # Errors
    /// As [`crate::repo::AccountSecretRepo::system_find`].
    pub async fn cached_account_secret(&self, appid: &Appid) -> Result<Option<Arc<AccountSecret>>> {
        let load = async { self.account_secrets().system_find(appid).await };
        self.caches().account_secrets.get(appid.clone(), load).await
    }

    /// Forgets what is cached of a token: somebody has seen that it is out of date.
    pub async fn forget_token(&self, key: &TokenKey) {
        self.caches().tokens.forget(key).await;
    }

    /// A kept token without the history of its refreshes; at most seconds old where another process
    /// changed it. Judge the token by its own end.
    ///
    /// # Errors
    /// As [`crate::repo::TokenRepo::find`].
    pub async fn cached_token(&self, key: &TokenKey) -> Result<Option<Arc<KeptToken>>> {
        let load = async {
            let kept = self.tokens().find(key).await?;
            Ok(kept.map(|kept| KeptToken { refreshes: Vec::new(), ..kept }))
        };
        self.caches().tokens.get(key.clone(), load).await
    }
}

struct Cache<K, V> {
    entries: moka::future::Cache<K, Arc<V>>,
    /// Counts what was forgotten: a read that began before must not bring back the old value.
    forgotten: AtomicU64,
}

/// Why there is nothing to keep. What is not there is not cached, so strangers cannot fill the cache.
enum Nothing {
    Absent,
    Failed(Error),
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn new() -> Self {
        let entries =
            moka::future::Cache::builder().max_capacity(ENTRIES).time_to_live(LIFETIME).build();
        Self { entries, forgotten: AtomicU64::new(0) }
    }

    /// The entry, or what `load` brings; many askers of one key share one load.
    async fn get(
        &self,
        key: K,
        load: impl Future<Output = Result<Option<V>>>,
    ) -> Result<Option<Arc<V>>> {
        let before = self.forgotten.load(Ordering::SeqCst);
        let loaded = self.entries.try_get_with(key.clone(), async {
            match load.await {
                Ok(Some(value)) => Ok(Arc::new(value)),
                Ok(None) => Err(Nothing::Absent),
                Err(error) => Err(Nothing::Failed(error)),
            }
        });
        let loaded = loaded.await;
        if self.forgotten.load(Ordering::SeqCst) != before {
            self.entries.invalidate(&key).await;
        }
        match loaded {
            Ok(value) => Ok(Some(value)),
            Err(nothing) => match &*nothing {
                Nothing::Absent => Ok(None),
                Nothing::Failed(error) => Err(error.clone()),
            },
        }
    }

    async fn forget(&self, key: &K) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate(key).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_slow_read_does_not_bring_back_what_was_forgotten() {
        let cache: Cache<u8, &str> = Cache::new();
        let (written, wait) = oneshot::channel::<()>();
        let slow = cache.get(1, async {
            wait.await.expect("the writer comes");
            Ok(Some("old"))
        });
        let writer = async {
            cache.forget(&1).await;
            written.send(()).expect("the reader waits");
        };
        let (old, ()) = tokio::join!(slow, writer);
        assert_eq!(old.expect("loaded").as_deref(), Some(&"old"), "as old as its question");
        let new = cache.get(1, async { Ok(Some("new")) }).await.expect("loaded");
        assert_eq!(new.as_deref(), Some(&"new"));
    }

    #[tokio::test]
    async fn what_is_there_is_loaded_once_and_what_is_not_is_asked_again() {
        let cache: Cache<u8, &str> = Cache::new();
        assert!(cache.get(1, async { Ok(None) }).await.expect("loaded").is_none());
        let first = cache.get(1, async { Ok(Some("a")) }).await.expect("loaded");
        let second = cache.get(1, async { Ok(Some("b")) }).await.expect("kept");
        assert_eq!((first.as_deref(), second.as_deref()), (Some(&"a"), Some(&"a")));
    }
}
