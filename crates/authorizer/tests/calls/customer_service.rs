//! Messages to fans outside of a reply.

use lingpai_emulator::{Fault, FaultKind, Kill};
use serde_json::{Value, json};

use crate::{site::Site, world::SHOP};

const SEND: &str = "/cgi-bin/message/custom/send";
const FAN: &str = "oLingPai000000000000000fan01";

fn message(words: &str) -> Value {
    json!({ "touser": FAN, "msgtype": "text", "text": { "content": words } })
}

impl Site {
    /// What the fan has received.
    fn received(&self) -> Vec<String> {
        let account = self.world.wechat.account(SHOP).unwrap();
        account.messages.into_iter().map(|message| message.body).collect()
    }
}

#[tokio::test]
async fn a_fan_receives_the_words_as_they_are_and_not_as_escapes() {
    let site = Site::open().await;
    site.customer_service.send(&site.shop, &message("您好 🌸")).await.unwrap();
    let [body] = &site.received()[..] else { panic!("one message") };
    assert!(body.contains("您好 🌸"), "{body}");
}

#[tokio::test]
async fn with_a_stale_token_nothing_was_sent_and_it_is_sent_once_with_a_new_one() {
    let site = Site::open().await;
    site.customer_service.send(&site.shop, &message("1")).await.unwrap();
    site.world.wechat.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    site.customer_service.send(&site.shop, &message("2")).await.unwrap();
    assert_eq!(site.received().len(), 2);
}

#[tokio::test]
async fn a_message_that_may_have_reached_the_fan_is_not_sent_again() {
    let site = Site::open().await;
    site.world.wechat.set_fault(Fault::new(SEND, FaultKind::LoseAnswer).times(1));
    let error = site.customer_service.send(&site.shop, &message("1")).await.unwrap_err();
    assert!(error.leaves_effect_open(), "{error}");
    assert_eq!(site.received().len(), 1);
}

#[tokio::test]
async fn what_wechat_refuses_is_told_with_its_number() {
    let site = Site::open().await;
    site.world.wechat.set_fault(Fault::errcode(SEND, 45015).times(1));
    let error = site.customer_service.send(&site.shop, &message("1")).await.unwrap_err();
    assert_eq!(error.upstream_errcode(), Some(45015));
    assert!(!error.is_transient(), "{error}");
    assert!(!error.leaves_effect_open());
}
