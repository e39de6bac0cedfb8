//! A handler of WeChat's pushes, as an account's own server has one: it checks who speaks, opens the
//! message, and answers the fan.

use anyhow::Result;
use lingpai_model::endpoint::Mode;
use serde_json::{Value, json};

use crate::{
    receiver::Taken,
    seals::Seals,
    xml::{cdata, element},
};

/// Token (令牌) of the handler.
const PUSH_TOKEN: &str = "CANARYhandlerToken";

/// EncodingAESKey (消息加解密密钥) of the handler; its last character has stray bits.
const ENCODING_AES_KEY: &str = "CANARYhandlerEncodingAESKey0123456789abcdem";

/// What a handler says to a message.
#[derive(Debug, Clone)]
pub enum Says {
    /// An empty body.
    Nothing,
    /// The word.
    Success,
    /// A text, sealed as the mode demands.
    Text(String),
    /// The text of the fan behind these words, sealed as the mode demands.
    Echo(String),
    /// A text, never sealed.
    InClear(String),
    /// These elements of a reply, sealed as the mode demands.
    Elements(String),
    /// A text whose names are not swapped: a reply to nobody.
    ToItself(String),
    /// Exactly this body.
    Raw(String),
}

/// A handler.
#[derive(Debug)]
pub struct Handler {
    seals: Seals,
    mode: Mode,
    says: Says,
}

impl Handler {
    /// A handler of this account that expects this mode and says this.
    ///
    /// # Errors
    /// When the appid cannot be read.
    pub fn new(appid: &str, mode: Mode, says: Says) -> Result<Self> {
        Ok(Self { seals: Seals::new(appid, PUSH_TOKEN, ENCODING_AES_KEY)?, mode, says })
    }

    /// What lingpai has to know of it, beside its address.
    #[must_use]
    pub fn settings(mode: Mode) -> Value {
        json!({
            "kind": "wechat",
            "token": PUSH_TOKEN,
            "encoding_aes_key": ENCODING_AES_KEY,
            "mode": mode.as_str(),
        })
    }

    /// The message in a request, if it was made as the mode demands; whoever speaks otherwise is not
    /// WeChat.
    #[must_use]
    pub fn open(&self, taken: &Taken) -> Option<String> {
        if !self.seals.has_signed(|name| taken.parameter(name)) {
            return None;
        }
        let opened = self.seals.open_push(taken.query(), &taken.body);
        match self.mode {
            Mode::Plain => taken.parameter("encrypt_type").is_none().then(|| taken.body.clone()),
            // Beside the sealed message there is everything in clear.
            Mode::Compatible => opened.filter(|_| element(&taken.body, "MsgType").is_some()),
            Mode::Secure => opened.filter(|_| element(&taken.body, "MsgType").is_none()),
        }
    }

    /// Status and body of its answer.
    #[must_use]
    pub fn answer(&self, taken: &Taken) -> (u16, String) {
        let Some(message) = &taken.message else { return (403, "who speaks?".to_owned()) };
        (200, self.body(message))
    }

    fn body(&self, message: &str) -> String {
        let text = |content: &str| cdata("MsgType", "text") + &cdata("Content", content);
        match &self.says {
            Says::Nothing => String::new(),
            Says::Success => "success".to_owned(),
            Says::Text(content) => self.sealed(&swapped(message, &text(content))),
            Says::Echo(before) => {
                let heard = element(message, "Content").unwrap_or_default();
                self.sealed(&swapped(message, &text(&format!("{before}{heard}"))))
            }
            Says::InClear(content) => swapped(message, &text(content)),
            Says::Elements(elements) => self.sealed(&swapped(message, elements)),
            Says::ToItself(content) => {
                let reply = swapped(message, &text(content));
                self.sealed(&swapped(&reply, &text(content)))
            }
            Says::Raw(body) => body.clone(),
        }
    }

    fn sealed(&self, reply: &str) -> String {
        match self.mode {
            Mode::Plain => reply.to_owned(),
            Mode::Compatible | Mode::Secure => self.seals.reply(reply, 1_700_000_000),
        }
    }
}

/// A reply to `message` with these elements: who spoke is spoken to.
fn swapped(message: &str, elements: &str) -> String {
    let name = |name| element(message, name).unwrap_or_default();
    format!(
        "<xml>{}{}<CreateTime>1700000000</CreateTime>{elements}</xml>",
        cdata("ToUserName", &name("FromUserName")),
        cdata("FromUserName", &name("ToUserName")),
    )
}
