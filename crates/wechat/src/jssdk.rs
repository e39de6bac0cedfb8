//! How pages and cards are signed for the JS-SDK, with the tickets of [`crate::call::jssdk`].

use std::fmt;

use sha1::{Digest as _, Sha1};

use crate::{crypt::sorted_sha1, secret::Secret};

/// The longest address of a page that is signed.
///
/// Assumed: browsers and WeChat take about this much.
pub const MAX_PAGE_URL_BYTES: usize = 2048;

/// The address of a page, as WeChat's browser reports it when the page asks to use the JS-SDK.
///
/// Nothing in it is decoded, encoded or put in order: the signature is over the letters. Its `Debug`
/// shows the length only, since pages take codes and more in their queries.
///
/// Source: WeChat docs, "JS-SDK instructions" (JS-SDK说明文档), appendix 1: the page's whole address
/// with its query, without `#` and what follows.
#[derive(Clone, PartialEq, Eq)]
pub struct PageUrl(String);

/// Why an address is none that a page can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageUrlError {
    /// It does not begin as pages' addresses do.
    #[error("it begins with neither http:// nor https://")]
    OtherScheme,
    /// Nothing stands where the host belongs.
    #[error("it names no host")]
    NoHost,
    /// It is too long.
    #[error("it has more than 2048 bytes before its #")]
    TooLong,
    /// It holds what no address holds.
    #[error("it holds a blank or a control character")]
    ForbiddenCharacter,
}

impl PageUrl {
    /// Reads the address of a page; what stands behind the first `#` is left out.
    ///
    /// # Errors
    /// [`PageUrlError`] when no page can have it.
    pub fn parse(text: &str) -> Result<Self, PageUrlError> {
        let url = text.split_once('#').map_or(text, |(url, _)| url);
        if url.len() > MAX_PAGE_URL_BYTES {
            return Err(PageUrlError::TooLong);
        }
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(PageUrlError::ForbiddenCharacter);
        }
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"))
            .ok_or(PageUrlError::OtherScheme)?;
        let authority = rest.split(['/', '?', '\\']).next().unwrap_or_default();
        let place = authority.rsplit('@').next().unwrap_or_default();
        if place.is_empty() || place.starts_with(':') {
            return Err(PageUrlError::NoHost);
        }
        Ok(Self(url.to_owned()))
    }

    /// The address that is signed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageUrl({} bytes)", self.0.len())
    }
}

/// The signature for `wx.config`, 40 lower-case hexadecimal digits; `timestamp` is in Unix seconds.
///
/// Source: WeChat docs, "JS-SDK instructions" (JS-SDK说明文档), appendix 1: SHA-1 over `jsapi_ticket`,
/// `noncestr`, `timestamp` and `url` in this order and in lower case, the values not encoded.
#[must_use]
pub fn sign_page(ticket: &Secret<String>, nonce: &str, timestamp: i64, url: &PageUrl) -> String {
    let mut hash = Sha1::new();
    for part in ["jsapi_ticket=", ticket.expose(), "&noncestr=", nonce] {
        hash.update(part);
    }
    hash.update(format!("&timestamp={timestamp}&url="));
    hash.update(url.as_str());
    base16ct::lower::encode_string(&hash.finalize())
}

/// The signature of a card or coupon, 40 lower-case hexadecimal digits.
///
/// Source: WeChat docs, "JS-SDK instructions" (JS-SDK说明文档), appendix 4: SHA-1 over the ticket and
/// the values, sorted by byte value and joined without a separator.
#[must_use]
pub fn sign_card(ticket: &Secret<String>, values: &[&str]) -> String {
    let mut parts = Vec::with_capacity(values.len() + 1);
    parts.push(ticket.expose().as_str());
    parts.extend_from_slice(values);
    sorted_sha1(&mut parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: WeChat docs, "JS-SDK instructions" (JS-SDK说明文档), appendix 1, the example.
    #[test]
    fn the_documented_page_has_the_documented_signature() {
        let ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";
        let url = PageUrl::parse("http://mp.weixin.qq.com?params=value#top").expect("a page");
        let signature = sign_page(&Secret::from(ticket), "Wm3WZYTPz0wzccnW", 1_414_587_457, &url);
        assert_eq!(signature, "0f9de62fce790f9a083d5c99e95740ceb90c27ed");
    }

    #[test]
    fn what_is_signed_is_the_text_up_to_the_first_fragment() {
        let long = format!("https://a.example/{}", "x".repeat(MAX_PAGE_URL_BYTES - 18));
        for (text, signed) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example/#/home#x", "https://a.example/"),
            ("http://a.example?b=%e4%b8%AD&a=1+2&#", "http://a.example?b=%e4%b8%AD&a=1+2&"),
            ("https://a.example:8443/店?q=茶", "https://a.example:8443/店?q=茶"),
            ("https://[::1]/", "https://[::1]/"),
            ("https://a.example/#a blank\u{7f}", "https://a.example/"),
            (&long, &long),
            (&format!("{long}#more"), &long),
        ] {
            assert_eq!(PageUrl::parse(text).expect(text).as_str(), signed);
        }
    }

    #[test]
    fn what_no_page_has_for_an_address_is_refused() {
        let long = format!("https://a.example/{}", "x".repeat(MAX_PAGE_URL_BYTES));
        for (text, error) in [
            ("", PageUrlError::OtherScheme),
            ("#https://a.example/", PageUrlError::OtherScheme),
            ("/pages/shop", PageUrlError::OtherScheme),
            ("a.example/", PageUrlError::OtherScheme),
            ("HTTPS://a.example/", PageUrlError::OtherScheme),
            ("javascript:alert(1)//https://a.example", PageUrlError::OtherScheme),
            ("https%3A%2F%2Fa.example%2F", PageUrlError::OtherScheme),
            ("https://", PageUrlError::NoHost),
            ("https:///a", PageUrlError::NoHost),
            ("https://#a.example", PageUrlError::NoHost),
            ("https://?a.example", PageUrlError::NoHost),
            ("https://:443/", PageUrlError::NoHost),
            ("https://me@/", PageUrlError::NoHost),
            ("https://\\a.example", PageUrlError::NoHost),
            (" https://a.example/", PageUrlError::ForbiddenCharacter),
            ("https://a.example/a b", PageUrlError::ForbiddenCharacter),
            ("https://a.example/\u{3000}", PageUrlError::ForbiddenCharacter),
            ("https://a.example/\r\nx", PageUrlError::ForbiddenCharacter),
            ("https://a.example/\0", PageUrlError::ForbiddenCharacter),
            (&long, PageUrlError::TooLong),
        ] {
            assert_eq!(PageUrl::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn debug_of_a_page_shows_no_query() {
        let url = PageUrl::parse("https://a.example/?code=canary").expect("a page");
        assert_eq!(format!("{url:?}"), "PageUrl(30 bytes)");
    }

    #[test]
    fn a_card_is_signed_whatever_the_order_of_its_values() {
        let ticket = Secret::from("ojZ8Yt");
        let signed = sign_card(&ticket, &["1404896688", "pjZ8Yt", "", "Nonce"]);
        assert_eq!(signed, sign_card(&ticket, &["pjZ8Yt", "Nonce", "1404896688"]));
        assert_ne!(signed, sign_card(&ticket, &["pjZ8Yt", "nonce", "1404896688"]));
        assert_ne!(signed, sign_card(&Secret::from("ojZ8Yu"), &["pjZ8Yt", "Nonce", "1404896688"]));
    }
}
