//! What is counted in memory between two flushes.

use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::Arc,
};

use lingpai_model::{
    Appid, Instant,
    authorizer::Authorizer,
    id::{ApiKeyId, AuthorizerId, TenantId},
    quota::beijing_day,
    usage::UsageKey,
};
use lingpai_wechat::errcode::Errcode;

use super::unknown_paths::{OTHER_PATHS, UnknownPaths};
use crate::JudgedPath;

/// How many different counts there are at most before paths are no longer told apart.
const MAX_COUNTS: usize = 20_000;

/// How many warnings are kept between two flushes, and how many are remembered as told.
const MAX_WARNINGS: usize = 10_000;

/// Counts by the hash of their key, so that a call that is counted already costs no allocation.
pub(super) type Counts = HashMap<u64, Vec<(UsageKey, u64)>>;

/// The counts since the last flush.
#[derive(Debug, Default)]
pub(super) struct Book {
    counts: Counts,
    distinct: usize,
    hasher: RandomState,
    unknown_paths: UnknownPaths,
    /// Calls that were not counted because there was no room left at all.
    dropped: u64,
    warnings: HashMap<Warned, Arc<Authorizer>>,
    /// What this process has told or seen told, with its day or hour.
    told: HashSet<(Warned, String)>,
}

/// Whose calls of which path, and the number that says that they are too many.
type Warned = (AuthorizerId, String, i64);

/// A quota that WeChat says is used up.
#[derive(Debug, Clone)]
pub(super) struct Warning {
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) path: String,
    pub(super) errcode: i64,
}

/// Whether the owner of the account is told of this number.
pub(super) fn is_warning(errcode: i64) -> bool {
    matches!(Errcode(errcode), Errcode::QUOTA_USED_UP | Errcode::CALLED_TOO_OFTEN)
}

impl Warning {
    /// Within which time it is told once: the day in Beijing, by which WeChat counts, or the hour.
    pub(super) fn period(&self, now: Instant) -> String {
        match Errcode(self.errcode) {
            Errcode::QUOTA_USED_UP => beijing_day(now),
            _ => now.format("%Y-%m-%dT%H").to_string(),
        }
    }

    /// What is marked as told.
    pub(super) fn subject(&self) -> String {
        format!("{} {}", self.errcode, self.path)
    }

    fn warned(&self) -> Warned {
        (self.authorizer.id.clone(), self.path.clone(), self.errcode)
    }
}

impl Book {
    /// Under which path a call is counted that WeChat answered with `errcode`.
    pub(super) fn name<'p>(
        &mut self,
        tenant: &TenantId,
        (path, errcode): (&'p JudgedPath, i64),
        now: Instant,
    ) -> &'p str {
        match path.known() {
            Some(row) => &row.path,
            None => self.unknown_paths.name(tenant, (path.as_str(), errcode), now),
        }
    }

    /// Counts one call.
    pub(super) fn count(
        &mut self,
        owner: (&TenantId, &ApiKeyId),
        appid: &Appid,
        (path, errcode): (&str, i64),
    ) {
        self.add(owner, appid, (path, errcode), 1);
    }

    /// Notes that a quota is used up.
    pub(super) fn warn(&mut self, authorizer: &Arc<Authorizer>, (path, errcode): (&str, i64)) {
        if self.warnings.len() < MAX_WARNINGS {
            let warned = (authorizer.id.clone(), path.to_owned(), errcode);
            self.warnings.entry(warned).or_insert_with(|| Arc::clone(authorizer));
        }
    }

    /// Whether it was told within this period, as far as this process knows.
    pub(super) fn has_told(&self, warning: &Warning, period: &str) -> bool {
        self.told.contains(&(warning.warned(), period.to_owned()))
    }

    /// Remembers that it was told within this period.
    pub(super) fn tell(&mut self, warning: &Warning, period: String) {
        if self.told.len() >= MAX_WARNINGS {
            self.told.clear();
        }
        self.told.insert((warning.warned(), period));
    }

    /// Takes out what was counted, and the warnings.
    pub(super) fn take(&mut self) -> (Counts, Vec<Warning>) {
        if self.dropped > 0 {
            tracing::warn!(calls = self.dropped, "calls were not counted: the ledger was full");
        }
        (self.dropped, self.distinct) = (0, 0);
        let warnings = self.warnings.drain();
        let warnings = warnings
            .map(|((_, path, errcode), authorizer)| Warning { authorizer, path, errcode })
            .collect();
        (std::mem::take(&mut self.counts), warnings)
    }

    /// Takes back what could not be written or told.
    pub(super) fn put_back(&mut self, counts: Vec<(UsageKey, u64)>, warnings: Vec<Warning>) {
        for (key, calls) in counts {
            let UsageKey { tenant_id, key_id, authorizer_appid, path, errcode } = &key;
            self.add((tenant_id, key_id), authorizer_appid, (path, *errcode), calls);
        }
        for Warning { authorizer, path, errcode } in warnings {
            self.warn(&authorizer, (&path, errcode));
        }
    }

    fn add(
        &mut self,
        (tenant_id, key_id): (&TenantId, &ApiKeyId),
        appid: &Appid,
        (path, errcode): (&str, i64),
        calls: u64,
    ) {
        let hash = self.hasher.hash_one((
            tenant_id.as_str(),
            key_id.as_str(),
            appid.as_str(),
            path,
            errcode,
        ));
        let is_same = |key: &UsageKey| {
            key.errcode == errcode
                && key.path == path
                && key.key_id == *key_id
                && key.authorizer_appid == *appid
                && key.tenant_id == *tenant_id
        };
        let same_hash = self.counts.get_mut(&hash);
        if let Some((_, count)) =
            same_hash.and_then(|counts| counts.iter_mut().find(|(key, _)| is_same(key)))
        {
            *count += calls;
        } else if self.distinct < MAX_COUNTS
            || (path == OTHER_PATHS && self.distinct < 2 * MAX_COUNTS)
        {
            let key = UsageKey {
                tenant_id: tenant_id.clone(),
                key_id: key_id.clone(),
                authorizer_appid: appid.clone(),
                path: path.to_owned(),
                errcode,
            };
            self.counts.entry(hash).or_default().push((key, calls));
            self.distinct += 1;
        } else if path == OTHER_PATHS {
            self.dropped += calls;
        } else {
            self.add((tenant_id, key_id), appid, (OTHER_PATHS, errcode), calls);
        }
    }
}

