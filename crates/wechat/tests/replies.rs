//! Passive replies: written, read, checked, sealed, and sent late as messages.

use lingpai_wechat::{
    crypt::{Crypt, CryptError, EncodingAesKey, KeySlot, envelope_to_account},
    id::Appid,
    push::{
        Envelope, PushError, PushQuery, SealedReply,
        reply::{Article, MAX_TEXT_BYTES, Reply, ReplyError},
    },
    secret::Secret,
    xml::XmlError,
};
use serde_json::json;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn text(content: &str) -> Reply {
    Reply::Text { content: content.to_owned() }
}

fn article(title: &str) -> Article {
    Article {
        title: title.to_owned(),
        description: some("D"),
        pic_url: some("https://a.example/p?x=1&y=2"),
        url: "https://a.example/".to_owned(),
    }
}

fn all() -> Vec<Reply> {
    let media_id = || "m".to_owned();
    vec![
        text("你好\n<b>]]>&amp; \u{1f600}"),
        Reply::Image { media_id: media_id() },
        Reply::Voice { media_id: media_id() },
        Reply::Video { media_id: media_id(), title: some("T"), description: some("D") },
        Reply::Video { media_id: media_id(), title: None, description: None },
        Reply::Music {
            title: some("T"),
            description: some("D"),
            music_url: some("u"),
            hq_music_url: some("h"),
            thumb_media_id: media_id(),
        },
        Reply::News { articles: vec![article("1")] },
        Reply::News { articles: (0..8).map(|number| article(&number.to_string())).collect() },
        Reply::TransferCustomerService { kf_account: None },
        Reply::TransferCustomerService { kf_account: some("test1@test") },
    ]
}

#[test]
fn every_kind_of_reply_reads_back_as_it_was_written() {
    for reply in all() {
        let xml = reply.to_xml("oFan", "gh_1", 1_700_000_000);
        let parsed = Reply::parse(&xml).unwrap_or_else(|error| panic!("{xml}: {error}"));
        assert_eq!(parsed.reply, reply, "{xml}");
        assert_eq!(
            (parsed.to_user_name.as_str(), parsed.from_user_name.as_str()),
            ("oFan", "gh_1")
        );
        assert!(xml.contains("<CreateTime>1700000000</CreateTime>"), "{xml}");
    }
}

#[test]
fn a_text_is_written_as_wechat_documents_it() {
    assert_eq!(
        text("hello").to_xml("openid", "gh_…", 1_700_000_000),
        "<xml><ToUserName><![CDATA[openid]]></ToUserName><FromUserName><![CDATA[gh_…]]>\
         </FromUserName><CreateTime>1700000000</CreateTime><MsgType><![CDATA[text]]></MsgType>\
         <Content><![CDATA[hello]]></Content></xml>"
    );
}

#[test]
fn articles_and_transfers_are_written_as_wechat_documents_them() {
    let news = Reply::News { articles: vec![article("1"), article("2")] };
    let xml = news.to_xml("o", "g", 1);
    assert!(xml.contains("<ArticleCount>2</ArticleCount><Articles><item><Title>"), "{xml}");
    let transfer = Reply::TransferCustomerService { kf_account: some("a@b") };
    let xml = transfer.to_xml("o", "g", 1);
    let clerk = "<TransInfo><KfAccount><![CDATA[a@b]]></KfAccount></TransInfo>";
    assert!(xml.contains(clerk), "{xml}");
}

#[test]
fn a_reply_of_somebody_elses_library_is_read() {
    let foreign = "<xml>\n  <ToUserName>oFan</ToUserName>\n  <FromUserName>gh_1</FromUserName>\n\
                   <CreateTime>1</CreateTime><FuncFlag>0</FuncFlag><MsgType>text</MsgType>\
                   <Content>a &lt; b</Content></xml>";
    assert_eq!(Reply::parse(foreign).map(|parsed| parsed.reply), Ok(text("a < b")));
    let json = json!({
        "ToUserName": "oFan", "FromUserName": "gh_1", "CreateTime": 1,
        "MsgType": "transfer_customer_service",
    });
    let parsed = Reply::parse(json.to_string()).expect("a reply");
    assert_eq!(parsed.reply, Reply::TransferCustomerService { kf_account: None });
}

