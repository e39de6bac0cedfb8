//! What the notices say, in both languages side by side.

use super::FanNotice;
use crate::wechat::{
    language::Language,
    raw_query::QueryFault,
    web_authorization_query::{BadLink, Parameter},
};

/// What a notice says.
pub(super) struct Words {
    /// What happened.
    pub(super) title: &'static str,
    /// What that means.
    pub(super) line: String,
    /// What the fan can do.
    pub(super) next: &'static str,
    /// What whoever made the link has to know; empty where there is nothing to mend.
    pub(super) to_developers: Vec<String>,
}

impl FanNotice {
    /// What its page says.
    pub(super) fn words(&self, language: Language) -> Words {
        match self {
            Self::BadLink(bad) => bad_link(bad, language),
            Self::UnknownLink => unknown_link(language),
            Self::Ended => ended(language),
            Self::OtherBrowser => other_browser(language),
            Self::Busy => busy(language),
            Self::Failed { request_id } => failed(request_id, language),
        }
    }
}

impl Words {
    fn to_fans(title: &'static str, line: impl Into<String>, next: &'static str) -> Self {
        Self { title, line: line.into(), next, to_developers: Vec::new() }
    }
}

fn bad_link(bad: &BadLink, language: Language) -> Words {
    let words = Words::to_fans(
        language.say("链接有误", "This link does not work"),
        language.say(
            "这个网页登录链接不正确，无法继续。",
            "The sign-in link is not complete or not correct.",
        ),
        back(language),
    );
    Words { to_developers: vec![fault(bad, language), how_to_register(language)], ..words }
}

fn ended(language: Language) -> Words {
    Words::to_fans(
        language.say("本次登录已结束", "This sign-in has ended"),
        language.say(
            "登录用时过长，或者已经完成，不能再次使用。",
            "It took too long, or it is done already, and cannot be used once more.",
        ),
        begin_again(language),
    )
}

fn other_browser(language: Language) -> Words {
    Words::to_fans(
        language.say("请在同一个浏览器中完成登录", "Please stay in one browser"),
        language.say(
            "本次登录是在另一个浏览器中开始的，或者浏览器没有保存 Cookie。",
            "This sign-in was begun in another browser, or the browser keeps no cookies.",
        ),
        begin_again(language),
    )
}

fn busy(language: Language) -> Words {
    Words::to_fans(
        language.say("现在访问的人太多", "Many people are here right now"),
        language.say("请稍等几秒钟再试。", "Please wait a few seconds."),
        again(language),
    )
}

fn failed(request_id: &str, language: Language) -> Words {
    Words::to_fans(
        language.say("暂时无法登录", "Signing in does not work right now"),
        language.say(
            format!("服务暂时遇到问题。请求编号：{request_id}"),
            format!("Something went wrong on our side. Request number: {request_id}"),
        ),
        again(language),
    )
}

fn unknown_link(language: Language) -> Words {
    let causes = language.say(
        [
            "appid 对应的账号没有在这里接入，或已取消授权；填写了 component_appid 时，该账号必须是授权给\
             这个第三方平台的。",
            "拥有该账号的租户没有登记这个 redirect_uri，或在登录途中把它删除了。",
        ],
        [
            "No active account with this appid is connected here; where there is a component_appid, \
             the account must have granted to that component.",
            "The tenant that the account belongs to has not registered this redirect_uri, or has \
             removed it since the fan set out.",
        ],
    );
    let words = Words::to_fans(
        language.say("链接不可用", "This link leads nowhere"),
        language.say(
            "这个网页登录链接没有在本平台登记，无法继续。",
            "The sign-in link is not registered here.",
        ),
        back(language),
    );
    let causes = causes.map(str::to_owned).into_iter();
    Words { to_developers: causes.chain([how_to_register(language)]).collect(), ..words }
}

