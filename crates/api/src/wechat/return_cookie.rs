//! The cookies that bind a browser's return from WeChat to the browser that left for it: an
//! administrator's, and those of fans.

use lingpai_model::authorization::LinkToken;
use poem::{Request, http::header::COOKIE};
use url::Url;

/// Where WeChat sends fans back to, and the only place that their cookies have to reach.
pub(crate) const FAN_RETURN_PATH: &str = "/oauth2/return";

/// What fans' cookies are called, before the digits that tell them apart.
const FAN: &str = "lingpai-fan-";

/// How many attempts of a fan's one browser keeps in mind. A shop that signs its fans in on every page
/// would fill the request's head else: proxies commonly take 8 KiB.
const FAN_COOKIES: usize = 16;

/// How many hexadecimal digits tell cookies apart.
const SUFFIX_LEN: usize = 16;

/// How browsers reach us: it decides what a cookie may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Https,
    /// Without TLS: on a developer's own computer.
    Http,
}

impl Reach {
    pub(super) fn of(public_url: &Url) -> Self {
        if public_url.scheme() == "https" { Self::Https } else { Self::Http }
    }
}

/// The cookie of one way out and back. Two opened side by side have two cookies.
pub(super) struct ReturnCookie {
    name: String,
    attributes: String,
}

impl ReturnCookie {
    /// The cookie of an administrator who opened `link`.
    pub(super) fn of_link(link: &LinkToken, reach: Reach) -> Self {
        let path = format!("/authorize/{}", link.expose_text());
        Self::named(&format!("lingpai-return-{}", suffix(link)), &path, reach)
    }

    /// The cookie of a fan who went to WeChat with `state`.
    pub(super) fn of_fan(state: &LinkToken, reach: Reach) -> Self {
        Self::named(&format!("{FAN}{}", suffix(state)), FAN_RETURN_PATH, reach)
    }

    /// The fans' cookies that are too many for one more. Browsers name the oldest first.
    ///
    /// Source: RFC 6265, 5.4: cookies of one path are sent in the order in which they were made.
    pub(super) fn surplus_of_fans(request: &Request, reach: Reach) -> Vec<Self> {
        let names: Vec<&str> = cookies(request).filter_map(|(name, _)| fan_name(name)).collect();
        let many = names.len().saturating_sub(FAN_COOKIES - 1);
        let oldest = names.into_iter().take(many);
        oldest.map(|name| Self::named(name, FAN_RETURN_PATH, reach)).collect()
    }

    fn named(name: &str, path: &str, reach: Reach) -> Self {
        match reach {
            Reach::Https => Self {
                name: format!("__Host-{name}"),
                attributes: "Path=/; Secure; HttpOnly; SameSite=Lax".to_owned(),
            },
            // Without TLS browsers refuse the prefix, but take a path.
            Reach::Http => Self {
                name: name.to_owned(),
                attributes: format!("Path={path}; HttpOnly; SameSite=Lax"),
            },
        }
    }

    /// Keeps `state` for `max_age_secs`.
    pub(super) fn keep(&self, state: &LinkToken, max_age_secs: i64) -> String {
        let Self { name, attributes } = self;
        format!("{name}={}; Max-Age={max_age_secs}; {attributes}", state.expose_text())
    }

    /// Takes the cookie back.
    pub(super) fn clear(&self) -> String {
        let Self { name, attributes } = self;
        format!("{name}=; Max-Age=0; {attributes}")
    }

    /// The state that the browser kept.
    pub(super) fn read(&self, request: &Request) -> Option<LinkToken> {
        cookie(request, &self.name).and_then(LinkToken::parse)
    }
}

/// What tells the cookie of `token` from others.
fn suffix(token: &LinkToken) -> String {
    token.digest().to_hex()[..SUFFIX_LEN].to_owned()
}

/// The name of a fan's cookie without its prefix; `None` for any other, and for what only looks like
/// one, because it is written into an answer again.
fn fan_name(name: &str) -> Option<&str> {
    let bare = name.strip_prefix("__Host-").unwrap_or(name);
    let digits = bare.strip_prefix(FAN)?;
    let fits = digits.len() == SUFFIX_LEN && digits.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then_some(bare)
}

/// The first cookie called `name`.
pub(super) fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    cookies(request).find_map(|(named, value)| (named == name).then_some(value))
}

