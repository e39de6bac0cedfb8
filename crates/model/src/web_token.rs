//! Web OAuth (网页授权): what a fan granted to an authorizer.

use crate::{
    Instant,
    id::{AuthorizerId, WebTokenId},
};

/// Whose a web OAuth token is: it is kept per authorizer, fan and scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebTokenOwner {
    /// The account that the fan granted to.
    pub authorizer_id: AuthorizerId,
    /// The fan.
    pub openid: String,
    /// What the fan granted, as WeChat writes it: `snsapi_base` or `snsapi_userinfo`.
    pub scope: String,
}

impl WebTokenOwner {
    /// Whether the fan let his profile be told.
    ///
    /// Source: WeChat docs, "Web page authorization" (网页授权), step 4: it needs `snsapi_userinfo`.
    #[must_use]
    pub fn tells_profile(&self) -> bool {
        self.scope.split(',').any(|scope| scope == "snsapi_userinfo")
    }
}

/// A fan's grant. Its tokens stand where all tokens do, under its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebGrant {
    /// Its id.
    pub id: WebTokenId,
    /// Whose it is.
    pub owner: WebTokenOwner,
    /// The fan across the accounts of one owner, where WeChat tells it.
    pub unionid: Option<String>,
    /// Until when WeChat takes the refresh token.
    pub refresh_until: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Entropy, web_authorization::WebScope};

    #[test]
    fn a_profile_is_told_of_who_granted_it_alone_or_among_others() {
        let tells = |scope: &str| {
            let authorizer_id = AuthorizerId::new(Instant::UNIX_EPOCH, &Entropy::seeded(1));
            let (openid, scope) = ("o1".to_owned(), scope.to_owned());
            WebTokenOwner { authorizer_id, openid, scope }.tells_profile()
        };
        for scope in WebScope::ALL {
            assert_eq!(tells(scope.as_str()), scope != WebScope::Base, "{scope:?}");
        }
        assert!(tells("snsapi_userinfo,snsapi_base"));
        assert!(!tells("") && !tells("snsapi_userinfos"));
    }
}
