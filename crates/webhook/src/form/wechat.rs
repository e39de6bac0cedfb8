//! WeChat's own form: what an account's own server would get from WeChat, and what it answers, so that
//! the message handler of any SDK works unchanged. What is sent is encrypted anew with the handler's
//! own key; WeChat's ciphertext never goes on.

use lingpai_model::{
    Appid, Instant, Secret,
    clock::Entropy,
    endpoint::{Mode, WechatHandler},
    event::{Event, EventContent},
};
use lingpai_wechat::{
    crypt::{
        self, Crypt, CryptError, EncodingAesKey, KeySlot, envelope_to_account,
        json_envelope_to_account,
    },
    push::{
        Envelope, PushError, SealedReply,
        message::{self, MessagePush},
        reply::{Reply, ReplyError},
    },
};
use url::form_urlencoded;

use super::{Unreadable, text};
use crate::sender::Incoming;

/// What the body is called in the request's `Content-Type`.
///
/// Source: WeChat's own pushes; the JSON is for accounts that chose it.
const XML: &str = "text/xml";
const JSON: &str = "application/json";

/// The word that says "received, and no reply".
///
/// Source: WeChat docs, "Passive user reply message" (被动回复用户消息): `success` or nothing at all.
const SUCCESS: &str = "success";

/// Where the answer to some events says whether it was taken.
///
/// Assumed: `ErrCode` and `ErrMsg`, as virtual payment and the events of carriers are described (#5).
const ERR_CODE: &str = "ErrCode";

/// One push to a handler.
#[derive(Clone)]
pub struct WechatRequest {
    /// What goes behind the URL.
    pub query: String,
    /// The body.
    pub body: String,
    /// The nonce in the query.
    pub nonce: String,
    /// The `Content-Type` of the body.
    pub content_type: &'static str,
}

impl std::fmt::Debug for WechatRequest {
    /// The body is a person's message.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WechatRequest({}, {} bytes)", self.content_type, self.body.len())
    }
}

/// What a handler answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// That it has the push, and nothing else.
    Nothing,
    /// A reply to the fan: plain XML as the handler wrote it, found to be a reply to this message. If
    /// the handler wrote JSON, it is the XML that says the same.
    Reply(Secret<String>),
    /// Whether it took an event, in the words (XML or JSON with `ErrCode`) that WeChat wants for some.
    Acknowledgement(String),
}

/// Why a handler's answer cannot be passed on. It tells nothing of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenReply {
    /// The status was none of success.
    #[error("the answer has status {0}")]
    Status(u16),
    /// It is no UTF-8.
    #[error("the answer is no UTF-8")]
    NotUtf8,
    /// It is neither empty nor `success`, and no bounded XML or JSON.
    #[error("the answer is neither `success` nor a reply: {0}")]
    Unreadable(PushError),
    /// It is encrypted, but not with the endpoint's token and key for this account.
    #[error("the encrypted answer does not open: {0}")]
    Sealed(#[from] CryptError),
    /// It is no reply that WeChat takes.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// It is meant for another fan, or comes from another account.
    #[error("the answer's ToUserName and FromUserName are not those of the message, exchanged")]
    WrongNames,
    /// Nobody can reply to the event.
    #[error("there is nothing to reply to")]
    NothingToReplyTo,
}

/// What WeChat pushed, as WeChat would push it to the account's own server, at `now`.
///
/// # Errors
/// [`Unreadable`].
pub fn wechat(
    event: &Event,
    handler: &WechatHandler,
    (now, entropy): (Instant, &Entropy),
) -> Result<WechatRequest, Unreadable> {
    let EventContent::Pushed(message) = &event.content else { return Err(Unreadable::Ours) };
    let appid = event.authorizer_appid.as_ref().ok_or(Unreadable::NoAccount)?;
    let to_user_name = MessagePush::parse(message.expose())?.to_user_name;
    let text = text(message);
    let message = Message::new(&text, to_user_name);
    let timestamp = now.timestamp();
    let nonce = u32::from_be_bytes(entropy.bytes()).to_string();
    let signature = crypt::plain_signature(&handler.push_token, &timestamp.to_string(), &nonce);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("signature", &signature);
    query.append_pair("timestamp", &timestamp.to_string());
    query.append_pair("nonce", &nonce);
    if let Some(openid) = &event.openid {
        query.append_pair("openid", openid);
    }
    let sealed = match handler.mode {
        Mode::Plain => None,
        Mode::Compatible | Mode::Secure => {
            let crypt = crypt_of(handler, appid).map_err(|_| Unreadable::BadKey)?;
            let plaintext = message.text.as_bytes();
            Some(crypt.seal(plaintext, KeySlot::Current, timestamp, &nonce, entropy.bytes()))
        }
    };
    if let Some(sealed) = &sealed {
        query.append_pair("encrypt_type", "aes");
        query.append_pair("msg_signature", &sealed.msg_signature);
    }
    let body = match (handler.mode, sealed) {
        (Mode::Plain, _) | (_, None) => message.text.to_owned(),
        (Mode::Secure, Some(sealed)) => message.envelope(&sealed.encrypt),
        (Mode::Compatible, Some(sealed)) => message
            .with_encrypt(&sealed.encrypt)
            .unwrap_or_else(|| message.envelope(&sealed.encrypt)),
    };
    let content_type = if message.is_json { JSON } else { XML };
    Ok(WechatRequest { query: query.finish(), body, nonce, content_type })
}

