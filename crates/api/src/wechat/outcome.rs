//! How an authorization ended, or why it has not yet, in words for its administrator.

use askama::Template;
use lingpai_authorizer::AuthorizationPage;
use lingpai_model::{
    authorization::{AuthorizationState, LinkToken},
    clock::Entropy,
};
use poem::{Response, http::StatusCode};

use super::{
    html::{self, Nonce, Referrer},
    language::Language,
};
use crate::problem::Problem;

/// What an administrator is shown when there is nothing to authorize, or nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The account granted, and its authorizer is stored.
    Finished {
        /// What the account is called: its name, or else its appid.
        account: String,
        /// For whom.
        tenant: String,
    },
    /// The account granted, but another customer has it.
    OwnedElsewhere,
    /// The link ended before anybody granted.
    Expired,
    /// WeChat sent the browser back without a code.
    NoCode,
    /// The grant is being stored.
    Waiting,
    /// No authorization has this link.
    UnknownLink,
    /// The start page was opened too often.
    Exhausted,
    /// Something failed on our side or at WeChat's; the text names the request.
    Failed {
        /// The request id.
        request_id: String,
    },
}

impl Outcome {
    /// What is known by itself; `None` while the administrator still has to act or to wait.
    pub(super) fn of(page: &AuthorizationPage) -> Option<Self> {
        match &page.authorization.state {
            AuthorizationState::Finished { authorizer_appid, .. } => Some(Self::Finished {
                account: page
                    .authorizer_name
                    .clone()
                    .filter(|name| !name.is_empty())
                    .unwrap_or_else(|| authorizer_appid.to_string()),
                tenant: page.tenant_name.clone(),
            }),
            AuthorizationState::OwnedElsewhere { .. } => Some(Self::OwnedElsewhere),
            AuthorizationState::Pending if page.is_expired => Some(Self::Expired),
            AuthorizationState::Pending => None,
        }
    }

