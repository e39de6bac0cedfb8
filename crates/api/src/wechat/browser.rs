use poem::{Request, http::header::USER_AGENT};

/// Which browser a page is shown in. It changes what is recommended, never what is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Browser {
    /// The one inside WeChat on a phone: the only one that WeChat's page for phones works in.
    WechatOnPhone,
    /// Any other.
    Other,
}

impl Browser {
    /// What the browser says it is.
    ///
    /// Observed: WeChat's own browsers name `MicroMessenger`, those of its programs for computers
    /// also `WindowsWechat` or `MacWechat`; no documentation of WeChat promises it.
    pub(super) fn of(request: &Request) -> Self {
        let agent = request.header(USER_AGENT).unwrap_or_default();
        let is_computer = agent.contains("WindowsWechat") || agent.contains("MacWechat");
        if agent.contains("MicroMessenger") && !is_computer {
            Self::WechatOnPhone
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechat_on_a_phone_is_told_from_everything_else() {
        for (agent, browser) in [
            ("Mozilla/5.0 (iPhone) Mobile/15E148 MicroMessenger/8.0.50", Browser::WechatOnPhone),
            ("Mozilla/5.0 (Linux; Android 14) MicroMessenger/8.0.50", Browser::WechatOnPhone),
            ("Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0 WindowsWechat", Browser::Other),
            ("Mozilla/5.0 (Macintosh) MicroMessenger/6.8 MacWechat/3.8", Browser::Other),
            ("Mozilla/5.0 (iPhone) Mobile/15E148 Safari/604.1", Browser::Other),
            ("", Browser::Other),
        ] {
            let request = Request::builder().header(USER_AGENT, agent).finish();
            assert_eq!(Browser::of(&request), browser, "{agent}");
        }
    }
}