/// Counts in an order that depends on nothing else.
pub(super) fn in_order(counts: Counts) -> Vec<(UsageKey, u64)> {
    let mut counts: Vec<_> = counts.into_values().flatten().collect();
    counts.sort_unstable_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
    counts
}

fn order(key: &UsageKey) -> (&TenantId, &ApiKeyId, &str, &str, i64) {
    (&key.tenant_id, &key.key_id, key.authorizer_appid.as_str(), &key.path, key.errcode)
}

#[cfg(test)]
mod tests {
    use lingpai_model::clock::Entropy;

    use super::*;

    struct Owner(TenantId, ApiKeyId, Appid);

    impl Owner {
        fn new() -> Self {
            let (at, entropy) = (Instant::UNIX_EPOCH, Entropy::seeded(1));
            let appid = Appid::parse("wx1").expect("an appid");
            Self(TenantId::new(at, &entropy), ApiKeyId::new(at, &entropy), appid)
        }

        fn count(&self, book: &mut Book, path: &str, errcode: i64) {
            book.count((&self.0, &self.1), &self.2, (path, errcode));
        }
    }

    fn told(counts: &[(UsageKey, u64)]) -> Vec<(&str, i64, u64)> {
        counts.iter().map(|(key, calls)| (key.path.as_str(), key.errcode, *calls)).collect()
    }

    #[test]
    fn calls_are_counted_by_path_and_errcode_and_taken_out_once() {
        let (owner, mut book) = (Owner::new(), Book::default());
        for (path, errcode) in [("/b", 0), ("/a", 0), ("/b", 45009), ("/b", 0)] {
            owner.count(&mut book, path, errcode);
        }
        let counts = in_order(book.take().0);
        assert_eq!(told(&counts), [("/a", 0, 1), ("/b", 0, 2), ("/b", 45009, 1)]);
        assert!(book.take().0.is_empty());
    }

    #[test]
    fn what_is_put_back_is_counted_with_what_came_meanwhile() {
        let (owner, mut book) = (Owner::new(), Book::default());
        owner.count(&mut book, "/a", 0);
        let counts = in_order(book.take().0);
        owner.count(&mut book, "/a", 0);
        book.put_back(counts, Vec::new());
        assert_eq!(told(&in_order(book.take().0)), [("/a", 0, 2)]);
    }

    #[test]
    fn invented_paths_are_counted_together_once_there_are_too_many() {
        let (owner, mut book) = (Owner::new(), Book::default());
        for number in 0..MAX_COUNTS + 5 {
            owner.count(&mut book, &format!("/wxa/{number}"), 0);
        }
        owner.count(&mut book, "/wxa/0", 0);
        let counts = in_order(book.take().0);
        assert_eq!(counts.len(), MAX_COUNTS + 1);
        let others = counts.iter().find(|(key, _)| key.path == OTHER_PATHS).expect("a count");
        assert_eq!(others.1, 5);
        let known = counts.iter().find(|(key, _)| key.path == "/wxa/0").expect("a count");
        assert_eq!(known.1, 2, "what has a count keeps it");
    }

    #[test]
    fn the_ledger_has_an_end() {
        let (owner, mut book) = (Owner::new(), Book::default());
        for number in 0..2 * MAX_COUNTS + 5 {
            owner.count(&mut book, &format!("/wxa/{number}"), i64::try_from(number).expect("fits"));
        }
        assert_eq!((book.distinct, book.dropped), (2 * MAX_COUNTS, 5));
    }

    #[test]
    fn a_used_up_day_is_told_by_the_day_and_a_hasty_minute_by_the_hour() {
        let period = |errcode| {
            let entropy = Entropy::seeded(1);
            let warning = Warning {
                authorizer: Arc::new(authorizer(&entropy)),
                path: "/a".to_owned(),
                errcode,
            };
            warning.period("2026-11-20T17:30:00Z".parse().expect("an instant"))
        };
        assert_eq!(period(45009), "2026-11-21", "the day has turned in Beijing");
        assert_eq!(period(45011), "2026-11-20T17");
        assert!(is_warning(45009) && is_warning(45011) && !is_warning(44990) && !is_warning(0));
    }

    fn authorizer(entropy: &Entropy) -> Authorizer {
        use lingpai_model::authorizer::{AuthorizerState, Connection, Profile};
        let at = Instant::UNIX_EPOCH;
        Authorizer {
            id: AuthorizerId::new(at, entropy),
            connection: Connection::Secret,
            tenant_id: None,
            refused_at: None,
            released_at: None,
            appid: Appid::parse("wx1").expect("an appid"),
            state: AuthorizerState::Active,
            generation: 1,
            granted_at: at,
            profile: Profile::default(),
            func_info: Vec::new(),
            created_at: at,
            updated_at: at,
        }
    }
}