#[test]
fn what_is_no_reply_is_refused_with_its_reason() {
    let of = |rest: &str| {
        Reply::parse(format!(
            "<xml><ToUserName>o</ToUserName><FromUserName>g</FromUserName>{rest}</xml>"
        ))
        .map(|parsed| parsed.reply)
    };
    let item = "<item><Title>t</Title><Url>u</Url></item>";
    for (rest, expected) in [
        ("", ReplyError::Missing("MsgType")),
        ("<MsgType>text</MsgType>", ReplyError::Missing("Content")),
        ("<MsgType>text</MsgType><Content> </Content>", ReplyError::Missing("Content")),
        ("<MsgType>image</MsgType>", ReplyError::Missing("Image")),
        ("<MsgType>image</MsgType><Image/>", ReplyError::Missing("MediaId")),
        ("<MsgType>voice</MsgType><Voice/>", ReplyError::Missing("MediaId")),
        ("<MsgType>video</MsgType><Video/>", ReplyError::Missing("MediaId")),
        ("<MsgType>music</MsgType><Music/>", ReplyError::Missing("ThumbMediaId")),
        ("<MsgType>news</MsgType>", ReplyError::Missing("Articles")),
        (
            &format!("<MsgType>news</MsgType><Articles>{item}</Articles>"),
            ReplyError::Missing("ArticleCount"),
        ),
        (
            &format!(
                "<MsgType>news</MsgType><ArticleCount>2</ArticleCount><Articles>{item}</Articles>"
            ),
            ReplyError::WrongArticleCount,
        ),
        (
            "<MsgType>news</MsgType><ArticleCount>0</ArticleCount><Articles/>",
            ReplyError::ArticleCount,
        ),
        (
            &format!(
                "<MsgType>news</MsgType><ArticleCount>9</ArticleCount><Articles>{}</Articles>",
                item.repeat(9)
            ),
            ReplyError::ArticleCount,
        ),
        ("<MsgType>event</MsgType>", ReplyError::UnknownType),
        ("<MsgType>a</MsgType><MsgType>a</MsgType>", ReplyError::Xml(XmlError::RepeatedElement)),
    ] {
        assert_eq!(of(rest), Err(expected), "{rest}");
    }
    assert_eq!(Reply::parse("success"), Err(ReplyError::Xml(XmlError::TextOutsideRoot)));
    assert_eq!(Reply::parse("{"), Err(ReplyError::Json));
    let nobody = "<xml><FromUserName>g</FromUserName><MsgType>text</MsgType><Content>a</Content>\
                  </xml>";
    assert_eq!(Reply::parse(nobody), Err(ReplyError::Missing("ToUserName")));
}

#[test]
fn a_reply_has_bounds() {
    assert_eq!(text(&"x".repeat(MAX_TEXT_BYTES)).check(), Ok(()));
    assert_eq!(
        text(&"x".repeat(MAX_TEXT_BYTES + 1)).check(),
        Err(ReplyError::TooLong { element: "Content", most_bytes: MAX_TEXT_BYTES })
    );
    assert_eq!(text("a\u{1}").check(), Err(ReplyError::Unwritable("Content")));
    assert_eq!(text("a\tb\r\n").check(), Ok(()));
    assert_eq!(Reply::News { articles: Vec::new() }.check(), Err(ReplyError::ArticleCount));
    let nine = Reply::News { articles: vec![article("1"); 9] };
    assert_eq!(nine.check(), Err(ReplyError::ArticleCount));
    let untitled = Reply::News { articles: vec![article("")] };
    assert_eq!(untitled.check(), Err(ReplyError::Missing("Title")));
    let nobody = Reply::TransferCustomerService { kf_account: some("") };
    assert_eq!(nobody.check(), Err(ReplyError::Missing("KfAccount")));
    for reply in all() {
        assert_eq!(reply.check(), Ok(()), "{reply:?}");
    }
}

