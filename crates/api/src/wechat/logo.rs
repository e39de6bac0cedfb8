//! The tenant's logo: the one thing that a page of ours loads from elsewhere.

use url::{Origin, Url};

/// A picture and the origin it comes from, which the page's policy lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logo {
    address: String,
    origin: String,
}

impl Logo {
    /// The logo at `address`; `None` when there is none, or when its origin could say anything but
    /// an origin inside a policy.
    pub(super) fn of(address: Option<&str>) -> Option<Self> {
        let address = Url::parse(address?).ok()?;
        let origin = address.origin();
        let Origin::Tuple(scheme, ..) = &origin else { return None };
        if !matches!(scheme.as_str(), "https" | "http") {
            return None;
        }
        let origin = origin.ascii_serialization();
        // Hosts may hold `;` and `'`, which mean something in a policy.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b".:-_/[]".contains(&b);
        origin.bytes().all(is_plain).then(|| Self { address: address.into(), origin })
    }

    /// Where the picture is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What the page's policy lets in for it.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logo_lets_in_its_own_origin_only() {
        for (address, origin) in [
            ("https://cdn.shop.example/a/logo.png?v=2", "https://cdn.shop.example"),
            ("https://shop.example:8443/logo", "https://shop.example:8443"),
            ("http://localhost:9000/logo.svg", "http://localhost:9000"),
            ("https://[2001:db8::1]/logo", "https://[2001:db8::1]"),
            ("https://花店.example/logo", "https://xn--hxto71f.example"),
        ] {
            assert_eq!(Logo::of(Some(address)).expect(address).origin(), origin);
        }
    }

    #[test]
    fn an_address_that_would_widen_the_policy_is_no_logo() {
        for address in [
            None,
            Some(""),
            Some("logo.png"),
            Some("data:image/png;base64,AAAA"),
            Some("javascript:alert(1)"),
            Some("https://x;script-src"),
            Some("https://x'unsafe-inline'"),
            Some("https://*.example/logo.png"),
            Some("ftp://shop.example/logo.png"),
        ] {
            assert_eq!(Logo::of(address), None, "{address:?}");
        }
    }
}
