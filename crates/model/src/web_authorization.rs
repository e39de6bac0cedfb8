//! A web authorization (网页授权): one attempt of a fan, from a tenant's page by way of WeChat's and back.

use chrono::Duration;

use crate::{
    Instant, Secret,
    digest::Digest,
    id::{AuthorizerId, TenantId, WebAuthorizationId},
};

/// How long a fan may take from the tenant's page to WeChat's answer.
pub const WEB_AUTHORIZATION_LIFE: Duration = Duration::minutes(15);

/// How long the one-time code is good that the fan brings to the tenant.
pub const ONE_TIME_CODE_LIFE: Duration = Duration::seconds(60);

/// What a tenant may ask a fan for.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), step 1: `snsapi_base` tells the openid
/// silently, `snsapi_userinfo` also the profile, with the fan's consent; several are joined with commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebScope {
    /// The fan's openid, silently.
    Base,
    /// The fan's profile, with his consent.
    UserInfo,
    /// Both in one.
    Both,
}

impl WebScope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Base, Self::UserInfo, Self::Both];

    /// As WeChat's address and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "snsapi_base",
            Self::UserInfo => "snsapi_userinfo",
            Self::Both => "snsapi_base,snsapi_userinfo",
        }
    }

    /// Reads what an SDK asks for, in either order; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "snsapi_userinfo,snsapi_base" => Some(Self::Both),
            _ => Self::ALL.into_iter().find(|scope| scope.as_str() == text),
        }
    }
}

/// One fan's attempt.
#[derive(Debug, Clone)]
pub struct WebAuthorization {
    /// Its id.
    pub id: WebAuthorizationId,
    /// The tenant that owned the account when it began; nobody else is told of it.
    pub tenant_id: TenantId,
    /// The account that the fan grants to.
    pub authorizer_id: AuthorizerId,
    /// Where the fan goes on to: one of the tenant's registered addresses, letter by letter.
    pub redirect_uri: String,
    /// What the fan is asked for.
    pub scope: WebScope,
    /// The tenant's own `state`, untouched.
    pub tenant_state: Option<String>,
    /// Digest of our state, which went to WeChat in the place of the tenant's.
    pub state_digest: Digest,
    /// Digest of what the browser keeps that set out.
    pub browser_digest: Digest,
    /// How far it got.
    pub state: WebAuthorizationState,
    /// When the fan set out.
    pub created_at: Instant,
    /// Until when he may come back.
    pub expires_at: Instant,
}

/// How far a fan's attempt got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebAuthorizationState {
    /// The fan is at WeChat's page.
    Away,
    /// He came back without a code: he did not consent.
    Declined {
        /// When he came back.
        at: Instant,
    },
    /// He came back with WeChat's code, and carries ours to the tenant.
    Returned {
        /// WeChat's code; nobody but us and WeChat sees it.
        wechat_code: Secret<String>,
        /// When he came back.
        at: Instant,
    },
    /// The tenant has used our code.
    Exchanged {
        /// When.
        at: Instant,
    },
}

/// Why a fan's attempt does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebAuthorizationRefusal {
    /// It took too long, or came to its end already.
    #[error("this attempt has ended")]
    Ended,
    /// It was begun in another browser.
    #[error("this attempt was begun in another browser")]
    OtherBrowser,
    /// The one-time code was used.
    #[error("the code was used already")]
    CodeUsed,
    /// The one-time code's time is over.
    #[error("the code has expired")]
    CodeExpired,
}

impl WebAuthorization {
    /// Takes the fan back from WeChat at `at`, in the browser of this digest, with WeChat's code if he
    /// consented.
    ///
    /// WeChat's own browser sometimes opens an address twice: the same return a second time changes
    /// nothing, while the first one's code is good.
    ///
    /// # Errors
    /// [`WebAuthorizationRefusal::OtherBrowser`] without that browser's digest,
    /// [`WebAuthorizationRefusal::Ended`] when it is too late or another return came before.
    pub fn come_back(
        mut self,
        browser: Option<&Digest>,
        wechat_code: Option<Secret<String>>,
        at: Instant,
    ) -> Result<Self, WebAuthorizationRefusal> {
        if browser != Some(&self.browser_digest) {
            return Err(WebAuthorizationRefusal::OtherBrowser);
        }
        self.state = match (self.state, wechat_code) {
            (WebAuthorizationState::Away, code) if at < self.expires_at => match code {
                Some(wechat_code) => WebAuthorizationState::Returned { wechat_code, at },
                None => WebAuthorizationState::Declined { at },
            },
            (WebAuthorizationState::Returned { wechat_code, at: since }, Some(again))
                if wechat_code == again && at < since + ONE_TIME_CODE_LIFE =>
            {
                WebAuthorizationState::Returned { wechat_code, at: since }
            }
            (WebAuthorizationState::Declined { at: since }, None)
                if at < since + ONE_TIME_CODE_LIFE =>
            {
                WebAuthorizationState::Declined { at: since }
            }
            _ => return Err(WebAuthorizationRefusal::Ended),
        };
        Ok(self)
    }

