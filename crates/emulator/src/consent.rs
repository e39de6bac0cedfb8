//! The rules of the authorization page: what the link must say, and what a consent does.
//!
//! Source: WeChat docs, third-party platform, "Authorization process" (授权流程技术说明): the link's
//! parameters, and "the entry page and the callback page must be on the same domain".

use std::sync::Arc;

use url::Url;

use crate::config::{AccountKind, PushOrder};
use crate::state::accounts::Account;
use crate::state::codes::AUTHORIZATION_CODE_LIFE_MS;
use crate::state::{GrantChange, Platform};
use crate::world::World;

/// Which of the pages was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Pc,
    Mobile,
}

/// Why there is no consent; each has its own error page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageError {
    Component,
    PreAuthCode,
    RedirectUri,
    Referer,
    Parameters,
    Account,
    Sets,
}

/// The query of an authorization link. Empty texts stand for what is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuthorizeLink {
    pub(crate) component_appid: String,
    pub(crate) pre_auth_code: String,
    pub(crate) redirect_uri: String,
    pub(crate) auth_type: String,
    pub(crate) biz_appid: String,
    pub(crate) category_id_list: String,
    pub(crate) action: String,
    pub(crate) no_scan: String,
}

/// A consent as the form sends it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Consent {
    pub(crate) link: AuthorizeLink,
    pub(crate) authorizer_appid: String,
    pub(crate) sets: Vec<u32>,
}

impl AuthorizeLink {
    /// Reads what is there; [`AuthorizeLink::check`] judges it.
    pub(crate) fn parse(query: &str) -> Self {
        let mut link = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "component_appid" => &mut link.component_appid,
                "pre_auth_code" => &mut link.pre_auth_code,
                "redirect_uri" => &mut link.redirect_uri,
                "auth_type" => &mut link.auth_type,
                "biz_appid" => &mut link.biz_appid,
                "category_id_list" => &mut link.category_id_list,
                "action" => &mut link.action,
                "no_scan" => &mut link.no_scan,
                _ => continue,
            };
            *field = value.into_owned();
        }
        link
    }

    /// Whether a consent page may be shown at all.
    pub(crate) fn check(&self, platform: &Platform, now: i64) -> Result<Url, PageError> {
        if self.component_appid != platform.component.appid {
            return Err(PageError::Component);
        }
        let redirect = Url::parse(&self.redirect_uri).map_err(|_| PageError::RedirectUri)?;
        let host = redirect.host_str().ok_or(PageError::RedirectUri)?;
        let registered = platform.component.start_page_host.as_deref();
        if !matches!(redirect.scheme(), "http" | "https")
            || registered.is_some_and(|registered| registered != host)
        {
            return Err(PageError::RedirectUri);
        }
        if !matches!(self.auth_type.as_str(), "" | "1" | "2" | "3" | "4" | "5" | "6" | "8") {
            return Err(PageError::Parameters);
        }
        if !platform.codes.is_open(&self.pre_auth_code, now) {
            return Err(PageError::PreAuthCode);
        }
        if self.offered(platform).next().is_none() {
            return Err(PageError::Account);
        }
        Ok(redirect)
    }

    /// The parameters that are fixed for each page.
    pub(crate) fn check_entry(&self, entry: Entry) -> Result<(), PageError> {
        let fits = match entry {
            Entry::Pc => true,
            Entry::Mobile => {
                self.action == "bindcomponent" && self.no_scan == "1" && !self.auth_type.is_empty()
            }
        };
        if fits { Ok(()) } else { Err(PageError::Parameters) }
    }

    /// The accounts that may consent: the one that is named, else those of the right kind. Those of
    /// the publish test may, but are not shown.
    pub(crate) fn offered<'a>(
        &'a self,
        platform: &'a Platform,
    ) -> impl Iterator<Item = &'a Account> {
        let is_shown =
            |account: &Account| !account.is_of_publish_test || !self.biz_appid.is_empty();
        platform.accounts.values().filter(move |account| self.offers(account) && is_shown(account))
    }

    /// The sets of an account that this link asks for.
    pub(crate) fn asked_sets(&self, account: &Account) -> Vec<u32> {
        let asked: Vec<u32> =
            self.category_id_list.split('|').filter_map(|id| id.parse().ok()).collect();
        let owned = account.config.permission_sets.iter().copied();
        owned.filter(|id| asked.is_empty() || asked.contains(id)).collect()
    }

    fn offers(&self, account: &Account) -> bool {
        if !self.biz_appid.is_empty() {
            return account.config.appid == self.biz_appid;
        }
        match account.config.kind {
            AccountKind::OfficialAccount => matches!(self.auth_type.as_str(), "" | "1" | "3" | "6"),
            AccountKind::MiniProgram => matches!(self.auth_type.as_str(), "" | "2" | "3" | "6"),
        }
    }
}

