//! What WeChat pushes, sealed with the keys of the account that a house has.

use chrono::Duration;
use lingpai_model::{Appid, Secret};
use lingpai_wechat::crypt::{Crypt, EncodingAesKey, KeySlot, envelope_to_account};
use poem::http::Request;

use crate::house::{Answer, House, PUSH_KEY, PUSH_TOKEN, SHOP};

/// The original id of the account.
pub(crate) const ACCOUNT: &str = "gh_a0b1c2d3e4f5";

/// Who writes to it.
pub(crate) const FAN: &str = "oFan0123456789abcdefghijklmn";

/// A fan's text. Its id is what makes it another than the one before.
pub(crate) fn text(id: u32, content: &str) -> String {
    text_of(FAN, id, content)
}

/// The text of this fan.
pub(crate) fn text_of(fan: &str, id: u32, content: &str) -> String {
    format!(
        "<xml><ToUserName>{ACCOUNT}</ToUserName><FromUserName>{fan}</FromUserName>\
         <CreateTime>1795000000</CreateTime><MsgType>text</MsgType>\
         <Content><![CDATA[{content}]]></Content><MsgId>{id}</MsgId></xml>"
    )
}

/// A passive reply as plain XML, with names exchanged.
pub(crate) fn reply(content: &str) -> String {
    format!(
        "<xml><ToUserName>{FAN}</ToUserName><FromUserName>{ACCOUNT}</FromUserName>\
         <CreateTime>1795000001</CreateTime><MsgType>text</MsgType>\
         <Content><![CDATA[{content}]]></Content></xml>"
    )
}

fn crypt() -> Crypt {
    let appid = Appid::parse(SHOP).expect("a fixed appid");
    let key = EncodingAesKey::parse(PUSH_KEY).expect("a fixed key");
    Crypt::new(Secret::from(PUSH_TOKEN), appid, key, None)
}

impl House {
    /// WeChat pushes `message` to the account that is connected by its own secret.
    pub(crate) async fn push(&self, message: &str) -> Answer {
        // Ids sort by time, and what is made within one millisecond is in no order.
        self.clock.advance(Duration::milliseconds(1));
        let sealed =
            crypt().seal(message.as_bytes(), KeySlot::Current, 1_795_000_000, "n", [7; 16]);
        let query = format!(
            "timestamp={}&nonce={}&encrypt_type=aes&msg_signature={}",
            sealed.timestamp, sealed.nonce, sealed.msg_signature
        );
        let path = format!("/wechat/authorizers/{SHOP}/events?{query}");
        let envelope = envelope_to_account(ACCOUNT, &sealed.encrypt);
        self.send(Request::builder().method("POST").uri(path), &envelope).await
    }

    /// The same, which has to be answered `success`.
    pub(crate) async fn told(&self, message: &str) {
        let answer = self.push(message).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "success"));
    }
}
