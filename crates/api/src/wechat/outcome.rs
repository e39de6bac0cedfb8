//! How an authorization ended, or why it has not yet: the page an administrator is shown then.

mod words;

use askama::Template;
use lingpai_authorizer::{AuthorizationPage, Errcode, RENEWALS_APART};
use lingpai_model::{authorization::AuthorizationState, clock::Entropy};
use poem::{
    Response,
    http::{HeaderValue, StatusCode, header},
};

use self::words::{List, Words};
use super::{
    html::{self, Nonce, Referrer},
    language::Language,
};
use crate::problem::Problem;

/// After how many looks, three seconds apart, waiting begins to be long: a minute.
const LOOKS_OF_A_MINUTE: u32 = 20;

/// After how many looks a page stops to look by itself: about ten minutes more.
const LOOKS_IN_ALL: u32 = 80;

/// What an administrator is shown when there is nothing to authorize, or nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The account granted, and its authorizer is stored.
    Finished {
        /// Who granted to whom.
        grant: Grant,
    },
    /// The same, but some of the sets that were asked for are missing.
    FinishedInPart {
        /// Who granted to whom.
        grant: Grant,
        /// The sets that were not granted.
        missing: Vec<u32>,
        /// Where they can be granted after all.
        renewal: Option<String>,
    },
    /// The account granted, but another customer has it.
    OwnedElsewhere,
    /// WeChat refuses accounts that are not on the component's test list.
    NotPublished {
        /// The component.
        component: String,
        /// For whom it asks.
        tenant: String,
    },
    /// WeChat refused for another reason.
    Refused {
        /// WeChat's number.
        errcode: i64,
    },
    /// The link ended before anybody granted.
    Expired,
    /// WeChat sent the browser back without a code.
    NoCode,
    /// The grant is being stored.
    Waiting(Patience),
    /// No authorization has this link.
    UnknownLink,
    /// The start page was opened too often.
    Exhausted,
    /// The renewal link was opened a moment ago and could start no authorization.
    RenewedJustNow,
    /// Something failed on our side or at WeChat's; the text names the request.
    Failed {
        /// The request id.
        request_id: String,
    },
}

/// Who granted to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// What the account is called: its name, or else its appid.
    pub(super) account: String,
    /// The tenant.
    pub(super) tenant: String,
}

/// How long a browser has been waiting, by how often it has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Less than a minute.
    Fresh { looks: u32 },
    /// Longer than usual.
    Long { looks: u32 },
    /// So long that looking again is left to the administrator.
    Over,
}

/// Where a page can lead on to.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    /// The path of the link that the page belongs to.
    pub(super) start: Option<String>,
    /// The tenant's registered address.
    pub(super) back: Option<Back>,
}

/// The way back to the tenant.
#[derive(Debug, Clone)]
pub(super) struct Back {
    /// What the tenant is called.
    pub(super) tenant: String,
    /// Where it wants the administrator.
    pub(super) address: String,
}

impl Patience {
    /// After this many looks.
    pub(super) fn after(looks: u32) -> Self {
        match looks {
            0..LOOKS_OF_A_MINUTE => Self::Fresh { looks },
            LOOKS_OF_A_MINUTE..LOOKS_IN_ALL => Self::Long { looks },
            LOOKS_IN_ALL.. => Self::Over,
        }
    }
}

impl Outcome {
    /// What is known by itself; `None` while the administrator still has to act or to wait.
    pub(super) fn of(page: &AuthorizationPage) -> Option<Self> {
        match &page.authorization.state {
            AuthorizationState::Finished { authorizer_appid, .. } => {
                let named = page.authorizer_name.clone().filter(|name| !name.is_empty());
                let account = named.unwrap_or_else(|| authorizer_appid.to_string());
                let grant = Grant { account, tenant: page.tenant_name.clone() };
                if page.missing.is_empty() {
                    return Some(Self::Finished { grant });
                }
                let renewal = page.renewal_url.as_ref().map(ToString::to_string);
                Some(Self::FinishedInPart { grant, missing: page.missing.clone(), renewal })
            }
            AuthorizationState::OwnedElsewhere { .. } => Some(Self::OwnedElsewhere),
            AuthorizationState::Refused { errcode, .. }
                if Errcode(*errcode) == Errcode::COMPONENT_NOT_PUBLISHED =>
            {
                Some(Self::NotPublished {
                    component: page.component_name.clone(),
                    tenant: page.tenant_name.clone(),
                })
            }
            AuthorizationState::Refused { errcode, .. } => {
                Some(Self::Refused { errcode: *errcode })
            }
            AuthorizationState::Pending if page.is_expired => Some(Self::Expired),
            AuthorizationState::Pending => None,
        }
    }

