//! What becomes of a push to an account that is connected by its own secret.

use std::time::Duration;

use lingpai_authorizer::NewWebToken;
use lingpai_callback::{Refusal, Taken};
use lingpai_model::{
    Appid, Secret,
    authorizer::Authorizer,
    auto_reply::{AutoReplies, AutoReply, Reply, Trigger},
    clock::Clock as _,
    page::PageRequest,
    token::AccessToken,
    web_token::WebTokenOwner,
};
use lingpai_storage::testing::count_messages;
use lingpai_wechat::{
    crypt::{Crypt, EncodingAesKey, KeySlot, envelope_to_account, plain_signature},
    push::SealedReply,
};

use crate::site::{OWN_KEY, Site as Installation};

const SHOP: &str = "wxshop";
const OTHER: &str = "wxother";
const MUTE: &str = "wxmute";
const FAN: &str = "oABCDefghij0123456789klmnopq";
const OTHER_FAN: &str = "oZYXWefghij0123456789klmnopq";

/// Two accounts with the same keys, and one that gets no pushes.
struct Site {
    installation: Installation,
    shop: Authorizer,
    other: Authorizer,
}

impl Site {
    async fn open() -> Self {
        let installation = Installation::open().await;
        let shop = installation.connect(SHOP, Some(OWN_KEY)).await;
        let other = installation.connect(OTHER, Some(OWN_KEY)).await;
        installation.connect(MUTE, None).await;
        Self { installation, shop, other }
    }

    /// Pushes a message as WeChat does: encrypted for one account, to the path of another or the
    /// same.
    async fn push(
        &self,
        message: &[u8],
        encrypted_for: &str,
        path: &str,
    ) -> Result<Taken, Refusal> {
        let (query, encrypt) = sealed(message, encrypted_for);
        let envelope = envelope_to_account("gh_0a1b2c3d4e5f", &encrypt);
        self.installation.account_pushes.accept(path, &query, envelope.as_bytes()).await
    }

    async fn count(&self) -> u64 {
        count_messages(&self.installation.db).await
    }

    async fn count_quarantined(&self) -> usize {
        let quarantine = &self.installation.quarantine;
        quarantine.list(&PageRequest::first()).await.unwrap().items.len()
    }

    /// A fan grants to an account.
    async fn grant(&self, authorizer: &Authorizer, openid: &str, scope: &str) {
        let owner = WebTokenOwner {
            authorizer_id: authorizer.id.clone(),
            openid: openid.to_owned(),
            scope: scope.to_owned(),
        };
        let (lifetime, now) = (Duration::from_secs(7200), self.installation.clock.now());
        let token = AccessToken::obtained(Secret::from("token"), now, lifetime);
        let refresh_token = Secret::from("refresh token");
        let new = NewWebToken { owner, unionid: None, token, refresh_token };
        self.installation.web_tokens.keep(authorizer, new).await.expect("given");
    }

    async fn is_forgotten(&self, authorizer: &Authorizer, openid: &str, scope: &str) -> bool {
        let grants = self.installation.db.web_tokens();
        let grants =
            grants.system_list(&authorizer.id, openid).await.expect("the database is there");
        grants.iter().all(|grant| grant.owner.scope != scope)
    }
}

/// The query and the ciphertext of a message.
fn sealed(message: &[u8], encrypted_for: &str) -> (String, String) {
    let appid = Appid::parse(encrypted_for).expect("given");
    let key = EncodingAesKey::parse(OWN_KEY).expect("given");
    let crypt = Crypt::new(Secret::from("token"), appid, key, None);
    let sealed = crypt.seal(message, KeySlot::Current, 1_700_000_000, "415670741", [7; 16]);
    let query = format!(
        "timestamp={}&nonce={}&encrypt_type=aes&msg_signature={}",
        sealed.timestamp, sealed.nonce, sealed.msg_signature
    );
    (query, sealed.encrypt)
}

/// Later than any clock here: a withdrawal is meant for what was granted before it.
fn message(from: &str, rest: &str) -> Vec<u8> {
    let at = 4_000_000_000_i64;
    let head = format!(
        "<ToUserName>gh_0a1b2c3d4e5f</ToUserName><FromUserName>{from}</FromUserName>\
         <CreateTime>{at}</CreateTime>"
    );
    format!("<xml>{head}{rest}</xml>").into_bytes()
}