/// WeChat looks at the Referer: the page with the link must be on the host of the callback.
pub(crate) fn check_referer(referer: Option<&str>, redirect: &Url) -> Result<(), PageError> {
    let referer = referer.and_then(|text| Url::parse(text).ok()).ok_or(PageError::Referer)?;
    if referer.host_str() == redirect.host_str() { Ok(()) } else { Err(PageError::Referer) }
}

impl Consent {
    /// Reads the form.
    pub(crate) fn parse(form: &str) -> Self {
        let mut consent = Self { link: AuthorizeLink::parse(form), ..Self::default() };
        for (name, value) in url::form_urlencoded::parse(form.as_bytes()) {
            match &*name {
                "authorizer_appid" => consent.authorizer_appid = value.into_owned(),
                "func_scope" => consent.sets.extend(value.parse::<u32>().ok()),
                _ => {}
            }
        }
        consent
    }

    /// Stores the grant, sees to the push and gives the URL to redirect to.
    pub(crate) async fn give(self, world: &Arc<World>) -> Result<String, PageError> {
        let (mut redirect, code, change) = self.grant(world)?;
        let info_type = match change {
            GrantChange::New => Some("authorized"),
            GrantChange::Changed => Some("updateauthorized"),
            GrantChange::Same => None,
        };
        if let Some(info_type) = info_type {
            let expires_at = ((world.now() + AUTHORIZATION_CODE_LIFE_MS) / 1000).to_string();
            let push = world.info_push(
                info_type,
                &[
                    ("AuthorizerAppid", &self.authorizer_appid),
                    ("AuthorizationCode", &code),
                    ("AuthorizationCodeExpiredTime", &expires_at),
                    ("PreAuthCode", &self.link.pre_auth_code),
                ],
            );
            match world.switches().push_order {
                PushOrder::PushFirst => drop(world.dispatch(push).await),
                PushOrder::RedirectFirst => world.dispatch_behind_redirect(push),
                PushOrder::Lost => {}
            }
        }
        redirect
            .query_pairs_mut()
            .append_pair("auth_code", &code)
            .append_pair("expires_in", &(AUTHORIZATION_CODE_LIFE_MS / 1000).to_string());
        Ok(redirect.into())
    }