    /// The page that shows it. `link` is where to go back to, when that helps.
    pub(super) fn answer(
        &self,
        language: Language,
        link: Option<&LinkToken>,
        entropy: &Entropy,
    ) -> Result<Response, Problem> {
        let nonce = Nonce::draw(entropy);
        let start = link.map(|link| format!("/authorize/{}", link.expose_text()));
        let words = self.words(language);
        let template = OutcomeTemplate {
            language,
            nonce: nonce.as_str(),
            tone: self.tone(),
            title: words.title,
            lines: &words.lines,
            retry: start.as_deref().filter(|_| self.helps_to_retry()),
            refresh: start.as_deref().filter(|_| *self == Self::Waiting),
        };
        html::page(self.status(), &template, &nonce, Referrer::Nothing)
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Finished { .. }
            | Self::OwnedElsewhere
            | Self::Expired
            | Self::NoCode
            | Self::Waiting => StatusCode::OK,
            Self::UnknownLink => StatusCode::NOT_FOUND,
            Self::Exhausted => StatusCode::CONFLICT,
            Self::Failed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn tone(&self) -> Tone {
        match self {
            Self::Finished { .. } => Tone::Good,
            Self::Waiting => Tone::Waiting,
            Self::OwnedElsewhere
            | Self::Expired
            | Self::NoCode
            | Self::UnknownLink
            | Self::Exhausted
            | Self::Failed { .. } => Tone::Bad,
        }
    }

    fn helps_to_retry(&self) -> bool {
        matches!(self, Self::NoCode | Self::Waiting | Self::Failed { .. })
    }

    fn words(&self, language: Language) -> Words {
        match language {
            Language::Zh => self.chinese(),
            Language::En => self.english(),
        }
    }

    fn chinese(&self) -> Words {
        match self {
            Self::Finished { account, tenant } => Words::new(
                "授权成功",
                vec![
                    format!("「{account}」已授权给「{tenant}」。"),
                    "您可以关闭此页面。如需调整或取消授权，请前往微信公众平台的「授权管理」。"
                        .into(),
                ],
            ),
            Self::OwnedElsewhere => Words::new(
                "该账号由其他服务商管理",
                vec![
                    "微信已收到授权，但该账号在本平台上已归属另一位客户，因此没有改变归属。".into(),
                    "如需更换服务商，请先联系原服务商解除绑定，然后重新授权。".into(),
                ],
            ),
            Self::Expired => Words::new(
                "链接已过期",
                vec!["授权链接有时间限制。请向发送链接的服务商索取新的链接。".into()],
            ),
            Self::NoCode => Words::new(
                "没有完成授权",
                vec!["微信没有带回授权结果，可能是您取消了授权。没有授予任何权限。".into()],
            ),
            Self::Waiting => Words::new(
                "正在保存授权",
                vec![
                    "您在微信中的操作已经完成，我们正在等待微信的授权通知，通常只需几秒钟。".into(),
                    "页面会自动刷新。如果超过一分钟仍没有结果，请重新授权。".into(),
                ],
            ),
            Self::UnknownLink => Words::new(
                "链接无效",
                vec!["找不到这个授权链接。请检查链接是否完整，或向服务商索取新的链接。".into()],
            ),
            Self::Exhausted => Words::new(
                "链接打开次数过多",
                vec!["为了安全，这个链接不能再使用。请向服务商索取新的链接。".into()],
            ),
            Self::Failed { request_id } => Words::new(
                "暂时无法处理",
                vec![
                    "服务暂时遇到问题，请稍后再试。".into(),
                    format!("如果问题持续存在，请把这个编号告诉服务商：{request_id}"),
                ],
            ),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one list of words, read from top to bottom")]
    fn english(&self) -> Words {
        match self {
            Self::Finished { account, tenant } => Words::new(
                "Authorized",
                vec![
                    format!("“{account}” has granted rights to “{tenant}”."),
                    "You can close this page. To change or withdraw the grant, open the \
                     authorization settings of your account on the WeChat platform."
                        .into(),
                ],
            ),
            Self::OwnedElsewhere => Words::new(
                "This account is served by another provider",
                vec![
                    "WeChat has received the grant, but on this platform the account belongs to \
                     another customer, so nothing has changed hands."
                        .into(),
                    "To change the provider, ask the present one to release the account, then \
                     authorize again."
                        .into(),
                ],
            ),
            Self::Expired => Words::new(
                "This link has expired",
                vec!["Links are good for a limited time. Ask your provider for a new one.".into()],
            ),
            Self::NoCode => Words::new(
                "Not authorized",
                vec![
                    "WeChat sent no grant along; you may have cancelled. No rights were granted."
                        .into(),
                ],
            ),
            Self::Waiting => Words::new(
                "Saving the authorization",
                vec![
                    "Your part is done. We are waiting for WeChat’s notice of the grant, which \
                     usually takes a few seconds."
                        .into(),
                    "This page refreshes itself. If nothing has happened after a minute, authorize \
                     again."
                        .into(),
                ],
            ),
            Self::UnknownLink => Words::new(
                "This link is not valid",
                vec![
                    "There is no such authorization. Check that the link is complete, or ask your \
                     provider for a new one."
                        .into(),
                ],
            ),
            Self::Exhausted => Words::new(
                "This link was opened too often",
                vec!["To be safe it no longer works. Ask your provider for a new one.".into()],
            ),
            Self::Failed { request_id } => Words::new(
                "This does not work right now",
                vec![
                    "Something went wrong. Please try again in a moment.".into(),
                    format!("If it goes on, tell your provider this number: {request_id}"),
                ],
            ),
        }
    }
}

struct Words {
    title: &'static str,
    lines: Vec<String>,
}

impl Words {
    fn new(title: &'static str, lines: Vec<String>) -> Self {
        Self { title, lines }
    }
}

/// How a page looks at what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Bad,
    Waiting,
}

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomeTemplate<'a> {
    language: Language,
    nonce: &'a str,
    tone: Tone,
    title: &'a str,
    lines: &'a [String],
    /// The start page, to try again.
    retry: Option<&'a str>,
    /// The start page, whose return address shows the outcome once there is one.
    refresh: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert(1)</script>\"'&";

    async fn shown(outcome: &Outcome, language: Language) -> (Response, String) {
        let entropy = Entropy::seeded(1);
        let link = LinkToken::draw(&entropy);
        let mut answer = outcome.answer(language, Some(&link), &entropy).unwrap();
        let html = answer.take_body().into_bytes_limit(64 * 1024).await.unwrap();
        (answer, String::from_utf8(html.to_vec()).unwrap())
    }

    fn all() -> [Outcome; 8] {
        [
            Outcome::Finished { account: HOSTILE.into(), tenant: HOSTILE.into() },
            Outcome::OwnedElsewhere,
            Outcome::Expired,
            Outcome::NoCode,
            Outcome::Waiting,
            Outcome::UnknownLink,
            Outcome::Exhausted,
            Outcome::Failed { request_id: "5f0c".into() },
        ]
    }

    #[tokio::test]
    async fn every_outcome_is_told_in_both_languages_and_escaped() {
        for outcome in all() {
            let (_, zh) = shown(&outcome, Language::Zh).await;
            let (_, en) = shown(&outcome, Language::En).await;
            assert!(zh.contains("<html lang=\"zh-CN\">") && en.contains("<html lang=\"en\">"));
            assert!(zh.contains("href=\"?lang=en\"") && en.contains("href=\"?lang=zh\""));
            assert!(zh.contains(outcome.chinese().title) && en.contains(outcome.english().title));
            assert!(!zh.contains("<script") && !en.contains("<script"), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_page_loads_nothing_and_tells_nobody_where_it_was() {
        let (answer, html) = shown(&Outcome::Expired, Language::En).await;
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        let policy = answer.header("content-security-policy").unwrap();
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(html.contains(&format!("<style nonce=\"{nonce}\">")));
        assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    }

    #[tokio::test]
    async fn only_waiting_refreshes_itself_and_without_a_query() {
        for outcome in all() {
            let (_, html) = shown(&outcome, Language::En).await;
            let refreshes = html.contains("http-equiv=\"refresh\"");
            assert_eq!(refreshes, outcome == Outcome::Waiting, "{outcome:?}");
            if refreshes {
                let at = html.split("url=").nth(1).unwrap().split('"').next().unwrap();
                assert!(at.starts_with("/authorize/") && at.ends_with("/return"), "{at}");
            }
        }
    }
}
