//! What becomes of a push between the wire and the database.

use std::sync::Arc;

use chrono::Duration;
use lingpai_callback::{ComponentPushes, Refusal};
use lingpai_component_token::Tickets;
use lingpai_model::{
    Appid, Instant, Secret,
    clock::{Entropy, ManualClock, SharedClock},
    component::Component,
    id::ComponentId,
    push::PushState,
};
use lingpai_storage::{
    Db,
    testing::{TestDb, count_pushes, kept_pushes, kept_tickets},
};
use lingpai_wechat::crypt::{
    Crypt, EncodingAesKey, KeySlot, envelope_to_component, plain_signature,
};
use tokio::sync::Notify;

const KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
const OLD_KEY: &str = "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJ";

/// Until when the push token before counts, and a moment before that.
const OVERLAP_END: Duration = Duration::days(2);
const BEFORE_THAT: Duration = Duration::days(1);

struct Site {
    db: Db,
    component: Component,
    clock: ManualClock,
    pushes: ComponentPushes,
    _database: TestDb,
}

impl Site {
    async fn open() -> Self {
        let database = TestDb::sqlite().await;
        let db = database.db.clone();
        let (at, entropy) = (Instant::UNIX_EPOCH, Entropy::seeded(1));
        let component = Component {
            id: ComponentId::new(at, &entropy),
            appid: Appid::parse("wxcomponent").expect("given"),
            name: "a platform".to_owned(),
            appsecret: Secret::from("secret"),
            push_token: Secret::from("token"),
            previous_push_token: Some((Secret::from("old token"), at + OVERLAP_END)),
            encoding_aes_key: Secret::from(KEY),
            previous_encoding_aes_key: Some(Secret::from(OLD_KEY)),
            encoding_aes_key_changed_at: None,
            answers_publish_test: false,
            created_at: at,
            updated_at: at,
        };
        let tx = db.begin().await.expect("given");
        tx.components().insert(&component).await.expect("given");
        tx.commit().await.expect("given");
        let manual = ManualClock::at(at + BEFORE_THAT);
        let clock: SharedClock = Arc::new(manual.clone());
        let tickets = Tickets::new(db.clone(), Arc::clone(&clock));
        let woken = Arc::new(Notify::new());
        let pushes = ComponentPushes::new(db.clone(), tickets, (clock, entropy), woken);
        Self { db, component, clock: manual, pushes, _database: database }
    }

    /// Pushes a message as WeChat does, sealed with this key.
    async fn push(&self, message: &[u8], key: KeySlot) -> Result<(), Refusal> {
        self.push_signed(message, key, &self.component.push_token).await
    }

    /// Pushes a message that is signed with this push token.
    async fn push_signed(
        &self,
        message: &[u8],
        key: KeySlot,
        push_token: &Secret<String>,
    ) -> Result<(), Refusal> {
        let [current, previous] =
            [KEY, OLD_KEY].map(|key| EncodingAesKey::parse(key).expect("given"));
        let token = push_token.clone();
        let crypt = Crypt::new(token, self.component.appid.clone(), current, Some(previous));
        let sealed = crypt.seal(message, key, 1_700_000_000, "415670741", [7; 16]);
        let query = format!(
            "timestamp={}&nonce={}&encrypt_type=aes&msg_signature={}",
            sealed.timestamp, sealed.nonce, sealed.msg_signature
        );
        let envelope = envelope_to_component("wxcomponent", &sealed.encrypt);
        self.pushes.accept("wxcomponent", &query, envelope.as_bytes()).await
    }
}

fn message(component: &str, rest: &str) -> Vec<u8> {
    let head = format!("<AppId>{component}</AppId><CreateTime>100</CreateTime>");
    format!("<xml>{head}{rest}</xml>").into_bytes()
}

#[tokio::test]
async fn what_nobody_knows_is_kept_whole_and_once() {
    let site = Site::open().await;
    let unknown = message("wxcomponent", "<InfoType>of_next_year</InfoType><New>1</New>");
    for _ in 0..3 {
        site.push(&unknown, KeySlot::Current).await.unwrap();
    }
    let kept = kept_pushes(&site.db).await;
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].state, kept[0].info_type.as_str()), (PushState::Kept, "of_next_year"));
    assert_eq!(kept[0].payload.expose(), &unknown);
}

