//! Which paths may go upstream, judged on the raw bytes of the request line.
//!
//! Frameworks hand out decoded path parameters; a path that is judged decoded and sent encoded (or
//! the other way round) is how a tenant would reach the component's own interfaces. So the raw path
//! is judged, and only characters that mean the same encoded and decoded are allowed in it.

use http::Method;
use lingpai_wechat::catalogue::{Catalogue, Endpoint, PAGES_HOST, TokenKind};

/// A raw path that may go upstream: it begins with `/` and is sent exactly as judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedPath {
    raw: String,
    /// What the catalogue says of it.
    known: Option<&'static Endpoint>,
}

/// What becomes of a path that the shipped catalogue does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncatalogued {
    /// It passes: WeChat adds interfaces every month.
    Allow,
    /// It is refused.
    Deny,
}

/// At which of WeChat's hosts a path lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// The API's, which takes a token.
    Api,
    /// That of pages and pictures, which takes none.
    Pages,
}

/// Why a call may not go upstream, by its path or its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// It is written in a way that could be read in two ways.
    #[error(
        "it may hold letters, digits, `_`, `-`, `.` and `/`, and no segment that is empty or begins \
         or ends with a dot"
    )]
    Spelling,
    /// It is an interface of the component itself.
    #[error("it is an interface of the component, not of an authorizer")]
    ComponentInterface,
    /// It hands out tokens.
    #[error("it hands out tokens, which lingpai keeps itself")]
    TokenEndpoint,
    /// WeChat's documentation says that a third-party platform cannot call it for an account.
    #[error("WeChat does not let a third-party platform call it for an account")]
    NotDelegable,
    /// It tells an earlier call, with the token that it was made with.
    #[error(
        "its answer repeats an earlier call, the token of it included; look the rid up in WeChat's \
         own console for the account, or name it to WeChat's support"
    )]
    CallRecord,
    /// The catalogue does not know it, and the operator lets only known ones pass.
    #[error("lingpai's catalogue does not know it, and this installation passes known paths only")]
    Uncatalogued,
    /// The method is one that would tell our request back, or open a tunnel.
    #[error("TRACE and CONNECT are not passed on; use the method that WeChat documents for it")]
    Method,
}

/// The longest path that is looked at, in bytes.
const MAX_LEN: usize = 512;

/// Paths that hand out tokens or tickets for an account's own secret.
const TOKEN_ENDPOINTS: [&str; 2] = ["/cgi-bin/token", "/cgi-bin/stable_token"];

/// The interface that tells what an earlier call sent and got, its address with the token included.
///
/// Source: WeChat docs, "Query rid information" (openapi/rid/get): `request_url`, `request_body`,
/// `response_body`.
const CALL_RECORDS: &str = "/cgi-bin/openapi/rid";

impl JudgedPath {
    /// Judges a raw path.
    ///
    /// A path that the shipped catalogue does not know passes, since WeChat adds interfaces every
    /// month; what must never pass does not depend on the catalogue alone.
    ///
    /// # Errors
    /// [`PathRefusal`] with the reason.
    pub fn judge(raw: &str) -> Result<Self, PathRefusal> {
        Self::judge_by(raw, Uncatalogued::Allow)
    }

    /// As [`JudgedPath::judge`], where the operator decides about paths that the catalogue does not
    /// know.
    ///
    /// # Errors
    /// [`PathRefusal`] with the reason.
    pub fn judge_by(raw: &str, uncatalogued: Uncatalogued) -> Result<Self, PathRefusal> {
        if !is_unambiguous(raw) {
            return Err(PathRefusal::Spelling);
        }
        let catalogue = Catalogue::shipped();
        let known = catalogue.find(raw);
        let gives_tokens = TOKEN_ENDPOINTS.iter().any(|path| path.eq_ignore_ascii_case(raw));
        if gives_tokens || is_under(raw, "/sns") {
            return Err(PathRefusal::TokenEndpoint);
        }
        if is_under(raw, CALL_RECORDS) {
            return Err(PathRefusal::CallRecord);
        }
        if is_under(raw, "/cgi-bin/component") || is_under(raw, "/wxa/component") {
            let is_authorizers = known.is_some_and(|row| row.takes(TokenKind::Authorizer));
            if !is_authorizers {
                return Err(PathRefusal::ComponentInterface);
            }
        }
        if known.is_some_and(|row| !row.takes(TokenKind::Authorizer) && !is_public(row)) {
            return Err(PathRefusal::ComponentInterface);
        }
        if catalogue.is_not_delegable(raw) {
            return Err(PathRefusal::NotDelegable);
        }
        if known.is_none() && uncatalogued == Uncatalogued::Deny {
            return Err(PathRefusal::Uncatalogued);
        }
        Ok(Self { raw: raw.to_owned(), known })
    }

