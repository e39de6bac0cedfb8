use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lingpai_model::{Instant, api_key::ApiKey, id::ApiKeyId};

/// How many keys are remembered between two flushes. Beyond that a key's use is noted with its next
/// one: forgetting is harmless.
const NOTED: usize = 10_000;

/// How exactly the last use is kept: a busy key costs one write in this time.
const PRECISION: Duration = Duration::from_secs(60);

/// When keys were used since that was last written down. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses(Arc<Mutex<HashMap<ApiKeyId, Instant>>>);

impl Uses {
    pub(super) fn note(&self, key: &ApiKey, at: Instant) {
        if key.last_used_at.is_none_or(|last| at >= last + PRECISION) {
            keep(&mut self.noted(), &key.id, at);
        }
    }

    /// What was noted; from now on it is for the taker to remember.
    pub(super) fn take(&self) -> Vec<(ApiKeyId, Instant)> {
        std::mem::take(&mut *self.noted()).into_iter().collect()
    }

    pub(super) fn put_back(&self, uses: &[(ApiKeyId, Instant)]) {
        let mut noted = self.noted();
        for (id, at) in uses {
            keep(&mut noted, id, *at);
        }
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<ApiKeyId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(noted: &mut HashMap<ApiKeyId, Instant>, id: &ApiKeyId, at: Instant) {
    if let Some(last) = noted.get_mut(id) {
        *last = at.max(*last);
    } else if noted.len() < NOTED {
        noted.insert(id.clone(), at);
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{
        Instant,
        api_key::{ApiKey, KeyText, Scopes},
        clock::Entropy,
        id::{ApiKeyId, TenantId},
    };

    use super::{NOTED, PRECISION, Uses};

    fn key(entropy: &Entropy) -> ApiKey {
        let at = Instant::UNIX_EPOCH;
        let id = ApiKeyId::new(at, entropy);
        ApiKey {
            key_digest: KeyText::for_api_key(&id, entropy).digest(),
            id,
            tenant_id: TenantId::new(at, entropy),
            name: String::new(),
            scopes: Scopes::all(),
            created_at: at,
            revoked_at: None,
            expires_at: None,
            networks: Vec::new(),
            requests_per_second: None,
            previous: None,
            last_used_at: None,
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (uses, entropy) = (Uses::default(), Entropy::seeded(1));
        for _ in 0..NOTED + 1 {
            uses.note(&key(&entropy), Instant::UNIX_EPOCH);
        }
        assert_eq!(uses.take().len(), NOTED);
        assert!(uses.take().is_empty(), "taken once");
    }

    #[test]
    fn the_later_use_stays_and_one_within_the_precision_is_not_noted() {
        let (uses, entropy) = (Uses::default(), Entropy::seeded(1));
        let (first, late) = (Instant::UNIX_EPOCH, Instant::UNIX_EPOCH + PRECISION);
        let used = ApiKey { last_used_at: Some(first), ..key(&entropy) };
        uses.note(&used, first + PRECISION / 2);
        assert!(uses.take().is_empty(), "a busy key costs one write a minute");
        uses.note(&used, late);
        uses.put_back(&[(used.id.clone(), first)]);
        assert_eq!(uses.take(), [(used.id, late)]);
    }
}
