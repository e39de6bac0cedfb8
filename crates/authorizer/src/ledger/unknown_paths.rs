//! Paths that the catalogue does not know. A tenant may invent as many as it likes, and each that is
//! told apart is a row in every hour.

use std::collections::{HashMap, HashSet};

use lingpai_model::{Instant, id::TenantId, usage::Granularity};
use lingpai_wechat::errcode::Errcode;

/// The path under which calls are counted that are not told apart. No path of WeChat's looks like it.
pub(super) const OTHER_PATHS: &str = "(other)";

/// How many of a tenant's are told apart within an hour, in one process.
const MAX_PATHS: usize = 64;

/// What WeChat answers to a path that it does not have either.
///
/// Source: WeChat docs, "Return codes" (返回码): both are "invalid url".
const INVALID_URL: [Errcode; 2] = [Errcode(40048), Errcode(40066)];

/// Those that are told apart in the present hour, by tenant.
#[derive(Debug, Default)]
pub(super) struct UnknownPaths {
    hour: Option<Instant>,
    of: HashMap<TenantId, HashSet<String>>,
}

impl UnknownPaths {
    /// Under which path a call of `path` is counted that WeChat answered with `errcode`.
    pub(super) fn name<'p>(
        &mut self,
        tenant: &TenantId,
        (path, errcode): (&'p str, i64),
        now: Instant,
    ) -> &'p str {
        if INVALID_URL.contains(&Errcode(errcode)) {
            return OTHER_PATHS;
        }
        let hour = Some(Granularity::Hour.start_of(now));
        if self.hour != hour {
            (self.hour, self.of) = (hour, HashMap::new());
        }
        let paths = self.of.entry(tenant.clone()).or_default();
        if paths.contains(path) {
            return path;
        }
        if paths.len() >= MAX_PATHS {
            return OTHER_PATHS;
        }
        paths.insert(path.to_owned());
        path
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::clock::Entropy;

    use super::*;

    #[test]
    fn sixty_four_of_a_tenants_are_told_apart_in_an_hour() {
        let (at, entropy) = (Instant::UNIX_EPOCH, Entropy::seeded(1));
        let [one, two] = [(); 2].map(|()| TenantId::new(at, &entropy));
        let mut unknown = UnknownPaths::default();
        for number in 0..MAX_PATHS {
            let path = format!("/wxa/{number}");
            assert_eq!(unknown.name(&one, (&path, 0), at), path);
        }
        let late = at + chrono::Duration::minutes(59);
        let next = at + chrono::Duration::minutes(60);
        for (tenant, path, at, name) in [
            (&one, "/wxa/new", late, OTHER_PATHS),
            (&one, "/wxa/0", late, "/wxa/0"),
            (&two, "/wxa/new", late, "/wxa/new"),
            (&one, "/wxa/new", next, "/wxa/new"),
        ] {
            assert_eq!(unknown.name(tenant, (path, 0), at), name, "{path} {at}");
        }
    }

    #[test]
    fn what_wechat_does_not_have_takes_nobodys_place() {
        let (at, entropy) = (Instant::UNIX_EPOCH, Entropy::seeded(1));
        let tenant = TenantId::new(at, &entropy);
        let mut unknown = UnknownPaths::default();
        for number in 0..=MAX_PATHS {
            for errcode in [40048, 40066] {
                let path = format!("/wxa/{number}");
                assert_eq!(unknown.name(&tenant, (&path, errcode), at), OTHER_PATHS);
            }
        }
        assert_eq!(unknown.name(&tenant, ("/wxa/new", 45009), at), "/wxa/new");
    }
}
