//! What fans write and do: made up from a few words, written as WeChat writes it, pushed.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{AccountConfig, MessageFormat};
use crate::pusher::PushRecord;
use crate::state::mint;
use crate::world::World;

/// Who writes to an account that has no fans, and opens its pages.
pub(crate) const STRANGER: &str = "oLingPai0000000000000nobody1";

/// Where the ids of messages begin: beyond what a double tells apart, as WeChat's are.
const FIRST_MSG_ID: u64 = 24_012_345_678_900_000;

/// Something that a fan writes or does: a text, another message or an event, one of the three.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FanMessage {
    /// The account.
    pub appid: String,
    /// The fan; the account's first one if none is named.
    #[serde(default)]
    pub openid: Option<String>,
    /// The text of a text message.
    #[serde(default)]
    pub text: Option<String>,
    /// The `MsgType` of another message.
    #[serde(default)]
    pub msg_type: Option<String>,
    /// The `Event` of an event.
    #[serde(default)]
    pub event: Option<String>,
    /// Further fields by WeChat's names; objects and lists are written as elements. One that is
    /// called like a common field stands in its place.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// A message as it is pushed.
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) plaintext: String,
    pub(crate) openid: String,
}

impl FanMessage {
    /// A text message of the account's first fan.
    #[must_use]
    pub fn text(appid: &str, text: &str) -> Self {
        Self { appid: appid.to_owned(), text: Some(text.to_owned()), ..Self::default() }
    }

    /// Another message of the account's first fan.
    #[must_use]
    pub fn message(appid: &str, msg_type: &str) -> Self {
        Self { appid: appid.to_owned(), msg_type: Some(msg_type.to_owned()), ..Self::default() }
    }

    /// Something that the account's first fan does.
    #[must_use]
    pub fn event(appid: &str, event: &str) -> Self {
        Self { appid: appid.to_owned(), event: Some(event.to_owned()), ..Self::default() }
    }

    /// The same with one more field, by WeChat's name.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// The same from another fan.
    #[must_use]
    pub fn by(mut self, openid: &str) -> Self {
        self.openid = Some(openid.to_owned());
        self
    }

    /// Writes it for `account` at `at_secs`; `number` makes its id.
    fn write(&self, account: &AccountConfig, number: u64, at_secs: i64) -> anyhow::Result<Written> {
        let given = [&self.text, &self.msg_type, &self.event].into_iter().flatten().count();
        ensure!(given == 1, "say one of text, msg_type and event");
        let first = account.fans.first().map(|fan| fan.openid.as_str());
        let openid = self.openid.as_deref().or(first).unwrap_or(STRANGER);
        let (name, msg_type) = match (&self.event, &self.msg_type) {
            (Some(event), _) => (event.as_str(), "event"),
            (None, Some(msg_type)) => (msg_type.as_str(), msg_type.as_str()),
            (None, None) => ("text", "text"),
        };
        let mut all = Map::new();
        all.insert("ToUserName".to_owned(), account.user_name.as_str().into());
        all.insert("FromUserName".to_owned(), openid.into());
        all.insert("CreateTime".to_owned(), at_secs.into());
        all.insert("MsgType".to_owned(), msg_type.into());
        match (&self.event, &self.text) {
            (Some(event), _) => all.insert("Event".to_owned(), event.as_str().into()),
            (None, text) => {
                if let Some(text) = text {
                    all.insert("Content".to_owned(), text.as_str().into());
                }
                all.insert("MsgId".to_owned(), (FIRST_MSG_ID + number).into())
            }
        };
        all.extend(self.fields.clone());
        let plaintext = match account.format() {
            MessageFormat::Xml => xml(&all),
            MessageFormat::Json => Value::Object(all).to_string(),
        };
        Ok(Written { name: name.to_owned(), plaintext, openid: openid.to_owned() })
    }
}

impl World {
    /// Pushes what a fan writes or does.
    ///
    /// # Errors
    /// When there is no such account, or it is not said what the fan writes or does.
    pub(crate) async fn fan_message(
        self: &Arc<Self>,
        message: &FanMessage,
    ) -> anyhow::Result<PushRecord> {
        let account = {
            let platform = self.platform();
            platform.accounts.get(&message.appid).context("no such account")?.config.clone()
        };
        // Ids only have to differ, also from those of another run.
        let number = u64::from(u32::from_be_bytes(mint::random())) << 8;
        let number = number | u64::from(u8::from_be_bytes(mint::random()));
        let written = message.write(&account, number, self.now() / 1000)?;
        let push = self.fan_push(&message.appid, written).context("no such account")?;
        Ok(self.dispatch(push).await)
    }
}

fn xml(fields: &Map<String, Value>) -> String {
    let mut xml = "<xml>".to_owned();
    fields.iter().for_each(|(name, value)| write_element(&mut xml, name, value));
    xml.push_str("</xml>");
    xml
}

/// Text in CDATA, numbers bare, an entry of a list as an element of its own.
fn write_element(xml: &mut String, name: &str, value: &Value) {
    if let Value::Array(entries) = value {
        entries.iter().for_each(|entry| write_element(xml, name, entry));
        return;
    }
    xml.push_str(&format!("<{name}>"));
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| write_element(xml, name, value));
        }
        Value::String(text) => {
            let text = text.replace("]]>", "]]]]><![CDATA[>");
            xml.push_str(&format!("<![CDATA[{text}]]>"));
        }
        Value::Number(number) => xml.push_str(&number.to_string()),
        Value::Bool(is_so) => xml.push_str(&is_so.to_string()),
        Value::Null | Value::Array(_) => {}
    }
    xml.push_str(&format!("</{name}>"));
}

#[cfg(test)]
mod tests {
    use lingpai_wechat::push::message::MessagePush;
    use serde_json::json;

    use super::*;

    fn written(message: &FanMessage) -> String {
        let account = AccountConfig::generated(1);
        message.write(&account, 1, 1_700_000_000).unwrap().plaintext
    }

    #[test]
    fn a_text_is_written_as_wechat_writes_it() {
        let text = written(&FanMessage::text("wx1", "a ]]> b").by("oFan"));
        let push = MessagePush::parse(text.as_bytes()).unwrap();
        assert_eq!(push.text(), Some("a ]]> b"));
        assert_eq!(push.openid(), Some("oFan"));
        assert_eq!(push.msg_id.as_deref(), Some("24012345678900001"));
    }

    #[test]
    fn fields_nest_repeat_and_replace_common_ones() {
        let event = FanMessage::event("wx1", "pic_weixin")
            .with("CreateTime", 7)
            .with("SendPicsInfo", json!({ "PicList": { "item": [{ "a": 1 }, { "a": "2" }] } }));
        let text = written(&event);
        assert!(text.contains("<CreateTime>7</CreateTime>"), "{text}");
        assert!(!text.contains("MsgId"), "{text}");
        let items = "<item><a>1</a></item><item><a><![CDATA[2]]></a></item>";
        assert!(text.contains(items), "{text}");
    }

    #[test]
    fn one_thing_must_be_said() {
        let account = AccountConfig::generated(1);
        let both = FanMessage { event: Some("CLICK".to_owned()), ..FanMessage::text("wx1", "a") };
        assert!(both.write(&account, 1, 0).is_err());
        assert!(FanMessage::default().write(&account, 1, 0).is_err());
    }
}
