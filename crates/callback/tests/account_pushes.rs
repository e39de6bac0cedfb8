//! What becomes of a push to an account that is connected by its own secret.

use std::{sync::Arc, time::Duration};

use lingpai_authorizer::{Error, NewWebToken, WebTokens};
use lingpai_callback::{AccountPushes, Refusal};
use lingpai_component_token::{
    Ceiling, ComponentTokens, KeeperBase, RefreshLimits, TicketWatch, Tickets,
};
use lingpai_emulator::{Emulator, EmulatorConfig};
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::{AccountSecret, Authorizer, AuthorizerState, Connection, Profile, TokenApi},
    clock::{Entropy, ManualClock, SharedClock},
    id::AuthorizerId,
    push::PushState,
    token::AccessToken,
    web_token::WebTokenOwner,
};
use lingpai_storage::{
    Db,
    testing::{TestDb, count_messages},
};
use lingpai_wechat::{
    client::{Client, ClientConfig},
    crypt::{Crypt, EncodingAesKey, KeySlot, envelope_to_account, plain_signature},
};
use tokio_util::task::TaskTracker;

const KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
const SHOP: &str = "wxshop";
const OTHER: &str = "wxother";
const MUTE: &str = "wxmute";
const FAN: &str = "oABCDefghij0123456789klmnopq";
const OTHER_FAN: &str = "oZYXWefghij0123456789klmnopq";

struct Site {
    db: Db,
    shop: Authorizer,
    other: Authorizer,
    web_tokens: WebTokens,
    pushes: AccountPushes,
    clock: SharedClock,
    _wechat: Emulator,
    _database: TestDb,
}

impl Site {
    /// Two accounts with the same keys, and one that gets no pushes.
    async fn open() -> Self {
        let database = TestDb::sqlite().await;
        let db = database.db.clone();
        let entropy = Entropy::seeded(1);
        let start = Instant::UNIX_EPOCH + chrono::Duration::days(1);
        let clock: SharedClock = Arc::new(ManualClock::at(start));
        let wechat = Emulator::start(EmulatorConfig::for_tests()).await.expect("given");
        let api_url = wechat.base_url().parse().expect("given");
        let client =
            Client::new(ClientConfig { api_url, ..ClientConfig::default() }).expect("given");
        let base = KeeperBase {
            db: db.clone(),
            clock: Arc::clone(&clock),
            entropy: entropy.clone(),
            ceiling: Arc::new(Ceiling::new(RefreshLimits::default())),
            tasks: TaskTracker::new(),
        };
        let tickets = Tickets::new(db.clone(), Arc::clone(&clock));
        let watch =
            TicketWatch::new(db.clone(), client.clone(), Arc::clone(&clock), entropy.clone());
        let component_tokens = ComponentTokens::new(base.clone(), client.clone(), tickets, watch);
        let web_tokens = WebTokens::new(base, client, component_tokens);
        let key = || Some(Secret::from(KEY));
        let shop = connect(&db, &entropy, SHOP, key()).await;
        let other = connect(&db, &entropy, OTHER, key()).await;
        connect(&db, &entropy, MUTE, None).await;
        let world = (Arc::clone(&clock), entropy);
        let pushes = AccountPushes::new(db.clone(), web_tokens.clone(), world);
        Self { db, shop, other, web_tokens, pushes, clock, _wechat: wechat, _database: database }
    }

    /// Pushes a message as WeChat does: encrypted for one account, to the path of another or the
    /// same.
    async fn push(&self, message: &[u8], encrypted_for: &str, path: &str) -> Result<(), Refusal> {
        let (query, encrypt) = sealed(message, encrypted_for);
        let envelope = envelope_to_account("gh_0a1b2c3d4e5f", &encrypt);
        self.pushes.accept(path, &query, envelope.as_bytes()).await
    }

    /// A fan grants to an account.
    async fn grant(&self, authorizer: &Authorizer, openid: &str, scope: &str) {
        let owner = WebTokenOwner {
            authorizer_id: authorizer.id.clone(),
            openid: openid.to_owned(),
            scope: scope.to_owned(),
        };
        let lifetime = Duration::from_secs(7200);
        let token = AccessToken::obtained(Secret::from("token"), self.clock.now(), lifetime);
        let refresh_token = Secret::from("refresh token");
        let new = NewWebToken { owner, unionid: None, token, refresh_token };
        self.web_tokens.keep(new).await.expect("given");
    }