    /// Takes WeChat's code out against our one-time code, at `at`.
    ///
    /// # Errors
    /// [`WebAuthorizationRefusal::CodeUsed`] the second time, [`WebAuthorizationRefusal::CodeExpired`]
    /// after [`ONE_TIME_CODE_LIFE`], [`WebAuthorizationRefusal::Ended`] when the fan never came back with a
    /// code.
    pub fn exchange(
        mut self,
        at: Instant,
    ) -> Result<(Self, Secret<String>), WebAuthorizationRefusal> {
        match self.state {
            WebAuthorizationState::Returned { at: since, .. }
                if at >= since + ONE_TIME_CODE_LIFE =>
            {
                Err(WebAuthorizationRefusal::CodeExpired)
            }
            WebAuthorizationState::Returned { wechat_code, .. } => {
                self.state = WebAuthorizationState::Exchanged { at };
                Ok((self, wechat_code))
            }
            WebAuthorizationState::Exchanged { .. } => Err(WebAuthorizationRefusal::CodeUsed),
            WebAuthorizationState::Away | WebAuthorizationState::Declined { .. } => {
                Err(WebAuthorizationRefusal::Ended)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Entropy;

    fn secs(secs: i64) -> Instant {
        Instant::UNIX_EPOCH + Duration::seconds(secs)
    }

    fn browser() -> Digest {
        Digest::of(&[b"browser"])
    }

    fn away() -> WebAuthorization {
        let (at, entropy) = (secs(0), Entropy::seeded(1));
        WebAuthorization {
            id: WebAuthorizationId::new(at, &entropy),
            tenant_id: TenantId::new(at, &entropy),
            authorizer_id: AuthorizerId::new(at, &entropy),
            redirect_uri: "https://shop.example/back".to_owned(),
            scope: WebScope::Base,
            tenant_state: None,
            state_digest: Digest::of(&[b"state"]),
            browser_digest: browser(),
            state: WebAuthorizationState::Away,
            created_at: at,
            expires_at: at + WEB_AUTHORIZATION_LIFE,
        }
    }

    fn code(text: &str) -> Option<Secret<String>> {
        Some(Secret::from(text))
    }

    fn back() -> WebAuthorization {
        away().come_back(Some(&browser()), code("c"), secs(10)).unwrap()
    }

    #[test]
    fn only_the_browser_that_set_out_comes_back_and_in_time() {
        let other = Digest::of(&[b"other"]);
        for wrong in [None, Some(&other)] {
            let refusal = away().come_back(wrong, code("c"), secs(1)).unwrap_err();
            assert_eq!(refusal, WebAuthorizationRefusal::OtherBrowser);
        }
        let late = away().come_back(Some(&browser()), code("c"), secs(15 * 60));
        assert_eq!(late.unwrap_err(), WebAuthorizationRefusal::Ended);
        assert_eq!(
            back().state,
            WebAuthorizationState::Returned { wechat_code: Secret::from("c"), at: secs(10) }
        );
    }

    #[test]
    fn the_same_return_is_taken_again_and_another_is_not() {
        let again = |text, at| back().come_back(Some(&browser()), text, at).map(|one| one.state);
        assert_eq!(again(code("c"), secs(69)), Ok(back().state));
        for refused in
            [again(code("c"), secs(70)), again(code("d"), secs(11)), again(None, secs(11))]
        {
            assert_eq!(refused, Err(WebAuthorizationRefusal::Ended));
        }
        let declined = away().come_back(Some(&browser()), None, secs(10)).unwrap();
        assert_eq!(declined.state, WebAuthorizationState::Declined { at: secs(10) });
        let twice = declined.clone().come_back(Some(&browser()), None, secs(20)).unwrap();
        assert_eq!(twice.state, declined.state);
        let late_consent = declined.come_back(Some(&browser()), code("c"), secs(20));
        assert_eq!(late_consent.unwrap_err(), WebAuthorizationRefusal::Ended);
    }

    #[test]
    fn a_code_is_good_once_and_for_a_minute() {
        let (used, wechat_code) = back().exchange(secs(69)).unwrap();
        assert_eq!(wechat_code, Secret::from("c"));
        assert_eq!(used.clone().exchange(secs(69)).unwrap_err(), WebAuthorizationRefusal::CodeUsed);
        assert_eq!(used.exchange(secs(999)).unwrap_err(), WebAuthorizationRefusal::CodeUsed);
        assert_eq!(back().exchange(secs(70)).unwrap_err(), WebAuthorizationRefusal::CodeExpired);
        assert_eq!(away().exchange(secs(1)).unwrap_err(), WebAuthorizationRefusal::Ended);
    }

    #[test]
    fn scopes_are_read_as_sdks_write_them() {
        for scope in WebScope::ALL {
            assert_eq!(WebScope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(WebScope::parse("snsapi_userinfo,snsapi_base"), Some(WebScope::Both));
        for other in ["", "snsapi_login", "SNSAPI_BASE", "snsapi_base,snsapi_base"] {
            assert_eq!(WebScope::parse(other), None, "{other}");
        }
    }
}
