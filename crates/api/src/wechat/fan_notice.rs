//! What a fan is shown whose way to WeChat or back ends with us: what happened, what to do, and, folded
//! away, what whoever made the link has to mend.

mod words;

use askama::Template;
use lingpai_authorizer::Error;
use lingpai_model::{clock::Entropy, web_authorization::WebAuthorizationRefusal};
use poem::{
    Response,
    http::{HeaderValue, StatusCode, header},
};

use self::words::Words;
use super::{
    html::{self, Nonce, Referrer},
    language::Language,
    web_authorization_query::BadLink,
};
use crate::{
    middleware::RequestId,
    problem::{Code, Problem},
};

/// Why a fan goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FanNotice {
    /// The link cannot be read, or asks for what there is not.
    BadLink(BadLink),
    /// No account of anybody's sends fans out with this appid and this address. Which of the two it is
    /// is not told: that would tell who is served here.
    UnknownLink,
    /// The attempt took too long, has come to its end, or never was.
    Ended,
    /// The attempt was begun in another browser.
    OtherBrowser,
    /// As many fans are on their way as are taken care of at the same time.
    Busy,
    /// Something failed on our side; the text names the request.
    Failed {
        /// The request id.
        request_id: String,
    },
}

impl FanNotice {
    /// What to say of `error`, which ended the request called `id`.
    pub(super) fn of(error: &Error, id: &RequestId) -> Self {
        match error {
            Error::WebLinkUnknown => Self::UnknownLink,
            Error::WebAuthorizationUnknown => Self::Ended,
            Error::TooManyFans | Error::Busy => Self::Busy,
            Error::WebAuthorizationRefused(refusal) => match refusal {
                WebAuthorizationRefusal::OtherBrowser => Self::OtherBrowser,
                WebAuthorizationRefusal::Ended
                | WebAuthorizationRefusal::CodeUsed
                | WebAuthorizationRefusal::CodeExpired => Self::Ended,
            },
            Error::Shared(error) => Self::of(error, id),
            Error::AuthorizationNotFound { .. }
            | Error::LinkUnknown
            | Error::TooManyVisits { .. }
            | Error::ReturnUrlUnregistered
            | Error::AuthorizerNotFound { .. }
            | Error::AuthorizerAbsent { .. }
            | Error::AuthorizerClaimed { .. }
            | Error::TenantNotFound { .. }
            | Error::Revoked { .. }
            | Error::NeedsReauthorization { .. }
            | Error::NoApiPermission { .. }
            | Error::RefreshTokensRefused { .. }
            | Error::NoOtherToken { .. }
            | Error::AccountElsewhere { .. }
            | Error::NoProfile { .. }
            | Error::RenewalExpired
            | Error::RenewedJustNow { .. }
            | Error::ScopeMissing { .. }
            | Error::AllowanceUsedUp { .. }
            | Error::BadEncodingAesKey(_)
            | Error::FanUnknown
            | Error::FanGrantEnded
            | Error::OneTimeCodeUnknown
            | Error::BadPageUrl(_)
            | Error::MiniProgramSessionNotFound { .. }
            | Error::MiniProgramData(_)
            | Error::NoAccessToken { .. }
            | Error::PathRefused(_)
            | Error::Component(_)
            | Error::Storage(_)
            | Error::Wechat(_) => Self::Failed { request_id: id.as_str().to_owned() },
        }
    }

