//! The cookie that binds a browser's return from WeChat to the browser that left for it.

use lingpai_model::authorization::LinkToken;
use poem::{Request, http::header::COOKIE};

/// The cookie of one link. Two links opened side by side have two cookies.
pub(super) struct ReturnCookie {
    name: String,
    attributes: String,
}

impl ReturnCookie {
    /// The cookie for `link`; `is_https` tells how browsers reach us.
    pub(super) fn of(link: &LinkToken, is_https: bool) -> Self {
        let suffix = &link.digest().to_hex()[..16];
        if is_https {
            Self {
                name: format!("__Host-lingpai-return-{suffix}"),
                attributes: "Path=/; Secure; HttpOnly; SameSite=Lax".to_owned(),
            }
        } else {
            // Without TLS browsers refuse the prefix, but take a path.
            Self {
                name: format!("lingpai-return-{suffix}"),
                attributes: format!(
                    "Path=/authorize/{}; HttpOnly; SameSite=Lax",
                    link.expose_text()
                ),
            }
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

/// The first cookie called `name`.
pub(super) fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let headers = request.headers().get_all(COOKIE).iter();
    let pairs = headers.filter_map(|header| header.to_str().ok()).flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(named, value)| (named == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use lingpai_model::clock::Entropy;

    use super::*;

    #[test]
    fn a_state_that_was_kept_is_read_back_by_its_own_link_only() {
        let entropy = Entropy::seeded(1);
        let [link, other, state] = std::array::from_fn(|_| LinkToken::draw(&entropy));
        for is_https in [true, false] {
            let set = ReturnCookie::of(&link, is_https).keep(&state, 600);
            let pair = set.split(';').next().unwrap();
            let request = Request::builder().header(COOKIE, format!("a=b; {pair}; c")).finish();
            let read = ReturnCookie::of(&link, is_https).read(&request);
            assert_eq!(
                read.map(|read| read.expose_text().to_owned()).as_deref(),
                Some(state.expose_text())
            );
            assert!(ReturnCookie::of(&other, is_https).read(&request).is_none());
        }
    }

    #[test]
    fn over_https_the_cookie_is_bound_to_our_host() {
        let entropy = Entropy::seeded(1);
        let (link, state) = (LinkToken::draw(&entropy), LinkToken::draw(&entropy));
        let set = ReturnCookie::of(&link, true).keep(&state, 600);
        assert!(set.starts_with("__Host-lingpai-return-"));
        assert!(set.ends_with("; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"), "{set}");
        let plain = ReturnCookie::of(&link, false).keep(&state, 600);
        assert!(plain.starts_with("lingpai-return-") && !plain.contains("Secure"), "{plain}");
        assert!(ReturnCookie::of(&link, true).clear().contains("=; Max-Age=0; "));
    }
}