fn cookies(request: &Request) -> impl Iterator<Item = (&str, &str)> {
    let headers = request.headers().get_all(COOKIE).iter();
    let pairs = headers.filter_map(|header| header.to_str().ok()).flat_map(|text| text.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use lingpai_model::clock::Entropy;

    use super::*;

    #[test]
    fn a_state_that_was_kept_is_read_back_by_its_own_link_only() {
        let entropy = Entropy::seeded(1);
        let [link, other, state] = std::array::from_fn(|_| LinkToken::draw(&entropy));
        for reach in [Reach::Https, Reach::Http] {
            let set = ReturnCookie::of_link(&link, reach).keep(&state, 600);
            let pair = set.split(';').next().unwrap();
            let request = Request::builder().header(COOKIE, format!("a=b; {pair}; c")).finish();
            let read = ReturnCookie::of_link(&link, reach).read(&request);
            assert_eq!(
                read.map(|read| read.expose_text().to_owned()).as_deref(),
                Some(state.expose_text())
            );
            assert!(ReturnCookie::of_link(&other, reach).read(&request).is_none());
        }
    }

    #[test]
    fn over_https_the_cookie_is_bound_to_our_host() {
        let entropy = Entropy::seeded(1);
        let (link, state) = (LinkToken::draw(&entropy), LinkToken::draw(&entropy));
        let set = ReturnCookie::of_link(&link, Reach::Https).keep(&state, 600);
        assert!(set.starts_with("__Host-lingpai-return-"));
        assert!(set.ends_with("; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"), "{set}");
        let plain = ReturnCookie::of_link(&link, Reach::Http).keep(&state, 600);
        assert!(plain.starts_with("lingpai-return-") && !plain.contains("Secure"), "{plain}");
        assert!(ReturnCookie::of_link(&link, Reach::Https).clear().contains("=; Max-Age=0; "));
    }

    #[test]
    fn a_fans_cookie_is_read_back_by_its_own_state_only() {
        let entropy = Entropy::seeded(1);
        let [state, other, browser] = std::array::from_fn(|_| LinkToken::draw(&entropy));
        for reach in [Reach::Https, Reach::Http] {
            let set = ReturnCookie::of_fan(&state, reach).keep(&browser, 900);
            assert!(!set.contains(state.expose_text()), "the state is not in the cookie: {set}");
            let pair = set.split(';').next().unwrap();
            let request = Request::builder().header(COOKIE, pair).finish();
            let read = ReturnCookie::of_fan(&state, reach).read(&request);
            assert_eq!(
                read.map(|read| read.expose_text().to_owned()).as_deref(),
                Some(browser.expose_text())
            );
            assert!(ReturnCookie::of_fan(&other, reach).read(&request).is_none());
            assert!(ReturnCookie::of_link(&state, reach).read(&request).is_none());
        }
        let set = ReturnCookie::of_fan(&state, Reach::Https).keep(&browser, 900);
        assert!(set.starts_with("__Host-lingpai-fan-"), "{set}");
        assert!(set.ends_with("; Max-Age=900; Path=/; Secure; HttpOnly; SameSite=Lax"), "{set}");
        let plain = ReturnCookie::of_fan(&state, Reach::Http).keep(&browser, 900);
        assert!(plain.ends_with("; Path=/oauth2/return; HttpOnly; SameSite=Lax"), "{plain}");
    }

    #[test]
    fn a_browser_keeps_the_newest_attempts_and_nothing_invented_is_written_back() {
        let name = |n: usize| format!("__Host-lingpai-fan-{n:016x}");
        let cleared = |names: &[String]| {
            let pairs: Vec<String> = names.iter().map(|name| format!("{name}=x")).collect();
            let request = Request::builder().header(COOKIE, pairs.join("; ")).finish();
            let surplus = ReturnCookie::surplus_of_fans(&request, Reach::Https);
            surplus.iter().map(ReturnCookie::clear).collect::<Vec<_>>()
        };
        let names = |count| (0..count).map(name).collect::<Vec<_>>();
        assert!(cleared(&names(15)).is_empty());
        let oldest = |n| format!("{}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax", name(n));
        assert_eq!(cleared(&names(17)), [oldest(0), oldest(1)]);
        let odd = ["lingpai-fan-", "lingpai-fan-zz", "lingpai-fan-0123456789abcde\"", "other"];
        let odd: Vec<String> = odd.into_iter().cycle().take(40).map(str::to_owned).collect();
        assert!(cleared(&odd).is_empty());
    }
}