    /// The path, beginning with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The path in the catalogue's spelling if that knows it.
    pub(crate) fn counted_as(&self) -> &str {
        self.known.map_or(&self.raw, |row| &row.path)
    }

    /// What the catalogue says of it, if it knows it.
    pub(crate) fn known(&self) -> Option<&'static Endpoint> {
        self.known
    }

    /// Where it lives.
    pub(crate) fn host(&self) -> Host {
        if self.known.is_some_and(is_public) { Host::Pages } else { Host::Api }
    }
}

/// Whether it is a picture that everybody may see: the host of pages gives it without a token.
fn is_public(row: &Endpoint) -> bool {
    row.host == PAGES_HOST && row.takes(TokenKind::None)
}

/// Whether WeChat could be asked about this path: nothing about it can be read in two ways.
///
/// # Errors
/// [`PathRefusal::Spelling`].
pub(crate) fn judge_spelling(raw: &str) -> Result<(), PathRefusal> {
    if is_unambiguous(raw) { Ok(()) } else { Err(PathRefusal::Spelling) }
}

/// Judges a method.
///
/// # Errors
/// [`PathRefusal::Method`]: an answer to TRACE would be our request, its token included.
pub(crate) fn judge_method(method: &Method) -> Result<(), PathRefusal> {
    // Names of methods are case-sensitive, but not for every server.
    let is_refused = [Method::TRACE, Method::CONNECT]
        .iter()
        .any(|refused| method.as_str().eq_ignore_ascii_case(refused.as_str()));
    if is_refused { Err(PathRefusal::Method) } else { Ok(()) }
}

fn is_unambiguous(raw: &str) -> bool {
    let Some(segments) = raw.strip_prefix('/') else { return false };
    raw.len() <= MAX_LEN
        && segments.split('/').all(|segment| {
            // A server may take a dot at the end of a name for none, and three for two.
            !segment.is_empty()
                && !segment.starts_with('.')
                && !segment.ends_with('.')
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        })
}

/// Whether `path` is `folder` or something in it. WeChat may read paths without regard to case, so
/// what never passes is compared that way.
fn is_under(path: &str, folder: &str) -> bool {
    path.split_at_checked(folder.len()).is_some_and(|(head, rest)| {
        head.eq_ignore_ascii_case(folder) && (rest.is_empty() || rest.starts_with('/'))
    })
}

/// Drops every pair whose decoded name contains `access_token` or names a component's appid; what
/// is left keeps its order and its spelling.
pub(crate) fn without_tokens(raw_query: &str) -> String {
    let mut kept = String::with_capacity(raw_query.len());
    for pair in raw_query.split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        if pair.is_empty() || names_token(name) {
            continue;
        }
        if !kept.is_empty() {
            kept.push('&');
        }
        kept.push_str(pair);
    }
    kept
}

