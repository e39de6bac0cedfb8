//! How a page leaves: its headers, the nonce that lets its one style sheet in, and the one place a
//! picture may come from.

use askama::Template;
use lingpai_model::clock::Entropy;
use poem::{
    Response,
    http::{HeaderValue, StatusCode, header},
};

use super::logo::Logo;
use crate::problem::Problem;

/// What pages are made of.
pub(super) const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// What WeChat may learn of where a browser comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Referrer {
    /// Our origin. WeChat opens its page only from a page on the registered domain.
    ///
    /// Source: WeChat docs, "Authorization page" (授权页): the start page and the return address
    /// must be on the same domain, which WeChat reads from the referrer.
    Origin,
    /// Nothing.
    Nothing,
}

/// Lets one style sheet of ours into one page.
pub(super) struct Nonce(String);

impl Nonce {
    pub(super) fn draw(entropy: &Entropy) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(entropy.bytes())))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Renders `template` into an answer that runs nothing, is framed by nobody, and loads nothing but
/// pictures from the origin of `logo`.
pub(super) fn page(
    status: StatusCode,
    template: &impl Template,
    nonce: &Nonce,
    referrer: Referrer,
    logo: Option<&Logo>,
) -> Result<Response, Problem> {
    let html = template.render().map_err(|_| Problem::unrendered())?;
    let images = logo.map_or_else(|| "'none'".to_owned(), |logo| logo.origin().to_owned());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{}'; img-src {images}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        nonce.as_str()
    );
    Ok(Response::builder()
        .status(status)
        .content_type(CONTENT_TYPE)
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(
            header::REFERRER_POLICY,
            match referrer {
                Referrer::Origin => "strict-origin-when-cross-origin",
                Referrer::Nothing => "no-referrer",
            },
        )
        .body(html))
}

/// Adds a cookie to an answer.
pub(super) fn set_cookie(answer: &mut Response, cookie: &str) {
    let value = HeaderValue::from_str(cookie).expect("our cookies are of visible ASCII");
    answer.headers_mut().append(header::SET_COOKIE, value);
}
