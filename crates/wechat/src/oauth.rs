//! The address to which fans are sent to consent (网页授权).

use crate::id::Appid;

/// Whether WeChat's page asks the fan even where it could go on silently.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), step 1: `forcePopup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Popup {
    /// As WeChat likes.
    #[default]
    AsWechatLikes,
    /// In any case.
    Forced,
}

/// A link to WeChat's page.
#[derive(Debug, Clone, Copy)]
pub struct WebAuthorizationLink<'a> {
    /// The account that the fan is to consent to.
    pub appid: &'a Appid,
    /// Where the fan comes back to.
    pub redirect_uri: &'a str,
    /// What he is asked for: scopes joined with a comma.
    pub scope: &'a str,
    /// What comes back with him.
    ///
    /// Source: WeChat docs, "Web page authorization" (网页授权), step 1: `a-zA-Z0-9`, at most 128 bytes.
    pub state: &'a str,
    /// The component that asks on behalf of the account, if one does.
    pub component_appid: Option<&'a Appid>,
    /// Whether the page asks in any case.
    pub popup: Popup,
}

impl WebAuthorizationLink<'_> {
    /// Path, query and fragment of the link at WeChat's host of pages.
    ///
    /// Source: WeChat docs, "Web page authorization" (网页授权), step 1, and "Web page authorization on
    /// behalf of official accounts", step 1: the page matches the link against a fixed pattern, so the
    /// parameters keep this order, and the fragment stays.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = format!("/connect/oauth2/authorize?appid={}", self.appid);
        for (name, value) in [
            ("redirect_uri", self.redirect_uri),
            ("response_type", "code"),
            ("scope", self.scope),
            ("state", self.state),
        ] {
            append(&mut path, name, value);
        }
        match self.popup {
            Popup::AsWechatLikes => {}
            Popup::Forced => append(&mut path, "forcePopup", "true"),
        }
        if let Some(component_appid) = self.component_appid {
            append(&mut path, "component_appid", component_appid.as_str());
        }
        path.push_str("#wechat_redirect");
        path
    }
}

/// Appends a parameter; the value is encoded as `encodeURIComponent` of JavaScript does, which is what
/// WeChat's docs tell to use.
fn append(path: &mut String, name: &str, value: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    path.push('&');
    path.push_str(name);
    path.push('=');
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push(char::from(DIGITS[usize::from(byte >> 4)]));
            path.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link<'a>(appid: &'a Appid, component_appid: Option<&'a Appid>) -> WebAuthorizationLink<'a> {
        WebAuthorizationLink {
            appid,
            redirect_uri: "https://open.example/oauth2/return",
            scope: "snsapi_base",
            state: "s1",
            component_appid,
            popup: Popup::AsWechatLikes,
        }
    }

    #[test]
    fn the_parameters_stand_in_the_documented_order() {
        let appid = Appid::parse("wx1f0e2d3c4b5a6978").expect("an appid");
        let component = Appid::parse("wx7c6b2f0a91d3e845").expect("an appid");
        let plain = "/connect/oauth2/authorize?appid=wx1f0e2d3c4b5a6978\
            &redirect_uri=https%3A%2F%2Fopen.example%2Foauth2%2Freturn&response_type=code\
            &scope=snsapi_base&state=s1";
        assert_eq!(link(&appid, None).path(), format!("{plain}#wechat_redirect"));
        assert_eq!(
            link(&appid, Some(&component)).path(),
            format!("{plain}&component_appid=wx7c6b2f0a91d3e845#wechat_redirect")
        );
        let forced =
            WebAuthorizationLink { popup: Popup::Forced, ..link(&appid, Some(&component)) };
        assert_eq!(
            forced.path(),
            format!("{plain}&forcePopup=true&component_appid=wx7c6b2f0a91d3e845#wechat_redirect")
        );
    }

    #[test]
    fn no_value_leaves_its_place() {
        let appid = Appid::parse("wx1").expect("an appid");
        let hostile = WebAuthorizationLink {
            redirect_uri: "https://a.example/?a=1&b=#c%41 中+",
            scope: "snsapi_base,snsapi_userinfo",
            state: "x&component_appid=y#z\r\n\"'()*!~-_.",
            ..link(&appid, None)
        };
        assert_eq!(
            hostile.path(),
            "/connect/oauth2/authorize?appid=wx1&redirect_uri=https%3A%2F%2Fa.example%2F%3Fa%3D1%26b\
             %3D%23c%2541%20%E4%B8%AD%2B&response_type=code&scope=snsapi_base%2Csnsapi_userinfo\
             &state=x%26component_appid%3Dy%23z%0D%0A%22'()*!~-_.#wechat_redirect"
        );
    }
}
