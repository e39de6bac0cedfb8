//! How WeChat looks at the answer to a message: the word, nothing, a reply, or a fault.
//!
//! Source: WeChat docs, "Passive user reply message" (被动回复用户消息): what is neither `success` nor
//! empty nor a reply shows the fan that the account is out of order; a reply to an encrypted push is
//! encrypted as well.

use anyhow::{Context as _, bail, ensure};
use lingpai_wechat::push::message::{self, MessagePush};
use lingpai_wechat::push::reply::Reply;
use serde_json::Value;

use crate::config::AccountKind;
use crate::seal::Seal;

/// What came of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    /// The reply in clear.
    pub(crate) reply: Option<String>,
    /// Why it is none.
    pub(crate) invalid: Option<String>,
}

/// Looks at the body that answered `pushed` with HTTP 200.
pub(crate) fn judge(seal: &Seal, kind: AccountKind, pushed: &str, body: &[u8]) -> Judged {
    if body.is_empty() || body == b"success" {
        return Judged::default();
    }
    match reply(seal, kind, pushed, body) {
        Ok(reply) => Judged { reply: Some(reply), invalid: None },
        Err(why) => Judged { reply: None, invalid: Some(format!("{why:#}")) },
    }
}

fn reply(seal: &Seal, kind: AccountKind, pushed: &str, body: &[u8]) -> anyhow::Result<String> {
    // What was pushed by hand may be any text; then nothing can be compared.
    let pushed = MessagePush::parse(pushed.as_bytes()).ok();
    if pushed.as_ref().is_some_and(MessagePush::expects_acknowledgement) {
        return acknowledgement(seal, body);
    }
    let text = seal.open_reply(body)?;
    let parsed = Reply::parse(&text)?;
    if let Some(pushed) = pushed {
        ensure!(
            parsed.to_user_name == pushed.from_user_name
                && parsed.from_user_name == pushed.to_user_name,
            "ToUserName and FromUserName are not the push's, swapped"
        );
    }
    match (kind, &parsed.reply) {
        (AccountKind::OfficialAccount, _)
        | (AccountKind::MiniProgram, Reply::TransferCustomerService { .. }) => Ok(text),
        (AccountKind::MiniProgram, _) => {
            bail!("a mini program cannot be answered with content")
        }
    }
}

/// Assumed (#5): such an answer is taken in clear and sealed.
fn acknowledgement(seal: &Seal, body: &[u8]) -> anyhow::Result<String> {
    let text = match seal.open_reply(body) {
        Ok(text) => text,
        Err(_) => std::str::from_utf8(body).context("the answer is not UTF-8")?.to_owned(),
    };
    let has_errcode = message::to_json(text.as_bytes())?.get("ErrCode").is_some();
    ensure!(has_errcode, "the event wants an ErrCode");
    Ok(text)
}

/// What a reply says to the fan, in a few words.
pub(crate) fn in_words(reply: &str) -> String {
    match Reply::parse(reply) {
        Ok(parsed) => match parsed.reply {
            Reply::Text { content } => content,
            other => parsed_words(&other),
        },
        Err(_) => reply.to_owned(),
    }
}

fn parsed_words(reply: &Reply) -> String {
    let body = reply
        .to_customer_message("")
        .and_then(|mut message| message.get_mut(reply.msg_type()).map(Value::take));
    format!("[{}] {}", reply.msg_type(), body.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use lingpai_wechat::crypt::{Crypt, EncodingAesKey, KeySlot};
    use lingpai_wechat::id::Appid;
    use lingpai_wechat::secret::Secret;

    use super::*;
    use crate::config::ComponentConfig;

    const PUSHED: &str = "<xml><ToUserName>gh_1</ToUserName><FromUserName>oFan</FromUserName>\
                          <CreateTime>1</CreateTime><MsgType>text</MsgType><Content>a</Content>\
                          <MsgId>1</MsgId></xml>";

    /// An answer with this text, sealed for the component with `key`.
    fn sealed_with(text: &str, key: &str) -> Vec<u8> {
        let component = ComponentConfig::default();
        let appid = Appid::parse(&component.appid).unwrap();
        let key = EncodingAesKey::parse(key).unwrap();
        let crypt = Crypt::new(Secret::from(component.push_token), appid, key, None);
        crypt.seal(text.as_bytes(), KeySlot::Current, 1, "2", [3; 16]).to_xml().into_bytes()
    }

    fn judged(kind: AccountKind, pushed: &str, body: &[u8]) -> Judged {
        let seal = Seal::of_component(&ComponentConfig::default()).unwrap();
        judge(&seal, kind, pushed, body)
    }

    fn sealed(text: &str) -> Vec<u8> {
        sealed_with(text, &ComponentConfig::default().encoding_aes_key)
    }

    fn hello() -> Reply {
        Reply::Text { content: "hello".to_owned() }
    }

    #[test]
    fn the_word_and_nothing_are_no_reply() {
        for body in ["", "success"] {
            let judged = judged(AccountKind::OfficialAccount, PUSHED, body.as_bytes());
            assert_eq!(judged, Judged::default());
        }
    }

    #[test]
    fn a_sealed_reply_with_swapped_names_is_shown() {
        let reply = hello().to_xml("oFan", "gh_1", 1);
        let judged = judged(AccountKind::OfficialAccount, PUSHED, &sealed(&reply));
        assert_eq!(judged, Judged { reply: Some(reply.clone()), invalid: None });
        assert_eq!(in_words(&reply), "hello");
    }

    #[test]
    fn whatever_else_is_answered_is_a_fault() {
        let swapped = hello().to_xml("oFan", "gh_1", 1);
        let other_key = "jZ3mQ9vT5xB1nL7kR2wY8cH4gF6dS0aPeUiOoXyMtVb";
        for (body, why) in [
            (b"Success".to_vec(), "XML"),
            (swapped.clone().into_bytes(), "TimeStamp"),
            (sealed(&hello().to_xml("gh_1", "oFan", 1)), "swapped"),
            (sealed("<xml><MsgType>text</MsgType></xml>"), "Content"),
            (sealed_with(&swapped, other_key), "padding"),
        ] {
            let judged = judged(AccountKind::OfficialAccount, PUSHED, &body);
            let invalid = judged.invalid.unwrap();
            assert!(invalid.contains(why) && judged.reply.is_none(), "{invalid}");
        }
    }

    #[test]
    fn a_mini_program_is_only_handed_over() {
        let body = sealed(&hello().to_xml("oFan", "gh_1", 1));
        assert!(judged(AccountKind::MiniProgram, PUSHED, &body).invalid.is_some());
        let transfer = Reply::TransferCustomerService { kf_account: None };
        let body = sealed(&transfer.to_xml("oFan", "gh_1", 1));
        assert!(judged(AccountKind::MiniProgram, PUSHED, &body).reply.is_some());
    }

    #[test]
    fn an_event_of_payment_wants_an_errcode() {
        let pushed = PUSHED.replace(
            "<MsgType>text</MsgType>",
            "<MsgType>event</MsgType><Event>xpay_goods_deliver_notify</Event>",
        );
        for (body, is_fine) in [
            (br#"{"ErrCode":0,"ErrMsg":"success"}"#.to_vec(), true),
            (sealed("<xml><ErrCode>0</ErrCode></xml>"), true),
            (b"<xml><Code>0</Code></xml>".to_vec(), false),
        ] {
            let judged = judged(AccountKind::MiniProgram, &pushed, &body);
            assert_eq!(judged.reply.is_some(), is_fine, "{judged:?}");
        }
    }
}
