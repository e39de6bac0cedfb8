//! What WeChat tells about a fan, whichever token it is asked with.

use std::fmt;

use serde_json::{Map, Value};

use super::{Answer, AnswerError, Call, field::is_word, parse};

/// Tells what an account knows of one of its fans. GET, everything in the query.
///
/// Source: WeChat docs, "Get user basic information" (getUserInfo): of who does not follow the
/// account, `subscribe` is 0, and nothing is told but openid and unionid.
pub const GET_USER_INFO: Call = Call { name: "user/info", path: "/cgi-bin/user/info" };

/// The language in which WeChat names places.
///
/// Source: WeChat docs, "Get user basic information" (getUserInfo) and "Web page authorization", step
/// 4: `zh_CN`, `zh_TW` or `en`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// Simplified Chinese, WeChat's own choice where nothing is said.
    #[default]
    ZhCn,
    /// Traditional Chinese.
    ZhTw,
    /// English.
    En,
}

impl Lang {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ZhCn, Self::ZhTw, Self::En];

    /// As WeChat writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZhCn => "zh_CN",
            Self::ZhTw => "zh_TW",
            Self::En => "en",
        }
    }

    /// Reads WeChat's spelling; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.as_str() == text)
    }
}

/// What WeChat tells of one fan, field by field as it came: which there are differs from call to
/// call and from year to year, so that none is picked out and none is lost.
///
/// Its `Debug` shows nothing: this is about a person.
#[derive(Clone, PartialEq, Eq)]
pub struct FanProfile {
    openid: String,
    fields: Map<String, Value>,
}

impl FanProfile {
    /// Every field, the openid among them.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Every field, the openid among them.
    #[must_use]
    pub fn into_fields(self) -> Map<String, Value> {
        self.fields
    }

    /// The fan, as this account knows him.
    #[must_use]
    pub fn openid(&self) -> &str {
        &self.openid
    }

    /// The fan across the accounts of one open-platform account, if there is such an account.
    #[must_use]
    pub fn unionid(&self) -> Option<&str> {
        self.fields.get("unionid")?.as_str().filter(|unionid| is_word(unionid))
    }
}

impl fmt::Debug for FanProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FanProfile(…)")
    }
}

impl Answer for FanProfile {
    /// Garbled without an openid that can be one: then it is about nobody.
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        let mut fields: Map<String, Value> = parse(json)?;
        let openid = match fields.get("openid").and_then(Value::as_str) {
            Some(openid) if is_word(openid) => openid.to_owned(),
            Some(_) | None => return Err(AnswerError::Garbled("no openid that can be one")),
        };
        for of_the_call in ["errcode", "errmsg"] {
            fields.remove(of_the_call);
        }
        Ok(Self { openid, fields })
    }
}