#[test]
fn a_late_reply_is_a_message_of_customer_service() {
    let sent = |reply: &Reply| reply.to_customer_message("oFan");
    let message = |msgtype: &str, body: serde_json::Value| {
        let mut message = json!({ "touser": "oFan", "msgtype": msgtype });
        message[msgtype] = body;
        Some(message)
    };
    assert_eq!(sent(&text("你好")), message("text", json!({ "content": "你好" })));
    let image = Reply::Image { media_id: "m".to_owned() };
    assert_eq!(sent(&image), message("image", json!({ "media_id": "m" })));
    let video = Reply::Video { media_id: "m".to_owned(), title: some("T"), description: None };
    assert_eq!(sent(&video), message("video", json!({ "media_id": "m", "title": "T" })));
    let music = Reply::Music {
        title: None,
        description: None,
        music_url: some("u"),
        hq_music_url: some("h"),
        thumb_media_id: "t".to_owned(),
    };
    let body = json!({ "thumb_media_id": "t", "musicurl": "u", "hqmusicurl": "h" });
    assert_eq!(sent(&music), message("music", body));
    let news = Reply::News { articles: vec![article("1"), article("2")] };
    let first = json!({
        "title": "1", "description": "D", "picurl": "https://a.example/p?x=1&y=2",
        "url": "https://a.example/",
    });
    assert_eq!(sent(&news), message("news", json!({ "articles": [first] })));
    assert_eq!(sent(&Reply::TransferCustomerService { kf_account: None }), None);
}

fn crypt(current: &str, previous: Option<&str>) -> Crypt {
    let key = |text: &str| EncodingAesKey::parse(text).expect("a key");
    let appid = Appid::parse("wx7c6b2f0a91d3e845").expect("an appid");
    Crypt::new(Secret::from("token"), appid, key(current), previous.map(key))
}

const OLD: &str = "jZ3mQ9vT5xB1nL7kR2wY8cH4gF6dS0aPeUiOoXyMtVb";
const NEW: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

#[test]
fn a_reply_is_sealed_with_the_key_that_fitted_and_opens_again() {
    let rotated = crypt(NEW, Some(OLD));
    let (wechat_before, wechat_after) = (crypt(OLD, None), crypt(NEW, None));
    for (wechat, other, slot) in [
        (&wechat_before, &wechat_after, KeySlot::Previous),
        (&wechat_after, &wechat_before, KeySlot::Current),
    ] {
        let pushed = wechat.seal(b"<xml/>", KeySlot::Current, 1, "2", [3; 16]);
        let envelope = envelope_to_account("gh_1", &pushed.encrypt);
        let query = PushQuery {
            timestamp: "1".to_owned(),
            nonce: "2".to_owned(),
            msg_signature: pushed.msg_signature,
        };
        let encrypt = Envelope::parse(envelope.as_bytes()).expect("an envelope").encrypt;
        let opened = rotated.open(&query, &encrypt).expect("either key fits");
        assert_eq!(opened.key, slot);

        let reply = text("你好").to_xml("oFan", "gh_1", 9);
        let sealed = rotated.seal(reply.as_bytes(), opened.key, 9, "8", [7; 16]);
        for body in [sealed.to_xml(), sealed.to_json()] {
            let told = SealedReply::parse(body.as_bytes()).expect("a sealed reply");
            assert_eq!(told.query.timestamp, "9");
            let read = wechat.open(&told.query, &told.encrypt).expect("WeChat's key fits");
            assert_eq!(read.plaintext, reply.as_bytes());
            let refused = other.open(&told.query, &told.encrypt).map(|opened| opened.key);
            assert_eq!(refused, Err(CryptError::BadPadding));
        }
    }
}

#[test]
fn a_sealed_reply_has_four_elements_within_their_alphabets() {
    let whole = crypt(NEW, None).seal(b"<xml/>", KeySlot::Current, 1, "2", [3; 16]).to_xml();
    assert!(SealedReply::parse(whole.as_bytes()).is_ok());
    for name in ["Encrypt", "MsgSignature", "TimeStamp", "Nonce"] {
        let without = whole.replace(name, "Other").replace("Other", &format!("No{name}"));
        assert_eq!(SealedReply::parse(without.as_bytes()), Err(PushError::Missing(name)));
    }
    for (piece, other) in [
        ("<TimeStamp>1<", "<TimeStamp>1a<"),
        ("<![CDATA[2]]>", "<![CDATA[2 3]]>"),
        ("<MsgSignature><![CDATA[", "<MsgSignature><![CDATA[0"),
    ] {
        assert!(whole.contains(piece), "{whole}");
        let refused = SealedReply::parse(whole.replace(piece, other).as_bytes());
        assert!(matches!(refused, Err(PushError::Query(_))), "{piece}");
    }
    assert!(SealedReply::parse(b"success").is_err());
}