    /// The page that shows it.
    pub(super) fn answer(
        &self,
        language: Language,
        ways: &Ways,
        entropy: &Entropy,
    ) -> Result<Response, Problem> {
        let nonce = Nonce::draw(entropy);
        let refresh = self.refresh(ways);
        let template = OutcomeTemplate {
            language,
            nonce: nonce.as_str(),
            name: self.name(),
            tone: self.tone(),
            words: self.words(language),
            action: self.action(language, ways),
            back: ways.back.as_ref().filter(|_| self.is_the_end()),
            refresh: refresh.as_ref(),
        };
        let mut answer = html::page(self.status(), &template, &nonce, Referrer::Nothing, None)?;
        if *self == Self::RenewedJustNow {
            let pause = HeaderValue::from(RENEWALS_APART.num_seconds());
            answer.headers_mut().insert(header::RETRY_AFTER, pause);
        }
        Ok(answer)
    }

    /// How scripts that look at the page tell it from others.
    fn name(&self) -> &'static str {
        match self {
            Self::Finished { .. } => "granted",
            Self::FinishedInPart { .. } => "granted-in-part",
            Self::OwnedElsewhere => "owned-elsewhere",
            Self::NotPublished { .. } => "not-published",
            Self::Refused { .. } => "refused",
            Self::Expired => "expired",
            Self::NoCode => "no-code",
            Self::Waiting(_) => "waiting",
            Self::UnknownLink => "unknown-link",
            Self::Exhausted => "exhausted",
            Self::RenewedJustNow => "renewed-just-now",
            Self::Failed { .. } => "failed",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Finished { .. }
            | Self::FinishedInPart { .. }
            | Self::OwnedElsewhere
            | Self::NotPublished { .. }
            | Self::Refused { .. }
            | Self::Expired
            | Self::NoCode
            | Self::Waiting(_) => StatusCode::OK,
            Self::UnknownLink => StatusCode::NOT_FOUND,
            Self::Exhausted => StatusCode::CONFLICT,
            Self::RenewedJustNow => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn tone(&self) -> Tone {
        match self {
            Self::Finished { .. } => Tone::Good,
            Self::FinishedInPart { .. } => Tone::Partly,
            Self::Waiting(Patience::Over) => Tone::Late,
            Self::Waiting(Patience::Fresh { .. } | Patience::Long { .. })
            | Self::RenewedJustNow => Tone::Waiting,
            Self::OwnedElsewhere
            | Self::NotPublished { .. }
            | Self::Refused { .. }
            | Self::Expired
            | Self::NoCode
            | Self::UnknownLink
            | Self::Exhausted
            | Self::Failed { .. } => Tone::Bad,
        }
    }

    /// Whether the administrator has nothing more to do here and may go back to the tenant.
    fn is_the_end(&self) -> bool {
        match self {
            Self::Finished { .. }
            | Self::FinishedInPart { .. }
            | Self::OwnedElsewhere
            | Self::NotPublished { .. }
            | Self::Refused { .. }
            | Self::Expired
            | Self::NoCode => true,
            Self::Waiting(_)
            | Self::UnknownLink
            | Self::Exhausted
            | Self::RenewedJustNow
            | Self::Failed { .. } => false,
        }
    }

    /// The one thing that can be done about it here.
    fn action(&self, language: Language, ways: &Ways) -> Option<Action> {
        let again = language.say("重新授权", "Authorize again");
        let start = |label| ways.start.clone().map(|href| Action { label, href });
        match self {
            Self::FinishedInPart { renewal, .. } => {
                let label = language.say("补充授权", "Grant the missing rights");
                renewal.clone().map(|href| Action { label, href })
            }
            Self::NoCode | Self::Waiting(Patience::Long { .. }) => start(again),
            Self::Waiting(Patience::Over) => {
                let look = start(language.say("再看一次", "Look again"));
                look.map(|action| Action { href: format!("{}/return", action.href), ..action })
            }
            Self::Failed { .. } => start(language.say("重试", "Try again")),
            Self::Waiting(Patience::Fresh { .. })
            | Self::Finished { .. }
            | Self::OwnedElsewhere
            | Self::NotPublished { .. }
            | Self::Refused { .. }
            | Self::Expired
            | Self::UnknownLink
            | Self::Exhausted
            | Self::RenewedJustNow => None,
        }
    }

    /// What the page opens next by itself. The address counts the looks and carries nothing else.
    fn refresh(&self, ways: &Ways) -> Option<Refresh> {
        let start = ways.start.as_deref()?;
        let look = |secs, looks: u32| {
            let address = format!("{start}/return?look={}", looks + 1);
            Some(Refresh { secs, address })
        };
        match self {
            Self::Waiting(Patience::Fresh { looks }) => look(3, *looks),
            Self::Waiting(Patience::Long { looks }) => look(10, *looks),
            Self::RenewedJustNow => {
                Some(Refresh { secs: RENEWALS_APART.num_seconds(), address: start.to_owned() })
            }
            Self::Waiting(Patience::Over)
            | Self::Finished { .. }
            | Self::FinishedInPart { .. }
            | Self::OwnedElsewhere
            | Self::NotPublished { .. }
            | Self::Refused { .. }
            | Self::Expired
            | Self::NoCode
            | Self::UnknownLink
            | Self::Exhausted
            | Self::Failed { .. } => None,
        }
    }
}

/// How a page looks at what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Partly,
    Late,
    Bad,
    Waiting,
}

