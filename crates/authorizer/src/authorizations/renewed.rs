//! What renewal links started of late. Whoever follows one again within the minute gets the same: a
//! messenger that looks at a link in advance, and the administrator who opens it then.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use lingpai_model::{
    Instant,
    id::{AuthorizerId, TenantId},
};

use super::{RENEWALS_APART, Started};

/// The renewals of the last minute in this process, by account and owner. It shows nothing: the
/// links are secrets.
#[derive(Clone, Default)]
pub(super) struct Renewed {
    of_late: Arc<Mutex<HashMap<(AuthorizerId, TenantId), OfLate>>>,
}

struct OfLate {
    at: Instant,
    attempt: Arc<Attempt>,
}

/// One attempt to start an authorization. Whoever comes second waits for the first.
pub(super) type Attempt = tokio::sync::Mutex<Step>;

/// How far an attempt got.
#[derive(Default)]
pub(super) enum Step {
    /// Nobody is at it.
    #[default]
    Untried,
    /// It was begun, and nothing came of it.
    Tried,
    /// It started this.
    Started(Box<Started>),
}

impl Renewed {
    /// The attempt of this minute: links are followed by strangers, and each attempt costs a call of
    /// WeChat's.
    pub(super) fn attempt(
        &self,
        authorizer: &AuthorizerId,
        owner: &TenantId,
        now: Instant,
    ) -> Arc<Attempt> {
        let mut of_late = self.of_late.lock().unwrap_or_else(PoisonError::into_inner);
        of_late.retain(|_, one| one.at <= now && now - one.at < RENEWALS_APART);
        let key = (authorizer.clone(), owner.clone());
        let one = of_late.entry(key).or_insert_with(|| OfLate { at: now, attempt: Arc::default() });
        Arc::clone(&one.attempt)
    }
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").finish_non_exhaustive()
    }
}
