//! The pages an administrator sees: choose an account, choose the sets, consent.
//!
//! In place of scanning a code one picks the account from a list. Nothing needs a script.

use std::sync::Arc;

use askama::Template;
use lingpai_wechat::func_scope::funcscope_name;
use poem::http::{StatusCode, header};
use poem::web::Data;
use poem::{Body, Request, Response, handler};

use crate::config::AccountKind;
use crate::consent::{self, AuthorizeLink, Consent, Entry, PageError};
use crate::state::Platform;
use crate::state::accounts::Account;
use crate::world::World;

/// The largest form that is read.
const FORM_BYTES: usize = 64 * 1024;

/// How many accounts a page shows at most. A form may name one that is not shown.
pub(crate) const ACCOUNTS_SHOWN: usize = 100;

/// The language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Chinese,
    English,
}

impl Language {
    /// `lang=zh` or `lang=en` of the query, else what the browser prefers.
    pub(crate) fn of(request: &Request) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let asked = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "lang")
            .map(|(_, value)| value.into_owned());
        let preferred = request.header(header::ACCEPT_LANGUAGE).unwrap_or_default();
        match asked.as_deref().unwrap_or(preferred) {
            text if text.starts_with("zh") => Self::Chinese,
            _ => Self::English,
        }
    }

    /// The text in this language.
    pub(crate) fn say<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Chinese => zh,
            Self::English => en,
        }
    }

    /// For the `lang` attribute.
    pub(crate) fn code(self) -> &'static str {
        self.say("zh-CN", "en")
    }
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    language: Language,
    link: &'a AuthorizeLink,
    accounts: Vec<AccountChoice>,
    groups: Vec<SetGroup>,
}

struct AccountChoice {
    appid: String,
    name: String,
    kind: AccountKind,
    is_granted: bool,
    is_first: bool,
}

struct SetGroup {
    kind: AccountKind,
    sets: Vec<SetChoice>,
}

struct SetChoice {
    id: u32,
    name: String,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    language: Language,
    error: PageError,
}

/// The page for computers.
#[handler]
pub(crate) fn pc(request: &Request, Data(world): Data<&Arc<World>>) -> Response {
    show(request, world, Entry::Pc)
}

/// The page inside the WeChat client.
#[handler]
pub(crate) fn mobile(request: &Request, Data(world): Data<&Arc<World>>) -> Response {
    show(request, world, Entry::Mobile)
}

/// Takes the form of either page.
#[handler]
pub(crate) async fn give_consent(
    request: &Request,
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Response {
    let language = Language::of(request);
    let Ok(form) = body.into_bytes_limit(FORM_BYTES).await else {
        return Response::from(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let consent = Consent::parse(&String::from_utf8_lossy(&form));
    match consent.give(world).await {
        Ok(location) => Response::builder()
            .status(StatusCode::FOUND)
            .header(header::LOCATION, location)
            .finish(),
        Err(error) => html(&ErrorPage { language, error }),
    }
}

fn show(request: &Request, world: &World, entry: Entry) -> Response {
    let language = Language::of(request);
    let link = AuthorizeLink::parse(request.uri().query().unwrap_or_default());
    let platform = world.platform();
    let checked = link.check_entry(entry).and_then(|()| {
        let redirect = link.check(&platform, world.now())?;
        consent::check_referer(request.header(header::REFERER), &redirect)
    });
    match checked {
        Ok(()) => html(&consent_page(&platform, &link, language)),
        Err(error) => html(&ErrorPage { language, error }),
    }
}

fn consent_page<'a>(
    platform: &Platform,
    link: &'a AuthorizeLink,
    language: Language,
) -> ConsentPage<'a> {
    let offered: Vec<&Account> = link.offered(platform).take(ACCOUNTS_SHOWN).collect();
    let accounts = offered.iter().enumerate().map(|(at, account)| AccountChoice {
        appid: account.config.appid.clone(),
        name: account.config.nick_name.clone(),
        kind: account.config.kind,
        is_granted: account.grant.is_some(),
        is_first: at == 0,
    });
    let group = |kind: AccountKind| {
        let mut ids: Vec<u32> = offered
            .iter()
            .filter(|account| account.config.kind == kind)
            .flat_map(|account| link.asked_sets(account))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let sets = ids.into_iter().map(|id| SetChoice { id, name: set_name(id, language) });
        SetGroup { kind, sets: sets.collect() }
    };
    let groups = [AccountKind::OfficialAccount, AccountKind::MiniProgram].map(group);
    ConsentPage {
        language,
        link,
        accounts: accounts.collect(),
        groups: groups.into_iter().filter(|group| !group.sets.is_empty()).collect(),
    }
}

fn set_name(id: u32, language: Language) -> String {
    funcscope_name(id)
        .map_or_else(|| format!("#{id}"), |name| language.say(&name.zh, &name.en).to_owned())
}

impl AccountKind {
    /// What people call it.
    pub(crate) fn label(self, language: Language) -> &'static str {
        match self {
            Self::OfficialAccount => language.say("公众号", "Official account"),
            Self::MiniProgram => language.say("小程序", "Mini program"),
        }
    }
}

impl PageError {
    /// A stable name for scripts.
    fn name(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::PreAuthCode => "pre_auth_code",
            Self::RedirectUri => "redirect_uri",
            Self::Referer => "referer",
            Self::Parameters => "parameters",
            Self::Account => "account",
            Self::Sets => "sets",
        }
    }

    /// What the page says, in WeChat's manner.
    fn text(self, language: Language) -> &'static str {
        match self {
            Self::Component => {
                language.say("第三方平台不存在", "There is no such third-party platform")
            }
            Self::PreAuthCode => language.say(
                "预授权码无效、已使用或已过期，请返回重新发起授权",
                "The pre-authorization code is invalid, used or expired; go back and start again",
            ),
            Self::RedirectUri => language.say(
                "授权回调页地址不正确，或其域名与登记的授权发起页域名不同",
                "The callback address is wrong, or not on the registered start-page domain",
            ),
            Self::Referer => language.say(
                "请确认授权入口页所在域名，与授权后回调页所在域名相同，并且此两者都必须与申请第三方平台时填写的授权发起页域名相同",
                "The entry page and the callback page must be on the same domain, the one registered as start-page domain",
            ),
            Self::Parameters => language.say("链接参数有误", "The link has wrong parameters"),
            Self::Account => {
                language.say("没有可授权的帐号", "There is no account that could authorize")
            }
            Self::Sets => language.say("请至少选择一个权限集", "Choose at least one permission set"),
        }
    }
}

/// A page as a response. HTTP status is 200 for error pages too, as at WeChat.
pub(crate) fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Response::builder().content_type("text/html; charset=utf-8").body(text),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            Response::from(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