    /// Checks and stores under one lock, so that a code is used up by one consent only.
    fn grant(&self, world: &World) -> Result<(Url, String, GrantChange), PageError> {
        let now = world.now();
        let mut platform = world.platform();
        let redirect = self.link.check(&platform, now)?;
        let account = platform
            .accounts
            .get(&self.authorizer_appid)
            .filter(|account| self.link.offers(account))
            .ok_or(PageError::Account)?;
        let asked = self.link.asked_sets(account);
        let sets: Vec<u32> = asked.into_iter().filter(|id| self.sets.contains(id)).collect();
        if sets.is_empty() {
            return Err(PageError::Sets);
        }
        let change = platform.grant(&self.authorizer_appid, sets, now).ok_or(PageError::Account)?;
        let code = platform.codes.consent(&self.link.pre_auth_code, &self.authorizer_appid, now);
        Ok((redirect, code, change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmulatorConfig;

    fn link(platform: &mut Platform) -> AuthorizeLink {
        AuthorizeLink {
            component_appid: platform.component.appid.clone(),
            pre_auth_code: platform.codes.new_pre_auth_code(0),
            redirect_uri: "https://lingpai.example/back?state=a%20b".to_owned(),
            auth_type: "3".to_owned(),
            ..AuthorizeLink::default()
        }
    }

    #[test]
    fn each_fault_of_a_link_has_its_own_error() {
        let mut platform = Platform::new(&EmulatorConfig::for_tests());
        let good = link(&mut platform);
        assert!(good.check(&platform, 0).is_ok());
        let wrong = |change: fn(&mut AuthorizeLink)| {
            let mut link = good.clone();
            change(&mut link);
            link.check(&platform, 0).unwrap_err()
        };
        assert_eq!(wrong(|link| link.component_appid.push('x')), PageError::Component);
        assert_eq!(wrong(|link| link.pre_auth_code.push('x')), PageError::PreAuthCode);
        assert_eq!(wrong(|link| link.redirect_uri = "/back".to_owned()), PageError::RedirectUri);
        assert_eq!(wrong(|link| link.redirect_uri = "ftp://a/".to_owned()), PageError::RedirectUri);
        assert_eq!(wrong(|link| link.auth_type = "7".to_owned()), PageError::Parameters);
        assert_eq!(wrong(|link| link.biz_appid = "wx0".to_owned()), PageError::Account);
        assert_eq!(wrong(|link| link.auth_type = "5".to_owned()), PageError::Account);
    }

    #[test]
    fn a_registered_start_page_host_binds_the_callback() {
        let mut platform = Platform::new(&EmulatorConfig::for_tests());
        let link = link(&mut platform);
        platform.component.start_page_host = Some("other.example".to_owned());
        assert_eq!(link.check(&platform, 0).unwrap_err(), PageError::RedirectUri);
        platform.component.start_page_host = Some("lingpai.example".to_owned());
        assert!(link.check(&platform, 0).is_ok());
    }

    #[test]
    fn the_mobile_page_has_fixed_parameters() {
        let mut link = AuthorizeLink { auth_type: "3".to_owned(), ..AuthorizeLink::default() };
        assert!(link.check_entry(Entry::Pc).is_ok());
        assert_eq!(link.check_entry(Entry::Mobile), Err(PageError::Parameters));
        link.action = "bindcomponent".to_owned();
        link.no_scan = "1".to_owned();
        assert!(link.check_entry(Entry::Mobile).is_ok());
    }

    #[test]
    fn auth_type_and_biz_appid_choose_the_accounts() {
        let mut platform = Platform::new(&EmulatorConfig::for_tests());
        let mut link = link(&mut platform);
        let mut offered = |auth_type: &str, biz_appid: &str| {
            link.auth_type = auth_type.to_owned();
            link.biz_appid = biz_appid.to_owned();
            link.offered(&platform).count()
        };
        assert_eq!(offered("1", ""), 2);
        assert_eq!(offered("2", ""), 1);
        assert_eq!(offered("3", ""), 3);
        assert_eq!(offered("2", "wxa0b1c2d3e4f50617"), 1);
    }

    #[test]
    fn category_id_list_limits_the_sets() {
        let mut platform = Platform::new(&EmulatorConfig::for_tests());
        let mut link = link(&mut platform);
        let shop = &platform.accounts["wxa0b1c2d3e4f50617"];
        assert_eq!(link.asked_sets(shop), shop.config.permission_sets);
        link.category_id_list = "1|7|999".to_owned();
        assert_eq!(link.asked_sets(shop), [1, 7]);
    }

    #[test]
    fn the_referer_must_be_on_the_callbacks_host() {
        let redirect = Url::parse("https://lingpai.example/back").unwrap();
        assert!(check_referer(Some("https://lingpai.example:8443/start"), &redirect).is_ok());
        for referer in [None, Some(""), Some("https://other.example/"), Some("nonsense")] {
            assert_eq!(check_referer(referer, &redirect), Err(PageError::Referer), "{referer:?}");
        }
    }
}
