//! The endpoints of WeChat's API that we know: which token they take, and for whom.
//!
//! The rows are data that ships inside the binary. They decide what never passes; the ids of
//! permission sets are hints and never a reason to refuse.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

/// Which token an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// None, or one of its own kind.
    None,
    /// The component's.
    Component,
    /// An authorizer's.
    Authorizer,
}

/// What kind of account an endpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// The component itself.
    Component,
    /// Official accounts (公众号).
    OfficialAccount,
    /// Mini programs (小程序).
    MiniProgram,
    /// Official accounts and mini programs.
    Both,
    /// WeChat stores and Channels (微信小店, 视频号).
    Store,
}

/// One row: one way to call a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// `GET` or `POST`.
    pub method: String,
    /// The token it takes.
    pub token_kind: TokenKind,
    /// The accounts it is for.
    pub account_kind: AccountKind,
    /// Permission sets of which one suffices; empty when unknown.
    pub permission_sets: Vec<u32>,
}

/// The host of WeChat's API, as the rows name it.
pub const API_HOST: &str = "api.weixin.qq.com";

/// The host of WeChat's pages, as the rows name it.
pub const PAGES_HOST: &str = "mp.weixin.qq.com";

/// One path with every way to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its host.
    pub host: String,
    /// Its path.
    pub path: String,
    /// Its name in Chinese.
    pub name_zh: String,
    /// Its name in English.
    pub name_en: String,
    /// The ways to call it, at least one. Some paths have several: another method where sources
    /// disagree, or the component's token beside an authorizer's.
    pub forms: Vec<Form>,
}

impl Endpoint {
    /// Whether one of its forms takes a token of this kind.
    #[must_use]
    pub fn takes(&self, token_kind: TokenKind) -> bool {
        self.forms.iter().any(|form| form.token_kind == token_kind)
    }

    /// Every permission set that opens one of its forms, in ascending order.
    #[must_use]
    pub fn permission_sets(&self) -> Vec<u32> {
        let mut sets: Vec<u32> =
            self.forms.iter().flat_map(|form| form.permission_sets.iter().copied()).collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }
}

/// All endpoints that we know.
#[derive(Debug)]
pub struct Catalogue {
    endpoints: HashMap<String, Endpoint>,
    not_delegable: HashMap<String, Endpoint>,
}

impl Catalogue {
    /// The catalogue inside this binary.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<Catalogue> = LazyLock::new(|| Catalogue {
            endpoints: read(&[
                include_str!("../data/endpoints.csv"),
                include_str!("../data/endpoints_store.csv"),
            ]),
            not_delegable: read(&[include_str!("../data/endpoints_not_delegable.csv")]),
        });
        &SHIPPED
    }

    /// The endpoint of this path, which begins with `/` and has no query. Case does not count: a
    /// path is not another one for being written in capitals.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Endpoint> {
        self.endpoints.get(folded(path).as_ref())
    }

    /// Whether WeChat says that no third-party platform may call this path for an account.
    #[must_use]
    pub fn is_not_delegable(&self, path: &str) -> bool {
        self.not_delegable.contains_key(folded(path).as_ref())
    }
}

/// The path without capitals, which most have none of.
fn folded(path: &str) -> Cow<'_, str> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}

fn read(files: &[&str]) -> HashMap<String, Endpoint> {
    let mut endpoints = HashMap::new();
    for file in files {
        for record in csv::Reader::from_reader(file.as_bytes()).records() {
            let record = record.expect("the shipped catalogue is well-formed");
            endpoints
                .entry(record[2].to_ascii_lowercase())
                .or_insert_with(|| Endpoint {
                    host: record[0].to_owned(),
                    path: record[2].to_owned(),
                    name_zh: record[6].to_owned(),
                    name_en: record[7].to_owned(),
                    forms: Vec::new(),
                })
                .forms
                .push(form(&record));
        }
    }
    endpoints
}

fn form(record: &csv::StringRecord) -> Form {
    Form {
        method: record[1].to_owned(),
        token_kind: match &record[3] {
            "none" => TokenKind::None,
            "component" => TokenKind::Component,
            "authorizer" => TokenKind::Authorizer,
            _ => unreachable!("the shipped catalogue names three kinds of token"),
        },
        account_kind: match &record[4] {
            "component" => AccountKind::Component,
            "offiaccount" => AccountKind::OfficialAccount,
            "miniprogram" => AccountKind::MiniProgram,
            "both" => AccountKind::Both,
            "store" => AccountKind::Store,
            _ => unreachable!("the shipped catalogue names five kinds of account"),
        },
        permission_sets: record[5]
            .split(';')
            .filter(|id| !id.is_empty())
            .map(|id| id.parse().expect("the shipped catalogue has numbers"))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_there() {
        let catalogue = Catalogue::shipped();
        let rows: usize = catalogue.endpoints.values().map(|endpoint| endpoint.forms.len()).sum();
        assert_eq!(rows, 1365 + 388);
        assert_eq!(catalogue.not_delegable.len(), 38);
    }

    #[test]
    fn a_path_tells_its_token_and_its_sets() {
        let send = Catalogue::shipped().find("/cgi-bin/message/custom/send");
        let send = send.expect("it is the best known of all");
        assert!(send.takes(TokenKind::Authorizer));
        assert!(!send.takes(TokenKind::Component));
        assert!(send.permission_sets().contains(&1));
    }

    #[test]
    fn a_path_for_either_token_has_two_forms() {
        let quota = Catalogue::shipped().find("/cgi-bin/openapi/quota/get").expect("it is listed");
        assert!(quota.takes(TokenKind::Authorizer) && quota.takes(TokenKind::Component));
        assert_eq!(quota.forms.len(), 2);
    }

    #[test]
    fn the_components_own_interfaces_take_no_authorizer_token() {
        for path in [
            "/cgi-bin/component/api_component_token",
            "/cgi-bin/component/api_query_auth",
            "/cgi-bin/component/api_authorizer_token",
        ] {
            let endpoint = Catalogue::shipped().find(path).expect(path);
            assert!(!endpoint.takes(TokenKind::Authorizer), "{path}");
        }
    }

    #[test]
    fn one_path_lives_at_the_host_of_pages_and_takes_no_token() {
        let elsewhere: Vec<&Endpoint> = Catalogue::shipped()
            .endpoints
            .values()
            .filter(|endpoint| endpoint.host != API_HOST)
            .collect();
        assert_eq!(elsewhere.len(), 1);
        assert_eq!(elsewhere[0].path, "/cgi-bin/showqrcode");
        assert_eq!(elsewhere[0].host, PAGES_HOST);
        assert!(elsewhere[0].takes(TokenKind::None) && elsewhere[0].forms.len() == 1);
    }

    #[test]
    fn stores_are_listed_and_what_cannot_be_delegated_is_told() {
        let catalogue = Catalogue::shipped();
        let store = catalogue.find("/channels/ec/aftersale/acceptapply").expect("it is listed");
        assert_eq!(store.forms[0].account_kind, AccountKind::Store);
        assert!(catalogue.is_not_delegable("/cgi-bin/business/get"));
        assert!(!catalogue.is_not_delegable("/cgi-bin/message/custom/send"));
        assert!(catalogue.find("/cgi-bin/of/our/own").is_none());
    }
}