/// Whether a name in a query, as it stands there, is one that only we may use.
fn names_token(raw_name: &str) -> bool {
    let decoded = url::form_urlencoded::parse(raw_name.as_bytes()).next();
    decoded.is_some_and(|(name, _)| {
        let (name, token) = (name.as_bytes(), b"access_token");
        name.eq_ignore_ascii_case(b"component_appid")
            || name.windows(token.len()).any(|part| part.eq_ignore_ascii_case(token))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn everyday_paths_pass() {
        for path in [
            "/cgi-bin/user/info",
            "/cgi-bin/message/custom/send",
            "/cgi-bin/media/upload",
            "/wxa/getwxacodeunlimit",
            "/cgi-bin/component/setprivacysetting",
            "/wxa/some_api_of_next_month",
            "/cgi-bin/openapi/quota/get",
            "/cgi-bin/openapi/rider",
        ] {
            assert!(JudgedPath::judge(path).is_ok(), "{path}: {:?}", JudgedPath::judge(path));
        }
    }

    #[test]
    fn what_must_never_pass_does_not() {
        for (path, refusal) in [
            ("/cgi-bin/component/api_query_auth", PathRefusal::ComponentInterface),
            ("/cgi-bin/component/api_component_token", PathRefusal::ComponentInterface),
            ("/CGI-BIN/component/api_query_auth", PathRefusal::ComponentInterface),
            ("/cgi-bin/Component/next_month", PathRefusal::ComponentInterface),
            ("/cgi-bin/component", PathRefusal::ComponentInterface),
            ("/cgi-bin/token", PathRefusal::TokenEndpoint),
            ("/cgi-bin/stable_token", PathRefusal::TokenEndpoint),
            ("/Cgi-Bin/Token", PathRefusal::TokenEndpoint),
            ("/sns/oauth2/component/access_token", PathRefusal::TokenEndpoint),
            ("/sns/jscode2session", PathRefusal::TokenEndpoint),
            ("/cgi-bin/openapi/rid/get", PathRefusal::CallRecord),
            ("/cgi-bin/openapi/RID/Get", PathRefusal::CallRecord),
            ("/cgi-bin/openapi/rid/next_month", PathRefusal::CallRecord),
            ("/cgi-bin/openapi/rid", PathRefusal::CallRecord),
            ("/wxa/gettemplatelist", PathRefusal::ComponentInterface),
            ("/WXA/GetTemplateList", PathRefusal::ComponentInterface),
            ("/cgi-bin/business/get", PathRefusal::NotDelegable),
            ("/cgi-bin/Business/get", PathRefusal::NotDelegable),
        ] {
            assert_eq!(JudgedPath::judge(path), Err(refusal), "{path}");
        }
    }

    #[test]
    fn what_the_catalogue_does_not_know_passes_as_the_operator_decides() {
        let (new, known) = ("/wxa/some_api_of_next_month", "/cgi-bin/user/info");
        let judged = |path| JudgedPath::judge_by(path, Uncatalogued::Deny);
        assert_eq!(judged(new), Err(PathRefusal::Uncatalogued));
        assert!(judged(known).is_ok() && judged("/CGI-BIN/user/info").is_ok());
        assert!(JudgedPath::judge_by(new, Uncatalogued::Allow).is_ok());
        // What never passes is refused for its own reason.
        assert_eq!(judged("/cgi-bin/token"), Err(PathRefusal::TokenEndpoint));
    }

    #[test]
    fn a_path_is_counted_in_the_spelling_of_the_catalogue() {
        for (path, counted) in [
            ("/cgi-bin/user/info", "/cgi-bin/user/info"),
            ("/CGI-BIN/User/info", "/cgi-bin/user/info"),
            ("/wxa/Next_Month", "/wxa/Next_Month"),
        ] {
            let judged = JudgedPath::judge(path).expect(path);
            assert_eq!((judged.counted_as(), judged.as_str()), (counted, path));
        }
    }

    #[test]
    fn only_the_picture_of_a_qr_code_lives_at_the_host_of_pages() {
        let host = |path| JudgedPath::judge(path).expect("it passes").host();
        assert_eq!(host("/cgi-bin/showqrcode"), Host::Pages);
        assert_eq!(host("/cgi-bin/ShowQrCode"), Host::Pages);
        for path in ["/cgi-bin/qrcode/create", "/cgi-bin/showqrcode/x", "/cgi-bin/user/info"] {
            assert_eq!(host(path), Host::Api, "{path}");
        }
    }

    #[test]
    fn spellings_that_could_be_read_in_two_ways_are_refused() {
        for path in [
            "",
            "cgi-bin/user/info",
            "//cgi-bin/user/info",
            "/cgi-bin//user",
            "/cgi-bin/user/",
            "/cgi-bin/./user",
            "/cgi-bin/../component",
            "/cgi-bin/.../component",
            "/cgi-bin/component./x",
            "/cgi-bin/token.",
            "/cgi-bin/.token",
            "/cgi-bin/%63omponent/x",
            "/cgi-bin/user;x=1",
            "/cgi-bin\\component",
            "/cgi-bin/user?x",
            "/cgi-bin/user#x",
            "/cgi-bin/us er",
            "/cgi-bin/用户",
            "/@evil.example/x",
        ] {
            assert_eq!(JudgedPath::judge(path), Err(PathRefusal::Spelling), "{path:?}");
        }
    }

    #[test]
    fn a_method_that_tells_our_request_back_is_refused() {
        let judged = |method: &str| judge_method(&method.parse().expect("a method"));
        for method in ["TRACE", "CONNECT", "trace", "Connect"] {
            assert_eq!(judged(method), Err(PathRefusal::Method), "{method}");
        }
        for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"] {
            assert!(judged(method).is_ok(), "{method}");
        }
    }

    #[test]
    fn a_tenant_cannot_bring_a_token_of_his_own() {
        let query = "a=1&access_token=x&acc%65ss_token=y&Access_Token=z&component_access_token=u\
                     &my_access_token_=v&component_appid=w&&b=%2F+2&action=create";
        assert_eq!(without_tokens(query), "a=1&b=%2F+2&action=create");
        assert_eq!(without_tokens(""), "");
    }

    proptest! {
        #[test]
        fn a_judged_path_means_the_same_to_a_url_parser(raw in "[/a-zA-Z0-9_.%;\\\\-]{0,40}") {
            if let Ok(judged) = JudgedPath::judge(&raw) {
                let url = url::Url::parse(&format!("https://host{}", judged.as_str()));
                let url = url.expect("a judged path makes a URL");
                prop_assert_eq!(url.path(), raw);
            }
        }
    }
}