fn withdrawal(openid: &str) -> Vec<u8> {
    let event = "<MsgType>event</MsgType><Event>user_authorization_revoke</Event>";
    message("oPLATFORM", &format!("{event}<OpenID>{openid}</OpenID><AppID>{SHOP}</AppID>"))
}

fn text(id: u64) -> Vec<u8> {
    message(FAN, &format!("<MsgType>text</MsgType><Content>你好</Content><MsgId>{id}</MsgId>"))
}

#[tokio::test]
async fn what_is_not_for_this_account_is_refused_whatever_the_reason() {
    let site = Site::open().await;
    site.push(&text(1), SHOP, SHOP).await.unwrap();
    for (encrypted_for, path) in
        [(OTHER, SHOP), (SHOP, OTHER), (MUTE, MUTE), ("wxnobody", "wxnobody"), (SHOP, "wx/%00")]
    {
        let refusal = site.push(&text(1), encrypted_for, path).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unverified), "{encrypted_for} at {path}: {refusal}");
    }
}

#[tokio::test]
async fn an_unencrypted_message_is_refused_even_when_its_query_is_signed() {
    let site = Site::open().await;
    let signature = plain_signature(&Secret::from("token"), "1700000000", "415670741");
    let signed = format!("signature={signature}&timestamp=1700000000&nonce=415670741");
    for query in [signed.clone(), format!("{signed}&encrypt_type=raw")] {
        let refusal =
            site.installation.account_pushes.accept(SHOP, &query, &text(1)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unverified), "{refusal}");
    }
}

#[tokio::test]
async fn an_account_may_have_chosen_json_for_its_envelope() {
    let site = Site::open().await;
    let (query, encrypt) = sealed(&text(1), SHOP);
    let envelope = format!(r#" {{"ToUserName":"gh_0a1b2c3d4e5f","Encrypt":"{encrypt}"}}"#);
    site.installation.account_pushes.accept(SHOP, &query, envelope.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn the_check_of_a_url_is_answered_for_accounts_that_get_pushes() {
    let site = Site::open().await;
    let signature = plain_signature(&Secret::from("token"), "1700000000", "415670741");
    let query =
        format!("signature={signature}&timestamp=1700000000&nonce=415670741&echostr=123456");
    assert_eq!(site.installation.account_pushes.check_url(SHOP, &query).await.unwrap(), "123456");
    for (path, query) in
        [(MUTE, query.as_str()), ("wxnobody", &query), (SHOP, &query.replace('7', "8"))]
    {
        let refusal = site.installation.account_pushes.check_url(path, query).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unverified), "{path} {query}");
    }
}

#[tokio::test]
async fn a_fan_who_withdraws_is_forgotten_in_every_scope_and_nobody_else_is() {
    let site = Site::open().await;
    let (shop, other) = (&site.shop, &site.other);
    for (authorizer, openid, scope) in [
        (shop, FAN, "snsapi_base"),
        (shop, FAN, "snsapi_userinfo"),
        (shop, OTHER_FAN, "snsapi_base"),
        (other, FAN, "snsapi_base"),
    ] {
        site.grant(authorizer, openid, scope).await;
    }
    for _ in 0..2 {
        site.push(&withdrawal(FAN), SHOP, SHOP).await.unwrap();
        assert!(site.is_forgotten(shop, FAN, "snsapi_base").await);
        assert!(site.is_forgotten(shop, FAN, "snsapi_userinfo").await);
        assert!(!site.is_forgotten(shop, OTHER_FAN, "snsapi_base").await);
        assert!(!site.is_forgotten(other, FAN, "snsapi_base").await);
    }
}

#[tokio::test]
async fn a_withdrawal_that_does_not_verify_erases_nothing() {
    let site = Site::open().await;
    site.grant(&site.shop, FAN, "snsapi_base").await;
    site.push(&withdrawal(FAN), OTHER, SHOP).await.unwrap_err();
    site.push(&withdrawal(FAN), OTHER, OTHER).await.unwrap();
    assert!(!site.is_forgotten(&site.shop, FAN, "snsapi_base").await);
}

#[tokio::test]
async fn without_the_database_no_push_is_accepted_and_each_may_be_repeated() {
    let site = Site::open().await;
    // The account's keys are known from now on; only writing fails below.
    site.push(&text(1), SHOP, SHOP).await.unwrap();
    site.installation.db.clone().close().await;
    let refusal = site.push(&text(2), SHOP, SHOP).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unrecorded(_)) && !refusal.is_final(), "{refusal}");
    let refusal = site.push(&withdrawal(FAN), SHOP, SHOP).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unerased(_)) && !refusal.is_final(), "{refusal}");
}

