//! The rules of the page of web authorization: what the link must say, and where fans are led back.
//!
//! Source: WeChat docs, "Web authorization" (网页授权), step 1, and the page of the same name for
//! third-party platforms: the link is matched against a fixed pattern, so the order of its
//! parameters matters; `component_appid` comes last. The numbers of the error pages are those that
//! the pages show.

use url::Url;

use crate::config::AccountKind;
use crate::pages::Language;
use crate::state::Platform;
use crate::state::accounts::Account;
use crate::state::web_codes::Door;
use crate::web_oauth::PROFILE_SCOPE;

/// The parameters in the order that they must have. Those from `state` on may be missing.
const PATTERN: [&str; 7] =
    ["appid", "redirect_uri", "response_type", "scope", "state", "forcePopup", "component_appid"];

/// The scope that asks the fan nothing.
const BASE_SCOPE: &str = "snsapi_base";

/// The longest `state`; source as above: "a-zA-Z0-9, at most 128 bytes".
const STATE_BYTES: usize = 128;

/// The permission set that web authorization through the component needs.
///
/// Source: WeChat docs, "Permission sets" (权限集说明): 4, web services.
const WEB_PAGES_SET: u32 = 4;

/// A link as it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebLink {
    pub(crate) appid: String,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) state: String,
    pub(crate) component_appid: Option<String>,
}

/// Why a link leads nowhere; each has its own error page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebLinkError {
    NotWechat,
    Parameters,
    AppidMissing,
    Account,
    RedirectUri,
    Host,
    Scope,
    State,
    Component,
    NotAuthorized,
}

impl WebLink {
    /// Reads a raw query by the pattern.
    pub(crate) fn parse(raw_query: &str) -> Result<Self, WebLinkError> {
        let mut values: [Option<String>; PATTERN.len()] = Default::default();
        let mut at = 0;
        for pair in raw_query.split('&') {
            let (name, _) = pair.split_once('=').ok_or(WebLinkError::Parameters)?;
            let ahead = PATTERN[at..].iter().position(|known| *known == name);
            at += ahead.ok_or(WebLinkError::Parameters)?;
            let value = url::form_urlencoded::parse(pair.as_bytes()).next();
            values[at] = value.map(|(_, value)| value.into_owned());
            at += 1;
        }
        let [appid, redirect_uri, response_type, scope, state, popup, component_appid] = values;
        let is_popup = matches!(popup.as_deref(), None | Some("true" | "false"));
        if response_type.as_deref() != Some("code") || !is_popup {
            return Err(WebLinkError::Parameters);
        }
        Ok(Self {
            appid: appid.unwrap_or_default(),
            redirect_uri: redirect_uri.unwrap_or_default(),
            scope: scope.unwrap_or_default(),
            state: state.unwrap_or_default(),
            component_appid,
        })
    }

    /// Whether it may go on to the fan, and where it leads back.
    pub(crate) fn check(&self, platform: &Platform) -> Result<Url, WebLinkError> {
        if self.appid.is_empty() {
            return Err(WebLinkError::AppidMissing);
        }
        let account = platform.accounts.get(&self.appid).ok_or(WebLinkError::Account)?;
        if account.config.kind != AccountKind::OfficialAccount {
            return Err(WebLinkError::Account);
        }
        let host = self.registered_host(platform, account)?;
        if !self.scope.split(',').all(|one| matches!(one, BASE_SCOPE | PROFILE_SCOPE)) {
            return Err(WebLinkError::Scope);
        }
        let fits = self.state.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if self.state.len() > STATE_BYTES || !fits {
            return Err(WebLinkError::State);
        }
        let redirect = Url::parse(&self.redirect_uri).map_err(|_| WebLinkError::RedirectUri)?;
        let own = redirect.host_str().ok_or(WebLinkError::RedirectUri)?;
        if !matches!(redirect.scheme(), "http" | "https") {
            return Err(WebLinkError::RedirectUri);
        }
        if host.is_some_and(|registered| registered != own) {
            return Err(WebLinkError::Host);
        }
        Ok(redirect)
    }

