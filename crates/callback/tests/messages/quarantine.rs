//! Messages that cannot go the usual way yet, and how they come out again.

use std::sync::Arc;

use lingpai_callback::{Error, Refusal, Taken};
use lingpai_model::{
    Appid,
    audit::Action,
    authorizer::Authorizer,
    clock::Clock as _,
    id::{AuthorizerId, PushId},
    page::PageRequest,
    quarantine::{QuarantineReason, Quarantined, QuarantinedFor, QuarantinedPush},
};
use lingpai_storage::{AuditFilter, testing::count_messages};
use lingpai_webhook::Events;

use crate::site::{FAN, SHOP, SHOP_NAME, STRANGER, STRANGER_NAME, Site, message, text};

impl Site {
    async fn kept(&self) -> Vec<Quarantined> {
        let kept = self.quarantine.list(&PageRequest::first()).await.unwrap().items;
        kept.into_iter().map(|kept| kept.push).collect()
    }

    async fn trail(&self) -> Vec<(Action, String)> {
        let (filter, page) = (AuditFilter::default(), PageRequest::first());
        let entries = self.db.audit().system_list(&filter, &page).await.unwrap().items;
        entries.into_iter().map(|entry| (entry.action, entry.subject)).collect()
    }

    /// The account that nobody knew is known from now on.
    async fn stranger(&self) -> Authorizer {
        let mut stranger = self.shop.clone();
        stranger.id = AuthorizerId::new(stranger.created_at, &self.entropy);
        stranger.appid = Appid::parse(STRANGER).unwrap();
        stranger.profile.user_name = Some(STRANGER_NAME.to_owned());
        self.granted(&stranger).await;
        stranger
    }
}

#[tokio::test]
async fn a_message_of_an_account_that_nobody_knows_waits_and_goes_on_once_it_is_known() {
    let site = Site::open().await;
    for number in [1, 2, 1] {
        let taken = site.push(STRANGER, &text(STRANGER_NAME, number, "hi")).await;
        assert!(matches!(taken, Ok(Taken::Success)));
    }
    // One that somebody else wrote onto this account's path.
    site.push(STRANGER, &text("gh_another", 3, "hi")).await.unwrap();
    let kept = site.kept().await;
    assert_eq!(kept.len(), 3);
    for push in &kept {
        assert_eq!(push.reason, QuarantineReason::UnknownAuthorizer);
        let recipient = QuarantinedFor::Component(site.component.id.clone());
        let appid = Appid::parse(STRANGER).unwrap();
        assert_eq!(push.what, QuarantinedPush::ToAccount { recipient, appid });
    }
    assert_eq!(count_messages(&site.db).await, 0);

    site.clock.advance(chrono::Duration::minutes(5));
    let stranger = site.stranger().await;
    let released = site.quarantine.release_for(&site.component, &stranger.appid).await.unwrap();
    assert_eq!(released, 2);
    let events = site.events().await;
    assert_eq!(events.len(), 2);
    // Whoever searches by time finds it where it stands in the stream.
    assert!(events.iter().all(|event| event.received_at == site.clock.now()));
    assert!(events.iter().all(|event| event.occurred_at.timestamp() == 1_700_000_000));
    let [left] = &site.kept().await[..] else { panic!("the foreign one stays") };
    assert_eq!(left.reason, QuarantineReason::Misaddressed);
    let refused = site.quarantine.release(&site.operator, &left.id).await.unwrap_err();
    assert!(matches!(refused, Error::StillQuarantined { .. }), "{refused}");
    // WeChat's repetition of one that was let out is none of its own.
    site.push(STRANGER, &text(STRANGER_NAME, 1, "hi")).await.unwrap();
    assert_eq!(site.events().await.len(), 2);
    let again = site.quarantine.release_for(&site.component, &stranger.appid).await.unwrap();
    assert_eq!(again, 0);
}

#[tokio::test]
async fn the_grant_itself_lets_go_what_waited_for_it() {
    let site = Site::open().await;
    site.push_ticket().await;
    site.push(STRANGER, &text(STRANGER_NAME, 1, "hi")).await.unwrap();
    site.serve(|said| said).await;
    site.wechat.grant(STRANGER, &[]).unwrap();
    // The code is void; WeChat still tells that the account grants.
    let granted = format!(
        "<xml><AppId>{}</AppId><CreateTime>{}</CreateTime><InfoType>authorized</InfoType>\
         <AuthorizerAppid>{STRANGER}</AuthorizerAppid><AuthorizationCode>void</AuthorizationCode>\
         <PreAuthCode>nobodys</PreAuthCode></xml>",
        site.component.appid,
        site.clock.now().timestamp()
    );
    assert!(site.wechat.push(&granted).await.is_accepted());
    site.processor.run_once().await.unwrap();
    assert_eq!(site.kept().await, []);
    assert_eq!(count_messages(&site.db).await, 1);
}

