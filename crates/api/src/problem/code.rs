use poem::http::StatusCode;

/// Every refusal of ours that a client may meet: stable names and numbers, never used again for
/// something else. Our numbers stay in 79xxxxx, where WeChat's own tables have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// No valid key was shown.
    Unauthenticated,
    /// The key lacks the scope.
    ScopeMissing,
    /// No such authorizer, or not the caller's.
    AuthorizerNotFound,
    /// No such component is registered.
    ComponentNotFound,
    /// No such tenant.
    TenantNotFound,
    /// No such authorization, or not the caller's.
    AuthorizationNotFound,
    /// The tenant has no such API key.
    ApiKeyNotFound,
    /// The account withdrew its grant.
    AuthorizerRevoked,
    /// Nothing is served under this path.
    RouteNotFound,
    /// The path is served, but not with this method.
    MethodNotAllowed,
    /// The request cannot be read at all.
    InvalidRequest,
    /// One field or parameter is not acceptable.
    InvalidField,
    /// The body is larger than accepted.
    BodyTooLarge,
    /// The body is of another type than accepted.
    UnsupportedMediaType,
    /// The body did not come in time.
    BodyTimeout,
    /// The component is registered already.
    ComponentExists,
    /// The path may not be called through lingpai.
    PathRefused,
    /// The account granted no API permission.
    NoApiPermission,
    /// The start page of an authorization was opened too often.
    LinkExhausted,
    /// WeChat takes no refresh token of the account any more.
    NeedsReauthorization,
    /// Somebody else has connected the account by its secret.
    AccountConnectedElsewhere,
    /// The key may not be used from this address.
    AddressRefused,
    /// More is asked a second than the caller may.
    RateLimited,
    /// More of the tenant's requests are under way than may be at the same time.
    TooManyAtOnce,
    /// No such operator.
    OperatorNotFound,
    /// The last valid operator key is not revoked.
    LastOperator,
    /// The idempotency key was sent with another request before.
    IdempotencyMismatch,
    /// The first request with the idempotency key is not answered yet.
    IdempotencyUnderWay,
    /// The first request with the idempotency key broke off, with unknown effect.
    IdempotencyInterrupted,
    /// No such verification file, or not the caller's.
    FileNotFound,
    /// Somebody else keeps a verification file of this name.
    FileTaken,
    /// The redirect URI is not registered.
    RedirectUriNotFound,
    /// The account belongs to a tenant already.
    AuthorizerClaimed,
    /// What may be done a number of times a month was done so often.
    AllowanceUsedUp,
    /// This link was opened a moment ago and could start no authorization.
    RenewedJustNow,
    /// WeChat tells nobody the profile of the account.
    NoProfile,
    /// What proves a component's pushes was changed within the last day.
    ComponentChangeUnderWay,
    /// No such endpoint, or not the caller's.
    EndpointNotFound,
    /// No such event, or not the caller's, or no longer kept.
    EventNotFound,
    /// No such delivery, or not the caller's, or no longer kept.
    DeliveryNotFound,
    /// The tenant has as many endpoints as there may be.
    EndpointLimit,
    /// Nothing is sent to this address.
    EndpointUrlRefused,
    /// Another endpoint replies for one of these accounts.
    ReplyingTaken,
    /// The endpoint was disabled.
    EndpointNotActive,
    /// The event has a reply already.
    AlreadyReplied,
    /// The text is no reply that WeChat would take.
    ReplyRefused,
    /// No such push is in quarantine.
    QuarantineNotFound,
    /// What kept the push in quarantine is still so.
    StillUnreadable,
    /// The tenant follows its events as often as it may at the same time.
    TooManyStreams,
    /// As many deliveries of the tenant wait as may when more are asked for.
    TooManyPending,
    /// WeChat waits for a reply to the message no longer.
    ReplyTooLate,
    /// No such fan of the account's.
    FanNotFound,
    /// What the fan granted has ended.
    FanGrantEnded,
    /// The one-time code is none of ours, or not the caller's.
    OneTimeCodeUnknown,
    /// The one-time code was used before.
    OneTimeCodeUsed,
    /// The one-time code's minute is over.
    OneTimeCodeExpired,
    /// The address of the page cannot be signed.
    PageUrlRefused,
    /// No fan with this openid has logged in to the mini program.
    MiniProgramSessionNotFound,
    /// The data cannot be read with the fan's session key.
    MiniProgramDataUnreadable,
    /// WeChat refused.
    UpstreamRejected,
    /// No usable ticket is stored, so there is no component token.
    TicketMissing,
    /// WeChat did not answer in time.
    UpstreamTimeout,
    /// WeChat could not be reached.
    UpstreamUnreachable,
    /// WeChat's answer makes no sense.
    UpstreamGarbled,
    /// Our database did not answer in time.
    Unavailable,
    /// Another instance is at work on the same thing and has not finished.
    LeaseBusy,
    /// More is asked at the same time than we take on.
    Overloaded,
    /// A refresh of the token has just failed, and it is too early for the next one.
    RefreshResting,
    /// The token was refreshed too often within the hour.
    RefreshCeiling,
    /// Our fault; only the request id is told.
    Internal,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 70] = [
        Self::Unauthenticated,
        Self::ScopeMissing,
        Self::AuthorizerNotFound,
        Self::ComponentNotFound,
        Self::TenantNotFound,
        Self::AuthorizationNotFound,
        Self::ApiKeyNotFound,
        Self::AuthorizerRevoked,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::InvalidRequest,
        Self::InvalidField,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::BodyTimeout,
        Self::ComponentExists,
        Self::PathRefused,
        Self::NoApiPermission,
        Self::LinkExhausted,
        Self::NeedsReauthorization,
        Self::AccountConnectedElsewhere,
        Self::AddressRefused,
        Self::RateLimited,
        Self::TooManyAtOnce,
        Self::OperatorNotFound,
        Self::LastOperator,
        Self::IdempotencyMismatch,
        Self::IdempotencyUnderWay,
        Self::IdempotencyInterrupted,
        Self::FileNotFound,
        Self::FileTaken,
        Self::RedirectUriNotFound,
        Self::AuthorizerClaimed,
        Self::AllowanceUsedUp,
        Self::RenewedJustNow,
        Self::NoProfile,
        Self::ComponentChangeUnderWay,
        Self::EndpointNotFound,
        Self::EventNotFound,
        Self::DeliveryNotFound,
        Self::EndpointLimit,
        Self::EndpointUrlRefused,
        Self::ReplyingTaken,
        Self::EndpointNotActive,
        Self::AlreadyReplied,
        Self::ReplyRefused,
        Self::QuarantineNotFound,
        Self::StillUnreadable,
        Self::TooManyStreams,
        Self::TooManyPending,
        Self::ReplyTooLate,
        Self::FanNotFound,
        Self::FanGrantEnded,
        Self::OneTimeCodeUnknown,
        Self::OneTimeCodeUsed,
        Self::OneTimeCodeExpired,
        Self::PageUrlRefused,
        Self::MiniProgramSessionNotFound,
        Self::MiniProgramDataUnreadable,
        Self::UpstreamRejected,
        Self::TicketMissing,
        Self::UpstreamTimeout,
        Self::UpstreamUnreachable,
        Self::UpstreamGarbled,
        Self::Unavailable,
        Self::LeaseBusy,
        Self::Overloaded,
        Self::RefreshResting,
        Self::RefreshCeiling,
        Self::Internal,
    ];

    /// As problems write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status it is answered with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// Its number for clients that only read `errcode`.
    #[must_use]
    pub fn errcode(self) -> i64 {
        self.row().2
    }

    /// What it says in a few words, the same for every occurrence.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().3
    }

    /// After how many seconds it makes sense to try again, where that is the same for every
    /// occurrence. `refresh_resting`, `rate_limited` and `allowance_used_up` tell their own in each
    /// answer.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "each code once, so that a new one has to say it")]
    pub fn retry_after_secs(self) -> Option<u32> {
        match self {
            Self::TicketMissing
            | Self::RefreshCeiling
            | Self::RenewedJustNow
            | Self::TooManyPending => Some(60),
            Self::UpstreamTimeout | Self::UpstreamUnreachable | Self::TooManyStreams => Some(5),
            Self::Unavailable | Self::LeaseBusy | Self::Overloaded => Some(2),
            Self::TooManyAtOnce | Self::IdempotencyUnderWay => Some(1),
            Self::Unauthenticated
            | Self::ScopeMissing
            | Self::AuthorizerNotFound
            | Self::ComponentNotFound
            | Self::TenantNotFound
            | Self::AuthorizationNotFound
            | Self::ApiKeyNotFound
            | Self::AuthorizerRevoked
            | Self::RouteNotFound
            | Self::MethodNotAllowed
            | Self::InvalidRequest
            | Self::InvalidField
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::BodyTimeout
            | Self::ComponentExists
            | Self::PathRefused
            | Self::NoApiPermission
            | Self::LinkExhausted
            | Self::NeedsReauthorization
            | Self::AccountConnectedElsewhere
            | Self::AddressRefused
            | Self::RateLimited
            | Self::OperatorNotFound
            | Self::LastOperator
            | Self::IdempotencyMismatch
            | Self::IdempotencyInterrupted
            | Self::FileNotFound
            | Self::FileTaken
            | Self::RedirectUriNotFound
            | Self::AuthorizerClaimed
            | Self::AllowanceUsedUp
            | Self::NoProfile
            | Self::ComponentChangeUnderWay
            | Self::EndpointNotFound
            | Self::EventNotFound
            | Self::DeliveryNotFound
            | Self::EndpointLimit
            | Self::EndpointUrlRefused
            | Self::ReplyingTaken
            | Self::EndpointNotActive
            | Self::AlreadyReplied
            | Self::ReplyRefused
            | Self::QuarantineNotFound
            | Self::StillUnreadable
            | Self::ReplyTooLate
            | Self::FanNotFound
            | Self::FanGrantEnded
            | Self::OneTimeCodeUnknown
            | Self::OneTimeCodeUsed
            | Self::OneTimeCodeExpired
            | Self::PageUrlRefused
            | Self::MiniProgramSessionNotFound
            | Self::MiniProgramDataUnreadable
            | Self::UpstreamRejected
            | Self::UpstreamGarbled
            | Self::RefreshResting
            | Self::Internal => None,
        }
    }

    /// Whether a request that was refused so has certainly had no effect, and may be made again.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "each code once, so that a new one has to say it")]
    pub fn is_without_effect(self) -> bool {
        match self {
            // What was sent may have been done, or committed, although no answer says so.
            Self::UpstreamTimeout
            | Self::UpstreamUnreachable
            | Self::UpstreamGarbled
            | Self::Unavailable
            | Self::Internal => false,
            Self::Unauthenticated
            | Self::ScopeMissing
            | Self::AuthorizerNotFound
            | Self::ComponentNotFound
            | Self::TenantNotFound
            | Self::AuthorizationNotFound
            | Self::ApiKeyNotFound
            | Self::AuthorizerRevoked
            | Self::RouteNotFound
            | Self::MethodNotAllowed
            | Self::InvalidRequest
            | Self::InvalidField
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::BodyTimeout
            | Self::ComponentExists
            | Self::PathRefused
            | Self::NoApiPermission
            | Self::LinkExhausted
            | Self::NeedsReauthorization
            | Self::AccountConnectedElsewhere
            | Self::AddressRefused
            | Self::RateLimited
            | Self::TooManyAtOnce
            | Self::OperatorNotFound
            | Self::LastOperator
            | Self::IdempotencyMismatch
            | Self::IdempotencyUnderWay
            | Self::IdempotencyInterrupted
            | Self::FileNotFound
            | Self::FileTaken
            | Self::RedirectUriNotFound
            | Self::AuthorizerClaimed
            | Self::AllowanceUsedUp
            | Self::RenewedJustNow
            | Self::NoProfile
            | Self::ComponentChangeUnderWay
            | Self::EndpointNotFound
            | Self::EventNotFound
            | Self::DeliveryNotFound
            | Self::EndpointLimit
            | Self::EndpointUrlRefused
            | Self::ReplyingTaken
            | Self::EndpointNotActive
            | Self::AlreadyReplied
            | Self::ReplyRefused
            | Self::QuarantineNotFound
            | Self::StillUnreadable
            | Self::TooManyStreams
            | Self::TooManyPending
            | Self::ReplyTooLate
            | Self::FanNotFound
            | Self::FanGrantEnded
            | Self::OneTimeCodeUnknown
            | Self::OneTimeCodeUsed
            | Self::OneTimeCodeExpired
            | Self::PageUrlRefused
            | Self::MiniProgramSessionNotFound
            | Self::MiniProgramDataUnreadable
            | Self::UpstreamRejected
            | Self::TicketMissing
            | Self::LeaseBusy
            | Self::Overloaded
            | Self::RefreshResting
            | Self::RefreshCeiling => true,
        }
    }

    #[rustfmt::skip]
    #[expect(clippy::too_many_lines, reason = "one table of all codes")]
    fn row(self) -> (&'static str, StatusCode, i64, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unauthenticated => ("unauthenticated", S::UNAUTHORIZED, 7_900_001, "No valid key"),
            Self::ScopeMissing => ("scope_missing", S::FORBIDDEN, 7_900_003, "The key lacks a scope"),
            Self::AuthorizerNotFound => ("authorizer_not_found", S::NOT_FOUND, 7_900_004, "No such authorizer"),
            Self::ComponentNotFound => ("component_not_found", S::NOT_FOUND, 7_900_005, "No such component"),
            Self::TenantNotFound => ("tenant_not_found", S::NOT_FOUND, 7_900_006, "No such tenant"),
            Self::AuthorizationNotFound => ("authorization_not_found", S::NOT_FOUND, 7_900_007, "No such authorization"),
            Self::ApiKeyNotFound => ("api_key_not_found", S::NOT_FOUND, 7_900_008, "No such API key"),
            Self::AuthorizerRevoked => ("authorizer_revoked", S::CONFLICT, 7_900_009, "The account withdrew its grant"),
            Self::RouteNotFound => ("route_not_found", S::NOT_FOUND, 7_900_010, "Nothing is served here"),
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, 7_900_011, "Not with this method"),
            Self::InvalidRequest => ("invalid_request", S::BAD_REQUEST, 7_900_012, "The request cannot be read"),
            Self::InvalidField => ("invalid_field", S::UNPROCESSABLE_ENTITY, 7_900_013, "A field is not acceptable"),
            Self::BodyTooLarge => ("body_too_large", S::PAYLOAD_TOO_LARGE, 7_900_014, "The body is too large"),
            Self::UnsupportedMediaType => ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE, 7_900_015, "The body is of another type"),
            Self::BodyTimeout => ("body_timeout", S::REQUEST_TIMEOUT, 7_900_016, "The body did not come in time"),
            Self::ComponentExists => ("component_exists", S::CONFLICT, 7_900_017, "The component is registered already"),
            Self::PathRefused => ("path_refused", S::FORBIDDEN, 7_900_018, "The path may not be called"),
            Self::NoApiPermission => ("no_api_permission", S::FORBIDDEN, 7_900_019, "The account granted no API permission"),
            Self::LinkExhausted => ("link_exhausted", S::CONFLICT, 7_900_020, "The link was opened too often"),
            Self::NeedsReauthorization => ("needs_reauthorization", S::CONFLICT, 7_900_021, "The account must be authorized again"),
            Self::AccountConnectedElsewhere => ("account_connected_elsewhere", S::CONFLICT, 7_900_022, "Somebody else has connected the account"),
            Self::AddressRefused => ("address_refused", S::FORBIDDEN, 7_900_024, "The key may not be used from here"),
            Self::RateLimited => ("rate_limited", S::TOO_MANY_REQUESTS, 7_900_025, "Too many requests in too little time"),
            Self::TooManyAtOnce => ("too_many_at_once", S::TOO_MANY_REQUESTS, 7_900_026, "Too many requests at once"),
            Self::OperatorNotFound => ("operator_not_found", S::NOT_FOUND, 7_900_027, "No such operator"),
            Self::LastOperator => ("last_operator", S::CONFLICT, 7_900_028, "The last operator key stays"),
            Self::IdempotencyMismatch => ("idempotency_mismatch", S::UNPROCESSABLE_ENTITY, 7_900_029, "The idempotency key belongs to another request"),
            Self::IdempotencyUnderWay => ("idempotency_under_way", S::CONFLICT, 7_900_030, "The first request is still worked on"),
            Self::IdempotencyInterrupted => ("idempotency_interrupted", S::CONFLICT, 7_900_031, "The first request broke off"),
            Self::FileNotFound => ("file_not_found", S::NOT_FOUND, 7_900_032, "No such file"),
            Self::FileTaken => ("file_taken", S::CONFLICT, 7_900_033, "The file name is taken"),
            Self::RedirectUriNotFound => ("redirect_uri_not_found", S::NOT_FOUND, 7_900_034, "No such redirect URI"),
            Self::AuthorizerClaimed => ("authorizer_claimed", S::CONFLICT, 7_900_035, "The account belongs to a tenant"),
            Self::AllowanceUsedUp => ("allowance_used_up", S::TOO_MANY_REQUESTS, 7_900_036, "The month's allowance is used up"),
            Self::RenewedJustNow => ("renewed_just_now", S::TOO_MANY_REQUESTS, 7_900_037, "The link was opened a moment ago"),
            Self::NoProfile => ("no_profile", S::CONFLICT, 7_900_038, "The account has no profile to refresh"),
            Self::ComponentChangeUnderWay => ("component_change_under_way", S::CONFLICT, 7_900_039, "The last change is not a day old"),
            Self::EndpointNotFound => ("endpoint_not_found", S::NOT_FOUND, 7_900_040, "No such endpoint"),
            Self::EventNotFound => ("event_not_found", S::NOT_FOUND, 7_900_041, "No such event"),
            Self::DeliveryNotFound => ("delivery_not_found", S::NOT_FOUND, 7_900_042, "No such delivery"),
            Self::EndpointLimit => ("endpoint_limit", S::CONFLICT, 7_900_043, "Too many endpoints"),
            Self::EndpointUrlRefused => ("endpoint_url_refused", S::UNPROCESSABLE_ENTITY, 7_900_044, "Nothing is sent to this address"),
            Self::ReplyingTaken => ("replying_taken", S::CONFLICT, 7_900_045, "Another endpoint replies already"),
            Self::EndpointNotActive => ("endpoint_not_active", S::CONFLICT, 7_900_046, "The endpoint is not active"),
            Self::AlreadyReplied => ("already_replied", S::CONFLICT, 7_900_047, "There is a reply already"),
            Self::ReplyRefused => ("reply_refused", S::UNPROCESSABLE_ENTITY, 7_900_048, "This is no reply"),
            Self::QuarantineNotFound => ("quarantine_not_found", S::NOT_FOUND, 7_900_049, "No such push in quarantine"),
            Self::StillUnreadable => ("still_unreadable", S::CONFLICT, 7_900_050, "The push cannot be taken yet"),
            Self::TooManyStreams => ("too_many_streams", S::TOO_MANY_REQUESTS, 7_900_051, "Too many streams at once"),
            Self::TooManyPending => ("too_many_pending", S::TOO_MANY_REQUESTS, 7_900_061, "Too many deliveries wait"),
            Self::ReplyTooLate => ("reply_too_late", S::CONFLICT, 7_900_062, "Nobody waits for the reply any more"),
            Self::FanNotFound => ("fan_not_found", S::NOT_FOUND, 7_900_063, "No such fan"),
            Self::FanGrantEnded => ("fan_grant_ended", S::CONFLICT, 7_900_064, "The fan's grant has ended"),
            Self::OneTimeCodeUnknown => ("one_time_code_unknown", S::UNPROCESSABLE_ENTITY, 7_900_065, "No such one-time code"),
            Self::OneTimeCodeUsed => ("one_time_code_used", S::CONFLICT, 7_900_066, "The one-time code was used"),
            Self::OneTimeCodeExpired => ("one_time_code_expired", S::CONFLICT, 7_900_067, "The one-time code has expired"),
            Self::PageUrlRefused => ("page_url_refused", S::UNPROCESSABLE_ENTITY, 7_900_068, "This address cannot be signed"),
            Self::MiniProgramSessionNotFound => ("mini_program_session_not_found", S::NOT_FOUND, 7_900_069, "The fan has not logged in"),
            Self::MiniProgramDataUnreadable => ("mini_program_data_unreadable", S::UNPROCESSABLE_ENTITY, 7_900_070, "The data cannot be read"),
            Self::UpstreamRejected => ("upstream_rejected", S::BAD_GATEWAY, 7_900_052, "WeChat refused"),
            Self::TicketMissing => ("ticket_missing", S::SERVICE_UNAVAILABLE, 7_900_053, "No ticket from WeChat yet"),
            Self::UpstreamTimeout => ("upstream_timeout", S::GATEWAY_TIMEOUT, 7_900_054, "WeChat did not answer in time"),
            Self::UpstreamUnreachable => ("upstream_unreachable", S::BAD_GATEWAY, 7_900_055, "WeChat could not be reached"),
            Self::UpstreamGarbled => ("upstream_garbled", S::BAD_GATEWAY, 7_900_056, "WeChat's answer makes no sense"),
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, 7_900_057, "The database is not available"),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, 7_900_059, "Too much is asked at the same time"),
            Self::LeaseBusy => ("refresh_busy", S::SERVICE_UNAVAILABLE, 7_900_058, "Another instance is at work on this"),
            Self::RefreshResting => ("refresh_resting", S::SERVICE_UNAVAILABLE, 7_900_060, "The token's refresh has just failed"),
            Self::RefreshCeiling => ("refresh_ceiling", S::TOO_MANY_REQUESTS, 7_900_023, "The token was refreshed too often"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, 7_900_099, "Our fault"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_numbers_are_never_shared() {
        let names: BTreeSet<_> = Code::ALL.into_iter().map(Code::as_str).collect();
        let numbers: BTreeSet<_> = Code::ALL.into_iter().map(Code::errcode).collect();
        assert_eq!((names.len(), numbers.len()), (Code::ALL.len(), Code::ALL.len()));
        assert!(numbers.iter().all(|number| (7_900_000..7_901_000).contains(number)));
    }
}
