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
    auto_reply::AutoReplies,
    caller::TenantScope,
    component::Component,
    endpoint::Endpoint,
    event::{EventFilter, EventPattern},
    id::{ApiKeyId, AuthorizerId, ComponentId, TenantId},
    listener::Listener,
    tenant::Tenant,
    token::{KeptToken, TokenKey},
};

use crate::{
    db::Db,
    error::{Error, Result},
    repo::auto_replies,
};

/// How long another process may go on with what we changed.
const LIFETIME: Duration = Duration::from_secs(5);
/// How many entries each cache holds, of about 1 KiB each; one that is larger counts as several.
const ENTRIES: u64 = 20_000;

/// What one entry takes.
const ENTRY_BYTES: usize = 1024;

/// A row whose cached form is out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    Tenant(TenantId),
    ApiKey(ApiKeyId),
    Component(Appid),
    Authorizer(TenantId, Appid),
    Token(TokenKey),
    AccountSecret(Appid),
    /// An authorizer, told by what WeChat's pushes tell.
    Account(AuthorizerId, Option<ComponentId>, Appid),
    Endpoints(TenantId),
    AutoReplies(AuthorizerId),
    Listeners(TenantId),
}

/// Whose authorizer: one tenant's entry never answers another's question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Owned(TenantId, Appid);

/// One component's authorizer, whoever owns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Granted(ComponentId, Appid);

/// All caches of one open database.
pub(crate) struct Caches {
    tenants: Cache<TenantId, Tenant>,
    api_keys: Cache<ApiKeyId, ApiKey>,
    components: Cache<Appid, Component>,
    authorizers: Cache<Owned, Authorizer>,
    tokens: Cache<TokenKey, KeptToken>,
    account_secrets: Cache<Appid, AccountSecret>,
    accounts: Cache<Granted, Authorizer>,
    accounts_by_id: Cache<AuthorizerId, Authorizer>,
    endpoints: Cache<TenantId, Vec<Endpoint>>,
    auto_replies: Cache<AuthorizerId, AutoReplies>,
    listeners: Cache<TenantId, Vec<Listener>>,
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
            accounts: Cache::new(),
            accounts_by_id: Cache::new(),
            endpoints: Cache::weighed(|endpoints| endpoints.iter().map(endpoint_bytes).sum()),
            auto_replies: Cache::weighed(auto_replies::bytes),
            listeners: Cache::weighed(|listeners| listeners.iter().map(listener_bytes).sum()),
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
                Changed::Account(id, component, appid) => {
                    self.accounts_by_id.forget(id).await;
                    if let Some(component) = component {
                        self.accounts.forget(&Granted(component.clone(), appid.clone())).await;
                    }
                }
                Changed::Endpoints(tenant) => self.endpoints.forget(tenant).await,
                Changed::AutoReplies(authorizer) => self.auto_replies.forget(authorizer).await,
                Changed::Listeners(tenant) => self.listeners.forget(tenant).await,
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
        let load = || async { self.tenants().find(id).await };
        self.caches().tenants.get(id.clone(), load).await
    }

    /// The key with this id; at most seconds old where another process changed it.
    ///
    /// # Errors
    /// As [`crate::repo::ApiKeyRepo::system_find`].
    pub async fn cached_api_key(&self, id: &ApiKeyId) -> Result<Option<Arc<ApiKey>>> {
        let load = || async { self.api_keys().system_find(id).await };
        self.caches().api_keys.get(id.clone(), load).await
    }

    /// The component with this appid; at most seconds old where another process changed it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn cached_component(&self, appid: &Appid) -> Result<Option<Arc<Component>>> {
        let load = || async { self.components().find(appid).await };
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
        let load = || async {
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
        let load = || async { self.account_secrets().system_find(appid).await };
        self.caches().account_secrets.get(appid.clone(), load).await
    }

    /// What the authorizer answers by itself: no rules if its owner set none; at most seconds old where
    /// another process changed it, and where the account has a new owner.
    ///
    /// # Errors
    /// As [`crate::repo::AutoReplyRepo::system_get`].
    pub async fn cached_auto_replies(&self, authorizer: &AuthorizerId) -> Result<Arc<AutoReplies>> {
        let load = || async { self.auto_replies().system_get(authorizer).await.map(Some) };
        let found = self.caches().auto_replies.get(authorizer.clone(), load).await?;
        Ok(found.unwrap_or_default())
    }

    /// The tenant's listeners, whether they are still there or not; at most seconds old where another
    /// process changed them.
    ///
    /// # Errors
    /// As [`crate::repo::ListenerRepo::system_list`].
    pub async fn cached_listeners(&self, tenant: &TenantId) -> Result<Arc<Vec<Listener>>> {
        let load = || async { self.listeners().system_list(tenant).await.map(Some) };
        Ok(self.caches().listeners.get(tenant.clone(), load).await?.unwrap_or_default())
    }

    /// The component's authorizer with this appid, whoever owns it, for what WeChat pushes; at most
    /// seconds old where another process changed it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn cached_account(
        &self,
        component: &ComponentId,
        appid: &Appid,
    ) -> Result<Option<Arc<Authorizer>>> {
        let load = || async { self.authorizers().system_find(component, appid).await };
        let key = Granted(component.clone(), appid.clone());
        self.caches().accounts.get(key, load).await
    }

    /// The authorizer with this id, whoever owns it; at most seconds old where another process
    /// changed it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn cached_authorizer_by_id(
        &self,
        id: &AuthorizerId,
    ) -> Result<Option<Arc<Authorizer>>> {
        let load =
            || async { Ok(self.authorizers().system_list(std::slice::from_ref(id)).await?.pop()) };
        self.caches().accounts_by_id.get(id.clone(), load).await
    }

    /// All endpoints of a tenant, the oldest first, those included to which nothing is sent; at most
    /// seconds old where another process changed them. Their health is as old, but for a block by
    /// this process.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn cached_endpoints(&self, tenant: &TenantId) -> Result<Arc<Vec<Endpoint>>> {
        let load = || async { self.endpoints().system_list(tenant).await.map(Some) };
        Ok(self.caches().endpoints.get(tenant.clone(), load).await?.unwrap_or_default())
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
        let load = || async {
            let kept = self.tokens().find(key).await?;
            Ok(kept.map(|kept| KeptToken { refreshes: Vec::new(), ..kept }))
        };
        self.caches().tokens.get(key.clone(), load).await
    }
}

