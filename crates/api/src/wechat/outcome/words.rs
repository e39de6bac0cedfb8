//! What the pages say, in both languages side by side.

use super::{Grant, Outcome, Patience};
use crate::wechat::{language::Language, rights};

/// What a page says.
pub(super) struct Words {
    /// What happened.
    pub(super) title: &'static str,
    /// What that means.
    pub(super) lines: Vec<String>,
    /// What is missing, or how far it got.
    pub(super) list: List,
    /// What to do next.
    pub(super) next: Vec<String>,
}

/// What a page lists.
pub(super) enum List {
    Nothing,
    /// Rights that are missing.
    Missing(Vec<String>),
    /// Steps, of which the first `done` are behind us.
    Steps {
        steps: [&'static str; 3],
        done: usize,
    },
}

impl Words {
    fn titled(title: &'static str) -> Self {
        Self { title, lines: Vec::new(), list: List::Nothing, next: Vec::new() }
    }

    fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    fn next(mut self, step: impl Into<String>) -> Self {
        self.next.push(step.into());
        self
    }
}

impl Outcome {
    /// What its page says.
    pub(super) fn words(&self, language: Language) -> Words {
        match self {
            Self::Finished { grant } => finished(grant, language),
            Self::FinishedInPart { grant, missing, renewal } => {
                finished_in_part(grant, missing, language).how_to_complete(renewal, language)
            }
            Self::OwnedElsewhere => owned_elsewhere(language),
            Self::NotPublished { component, tenant } => not_published(component, tenant, language),
            Self::Refused { errcode } => refused(*errcode, language),
            Self::Expired => expired(language),
            Self::NoCode => no_code(language),
            Self::Waiting(patience) => waiting(*patience, language),
            Self::UnknownLink => unknown_link(language),
            Self::Exhausted => exhausted(language),
            Self::RenewedJustNow => renewed_just_now(language),
            Self::Failed { request_id } => failed(request_id, language),
        }
    }
}

fn finished(grant: &Grant, language: Language) -> Words {
    let Grant { account, tenant } = grant;
    Words::titled(language.say("授权成功", "Authorized"))
        .line(language.say(
            format!("「{account}」已授权给「{tenant}」。"),
            format!("“{account}” has granted rights to “{tenant}”."),
        ))
        .line(language.say(
            "您可以关闭此页面。如需调整或取消授权，请登录微信公众平台，在设置中打开「授权管理」。",
            "You can close this page. To change or withdraw the grant, sign in to your account on \
             the WeChat platform and open 授权管理 (authorizations) in its settings.",
        ))
}

fn finished_in_part(grant: &Grant, missing: &[u32], language: Language) -> Words {
    let Grant { account, tenant } = grant;
    let title = language.say("授权成功，但缺少部分权限", "Authorized, with some rights missing");
    let words = Words::titled(title).line(language.say(
        format!(
            "「{account}」已授权给「{tenant}」，但下列权限没有授予，相关功能可能无法使用。\
             如果这正是您想要的，无需再做任何操作。"
        ),
        format!(
            "“{account}” has granted rights to “{tenant}”, but not the ones below. What needs \
             them may not work. If this is what you wanted, there is nothing more to do."
        ),
    ));
    Words { list: List::Missing(rights::names(missing, language)), ..words }
}

impl Words {
    fn how_to_complete(self, renewal: &Option<String>, language: Language) -> Self {
        let words = if renewal.is_some() {
            self.next(language.say(
                "若要补充，请重新授权，并在微信页面中勾选这些权限。",
                "To add them, authorize again and leave them ticked on WeChat’s page.",
            ))
        } else {
            self.next(language.say(
                "若要补充，请向服务商索取新的授权链接，并在微信页面中勾选这些权限。",
                "To add them, ask your provider for a new link and leave them ticked on WeChat’s \
                 page.",
            ))
        };
        words.next(language.say(
            "若某项权限显示为灰色，说明它已授权给另一个平台，需要先在那里取消。",
            "A right that is greyed out is held by another platform; withdraw it there first.",
        ))
    }
}

fn owned_elsewhere(language: Language) -> Words {
    Words::titled(
        language.say("该账号由其他服务商管理", "This account is served by another provider"),
    )
    .line(language.say(
        "微信已收到授权，但该账号在本平台上已归属另一位客户，因此没有改变归属。",
        "WeChat has received the grant, but on this platform the account belongs to another \
         customer, so nothing has changed hands.",
    ))
    .next(language.say(
        "如需更换服务商，请先联系原服务商解除与该账号的绑定。",
        "To change the provider, first ask the present one to release the account.",
    ))
    .next(language.say(
        "然后向新的服务商索取新的链接，重新授权。",
        "Then ask the new provider for another link and authorize again.",
    ))
}

fn not_published(component: &str, tenant: &str, language: Language) -> Words {
    Words::titled(language.say("该账号暂时不能授权", "This account cannot authorize yet"))
        .line(language.say(
            format!(
                "第三方平台「{component}」尚未全网发布。在此之前，微信只允许测试名单中的账号授权\
                 （错误码 61028）。"
            ),
            format!(
                "The third-party platform “{component}” is not published yet. Until it is, WeChat \
                 lets only accounts on its test list authorize (error 61028)."
            ),
        ))
        .next(language.say(
            format!("把该账号的 AppID 和原始 ID（以 gh_ 开头）告诉「{tenant}」。"),
            format!(
                "Tell “{tenant}” the account’s AppID and its original ID (it begins with gh_)."
            ),
        ))
        .next(language.say(
            "请对方在微信开放平台把它加入「授权测试公众号/小程序列表」，或等待平台全网发布。",
            "They add it to the list of test accounts (授权测试公众号/小程序列表) on the WeChat \
             Open Platform, or publish the platform.",
        ))
        .next(
            language.say(
                "然后索取新的链接，重新授权。",
                "Then ask for a new link and authorize again.",
            ),
        )
}

fn refused(errcode: i64, language: Language) -> Words {
    Words::titled(language.say("微信拒绝了这次授权", "WeChat refused this authorization"))
        .line(language.say(
            format!("没有授予任何权限。微信返回的错误码是 {errcode}。"),
            format!("No rights were granted. WeChat’s error number is {errcode}."),
        ))
        .next(language.say(
            "把这个错误码告诉服务商，并索取新的链接。",
            "Tell your provider this number and ask for a new link.",
        ))
}

fn expired(language: Language) -> Words {
    Words::titled(language.say("链接已过期", "This link has expired"))
        .line(language.say(
            "授权链接有时间限制，这个链接已经不能使用。没有授予任何权限。",
            "Links are good for a limited time, and this one has ended. No rights were granted.",
        ))
        .next(language.say(
            "请向发送链接的服务商索取新的链接。",
            "Ask the provider who sent you the link for a new one.",
        ))
}

fn no_code(language: Language) -> Words {
    Words::titled(language.say("没有完成授权", "Not authorized"))
        .line(language.say(
            "微信没有带回授权结果，可能是您取消了授权。没有授予任何权限。",
            "WeChat sent no grant along; you may have cancelled. No rights were granted.",
        ))
        .line(language.say(
            "如果是误操作，可以用同一个链接重新授权。",
            "If that was a mistake, the same link still works.",
        ))
}

fn waiting(patience: Patience, language: Language) -> Words {
    let words = match patience {
        Patience::Fresh { .. } => Words::titled(
            language.say("正在保存授权", "Saving the authorization"),
        )
        .line(language.say(
            "您的操作已经完成，通常只需几秒钟。页面会自动刷新。",
            "Your part is done. This usually takes a few seconds; the page refreshes \
                     itself.",
        )),
        Patience::Long { .. } => {
            Words::titled(language.say("仍在等待微信的通知", "Still waiting for WeChat’s notice"))
                .line(language.say(
                "比平时要久一些。页面会继续自动刷新；您也可以重新授权一次。",
                "This takes longer than usual. The page goes on refreshing itself; you can also \
             authorize once more.",
            ))
        }
        Patience::Over => {
            Words::titled(language.say("还没有收到微信的通知", "WeChat’s notice has not come yet"))
                .line(language.say(
                "您可以关闭此页面：通知一到，授权会自动保存。如果明天仍未生效，请联系服务商。",
                "You can close this page: the grant is stored as soon as the notice comes. If it \
             still has no effect tomorrow, ask your provider.",
            ))
        }
    };
    let steps = language.say(
        ["您已在微信中确认", "等待微信的授权通知", "保存账号信息"],
        ["You agreed in WeChat", "WeChat notifies us", "The account is saved"],
    );
    Words { list: List::Steps { steps, done: 1 }, ..words }
}

fn unknown_link(language: Language) -> Words {
    Words::titled(language.say("链接无效", "This link is not valid"))
        .line(language.say(
            "找不到这个授权链接，它可能不完整，或者已经失效。",
            "There is no such authorization. The link may be incomplete or no longer in use.",
        ))
        .next(language.say(
            "检查链接是否完整，或向服务商索取新的链接。",
            "Check that the link is complete, or ask your provider for a new one.",
        ))
}

fn exhausted(language: Language) -> Words {
    Words::titled(language.say("链接打开次数过多", "This link was opened too often"))
        .line(language.say("为了安全，这个链接不能再使用。", "To be safe it no longer works."))
        .next(language.say("请向服务商索取新的链接。", "Ask your provider for a new one."))
}

fn renewed_just_now(language: Language) -> Words {
    Words::titled(language.say("请稍候一分钟", "One minute, please"))
        .line(language.say(
            "这个链接刚刚被打开过，但授权未能开始。为了安全，每分钟只能尝试一次。",
            "This link was opened a moment ago, but no authorization could be started. To be safe \
             it tries once a minute.",
        ))
        .line(language.say("页面会自动继续。", "This page goes on by itself."))
}

fn failed(request_id: &str, language: Language) -> Words {
    Words::titled(language.say("暂时无法处理", "This does not work right now"))
        .line(language.say(
            "服务暂时遇到问题，请稍后再试。",
            "Something went wrong. Please try again in a moment.",
        ))
        .line(language.say(
            format!("如果问题持续存在，请把这个编号告诉服务商：{request_id}"),
            format!("If it goes on, tell your provider this number: {request_id}"),
        ))
}