/// A message that is passed on.
struct Message<'a> {
    text: &'a str,
    /// Whether the account chose JSON; its envelope is JSON too then.
    is_json: bool,
    to_user_name: String,
}

impl<'a> Message<'a> {
    fn new(text: &'a str, to_user_name: String) -> Self {
        Self { text, is_json: text.trim_start().starts_with('{'), to_user_name }
    }

    /// Secure mode: the ciphertext and whom it is for.
    fn envelope(&self, encrypt: &str) -> String {
        if self.is_json {
            json_envelope_to_account(&self.to_user_name, encrypt)
        } else {
            envelope_to_account(&self.to_user_name, encrypt)
        }
    }

    /// Compatible mode: all that the message has, and the ciphertext as one element more. `None` when
    /// that would no longer be read, because the message is as large as a message may be or has such
    /// an element itself: handlers in this mode look at the ciphertext alone.
    fn with_encrypt(&self, encrypt: &str) -> Option<String> {
        let (end, element) = if self.is_json {
            ("}", format!(r#","Encrypt":"{encrypt}""#))
        } else {
            ("</", format!("<Encrypt><![CDATA[{encrypt}]]></Encrypt>"))
        };
        let at = self.text.rfind(end)?;
        let (message, end) = self.text.split_at(at);
        let body = [message, &element, end].concat();
        let parse = if self.is_json { Envelope::parse_json } else { Envelope::parse };
        let is_read = parse(body.as_bytes()).is_ok_and(|read| read.encrypt == encrypt);
        is_read.then_some(body)
    }
}

/// Reads what a handler answered to the push of `event`, which is about the account `appid`. Whatever
/// the handler's mode, its answer may be encrypted or not.
///
/// # Errors
/// [`BrokenReply`] when there is no use for it.
pub fn read_reply(
    handler: &WechatHandler,
    appid: &Appid,
    answer: &Incoming,
    event: &Event,
) -> Result<Answered, BrokenReply> {
    if !answer.is_success() {
        return Err(BrokenReply::Status(answer.status));
    }
    let body = std::str::from_utf8(&answer.body).map_err(|_| BrokenReply::NotUtf8)?;
    let body = bare(body);
    if is_nothing(body) {
        return Ok(Answered::Nothing);
    }
    if !has(body, "Encrypt")? {
        return read_plain_reply(event, body);
    }
    let sealed = SealedReply::parse(body.as_bytes()).map_err(BrokenReply::Unreadable)?;
    let opened = crypt_of(handler, appid)?.open(&sealed.query, &sealed.encrypt)?;
    let plain = Secret::new(opened.plaintext);
    let plain = std::str::from_utf8(plain.expose()).map_err(|_| BrokenReply::NotUtf8)?;
    read_plain_reply(event, plain)
}

/// Reads an answer to the push of `event` that is not encrypted.
///
/// # Errors
/// [`BrokenReply`] when there is no use for it.
pub fn read_plain_reply(event: &Event, body: &str) -> Result<Answered, BrokenReply> {
    let body = bare(body);
    if is_nothing(body) {
        return Ok(Answered::Nothing);
    }
    let EventContent::Pushed(message) = &event.content else {
        return Err(BrokenReply::NothingToReplyTo);
    };
    let push = MessagePush::parse(message.expose()).map_err(|_| BrokenReply::NothingToReplyTo)?;
    if push.is_event() && has(body, ERR_CODE)? {
        return Ok(Answered::Acknowledgement(body.to_owned()));
    }
    let parsed = Reply::parse(body)?;
    if parsed.to_user_name != push.from_user_name || parsed.from_user_name != push.to_user_name {
        return Err(BrokenReply::WrongNames);
    }
    let xml = if body.starts_with('{') {
        let (to, from) = (&parsed.to_user_name, &parsed.from_user_name);
        parsed.reply.to_xml(to, from, push.create_time.unwrap_or_default())
    } else {
        body.to_owned()
    };
    Ok(Answered::Reply(xml.into()))
}

/// The body without what some frameworks put around it: blanks, line feeds, a byte order mark.
fn bare(body: &str) -> &str {
    body.trim_start_matches('\u{feff}').trim()
}

fn is_nothing(body: &str) -> bool {
    body.is_empty() || body == SUCCESS
}

/// Whether the document has this element at its top.
fn has(body: &str, element: &str) -> Result<bool, BrokenReply> {
    let document = message::to_json(body.as_bytes()).map_err(BrokenReply::Unreadable)?;
    Ok(document.get(element).is_some())
}

/// What the handler encrypts with, for one account: its appid ends every frame.
fn crypt_of(handler: &WechatHandler, appid: &Appid) -> Result<Crypt, CryptError> {
    let key = EncodingAesKey::parse(handler.encoding_aes_key.expose())?;
    Ok(Crypt::new(handler.push_token.clone(), appid.clone(), key, None))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::DateTime;
    use lingpai_model::{
        endpoint::Role,
        event::{EventKind, EventType},
        id::EventId,
    };
    use lingpai_wechat::push::PushQuery;

    use super::*;

    const APPID: &str = "wx0000000000000001";
    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    const TEXT: &str = "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>\
        <FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1700000000</CreateTime>\
        <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[</xml> & so on]]></Content>\
        <MsgId>1</MsgId></xml>\n";
    const GOODS: &str = "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName>\
        <CreateTime>1700000000</CreateTime><MsgType>event</MsgType>\
        <Event>xpay_goods_deliver_notify</Event></xml>";
    const JSON_TEXT: &str = r#"{"ToUserName":"gh_1","FromUserName":"o1","CreateTime":1700000000,
        "MsgType":"text","Content":"}","MsgId":9007199254740993}"#;
    const REPLY: &str = "<xml><ToUserName><![CDATA[o1]]></ToUserName>\
        <FromUserName><![CDATA[gh_1]]></FromUserName><CreateTime>1700000001</CreateTime>\
        <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[hello]]></Content></xml>";

    fn now() -> Instant {
        DateTime::from_timestamp(1_700_000_002, 0).unwrap()
    }

    fn appid() -> Appid {
        Appid::parse(APPID).unwrap()
    }

    fn event(message: &str) -> Event {
        Event {
            id: EventId::parse("evt_01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap(),
            tenant_id: None,
            component_appid: None,
            authorizer_appid: Some(appid()),
            event_type: EventType::of_message("text"),
            openid: Some("o1&a=b".to_owned()),
            occurred_at: now(),
            received_at: now(),
            content: EventContent::Pushed(Secret::new(message.as_bytes().to_vec())),
        }
    }

    fn handler(mode: Mode) -> WechatHandler {
        WechatHandler {
            push_token: Secret::from("handlertoken"),
            encoding_aes_key: Secret::from(KEY),
            mode,
            role: Role::Listening,
        }
    }

    fn crypt(appid: Appid) -> Crypt {
        let key = EncodingAesKey::parse(KEY).unwrap();
        Crypt::new(Secret::from("handlertoken"), appid, key, None)
    }

    fn request(message: &str, mode: Mode) -> WechatRequest {
        wechat(&event(message), &handler(mode), (now(), &Entropy::seeded(1))).unwrap()
    }

    /// What a handler of WeChat's pushes finds in the request.
    fn opened(request: &WechatRequest) -> String {
        let query = PushQuery::parse(&request.query).unwrap();
        let body = request.body.as_bytes();
        let envelope = match request.content_type {
            JSON => Envelope::parse_json(body),
            _ => Envelope::parse(body),
        };
        let opened = crypt(appid()).open(&query, &envelope.unwrap().encrypt).unwrap();
        String::from_utf8(opened.plaintext).unwrap()
    }

    fn pairs(query: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn a_plain_push_is_the_message_itself() {
        let request = request(TEXT, Mode::Plain);
        assert_eq!((&*request.body, request.content_type), (TEXT, "text/xml"));
        let signature =
            crypt::plain_signature(&Secret::from("handlertoken"), "1700000002", &request.nonce);
        let expected = [
            ("signature", &*signature),
            ("timestamp", "1700000002"),
            ("nonce", &request.nonce),
            ("openid", "o1&a=b"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(&request.query), expected);
    }

    #[test]
    fn a_secure_push_holds_the_ciphertext_and_whom_it_is_for() {
        let request = request(TEXT, Mode::Secure);
        assert_eq!(opened(&request), TEXT);
        assert!(
            request.body.starts_with("<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt>")
        );
        assert!(!request.body.contains("so on"));
        let names: Vec<String> = pairs(&request.query).into_iter().map(|(name, _)| name).collect();
        let expected =
            ["signature", "timestamp", "nonce", "openid", "encrypt_type", "msg_signature"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_compatible_push_holds_both() {
        let request = request(TEXT, Mode::Compatible);
        assert_eq!(opened(&request), TEXT);
        let push = MessagePush::parse(request.body.as_bytes()).unwrap();
        assert_eq!(push.text(), Some("</xml> & so on"));
    }

    #[test]
    fn a_message_without_room_for_the_ciphertext_goes_out_as_a_secure_one() {
        let has_one = TEXT.replace("MsgId", "Encrypt");
        let ends_in_comment = format!("{TEXT}<!-- </xml> -->");
        for message in [&*has_one, &ends_in_comment] {
            let request = request(message, Mode::Compatible);
            assert_eq!(opened(&request), message);
            assert!(!request.body.contains("so on"));
        }
    }

    #[test]
    fn who_chose_json_gets_json() {
        for mode in Mode::ALL {
            let request = request(JSON_TEXT, mode);
            assert_eq!(request.content_type, "application/json");
            match mode {
                Mode::Plain => assert_eq!(request.body, JSON_TEXT),
                Mode::Compatible => {
                    assert_eq!(opened(&request), JSON_TEXT);
                    assert!(request.body.contains("9007199254740993"));
                    let push = MessagePush::parse(request.body.as_bytes()).unwrap();
                    assert_eq!(push.text(), Some("}"));
                }
                Mode::Secure => {
                    assert_eq!(opened(&request), JSON_TEXT);
                    assert!(!request.body.contains("MsgId"));
                }
            }
        }
    }

    #[test]
    fn what_is_no_utf_8_goes_out_mended() {
        let broken = JSON_TEXT.replace("\"}\"", "\"~~\"").into_bytes();
        let broken = broken.into_iter().map(|byte| if byte == b'~' { 0xff } else { byte });
        let mut event = event(JSON_TEXT);
        event.content = EventContent::Pushed(Secret::new(broken.collect()));
        let mended = JSON_TEXT.replace("\"}\"", "\"  \"");
        for mode in [Mode::Plain, Mode::Secure] {
            let entropy = Entropy::seeded(1);
            let request = wechat(&event, &handler(mode), (now(), &entropy)).unwrap();
            match mode {
                Mode::Plain => assert_eq!(request.body, mended),
                Mode::Compatible | Mode::Secure => assert_eq!(opened(&request), mended),
            }
        }
    }

    #[test]
    fn every_push_is_signed_anew() {
        let entropy = Entropy::seeded(1);
        let [one, other] = [(), ()]
            .map(|()| wechat(&event(TEXT), &handler(Mode::Secure), (now(), &entropy)).unwrap());
        assert_ne!(one.nonce, other.nonce);
        assert_ne!(one.body, other.body);
    }

    #[test]
    fn what_has_no_form_of_wechats_is_refused() {
        let refused = |event: &Event, handler: &WechatHandler| {
            wechat(event, handler, (now(), &Entropy::seeded(1))).unwrap_err()
        };
        let mut ours = event(TEXT);
        ours.event_type = EventKind::Authorized.into();
        ours.content = EventContent::Ours(None);
        assert_eq!(refused(&ours, &handler(Mode::Plain)), Unreadable::Ours);
        let mut of_nobody = event(TEXT);
        of_nobody.authorizer_appid = None;
        assert_eq!(refused(&of_nobody, &handler(Mode::Plain)), Unreadable::NoAccount);
        let mut keyless = handler(Mode::Secure);
        keyless.encoding_aes_key = Secret::from("");
        assert_eq!(refused(&event(TEXT), &keyless), Unreadable::BadKey);
        assert!(matches!(refused(&event("<xml/>"), &keyless), Unreadable::Push(_)));
        keyless.mode = Mode::Plain;
        assert!(wechat(&event(TEXT), &keyless, (now(), &Entropy::seeded(1))).is_ok());
    }

    fn answer(body: impl Into<Bytes>) -> Incoming {
        Incoming { status: 200, body: body.into(), retry_after: None, took: Duration::ZERO }
    }

    fn read(message: &str, body: impl Into<Bytes>) -> Result<Answered, BrokenReply> {
        read_reply(&handler(Mode::Secure), &appid(), &answer(body), &event(message))
    }

    fn sealed(plaintext: &str, appid: Appid) -> String {
        crypt(appid)
            .seal(plaintext.as_bytes(), KeySlot::Current, 1_700_000_003, "n1", [7; 16])
            .to_xml()
    }

    fn reply(xml: &str) -> Result<Answered, BrokenReply> {
        Ok(Answered::Reply(xml.into()))
    }

    #[test]
    fn success_and_nothing_mean_the_same() {
        for body in ["", "success", "success\n", " \r\n", "\u{feff}success"] {
            assert_eq!(read(TEXT, body), Ok(Answered::Nothing), "{body:?}");
        }
        assert_eq!(read(TEXT, sealed("success", appid())), Ok(Answered::Nothing));
    }

    #[test]
    fn a_reply_may_be_encrypted_or_not() {
        assert_eq!(read(TEXT, REPLY), reply(REPLY));
        assert_eq!(read(TEXT, format!("\u{feff}\n{REPLY}\n")), reply(REPLY));
        assert_eq!(read(TEXT, sealed(REPLY, appid())), reply(REPLY));
        assert_eq!(read(GOODS, REPLY), reply(REPLY), "an event may be replied to as well");
    }

    #[test]
    fn json_envelopes_are_read_too() {
        let sealed = crypt(appid())
            .seal(REPLY.as_bytes(), KeySlot::Current, 1_700_000_003, "n1", [7; 16])
            .to_json();
        assert_eq!(read(TEXT, sealed), reply(REPLY));
    }

    #[test]
    fn a_reply_in_json_becomes_xml() {
        let json = r#"{"ToUserName":"o1","FromUserName":"gh_1","CreateTime":1700000001,
            "MsgType":"transfer_customer_service"}"#;
        for body in [json.to_owned(), sealed(json, appid())] {
            let Ok(Answered::Reply(xml)) = read(JSON_TEXT, body) else { panic!("it is a reply") };
            assert!(xml.expose().starts_with("<xml>"));
            let parsed = Reply::parse(xml.expose()).unwrap();
            assert_eq!(parsed.reply, Reply::TransferCustomerService { kf_account: None });
        }
    }

    #[test]
    fn a_reply_of_another_hand_is_refused() {
        let other = Appid::parse("wx0000000000000002").unwrap();
        let cases = [
            (sealed(REPLY, other), CryptError::AppidMismatch),
            (sealed(REPLY, appid()).replace("n1", "n2"), CryptError::BadSignature),
        ];
        for (body, expected) in cases {
            assert_eq!(read(TEXT, body), Err(BrokenReply::Sealed(expected)));
        }
    }

    #[test]
    fn a_reply_goes_to_who_wrote_and_comes_from_whom_he_wrote_to() {
        for (from, to) in [("o1", "o2"), ("gh_1", "gh_2")] {
            assert_eq!(read(TEXT, REPLY.replace(from, to)), Err(BrokenReply::WrongNames));
        }
        let unexchanged = REPLY.replace("o1", "x").replace("gh_1", "o1").replace("[x]", "[gh_1]");
        assert_eq!(read(TEXT, unexchanged), Err(BrokenReply::WrongNames));
    }

    #[test]
    fn an_acknowledgement_is_for_events() {
        let xml = "<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>";
        let json = r#"{"ErrCode":0,"ErrMsg":"success"}"#;
        for body in [xml, json] {
            let expected = Ok(Answered::Acknowledgement(body.to_owned()));
            assert_eq!(read(GOODS, body), expected);
            assert_eq!(read(GOODS, sealed(body, appid())), expected);
            assert!(read(TEXT, body).is_err(), "a message is not acknowledged so");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for body in [
            "<html><body>Not Found</body></html>",
            "ok",
            "SUCCESS",
            "<xml></xml>",
            "{}",
            "<xml>",
            "<!DOCTYPE a><xml/>",
            "null",
            "[1]",
        ] {
            assert!(read(TEXT, body).is_err(), "{body}");
        }
        assert_eq!(read(TEXT, &b"\xff"[..]), Err(BrokenReply::NotUtf8));
        let failed = Incoming { status: 500, ..answer("success") };
        let handler = handler(Mode::Secure);
        assert_eq!(
            read_reply(&handler, &appid(), &failed, &event(TEXT)),
            Err(BrokenReply::Status(500))
        );
    }

    #[test]
    fn there_is_nothing_to_reply_to_an_event_of_ours() {
        let mut ours = event(TEXT);
        ours.content = EventContent::Ours(None);
        assert_eq!(read_plain_reply(&ours, REPLY), Err(BrokenReply::NothingToReplyTo));
        assert_eq!(read_plain_reply(&ours, ""), Ok(Answered::Nothing));
    }
}
