//! Typed ids: a three-letter prefix and a ULID, so that a bare string never stands for a row.

use ulid::Ulid;

use crate::{Instant, clock::Entropy};

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is `{prefix}` followed by 26 characters")]
pub struct InvalidId {
    /// How ids of the wanted kind begin.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $name:ident = $prefix:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// How every id of this kind begins.
            pub const PREFIX: &'static str = $prefix;

            /// A new id that sorts by `at` and is otherwise random.
            #[must_use]
            pub fn new(at: Instant, entropy: &Entropy) -> Self {
                Self(format!("{}{}", Self::PREFIX, new_ulid(at, entropy)))
            }

            /// Reads an id of this kind.
            ///
            /// # Errors
            /// [`InvalidId`] when the prefix is another or no ULID follows it.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                is_prefixed_ulid(Self::PREFIX, text)
                    .then(|| Self(text.to_owned()))
                    .ok_or(InvalidId { prefix: Self::PREFIX })
            }

            /// The id as it is written everywhere.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

ids! {
    /// A tenant: our customer.
    TenantId = "tnt_";
    /// An API key of a tenant.
    ApiKeyId = "key_";
    /// An operator: who runs this installation.
    OperatorId = "opr_";
    /// A component: one registered third-party platform.
    ComponentId = "cmp_";
    /// An authorization: one attempt of an administrator.
    AuthorizationId = "atn_";
    /// An authorizer: one account that is connected here.
    AuthorizerId = "aut_";
    /// A push that WeChat sent and we keep.
    PushId = "psh_";
    /// An event: something that happened, in our words.
    EventId = "evt_";
    /// A web OAuth token of one fan.
    WebTokenId = "wot_";
    /// A web authorization: one attempt of a fan.
    WebAuthorizationId = "wau_";
    /// The session of one fan in one mini program.
    MiniProgramSessionId = "mps_";
    /// An entry of the audit trail.
    AuditId = "aud_";
    /// An endpoint: where a tenant wants its events.
    EndpointId = "end_";
    /// A delivery: one event on its way to one endpoint.
    DeliveryId = "dlv_";
    /// A reply that came too late to be WeChat's answer, and goes to the fan as a message.
    LateReplyId = "lrp_";
    /// A listener: a program of a tenant that follows its events as they come.
    ListenerId = "lsn_";
    /// What became of one step of the whole-network publish test.
    PublishCheckId = "pck_";
}

impl EventId {
    /// The first id that an event of this instant can have: those of before sort before it.
    #[must_use]
    pub fn first_of(at: Instant) -> Self {
        Self(format!("{}{}", Self::PREFIX, Ulid::from_parts(millis(at), 0)))
    }
}

fn new_ulid(at: Instant, entropy: &Entropy) -> String {
    Ulid::from_parts(millis(at), u128::from_be_bytes(entropy.bytes())).to_string()
}

/// The time in an id. It ends in the year 10889: what is later would begin anew.
fn millis(at: Instant) -> u64 {
    const LAST: u64 = (1 << 48) - 1;
    u64::try_from(at.timestamp_millis()).unwrap_or_default().min(LAST)
}

fn is_prefixed_ulid(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| Ulid::from_string(rest).is_ok_and(|ulid| ulid.to_string() == rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_fit_their_column() {
        let entropy = Entropy::seeded(1);
        let early = TenantId::new(Instant::UNIX_EPOCH, &entropy);
        let late = TenantId::new(Instant::UNIX_EPOCH + chrono::Duration::days(1), &entropy);
        assert!(early < late);
        assert!(late.as_str().len() <= 32);
        assert_eq!(TenantId::parse(late.as_str()), Ok(late));
    }

    #[test]
    fn ids_of_an_instant_lie_between_its_first_and_the_next_ones() {
        let entropy = Entropy::seeded(1);
        // The last of them is in the year 10889.
        for millis in [0, 1_700_000_000_123, (1 << 48) - 2] {
            let at = Instant::from_timestamp_millis(millis).unwrap();
            let (first, id) = (EventId::first_of(at), EventId::new(at, &entropy));
            let next = EventId::first_of(at + chrono::TimeDelta::milliseconds(1));
            assert!(first < id && id < next, "{first} {id} {next}");
            assert_eq!(EventId::parse(first.as_str()), Ok(first));
        }
    }

    #[test]
    fn the_times_that_no_id_can_hold_are_before_and_behind_all_ids() {
        let present = EventId::new(chrono::DateTime::UNIX_EPOCH, &Entropy::seeded(1));
        assert!(EventId::first_of(Instant::MIN_UTC) <= present);
        assert!(EventId::first_of(Instant::MAX_UTC) > present);
        let last = EventId::new(Instant::MAX_UTC, &Entropy::seeded(1));
        assert!(last > present && EventId::parse(last.as_str()).is_ok());
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let key = ApiKeyId::new(Instant::UNIX_EPOCH, &Entropy::seeded(1));
        assert_eq!(TenantId::parse(key.as_str()), Err(InvalidId { prefix: "tnt_" }));
        assert!(TenantId::parse("tnt_").is_err());
        assert!(TenantId::parse(&format!("tnt_{}", &key.as_str()[4..].to_lowercase())).is_err());
    }
}
