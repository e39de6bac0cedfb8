//! What a careful client does when WeChat refuses a token: the table of the platform's return
//! codes, in one place.

use std::time::Duration;

use chrono::Days;
use lingpai_model::{Instant, quota::BEIJING, token::RefreshPolicy};
use lingpai_wechat::{client::ClientError, errcode::Errcode};

/// What follows a refresh that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Try again after a pause that grows.
    Pause,
    /// WeChat counts by the minute: try again in the next.
    NextMinute,
    /// The quota of the day is used up: nothing until the day turns.
    NextDay,
    /// Something that it depends on rests: nothing until then.
    Until(Instant),
    /// Somebody has to change something: look again now and then.
    Rest,
    /// The ticket is not taken: an older one, or the next.
    Ticket,
    /// The refresh token is not taken: look for another.
    RefreshToken,
    /// The account says that it does not grant: make sure.
    Withdrawn,
    /// The account has to authorize again, and nothing else helps.
    Reauthorize,
}

/// How long a token rests that waits for somebody to change something.
const REST: chrono::Duration = chrono::Duration::minutes(10);

/// How long a token rests that waits for a ticket; one that arrives ends the rest.
const TICKET_REST: chrono::Duration = chrono::Duration::minutes(1);

/// How long after a lost authorization it is tried again: slowly, since only a new one helps.
pub const PROBE_PAUSE: chrono::Duration = chrono::Duration::hours(6);

/// How far apart those begin again that waited for the same thing.
const UNTIL_SPREAD_MS: u64 = 10_000;

/// How far behind midnight those spread out that waited for it.
const MIDNIGHT_SPREAD_SECS: i64 = 600;

impl Reaction {
    /// What follows when a call that gets a token failed with `error`.
    ///
    /// Source: WeChat docs, "Return codes" (返回码), and the pages of the token interfaces.
    #[must_use]
    pub fn to(error: &ClientError) -> Self {
        match error.errcode() {
            Some(errcode) => Self::to_errcode(errcode),
            None => Self::Pause,
        }
    }

    fn to_errcode(errcode: Errcode) -> Self {
        match errcode {
            // Said of a call that gets a token, these mean a wrong secret or a wrong set-up.
            Errcode::INVALID_CREDENTIAL
            | Errcode::INVALID_ACCESS_TOKEN
            | Errcode::INVALID_APPID
            | Errcode::INVALID_APPSECRET
            | Errcode::APPSECRET_FROZEN
            | Errcode::IP_NOT_ON_WHITE_LIST
            | Errcode::IP_NOT_ON_ACCOUNTS_WHITE_LIST
            | Errcode::IP_NOT_REGISTERED
            | Errcode::COMPONENT_INVALID
            | Errcode::COMPONENT_TOKEN_NEEDED
            | Errcode::ACCOUNT_TOKEN_NEEDED
            | Errcode::API_UNAUTHORIZED
            | Errcode::PERMISSION_SET_NOT_GRANTED
            | Errcode::PERMISSION_SET_NOT_CONFIRMED
            | Errcode::PERMISSION_SET_NOT_AUTHORIZED
            | Errcode::NO_PERMISSION
            | Errcode::API_BLOCKED
            | Errcode::ACCOUNT_RESTRICTED
            | Errcode::TOKENS_FORBIDDEN_TO_ACCOUNT
            | Errcode::ACCOUNT_FROZEN => Self::Rest,
            Errcode::CALLED_TOO_OFTEN
            | Errcode::TOO_MANY_CALLS_IN_A_SECOND
            | Errcode::TOO_MANY_CALLS_IN_A_MINUTE => Self::NextMinute,
            Errcode::QUOTA_USED_UP => Self::NextDay,
            Errcode::TICKET_EXPIRED | Errcode::TICKET_INVALID => Self::Ticket,
            Errcode::INVALID_REFRESH_TOKEN | Errcode::AUTHORIZER_REFRESH_TOKEN_INVALID => {
                Self::RefreshToken
            }
            Errcode::NOT_AUTHORIZED_BY_ACCOUNT => Self::Withdrawn,
            Errcode::TOKENS_VOID_AFTER_PASSWORD_CHANGE => Self::Reauthorize,
            _ => Self::Pause,
        }
    }