/// A button.
struct Action {
    label: &'static str,
    href: String,
}

/// When a page opens which other one.
struct Refresh {
    secs: i64,
    address: String,
}

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomeTemplate<'a> {
    language: Language,
    nonce: &'a str,
    name: &'static str,
    tone: Tone,
    words: Words,
    action: Option<Action>,
    back: Option<&'a Back>,
    refresh: Option<&'a Refresh>,
}

#[cfg(test)]
mod tests {
    use lingpai_model::{Appid, authorization::Authorization};

    use super::*;
    use crate::sample;

    const HOSTILE: &str = "<script>alert(1)</script>\"'&";
    const START: &str = "/authorize/00ff";

    fn ways() -> Ways {
        let back = Back {
            tenant: HOSTILE.to_owned(),
            address: "https://shop.example/done?x=%22&y=1".to_owned(),
        };
        Ways { start: Some(START.to_owned()), back: Some(back) }
    }

    async fn shown(outcome: &Outcome, language: Language) -> (Response, String) {
        let mut answer = outcome.answer(language, &ways(), &Entropy::seeded(1)).unwrap();
        let html = answer.take_body().into_bytes_limit(64 * 1024).await.unwrap();
        (answer, String::from_utf8(html.to_vec()).unwrap())
    }

    fn grant() -> Grant {
        Grant { account: HOSTILE.to_owned(), tenant: HOSTILE.to_owned() }
    }

    fn in_part(renewal: Option<&str>) -> Outcome {
        let renewal = renewal.map(str::to_owned);
        Outcome::FinishedInPart { grant: grant(), missing: vec![1, 999], renewal }
    }

    fn all() -> [Outcome; 15] {
        [
            Outcome::Finished { grant: grant() },
            in_part(Some("https://lingpai.example/authorize/r_0")),
            in_part(None),
            Outcome::OwnedElsewhere,
            Outcome::NotPublished { component: HOSTILE.to_owned(), tenant: HOSTILE.to_owned() },
            Outcome::Refused { errcode: -1 },
            Outcome::Expired,
            Outcome::NoCode,
            Outcome::Waiting(Patience::Fresh { looks: 0 }),
            Outcome::Waiting(Patience::Long { looks: 20 }),
            Outcome::Waiting(Patience::Over),
            Outcome::UnknownLink,
            Outcome::Exhausted,
            Outcome::RenewedJustNow,
            Outcome::Failed { request_id: "5f0c".to_owned() },
        ]
    }

    #[tokio::test]
    async fn every_outcome_is_told_in_both_languages_and_escaped() {
        for outcome in all() {
            let (_, zh) = shown(&outcome, Language::Zh).await;
            let (_, en) = shown(&outcome, Language::En).await;
            assert!(zh.contains("<html lang=\"zh-CN\">") && en.contains("<html lang=\"en\">"));
            assert!(zh.contains("href=\"?lang=en\"") && en.contains("href=\"?lang=zh\""));
            assert!(zh.contains(outcome.words(Language::Zh).title));
            assert!(en.contains(outcome.words(Language::En).title));
            assert!(!zh.contains("<script") && !en.contains("<script"), "{outcome:?}");
        }
    }