#[tokio::test]
async fn an_account_that_becomes_known_in_another_way_gets_what_waited_for_it() {
    let site = Site::open().await;
    // More than one look takes, and all of them stay.
    for number in 0..70 {
        site.push(STRANGER, &text("gh_another", number, "hi")).await.unwrap();
    }
    site.push(STRANGER, &text(STRANGER_NAME, 100, "hi")).await.unwrap();
    site.processor.run_once().await.unwrap();
    assert_eq!(count_messages(&site.db).await, 0);
    site.stranger().await;
    site.clock.advance(chrono::Duration::minutes(1));
    site.processor.run_once().await.unwrap();
    assert_eq!(count_messages(&site.db).await, 1);
    let kept = site.kept().await;
    assert!(kept.iter().all(|push| push.reason == QuarantineReason::Misaddressed), "{kept:?}");
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_kept_raw_and_once() {
    let site = Site::open().await;
    let deep = message(SHOP_NAME, &"<a>".repeat(40));
    for push in [deep.as_slice(), deep.as_slice(), b"{\"MsgType\":", b"\0\xff"] {
        let taken = site.push(SHOP, push).await;
        assert!(matches!(taken, Ok(Taken::Success)));
    }
    let kept = site.kept().await;
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|push| push.reason == QuarantineReason::Unreadable));
    assert_eq!(count_messages(&site.db).await, 0);

    let mut texts = Vec::new();
    for push in &kept {
        let looked = site.quarantine.look(&site.operator, &push.id).await.unwrap();
        assert_eq!(&looked.kept.push, push);
        assert_eq!(looked.kept.component_appid.as_ref(), Some(&site.component.appid));
        assert!(site.trail().await.contains(&(Action::QuarantineRead, push.id.to_string())));
        texts.push(looked.text.expose().clone());
        let refused = site.quarantine.release(&site.operator, &push.id).await.unwrap_err();
        assert!(matches!(refused, Error::StillQuarantined { .. }), "{refused}");
    }
    for text in [deep.as_slice(), b"{\"MsgType\":", b"\0\xff"] {
        assert!(texts.iter().any(|kept| kept == text));
    }
    assert_eq!(site.kept().await.len(), 3);
}

#[tokio::test]
async fn an_operator_lets_a_message_go_and_that_is_told() {
    let site = Site::open().await;
    site.push(STRANGER, &text(STRANGER_NAME, 1, "hi")).await.unwrap();
    let [kept] = &site.kept().await[..] else { panic!("one is kept") };
    let refused = site.quarantine.release(&site.operator, &kept.id).await.unwrap_err();
    assert!(matches!(refused, Error::StillQuarantined { .. }), "nobody knows it yet: {refused}");
    site.stranger().await;
    site.quarantine.release(&site.operator, &kept.id).await.unwrap();
    assert_eq!(site.events().await.len(), 1);
    assert_eq!(site.kept().await, []);
    assert_eq!(site.trail().await, [(Action::QuarantineReleased, kept.id.to_string())]);
    for id in [&kept.id, &PushId::new(kept.received_at, &site.entropy)] {
        let refused = site.quarantine.release(&site.operator, id).await.unwrap_err();
        assert!(matches!(refused, Error::QuarantineNotFound { .. }), "{refused}");
        let refused = site.quarantine.look(&site.operator, id).await.unwrap_err();
        assert!(matches!(refused, Error::QuarantineNotFound { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_fan_who_is_erased_goes_from_quarantine_too() {
    let site = Site::open().await;
    let deep = String::from_utf8(message(SHOP_NAME, &"<a>".repeat(40))).unwrap();
    for fan in [FAN, "oANOTHER"] {
        site.push(SHOP, deep.replace(FAN, fan).as_bytes()).await.unwrap();
    }
    let clock = Arc::new(site.clock.clone());
    let events = Events::new(site.db.clone(), clock, site.entropy.clone());
    events.erase_fan(&site.tenant, &site.shop.appid, FAN).await.unwrap();
    let [left] = &site.kept().await[..] else { panic!("the other fan's stays") };
    let looked = site.quarantine.look(&site.operator, &left.id).await.unwrap();
    assert_eq!(looked.text.expose(), deep.replace(FAN, "oANOTHER").as_bytes());
}

#[tokio::test]
async fn what_does_not_verify_is_not_kept() {
    let site = Site::open().await;
    let foreign = lingpai_model::Secret::from("foreign token");
    let key = lingpai_wechat::crypt::KeySlot::Current;
    for appid in [SHOP, STRANGER] {
        let refusal = site.push_sealed(appid, b"\0\xff", key, &foreign).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unverified));
    }
    assert_eq!(site.kept().await, []);
}