    /// When it is tried again, if `failures` refreshes in a row have failed by `now`. `chance`
    /// spreads out those that wait for the same moment.
    #[must_use]
    pub fn next_try_at(
        self,
        now: Instant,
        failures: u32,
        policy: &RefreshPolicy,
        chance: u8,
    ) -> Instant {
        match self {
            Self::Pause | Self::RefreshToken | Self::Withdrawn => now + policy.pause(failures),
            Self::NextMinute => now + Duration::from_secs(60 + u64::from(chance) / 8),
            Self::NextDay => {
                let spread = MIDNIGHT_SPREAD_SECS * i64::from(chance) / 255;
                midnight_after(now) + chrono::Duration::seconds(spread)
            }
            Self::Until(until) => {
                until + Duration::from_millis(u64::from(chance) * UNTIL_SPREAD_MS / 255)
            }
            Self::Rest => now + REST,
            Self::Ticket => now + TICKET_REST,
            Self::Reauthorize => now + PROBE_PAUSE,
        }
    }
}

/// The next turn of the day in Beijing.
///
/// Assumed: there the day turns for WeChat's quotas; its pages do not say (#3).
fn midnight_after(now: Instant) -> Instant {
    let tomorrow = now.with_timezone(&BEIJING).date_naive() + Days::new(1);
    let midnight = tomorrow.and_hms_opt(0, 0, 0).expect("every day begins");
    midnight.and_local_timezone(BEIJING).single().expect("the offset never changes").to_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errcode: i64) -> ClientError {
        ClientError::Rejected { call: "x", errcode: Errcode(errcode), errmsg: String::new() }
    }

    /// The rows of the table that a call which gets a token can be answered with.
    #[test]
    fn every_row_of_the_table_has_its_reaction() {
        for (errcode, reaction) in [
            (-1, Reaction::Pause),
            (40001, Reaction::Rest),
            (40014, Reaction::Rest),
            (40013, Reaction::Rest),
            (40125, Reaction::Rest),
            (40243, Reaction::Rest),
            (42007, Reaction::Reauthorize),
            (40030, Reaction::RefreshToken),
            (61023, Reaction::RefreshToken),
            (61003, Reaction::Withdrawn),
            (61004, Reaction::Rest),
            (40164, Reaction::Rest),
            (45035, Reaction::Rest),
            (61005, Reaction::Ticket),
            (61006, Reaction::Ticket),
            (61007, Reaction::Rest),
            (61016, Reaction::Rest),
            (61017, Reaction::Rest),
            (48001, Reaction::Rest),
            (61011, Reaction::Rest),
            (61014, Reaction::Rest),
            (61015, Reaction::Rest),
            (45009, Reaction::NextDay),
            (45011, Reaction::NextMinute),
            (44990, Reaction::NextMinute),
            (44991, Reaction::NextMinute),
            (43104, Reaction::Rest),
            (48004, Reaction::Rest),
            (50002, Reaction::Rest),
            (50004, Reaction::Rest),
            (50007, Reaction::Rest),
            (99_999_999, Reaction::Pause),
        ] {
            assert_eq!(Reaction::to(&refused(errcode)), reaction, "{errcode}");
        }
        assert_eq!(Reaction::to(&ClientError::Timeout { call: "x" }), Reaction::Pause);
    }

    #[test]
    fn a_used_up_quota_waits_for_midnight_in_beijing() {
        let at = |text: &str| text.parse::<Instant>().expect("an instant");
        let policy = RefreshPolicy::default();
        let next = |now: &str, chance| Reaction::NextDay.next_try_at(at(now), 1, &policy, chance);
        assert_eq!(next("2026-11-20T15:59:59Z", 0), at("2026-11-20T16:00:00Z"));
        assert_eq!(next("2026-11-20T16:00:00Z", 0), at("2026-11-21T16:00:00Z"));
        assert_eq!(next("2026-11-20T10:00:00Z", 255), at("2026-11-20T16:10:00Z"));
    }

    #[test]
    fn pauses_grow_with_the_failures_and_rests_do_not() {
        let policy = RefreshPolicy::default();
        let now = Instant::UNIX_EPOCH;
        let secs = |reaction: Reaction, failures| {
            (reaction.next_try_at(now, failures, &policy, 0) - now).num_seconds()
        };
        assert_eq!([1, 2, 3].map(|n| secs(Reaction::Pause, n)), [2, 5, 15]);
        assert_eq!([1, 9].map(|n| secs(Reaction::Rest, n)), [600, 600]);
        assert_eq!(secs(Reaction::Ticket, 1), 60);
        assert_eq!(secs(Reaction::Reauthorize, 1), 21600);
        assert_eq!(secs(Reaction::NextMinute, 1), 60);
        let until = now + chrono::Duration::seconds(77);
        assert_eq!([1, 9].map(|n| secs(Reaction::Until(until), n)), [77, 77]);
    }
}