    #[test]
    fn every_outcome_says_what_to_do_or_that_nothing_is_to_be_done() {
        for outcome in all() {
            let words = outcome.words(Language::En);
            let leads_on = outcome.action(Language::En, &ways()).is_some()
                || outcome.refresh(&ways()).is_some();
            let is_told = !words.next.is_empty() || words.lines.len() > 1;
            assert!(leads_on || is_told, "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_page_loads_nothing_and_tells_nobody_where_it_was() {
        let (answer, html) = shown(&Outcome::UnknownLink, Language::En).await;
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("img-src 'none'"), "{policy}");
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(html.contains(&format!("<style nonce=\"{nonce}\">")));
        assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    }

    #[tokio::test]
    async fn only_waiting_goes_on_by_itself_and_its_address_only_counts() {
        for outcome in all() {
            let (_, html) = shown(&outcome, Language::En).await;
            let refresh = html.split("http-equiv=\"refresh\" content=\"").nth(1);
            let refresh = refresh.map(|rest| rest.split('"').next().unwrap());
            let expected = match outcome {
                Outcome::Waiting(Patience::Fresh { .. }) => {
                    Some("3; url=/authorize/00ff/return?look=1")
                }
                Outcome::Waiting(Patience::Long { .. }) => {
                    Some("10; url=/authorize/00ff/return?look=21")
                }
                Outcome::RenewedJustNow => Some("60; url=/authorize/00ff"),
                _ => None,
            };
            assert_eq!(refresh, expected, "{outcome:?}");
        }
    }

    #[test]
    fn patience_ends() {
        assert_eq!(Patience::after(0), Patience::Fresh { looks: 0 });
        assert_eq!(Patience::after(20), Patience::Long { looks: 20 });
        assert_eq!(Patience::after(u32::MAX), Patience::Over);
    }

    #[tokio::test]
    async fn only_an_end_leads_back_to_the_tenant() {
        for outcome in all() {
            let (_, html) = shown(&outcome, Language::En).await;
            let leads_back = html.contains("href=\"https://shop.example/done?x=%22&#38;y=1\"");
            assert_eq!(leads_back, outcome.is_the_end(), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn missing_rights_are_named_and_can_be_granted_after_all() {
        let (_, html) =
            shown(&in_part(Some("https://l.example/authorize/r_0")), Language::En).await;
        assert!(html.contains("<span>messages</span>") && html.contains("permission set 999"));
        assert!(html.contains("id=\"again\" href=\"https://l.example/authorize/r_0\""), "{html}");
        let (_, html) = shown(&in_part(None), Language::En).await;
        assert!(!html.contains("id=\"again\"") && html.contains("ask your provider"), "{html}");
    }

    #[tokio::test]
    async fn a_renewal_too_soon_says_when_to_come_again() {
        let (answer, _) = shown(&Outcome::RenewedJustNow, Language::Zh).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.header("retry-after"), Some("60"));
    }

    #[test]
    fn what_wechat_refused_is_an_outcome_of_its_own() {
        let of = |state, missing| {
            let page = sample::page(Authorization { state, ..sample::authorization() });
            Outcome::of(&AuthorizationPage { missing, ..page })
        };
        let at = chrono::DateTime::UNIX_EPOCH;
        let refused = |errcode| of(AuthorizationState::Refused { errcode, at }, vec![]);
        assert!(matches!(refused(61028), Some(Outcome::NotPublished { .. })));
        assert_eq!(refused(61009), Some(Outcome::Refused { errcode: 61009 }));

        let authorizer_appid = Appid::parse("wx1").unwrap();
        let finished = AuthorizationState::Finished { authorizer_appid, at };
        let Some(Outcome::Finished { grant }) = of(finished.clone(), vec![]) else { panic!() };
        assert_eq!(grant.account, "wx1", "an account without a name is called by its appid");
        assert!(matches!(of(finished, vec![7]), Some(Outcome::FinishedInPart { .. })));
        assert_eq!(of(AuthorizationState::Pending, vec![]), None);
    }
}