#[tokio::test]
async fn a_message_is_recorded_once_however_often_it_is_repeated() {
    let site = Site::open().await;
    let subscribed = message(FAN, "<MsgType>event</MsgType><Event>subscribe</Event>");
    for _ in 0..3 {
        for push in [text(1), text(2), subscribed.clone(), withdrawal(FAN), withdrawal(OTHER_FAN)] {
            site.push(&push, SHOP, SHOP).await.unwrap();
        }
    }
    assert_eq!(site.count().await, 5);
    // The same id at another account is another message.
    site.push(&text(1), OTHER, OTHER).await.unwrap();
    assert_eq!(site.count().await, 6);
}

#[tokio::test]
async fn a_repetition_is_known_by_its_head_though_its_text_differs() {
    let site = Site::open().await;
    let mut again = text(1);
    again.extend_from_slice(b"\n");
    for push in [text(1), again] {
        site.push(&push, SHOP, SHOP).await.unwrap();
    }
    assert_eq!(site.count().await, 1);
}

#[tokio::test]
async fn an_authentic_message_that_cannot_be_read_is_kept_in_quarantine_and_once() {
    let site = Site::open().await;
    let deep = message(FAN, &"<a>".repeat(40));
    for push in [deep.as_slice(), deep.as_slice(), b"{\"MsgType\":\"text\"}", b"\0\xff"] {
        site.push(push, SHOP, SHOP).await.unwrap();
    }
    assert_eq!(site.count_quarantined().await, 3);
    assert_eq!(site.count().await, 0);
}

#[tokio::test]
async fn what_is_refused_is_not_recorded() {
    let site = Site::open().await;
    site.push(&text(1), OTHER, SHOP).await.unwrap_err();
    site.push(&text(1), MUTE, MUTE).await.unwrap_err();
    assert_eq!((site.count().await, site.count_quarantined().await), (0, 0));
}

#[tokio::test]
async fn json_is_answered_as_json() {
    let site = Site::open().await;
    let message = format!(
        r#"{{"ToUserName":"gh_0a1b2c3d4e5f","FromUserName":"{FAN}","CreateTime":1700000000,
            "MsgType":"text","Content":"客服","MsgId":9007199254740993}}"#
    );
    let (query, encrypt) = sealed(message.as_bytes(), SHOP);
    let envelope = lingpai_wechat::crypt::json_envelope_to_account("gh_0a1b2c3d4e5f", &encrypt);
    let rules = vec![AutoReply {
        trigger: Trigger::AnyMessage,
        reply: Reply::TransferCustomerService { kf_account: None },
    }];
    let (installation, shop) = (&site.installation, &site.shop);
    let (scope, replies) = (&installation.tenant.scope, AutoReplies { rules });
    let now = installation.clock.now();
    installation
        .change(async |tx| tx.auto_replies().put(scope, &shop.id, &replies, now).await.unwrap())
        .await;
    let taken = installation.account_pushes.accept(SHOP, &query, envelope.as_bytes()).await;
    let Ok(Taken::Asked(asked)) = taken else { panic!("a reply was expected: {taken:?}") };
    let Taken::Reply(answer) = asked.answer().await else { panic!("a reply was expected") };
    assert!(answer.starts_with('{'), "{answer}");
    let answer = SealedReply::parse(answer.as_bytes()).unwrap();
    let key = EncodingAesKey::parse(OWN_KEY).unwrap();
    let crypt = Crypt::new(Secret::from("token"), shop.appid.clone(), key, None);
    let opened = crypt.open(&answer.query, &answer.encrypt).unwrap();
    let text = String::from_utf8(opened.plaintext).unwrap();
    assert!(text.starts_with('{') && text.contains("transfer_customer_service"), "{text}");
    assert_eq!(site.count().await, 1);
}