    /// The one host that fans are led back to: the component's, or the account's own.
    fn registered_host<'a>(
        &self,
        platform: &'a Platform,
        account: &'a Account,
    ) -> Result<Option<&'a str>, WebLinkError> {
        match &self.component_appid {
            None => Ok(account.config.web_host.as_deref()),
            Some(appid) if *appid != platform.component.appid => Err(WebLinkError::Component),
            Some(_) => match &account.grant {
                Some(grant) if grant.sets.contains(&WEB_PAGES_SET) => {
                    Ok(platform.component.page_host.as_deref())
                }
                Some(_) | None => Err(WebLinkError::NotAuthorized),
            },
        }
    }

    /// Whether the fan is asked nothing.
    pub(crate) fn is_silent(&self) -> bool {
        !self.scope.split(',').any(|one| one == PROFILE_SCOPE)
    }

    /// The interface that a code by this link is exchanged through.
    pub(crate) fn door(&self) -> Door {
        match self.component_appid {
            None => Door::Direct,
            Some(_) => Door::Component,
        }
    }

    /// Where the fan is led: with a code, or without one if he declined.
    pub(crate) fn back(&self, mut redirect: Url, code: Option<&str>) -> String {
        let mut query = redirect.query_pairs_mut();
        if let Some(code) = code {
            query.append_pair("code", code);
        }
        query.append_pair("state", &self.state);
        if self.component_appid.is_some() {
            query.append_pair("appid", &self.appid);
        }
        drop(query);
        redirect.into()
    }
}

