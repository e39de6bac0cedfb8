//! Problems with accounts, and with calls on their behalf.

use chrono::{Months, NaiveDate, NaiveTime};
use lingpai_authorizer::{Error, PathRefusal};
use lingpai_component_token::{Error as ComponentError, UpstreamFault};
use lingpai_model::{Appid, Instant, quota::BEIJING, token::TokenKind};

use super::{Code, Problem, Retry, fan, of_component};

impl Problem {
    /// No such authorizer, or not the caller's: both look alike.
    pub(crate) fn authorizer_not_found() -> Self {
        Self::new(
            Code::AuthorizerNotFound,
            "no authorizer of yours has this appid: GET /v1/authorizers lists them, \
             POST /v1/authorizations adds one",
        )
    }

    /// No such authorizer at all, as operators are told.
    pub(crate) fn authorizer_absent() -> Self {
        Self::new(
            Code::AuthorizerNotFound,
            "no authorizer has this id, or this cannot be done to it: GET /admin/v1/authorizers \
             lists them",
        )
    }

    /// No such authorization, or not the caller's: both look alike.
    pub(crate) fn authorization_not_found() -> Self {
        Self::new(
            Code::AuthorizationNotFound,
            "no authorization of yours has this id: GET /v1/authorizations lists them",
        )
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        of(&error).caused_by(error)
    }
}

fn of(error: &Error) -> Problem {
    use Error as E;
    match error {
        E::AuthorizationNotFound { .. } | E::LinkUnknown => Problem::authorization_not_found(),
        E::TooManyVisits { .. } => Problem::new(
            Code::LinkExhausted,
            "the start page was opened too often: start a new authorization",
        ),
        E::RenewalExpired => Problem::new(
            Code::AuthorizationNotFound,
            "this link has expired: ask for a new one whoever gave it to you",
        ),
        E::RenewedJustNow { .. } => Problem::new(
            Code::RenewedJustNow,
            "this link was opened a moment ago and could start nothing: open it again in a minute",
        ),
        E::ReturnUrlUnregistered => Problem::invalid_field(
            "return_url",
            "register this exact address first, with POST /v1/redirect-uris",
        ),
        E::AuthorizerNotFound { .. } => Problem::authorizer_not_found(),
        E::AuthorizerAbsent { .. } => Problem::authorizer_absent(),
        E::AuthorizerClaimed { .. } => authorizer_claimed(),
        E::TenantNotFound { .. } => Problem::tenant_not_found(),
        E::Revoked { appid } => revoked(appid),
        E::NoApiPermission { appid } => no_api_permission(appid),
        E::NeedsReauthorization { appid } => needs_reauthorization(appid),
        E::AccountElsewhere { appid } => account_elsewhere(appid),
        E::NoProfile { appid } => no_profile(appid),
        E::BadEncodingAesKey(_) => Problem::bad_encoding_aes_key(),
        // Only browsers send fans out and back, and they are shown pages.
        E::WebLinkUnknown | E::WebAuthorizationUnknown => Problem::internal(),
        E::TooManyFans | E::Busy => Problem::overloaded(),
        E::FanUnknown => fan::not_found(),
        E::FanGrantEnded => fan::grant_ended(),
        E::OneTimeCodeUnknown => fan::code_unknown(),
        E::WebAuthorizationRefused(refusal) => fan::refused(*refusal),
        E::BadPageUrl(fault) => fan::page_url_refused(fault),
        E::MiniProgramSessionNotFound { appid } => fan::session_not_found(appid),
        E::MiniProgramData(fault) => fan::data_unreadable(*fault),
        E::NoAccessToken { .. } => Problem::upstream_garbled(),
        E::NoOtherToken { appid } => no_other_token(appid),
        E::RefreshTokensRefused { refusal, .. } => of(refusal),
        E::ScopeMissing { scope } => Problem::scope_missing(*scope),
        E::AllowanceUsedUp { allowance, month } => allowance_used_up(*allowance, month),
        E::PathRefused(refusal) => path_refused(*refusal),
        // What is wrong with the component's token is its operator's matter.
        E::Component(ComponentError::Resting { what, until, .. })
            if what.starts_with(TokenKind::Component.as_str()) =>
        {
            Problem::resting("the component's own token cannot be had now", *until)
        }
        E::Component(error) => of_component(error),
        E::Shared(error) => of(error),
        E::Storage(error) => Problem::storage(error.is_transient()),
        E::Wechat(error) => of_call(UpstreamFault::from(error)),
    }
}

