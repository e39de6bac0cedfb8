//! Calls about quotas: how far one is used up, and having an account's calls counted anew.
//!
//! Both take the token of whose calls they are about: an account's, or the component's for its own.

use serde::Serialize;

use super::{Answer, AnswerError, Call, done, field::Fields};

/// Tells how far the quota of one path is used up.
///
/// Source: WeChat docs, "Query API call quota" (getApiQuota, openapi/quota/get).
pub const GET_API_QUOTA: Call =
    Call { name: "openapi/quota/get", path: "/cgi-bin/openapi/quota/get" };

/// Has all calls of the account counted anew that is named.
///
/// Source: WeChat docs, "Reset API call counts" (clearQuota, clear_quota): ten times a month for
/// each account, those in WeChat's console included; 48006 when they are used up.
pub const CLEAR_QUOTA: Call = Call { name: "clear_quota", path: "/cgi-bin/clear_quota" };

/// How often [`CLEAR_QUOTA`] may be called in a month for one account.
///
/// Source: WeChat docs, the same page.
pub const CLEAR_QUOTA_A_MONTH: u64 = 10;

/// Has the calls of one path counted anew. Only passed on, never called by ourselves.
///
/// Source: WeChat docs, "Reset call counts of an API" (clearApiQuota, openapi/quota/clear).
pub const CLEAR_API_QUOTA: Call =
    Call { name: "openapi/quota/clear", path: "/cgi-bin/openapi/quota/clear" };

/// How often [`CLEAR_API_QUOTA`] may be called in a month for one account.
///
/// Assumed: one source says so, and WeChat's page gives no number (#4).
pub const CLEAR_API_QUOTA_A_MONTH: u64 = 50;

/// Body of [`GET_API_QUOTA`].
#[derive(Serialize)]
pub struct ApiQuotaRequest<'a> {
    /// The path, with its first slash and without host and query.
    pub cgi_path: &'a str,
}

/// Body of [`CLEAR_QUOTA`].
#[derive(Serialize)]
pub struct ClearQuotaRequest<'a> {
    /// The account whose token goes along.
    pub appid: &'a str,
}

/// Answer of [`GET_API_QUOTA`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaFigures {
    /// How many calls a day are allowed.
    pub daily_limit: u64,
    /// How many of them were made today, by whoever calls for the account.
    pub used: u64,
    /// How many are left today.
    pub remain: u64,
    /// How many calls are allowed in a short time, if that is limited.
    pub rate_limit: Option<RateFigures>,
    /// The same for all accounts of the component together.
    pub component_rate_limit: Option<RateFigures>,
}

/// How many calls are allowed in how long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateFigures {
    /// How many calls.
    pub call_count: u64,
    /// In how many seconds.
    pub refresh_second: u64,
}

impl Answer for QuotaFigures {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        let fields = Fields::of(json).ok_or(AnswerError::Garbled("no JSON object"))?;
        let quota = fields.object("quota").ok_or(AnswerError::Garbled("no quota"))?;
        let number = |name, garbled| count(quota, name).ok_or(AnswerError::Garbled(garbled));
        Ok(Self {
            daily_limit: number("daily_limit", "no daily_limit")?,
            used: number("used", "no used calls")?,
            remain: number("remain", "no remaining calls")?,
            rate_limit: fields.object("rate_limit").and_then(rate),
            component_rate_limit: fields.object("component_rate_limit").and_then(rate),
        })
    }
}

fn rate(fields: Fields<'_>) -> Option<RateFigures> {
    Some(RateFigures {
        call_count: count(fields, "call_count")?,
        refresh_second: count(fields, "refresh_second")?,
    })
}

/// A number of calls or seconds; less than none is none.
fn count(fields: Fields<'_>, name: &str) -> Option<u64> {
    fields.integer(name).map(|count| u64::try_from(count).unwrap_or(0))
}

/// Answer of [`CLEAR_QUOTA`]: the calls count from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaCleared;

impl Answer for QuotaCleared {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        done(json).map(|()| Self)
    }
}