fn endpoint_bytes(endpoint: &Endpoint) -> usize {
    let texts = endpoint.name.len() + endpoint.url.len();
    // Its secrets and what it says of its state are short.
    ENTRY_BYTES + texts + filter_bytes(&endpoint.filter)
}

fn listener_bytes(listener: &Listener) -> usize {
    size_of::<Listener>() + filter_bytes(&listener.filter)
}

fn filter_bytes(filter: &EventFilter) -> usize {
    let appids = filter.authorizers.iter().map(|appid| size_of::<Appid>() + appid.as_str().len());
    let types = filter.event_types.iter();
    let types = types.map(|pattern| size_of::<EventPattern>() + pattern.as_str().len());
    appids.sum::<usize>() + types.sum::<usize>()
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

    /// A cache whose entries take about as many bytes as `bytes` tells.
    fn weighed(bytes: fn(&V) -> usize) -> Self {
        let weigh = move |_: &K, entry: &Arc<V>| {
            u32::try_from(1 + bytes(entry) / ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        let entries = moka::future::Cache::builder()
            .max_capacity(ENTRIES)
            .weigher(weigh)
            .time_to_live(LIFETIME)
            .build();
        Self { entries, forgotten: AtomicU64::new(0) }
    }

    /// The entry, or what `load` brings; many askers of one key share one load.
    async fn get<L>(&self, key: K, load: impl FnOnce() -> L) -> Result<Option<Arc<V>>>
    where
        L: Future<Output = Result<Option<V>>>,
    {
        if let Some(kept) = self.entries.get(&key).await {
            return Ok(Some(kept));
        }
        // Apart, because it is seldom needed and large: each request would carry and copy it.
        Box::pin(self.load(key, load())).await
    }

    async fn load(
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
    use lingpai_model::{Instant, clock::Entropy, id::ListenerId};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_slow_read_does_not_bring_back_what_was_forgotten() {
        let cache: Cache<u8, &str> = Cache::new();
        let (written, wait) = oneshot::channel::<()>();
        let slow = cache.get(1, || async {
            wait.await.expect("the writer comes");
            Ok(Some("old"))
        });
        let writer = async {
            cache.forget(&1).await;
            written.send(()).expect("the reader waits");
        };
        let (old, ()) = tokio::join!(slow, writer);
        assert_eq!(old.expect("loaded").as_deref(), Some(&"old"), "as old as its question");
        let new = cache.get(1, || async { Ok(Some("new")) }).await.expect("loaded");
        assert_eq!(new.as_deref(), Some(&"new"));
    }

    #[tokio::test]
    async fn a_large_entry_takes_the_place_of_many() {
        let cache: Cache<u8, Vec<u8>> = Cache::weighed(Vec::len);
        for (key, bytes, together) in [(1, 0, 1), (2, 100 * ENTRY_BYTES, 102)] {
            cache.get(key, || async { Ok(Some(vec![0; bytes])) }).await.expect("loaded");
            cache.entries.run_pending_tasks().await;
            assert_eq!(cache.entries.weighted_size(), together);
        }
    }

    #[test]
    fn a_filter_weighs_what_its_texts_take() {
        let pattern = format!("message.{}", "x".repeat(50));
        let pattern = EventPattern::parse(&pattern).expect("a pattern");
        let filter = EventFilter { authorizers: Vec::new(), event_types: vec![pattern; 200] };
        let listener = Listener {
            id: ListenerId::new(Instant::UNIX_EPOCH, &Entropy::seeded(1)),
            tenant_id: TenantId::new(Instant::UNIX_EPOCH, &Entropy::seeded(1)),
            filter,
            seen_at: Instant::UNIX_EPOCH,
        };
        assert!(listener_bytes(&listener) > 200 * 58);
    }

    #[tokio::test]
    async fn what_is_there_is_loaded_once_and_what_is_not_is_asked_again() {
        let cache: Cache<u8, &str> = Cache::new();
        assert!(cache.get(1, || async { Ok(None) }).await.expect("loaded").is_none());
        let first = cache.get(1, || async { Ok(Some("a")) }).await.expect("loaded");
        let second = cache.get(1, || async { Ok(Some("b")) }).await.expect("kept");
        assert_eq!((first.as_deref(), second.as_deref()), (Some(&"a"), Some(&"a")));
    }
}