/// What a failed call to WeChat means that was made for a tenant.
fn of_call(fault: UpstreamFault) -> Problem {
    match fault {
        // The only body of this crate's calls that can be too large is the tenant's own.
        UpstreamFault::TooLarge => Problem::new(
            Code::BodyTooLarge,
            "WeChat takes no body without a Content-Length, and this one is too large to be \
             collected here: send the header",
        ),
        fault => Problem::upstream(fault),
    }
}

fn authorizer_claimed() -> Problem {
    Problem::new(
        Code::AuthorizerClaimed,
        "the account belongs to a tenant already: release it first, with \
         POST /admin/v1/authorizers/{id}/release",
    )
}

fn revoked(appid: &Appid) -> Problem {
    Problem::new(
        Code::AuthorizerRevoked,
        format!(
            "the administrator of {appid} withdrew the grant: start a new authorization with \
             POST /v1/authorizations"
        ),
    )
}

fn account_elsewhere(appid: &Appid) -> Problem {
    Problem::new(
        Code::AccountConnectedElsewhere,
        format!(
            "somebody else has connected {appid} by its secret: ask the operator who it is, or \
             start an authorization with POST /v1/authorizations"
        ),
    )
}

fn no_profile(appid: &Appid) -> Problem {
    Problem::new(
        Code::NoProfile,
        format!(
            "WeChat tells the profile of an account to a component that it granted rights to, and \
             {appid} is connected by its own secret: there is nothing to refresh"
        ),
    )
}

/// Source: WeChat docs, "Clear API quota" (clear_quota): ten times a month; the month is Beijing's.
fn allowance_used_up(allowance: u64, month: &str) -> Problem {
    let detail = format!(
        "quotas may be cleared {allowance} times a month, and in {month} they were: wait for the \
         next month, or for midnight in Beijing, when they start anew"
    );
    let retry = end_of_month(month).map(Retry::At);
    Problem { retry, ..Problem::new(Code::AllowanceUsedUp, detail) }
}

/// When the month, as in `2026-11`, ends in Beijing.
fn end_of_month(month: &str) -> Option<Instant> {
    let first: NaiveDate = format!("{month}-01").parse().ok()?;
    let next = first.checked_add_months(Months::new(1))?.and_time(NaiveTime::MIN);
    Some(next.and_local_timezone(BEIJING).single()?.to_utc())
}

fn no_api_permission(appid: &Appid) -> Problem {
    Problem::new(
        Code::NoApiPermission,
        format!(
            "{appid} granted nothing that allows API calls: start a new authorization and have \
             the administrator grant the permission sets you need"
        ),
    )
}

fn needs_reauthorization(appid: &Appid) -> Problem {
    Problem::new(
        Code::NeedsReauthorization,
        format!(
            "WeChat takes no refresh token of {appid} any more: its administrator must authorize \
             again, by a new link from POST /v1/authorizations"
        ),
    )
}

fn no_other_token(appid: &Appid) -> Problem {
    Problem::new(
        Code::RefreshCeiling,
        format!(
            "WeChat gives the same token of {appid} again, though it does not take it, and gives no \
             other now: wait until it ends, or look for whoever fetches others"
        ),
    )
}

fn path_refused(refusal: PathRefusal) -> Problem {
    let way_out = match refusal {
        PathRefusal::Spelling => {
            "; send WeChat's path letter by letter as its documentation has it"
        }
        PathRefusal::ComponentInterface => "; lingpai calls it itself: /docs lists what it offers",
        PathRefusal::TokenEndpoint => {
            "; call the interface that you need a token for: the token is put in on the way"
        }
        PathRefusal::NotDelegable => {
            "; have it called with the account's own secret, by whoever keeps that"
        }
        PathRefusal::Uncatalogued => "; if WeChat documents it, ask the operator to allow it",
        // Their reason tells the way out itself.
        PathRefusal::CallRecord | PathRefusal::Method => "",
    };
    let detail = format!("this may not be called through lingpai: {refusal}{way_out}");
    Problem::new(Code::PathRefused, detail)
}