#[tokio::test]
async fn an_authentic_message_beyond_our_bounds_is_kept_raw_in_quarantine() {
    let site = Site::open().await;
    let mut deep = message("wxcomponent", &"<a>".repeat(40));
    deep.extend_from_slice(b"\0\xff");
    site.push(&deep, KeySlot::Current).await.unwrap();
    let kept = kept_pushes(&site.db).await;
    assert_eq!(kept[0].state, PushState::Quarantined);
    assert_eq!(kept[0].payload.expose(), &deep);
}

#[tokio::test]
async fn a_message_for_another_component_is_refused_and_not_kept() {
    let site = Site::open().await;
    let foreign = message("wxother", "<InfoType>of_next_year</InfoType>");
    let refusal = site.push(&foreign, KeySlot::Current).await.unwrap_err();
    assert!(refusal.is_final());
    assert_eq!(kept_pushes(&site.db).await.len(), 0);
}

#[tokio::test]
async fn a_push_in_flight_may_still_use_the_key_before() {
    let site = Site::open().await;
    let ticket = "<InfoType>component_verify_ticket</InfoType>\
                  <ComponentVerifyTicket>ticket@@@1</ComponentVerifyTicket>";
    site.push(&message("wxcomponent", ticket), KeySlot::Previous).await.unwrap();
    let tickets = kept_tickets(&site.db, &site.component.id).await;
    assert_eq!(tickets.len(), 1);
    assert_eq!(tickets[0].issued_at.timestamp(), 100, "WeChat's own time orders tickets");
    assert_eq!(kept_pushes(&site.db).await.len(), 0, "a ticket has a place of its own");
}

#[tokio::test]
async fn the_push_token_before_counts_until_its_overlap_ends() {
    let site = Site::open().await;
    let old = Secret::from("old token");
    let unknown = |number: u32| {
        let info = format!("<InfoType>of_next_year</InfoType><New>{number}</New>");
        message("wxcomponent", &info)
    };
    site.push_signed(&unknown(1), KeySlot::Current, &old).await.unwrap();
    site.push_signed(&unknown(2), KeySlot::Previous, &old).await.unwrap();
    site.clock.advance(OVERLAP_END - BEFORE_THAT);
    let refusal = site.push_signed(&unknown(3), KeySlot::Current, &old).await.unwrap_err();
    assert!(refusal.is_final());
    site.push(&unknown(4), KeySlot::Current).await.unwrap();
    let other = Secret::from("another token");
    site.push_signed(&unknown(5), KeySlot::Current, &other).await.unwrap_err();
    assert_eq!(kept_pushes(&site.db).await.len(), 3);
}

#[tokio::test]
async fn a_url_is_checked_by_either_push_token() {
    let site = Site::open().await;
    let check = async |token: &str| {
        let signature = plain_signature(&Secret::from(token), "1700000000", "7");
        let query = format!("signature={signature}&timestamp=1700000000&nonce=7&echostr=123456");
        site.pushes.check_url("wxcomponent", &query).await
    };
    for token in ["token", "old token"] {
        assert_eq!(check(token).await.unwrap(), "123456", "{token}");
    }
    assert!(check("another token").await.unwrap_err().is_final());
    site.clock.advance(OVERLAP_END - BEFORE_THAT);
    assert_eq!(check("token").await.unwrap(), "123456");
    assert!(check("old token").await.unwrap_err().is_final());
}

#[tokio::test]
async fn what_changes_a_grant_waits_for_the_processor() {
    let site = Site::open().await;
    let withdrawn = "<InfoType>unauthorized</InfoType><AuthorizerAppid>wx1</AuthorizerAppid>";
    site.push(&message("wxcomponent", withdrawn), KeySlot::Current).await.unwrap();
    assert_eq!(count_pushes(&site.db, PushState::Pending).await, 1);
}