    async fn is_forgotten(&self, authorizer: &Authorizer, openid: &str, scope: &str) -> bool {
        match self.web_tokens.get(authorizer, openid, scope).await {
            Ok(_) => false,
            Err(Error::FanUnknown) => true,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn connect(
    db: &Db,
    entropy: &Entropy,
    appid: &str,
    key: Option<Secret<String>>,
) -> Authorizer {
    let at = Instant::UNIX_EPOCH;
    let authorizer = Authorizer {
        id: AuthorizerId::new(at, entropy),
        connection: Connection::Secret,
        tenant_id: None,
        refused_at: None,
        released_at: None,
        appid: Appid::parse(appid).expect("given"),
        state: AuthorizerState::Active,
        generation: 1,
        granted_at: at,
        profile: Profile::default(),
        func_info: vec![],
        created_at: at,
        updated_at: at,
    };
    let secret = AccountSecret {
        authorizer_id: authorizer.id.clone(),
        appid: authorizer.appid.clone(),
        appsecret: Secret::from("secret"),
        token_api: TokenApi::StableToken,
        push_token: key.as_ref().map(|_| Secret::from("token")),
        encoding_aes_key: key,
        created_at: at,
    };
    let tx = db.begin().await.expect("given");
    tx.authorizers().system_insert(&authorizer).await.expect("given");
    tx.account_secrets().system_insert(&secret).await.expect("given");
    tx.commit().await.expect("given");
    authorizer
}

/// The query and the ciphertext of a message.
fn sealed(message: &[u8], encrypted_for: &str) -> (String, String) {
    let appid = Appid::parse(encrypted_for).expect("given");
    let key = EncodingAesKey::parse(KEY).expect("given");
    let crypt = Crypt::new(Secret::from("token"), appid, key, None);
    let sealed = crypt.seal(message, KeySlot::Current, 1_700_000_000, "415670741", [7; 16]);
    let query = format!(
        "timestamp={}&nonce={}&encrypt_type=aes&msg_signature={}",
        sealed.timestamp, sealed.nonce, sealed.msg_signature
    );
    (query, sealed.encrypt)
}

fn message(from: &str, rest: &str) -> Vec<u8> {
    let head = format!(
        "<ToUserName>gh_0a1b2c3d4e5f</ToUserName><FromUserName>{from}</FromUserName>\
         <CreateTime>86500</CreateTime>"
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
        let refusal = site.pushes.accept(SHOP, &query, &text(1)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unverified), "{refusal}");
    }
}

#[tokio::test]
async fn an_account_may_have_chosen_json_for_its_envelope() {
    let site = Site::open().await;
    let (query, encrypt) = sealed(&text(1), SHOP);
    let envelope = format!(r#" {{"ToUserName":"gh_0a1b2c3d4e5f","Encrypt":"{encrypt}"}}"#);
    site.pushes.accept(SHOP, &query, envelope.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn the_check_of_a_url_is_answered_for_accounts_that_get_pushes() {
    let site = Site::open().await;
    let signature = plain_signature(&Secret::from("token"), "1700000000", "415670741");
    let query =
        format!("signature={signature}&timestamp=1700000000&nonce=415670741&echostr=123456");
    assert_eq!(site.pushes.check_url(SHOP, &query).await.unwrap(), "123456");
    for (path, query) in
        [(MUTE, query.as_str()), ("wxnobody", &query), (SHOP, &query.replace('7', "8"))]
    {
        let refusal = site.pushes.check_url(path, query).await.unwrap_err();
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
    site.db.clone().close().await;
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
    assert_eq!(count_messages(&site.db, PushState::Kept).await, 5);
    // The same id at another account is another message.
    site.push(&text(1), OTHER, OTHER).await.unwrap();
    assert_eq!(count_messages(&site.db, PushState::Kept).await, 6);
}

#[tokio::test]
async fn a_repetition_is_known_by_its_head_though_its_text_differs() {
    let site = Site::open().await;
    let mut again = text(1);
    again.extend_from_slice(b"\n");
    for push in [text(1), again] {
        site.push(&push, SHOP, SHOP).await.unwrap();
    }
    assert_eq!(count_messages(&site.db, PushState::Kept).await, 1);
}

#[tokio::test]
async fn an_authentic_message_that_cannot_be_read_is_kept_in_quarantine_and_once() {
    let site = Site::open().await;
    let deep = message(FAN, &"<a>".repeat(40));
    for push in [deep.as_slice(), deep.as_slice(), b"{\"MsgType\":\"text\"}", b"\0\xff"] {
        site.push(push, SHOP, SHOP).await.unwrap();
    }
    assert_eq!(count_messages(&site.db, PushState::Quarantined).await, 3);
    assert_eq!(count_messages(&site.db, PushState::Kept).await, 0);
}

#[tokio::test]
async fn what_is_refused_is_not_recorded() {
    let site = Site::open().await;
    site.push(&text(1), OTHER, SHOP).await.unwrap_err();
    site.push(&text(1), MUTE, MUTE).await.unwrap_err();
    for state in PushState::ALL {
        assert_eq!(count_messages(&site.db, state).await, 0);
    }
}