fn back(language: Language) -> &'static str {
    language.say(
        "请返回原来的页面。如果问题仍然出现，请联系该页面的提供者。",
        "Go back to the page that you came from. If this goes on, tell whoever runs it.",
    )
}

fn begin_again(language: Language) -> &'static str {
    language.say(
        "请返回原来的页面，重新开始登录。",
        "Go back to the page that you came from and begin again there.",
    )
}

fn again(language: Language) -> &'static str {
    language.say("请点击下面的按钮重试。", "Try again with the button below.")
}

/// Every developer meets this once.
fn how_to_register(language: Language) -> String {
    language
        .say(
            "redirect_uri 解码一次后，必须与租户用 POST /v1/redirect-uris 登记的某个地址逐字一致：\
             协议、域名、端口、路径、结尾的斜杠和查询参数都不能有差别。",
            "redirect_uri, decoded once, has to equal letter by letter one of the addresses that the \
             tenant registered with POST /v1/redirect-uris: scheme, host, port, path, a slash at the \
             end, and the query.",
        )
        .to_owned()
}

fn fault(bad: &BadLink, language: Language) -> String {
    match bad {
        BadLink::Query(QueryFault::TooLong) => language
            .say(
                "查询串太长：最多 8 KiB、32 个参数。",
                "The query is too long: it has at most 8 KiB and 32 parameters.",
            )
            .to_owned(),
        BadLink::Query(QueryFault::Name) => language
            .say(
                "每个参数都要写成 名称=值，名称按原样书写，不能编码。",
                "Each parameter is written name=value, and its name as it is, not encoded.",
            )
            .to_owned(),
        BadLink::Query(QueryFault::Repeated(name)) => language.say(
            format!("参数 {name} 出现了不止一次。redirect_uri 中的 & 需要编码。"),
            format!("The parameter {name} stands there more than once. An & inside the redirect_uri has to be encoded."),
        ),
        BadLink::Query(QueryFault::Value(name)) => language.say(
            format!("参数 {name} 的值不是正确的百分号编码 UTF-8，或含有控制字符。"),
            format!("The value of {name} is not percent-encoded UTF-8, or has control characters."),
        ),
        BadLink::Missing(parameter) => {
            let name = parameter.as_str();
            language.say(format!("缺少参数 {name}。"), format!("The parameter {name} is missing."))
        }
        BadLink::Wrong(parameter) => wrong(*parameter, language).to_owned(),
    }
}

/// What a parameter has to be.
fn wrong(parameter: Parameter, language: Language) -> &'static str {
    match parameter {
        Parameter::Appid => language
            .say("appid 应为公众号的 AppID。", "appid has to be the AppID of an official account."),
        Parameter::RedirectUri => language.say(
            "redirect_uri 应为以 https:// 开头（localhost 可用 http://）的完整地址，最长 512 字节，\
             没有 # 部分，用 encodeURIComponent 编码一次，只编码一次。",
            "redirect_uri has to be a whole address that begins with https://, or http:// on \
             localhost, of at most 512 bytes, without a # part, encoded with encodeURIComponent \
             once and only once.",
        ),
        Parameter::ResponseType => {
            language.say("response_type 应为 code。", "response_type has to be code.")
        }
        Parameter::Scope => language.say(
            "scope 应为 snsapi_base、snsapi_userinfo，或用逗号连接的两者。",
            "scope has to be snsapi_base, snsapi_userinfo, or both joined with a comma.",
        ),
        Parameter::State => language.say("state 最长 512 字节。", "state has at most 512 bytes."),
        Parameter::ComponentAppid => language.say(
            "component_appid 应为第三方平台的 AppID；公众号自行接入时不要填写。",
            "component_appid has to be the AppID of a third-party platform; an account that is \
             connected by its own secret has none.",
        ),
        Parameter::ForcePopup => {
            language.say("forcePopup 应为 true 或 false。", "forcePopup has to be true or false.")
        }
    }
}