    /// The page that says it.
    pub(super) fn answer(
        &self,
        language: Language,
        entropy: &Entropy,
    ) -> Result<Response, Problem> {
        let nonce = Nonce::draw(entropy);
        let template = FanNoticeTemplate {
            language,
            nonce: nonce.as_str(),
            name: self.name(),
            words: self.words(language),
            may_try_again: self.may_try_again(),
        };
        let mut answer = html::page(self.status(), &template, &nonce, Referrer::Nothing, None)?;
        if *self == Self::Busy
            && let Some(secs) = Code::Overloaded.retry_after_secs()
        {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        Ok(answer)
    }

    /// How scripts that look at the page tell it from others.
    fn name(&self) -> &'static str {
        match self {
            Self::BadLink(_) => "bad_link",
            Self::UnknownLink => "unknown_link",
            Self::Ended => "ended",
            Self::OtherBrowser => "other_browser",
            Self::Busy => "busy",
            Self::Failed { .. } => "failed",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadLink(_) | Self::UnknownLink | Self::Ended | Self::OtherBrowser => {
                StatusCode::BAD_REQUEST
            }
            Self::Busy | Self::Failed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the same address may lead on a little later.
    fn may_try_again(&self) -> bool {
        match self {
            Self::Busy | Self::Failed { .. } => true,
            Self::BadLink(_) | Self::UnknownLink | Self::Ended | Self::OtherBrowser => false,
        }
    }
}

#[derive(Template)]
#[template(path = "fan_notice.html")]
struct FanNoticeTemplate<'a> {
    language: Language,
    nonce: &'a str,
    name: &'static str,
    words: Words,
    may_try_again: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::{
        raw_query::QueryFault,
        web_authorization_query::Parameter::{
            Appid, ComponentAppid, ForcePopup, RedirectUri, ResponseType, Scope, State,
        },
    };

    fn bad_links() -> Vec<BadLink> {
        let name = || "redirect_uri".to_owned();
        let mut all = vec![
            BadLink::Query(QueryFault::TooLong),
            BadLink::Query(QueryFault::Name),
            BadLink::Query(QueryFault::Repeated(name())),
            BadLink::Query(QueryFault::Value(name())),
        ];
        for parameter in
            [Appid, RedirectUri, ResponseType, Scope, State, ComponentAppid, ForcePopup]
        {
            all.extend([BadLink::Missing(parameter), BadLink::Wrong(parameter)]);
        }
        all
    }

    fn all() -> Vec<FanNotice> {
        let mut all: Vec<_> = bad_links().into_iter().map(FanNotice::BadLink).collect();
        all.extend([
            FanNotice::UnknownLink,
            FanNotice::Ended,
            FanNotice::OtherBrowser,
            FanNotice::Busy,
            FanNotice::Failed { request_id: "5f0c".to_owned() },
        ]);
        all
    }

    async fn shown(notice: &FanNotice, language: Language) -> (Response, String) {
        let mut answer = notice.answer(language, &Entropy::seeded(1)).unwrap();
        let html = answer.take_body().into_bytes_limit(64 * 1024).await.unwrap();
        (answer, String::from_utf8(html.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_notice_says_in_both_languages_what_happened_and_what_to_do() {
        for notice in all() {
            for (language, tag) in [(Language::Zh, "zh-CN"), (Language::En, "en")] {
                let (_, html) = shown(&notice, language).await;
                let words = notice.words(language);
                assert!(html.contains(&format!("<html lang=\"{tag}\">")), "{notice:?}");
                assert!(html.contains(&format!("data-notice=\"{}\"", notice.name())), "{notice:?}");
                assert!(html.contains(words.title) && !words.next.is_empty(), "{notice:?}");
                assert!(!html.contains("<script") && !html.contains("?lang="), "{notice:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_bad_link_names_the_parameter_and_where_addresses_are_registered() {
        for bad in bad_links() {
            let named = match &bad {
                BadLink::Missing(parameter) | BadLink::Wrong(parameter) => parameter.as_str(),
                BadLink::Query(QueryFault::Repeated(name) | QueryFault::Value(name)) => name,
                BadLink::Query(QueryFault::TooLong | QueryFault::Name) => "",
            };
            for language in [Language::Zh, Language::En] {
                let (_, html) = shown(&FanNotice::BadLink(bad.clone()), language).await;
                let folded = html.split("<details").nth(1).expect("there is more for who made it");
                assert!(folded.contains(named), "{bad:?}");
                assert!(folded.contains("POST /v1/redirect-uris"), "{bad:?}");
            }
        }
        let (_, html) = shown(&FanNotice::UnknownLink, Language::En).await;
        assert!(html.contains("letter by letter") && html.contains("POST /v1/redirect-uris"));
    }

    #[tokio::test]
    async fn a_notice_loads_nothing_leads_nowhere_and_tells_nobody_where_it_was() {
        for notice in all() {
            let (answer, html) = shown(&notice, Language::En).await;
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
            assert_eq!(answer.header("location"), None);
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("img-src 'none'") && policy.contains("'nonce-"), "{policy}");
            let links: Vec<_> = html.split("href=\"").skip(1).collect();
            assert!(links.iter().all(|link| link.starts_with('"')), "itself at most: {html}");
            assert_eq!(links.len(), usize::from(notice.may_try_again()), "{notice:?}");
        }
    }

    #[tokio::test]
    async fn who_has_to_wait_is_told_how_long() {
        let (answer, _) = shown(&FanNotice::Busy, Language::Zh).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), Some("2"));
    }

    #[test]
    fn what_is_not_the_fans_business_is_a_failure() {
        let id = RequestId::draw(&Entropy::seeded(1));
        let refused = |refusal| FanNotice::of(&Error::WebAuthorizationRefused(refusal), &id);
        assert_eq!(FanNotice::of(&Error::WebLinkUnknown, &id), FanNotice::UnknownLink);
        assert_eq!(FanNotice::of(&Error::WebAuthorizationUnknown, &id), FanNotice::Ended);
        assert_eq!(refused(WebAuthorizationRefusal::Ended), FanNotice::Ended);
        assert_eq!(FanNotice::of(&Error::TooManyFans, &id), FanNotice::Busy);
        assert_eq!(FanNotice::of(&Error::Busy, &id), FanNotice::Busy);
        assert_eq!(refused(WebAuthorizationRefusal::OtherBrowser), FanNotice::OtherBrowser);
        let failed = FanNotice::of(&Error::FanUnknown, &id);
        assert_eq!(failed, FanNotice::Failed { request_id: id.as_str().to_owned() });
    }
}