impl WebLinkError {
    /// A stable name for scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotWechat => "not_wechat",
            Self::Parameters => "parameters",
            Self::AppidMissing => "appid",
            Self::Account => "account",
            Self::RedirectUri => "redirect_uri",
            Self::Host => "host",
            Self::Scope => "scope",
            Self::State => "state",
            Self::Component => "component",
            Self::NotAuthorized => "not_authorized",
        }
    }

    /// The number on WeChat's page, where one is known.
    pub(crate) fn number(&self) -> Option<u32> {
        match self {
            Self::Host => Some(10003),
            Self::Scope => Some(10005),
            Self::RedirectUri => Some(10011),
            Self::AppidMissing => Some(10012),
            Self::NotAuthorized => Some(10015),
            Self::NotWechat | Self::Parameters | Self::Account | Self::State | Self::Component => {
                None
            }
        }
    }

    /// What the page says, in WeChat's manner.
    pub(crate) fn text(self, language: Language) -> &'static str {
        match self {
            Self::NotWechat => {
                language.say("请在微信客户端打开链接", "Open the link in the WeChat client")
            }
            Self::Parameters => language.say(
                "链接参数有误：参数的名称与顺序须与文档一致，component_appid 放在最后",
                "The link has wrong parameters: names and order must be as documented, component_appid last",
            ),
            Self::AppidMissing => language.say("缺少 appid", "The appid is missing"),
            Self::Account => language.say("没有这个公众号", "There is no such official account"),
            Self::RedirectUri => {
                language.say("redirect_uri 参数错误", "The redirect_uri is wrong")
            }
            Self::Host => language.say(
                "redirect_uri 域名与后台配置不一致",
                "The host of redirect_uri differs from the one that is configured",
            ),
            Self::Scope => language.say("scope 参数错误或没有权限", "The scope is wrong"),
            Self::State => language.say(
                "state 只能是字母与数字，最多 128 字节",
                "The state may have letters and digits only, 128 at most",
            ),
            Self::Component => {
                language.say("第三方平台不存在", "There is no such third-party platform")
            }
            Self::NotAuthorized => language.say(
                "公众号未把网页服务权限授权给第三方平台",
                "The account has not granted web services to the third-party platform",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmulatorConfig;

    const SHOP: &str = "wxa0b1c2d3e4f50617";
    const COMPONENT: &str = "wx1f0e2d3c4b5a6978";
    const REDIRECT: &str = "https%3A%2F%2Fpages.example%2Fback%3Fa%3D1";

    fn query() -> String {
        format!(
            "appid={SHOP}&redirect_uri={REDIRECT}&response_type=code&scope=snsapi_base&state=s1"
        )
    }

    fn platform() -> Platform {
        let mut platform = Platform::new(&EmulatorConfig::for_tests());
        platform.grant(SHOP, vec![4], 0);
        platform
    }

    fn judged(query: &str) -> Result<String, WebLinkError> {
        let link = WebLink::parse(query)?;
        link.check(&platform()).map(String::from)
    }

    #[test]
    fn the_order_of_the_parameters_is_fixed() {
        let good = query();
        assert_eq!(judged(&good).as_deref(), Ok("https://pages.example/back?a=1"));
        assert!(judged(&format!("{good}&forcePopup=true&component_appid={COMPONENT}")).is_ok());
        assert!(judged(&good.replace("&state=s1", "")).is_ok());
        for wrong in [
            format!("{good}&component_appid={COMPONENT}&forcePopup=true"),
            format!("{good}&state=s2"),
            format!("{good}&more=1"),
            format!("{good}&forcePopup=1"),
            format!("{good}&"),
            format!("component_appid={COMPONENT}&{good}"),
            good.replace("response_type=code", "response_type=token"),
            good.replace("&response_type=code", ""),
            good.replace("&scope=snsapi_base&state=s1", "&state=s1&scope=snsapi_base"),
            good.replace(REDIRECT, "https://pages.example/back?a=1&b=2"),
            String::new(),
        ] {
            assert_eq!(judged(&wrong), Err(WebLinkError::Parameters), "{wrong}");
        }
    }

    #[test]
    fn each_fault_has_its_own_error() {
        let good = query();
        for (wrong, error) in [
            (good.replace(SHOP, ""), WebLinkError::AppidMissing),
            (good.replace(SHOP, "wx0"), WebLinkError::Account),
            (good.replace(SHOP, "wxb1c2d3e4f5061728"), WebLinkError::Account),
            (good.replace(REDIRECT, ""), WebLinkError::RedirectUri),
            (good.replace(REDIRECT, "%2Fback"), WebLinkError::RedirectUri),
            (good.replace("https", "ftp"), WebLinkError::RedirectUri),
            (good.replace("snsapi_base", ""), WebLinkError::Scope),
            (good.replace("snsapi_base", "snsapi_login"), WebLinkError::Scope),
            (good.replace("=s1", "=s-1"), WebLinkError::State),
            (good.replace("=s1", &format!("={}", "s".repeat(129))), WebLinkError::State),
            (format!("{good}&component_appid=wx0"), WebLinkError::Component),
        ] {
            assert_eq!(judged(&wrong), Err(error), "{wrong}");
        }
        let through = WebLink::parse(&format!("{good}&component_appid={COMPONENT}")).unwrap();
        let mut platform = platform();
        platform.grant(SHOP, vec![1, 2], 0);
        assert_eq!(through.check(&platform), Err(WebLinkError::NotAuthorized));
        platform.withdraw(SHOP, 0);
        assert_eq!(through.check(&platform), Err(WebLinkError::NotAuthorized));
        assert!(WebLink::parse(&good).unwrap().check(&platform).is_ok());
    }

    #[test]
    fn a_registered_host_is_the_accounts_or_the_components() {
        let mut platform = platform();
        let direct = WebLink::parse(&query()).unwrap();
        let through = format!("{}&component_appid={COMPONENT}", query());
        let through = WebLink::parse(&through).unwrap();
        let check = |platform: &Platform| {
            [&direct, &through].map(|link| link.check(platform).map(|_| ()).err())
        };
        platform.component.page_host = Some("other.example".to_owned());
        assert_eq!(check(&platform), [None, Some(WebLinkError::Host)]);
        platform.component.page_host = Some("pages.example".to_owned());
        platform.accounts.get_mut(SHOP).unwrap().config.web_host = Some("a.pages.example".into());
        assert_eq!(check(&platform), [Some(WebLinkError::Host), None]);
    }

    #[test]
    fn the_way_back_keeps_the_query_and_tells_the_appid_through_the_component() {
        let link = WebLink::parse(&query()).unwrap();
        let redirect = || Url::parse("https://pages.example/back?a=1#f").unwrap();
        assert_eq!(
            link.back(redirect(), Some("c")),
            "https://pages.example/back?a=1&code=c&state=s1#f"
        );
        let through = WebLink { component_appid: Some(COMPONENT.to_owned()), ..link };
        assert_eq!(
            through.back(redirect(), None),
            format!("https://pages.example/back?a=1&state=s1&appid={SHOP}#f")
        );
    }

    #[test]
    fn only_a_link_for_the_profile_asks_the_fan() {
        let silent = |scope: &str| {
            let query = query().replace("snsapi_base", scope);
            WebLink::parse(&query).unwrap().is_silent()
        };
        assert!(silent("snsapi_base"));
        assert!(!silent("snsapi_userinfo") && !silent("snsapi_base%2Csnsapi_userinfo"));
    }
}
