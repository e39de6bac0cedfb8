//! A push to an account of a component: whose it is, and that it is recorded once.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use lingpai_callback::{Refusal, Taken};
use lingpai_model::{
    Appid, Secret,
    authorizer::Authorizer,
    endpoint::{EndpointState, Mode, Role, WechatHandler},
    event::{EventContent, EventFilter, EventPattern},
};
use lingpai_storage::testing::{count_messages, kept_deliveries, kept_events};
use lingpai_webhook::{EndpointChange, NewEndpoint, NewKind, Wanted};
use lingpai_wechat::crypt::{KeySlot, plain_signature};

use crate::site::{
    FAN, MINI, MINI_NAME, OLD_TOKEN, OWN_KEY, SHOP, SHOP_NAME, STRANGER, STRANGER_NAME, Site,
    event, message, text,
};

/// An endpoint that nothing is sent to in these tests.
fn endpoint(kind: NewKind, types: &[&str], authorizers: &[&str]) -> NewEndpoint {
    let appid = |text: &&str| Appid::parse(text).unwrap();
    let pattern = |text: &&str| EventPattern::parse(text).unwrap();
    NewEndpoint {
        name: String::new(),
        url: "http://127.0.0.1:9/".to_owned(),
        kind,
        filter: EventFilter {
            authorizers: authorizers.iter().map(appid).collect(),
            event_types: types.iter().map(pattern).collect(),
        },
    }
}

#[tokio::test]
async fn a_message_becomes_an_event_of_its_owner_with_all_it_came_with() {
    let site = Site::open().await;
    let told = text(SHOP_NAME, 1, "你好\u{1f338}");
    assert!(matches!(site.push(SHOP, &told).await, Ok(Taken::Success)));
    let left = event(SHOP_NAME, "unsubscribe", "");
    assert!(matches!(site.push(SHOP, &left).await, Ok(Taken::Success)));
    let events = site.events().await;
    let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["message.text", "event.unsubscribe"]);
    let kept = &events[0];
    assert_eq!(kept.content, EventContent::Pushed(Secret::new(told)));
    assert_eq!(kept.openid.as_deref(), Some(FAN));
    assert_eq!(kept.authorizer_appid, Some(site.shop.appid.clone()));
    assert_eq!(kept.component_appid, Some(site.component.appid.clone()));
    assert_eq!(kept.occurred_at.timestamp(), 1_700_000_000, "by WeChat's clock");
}

#[tokio::test]
async fn the_path_must_name_the_account_that_the_message_is_addressed_to() {
    let site = Site::open().await;
    for (path, addressed_to) in [(SHOP, MINI_NAME), (MINI, SHOP_NAME), (SHOP, "gh_nobody")] {
        let refusal = site.push(path, &text(addressed_to, 1, "hi")).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unverified), "{addressed_to} at {path}: {refusal}");
    }
    assert_eq!(count_messages(&site.db).await, 0);
    site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
    site.push(MINI, &text(MINI_NAME, 1, "hi")).await.unwrap();
    assert_eq!(count_messages(&site.db).await, 2, "the same id at another account is another");
}

#[tokio::test]
async fn an_account_whose_original_id_is_unknown_is_believed() {
    let site = Site::open().await;
    let mut shop = Authorizer { ..site.shop.clone() };
    for unknown in [None, Some(String::new())] {
        shop.profile.user_name = unknown;
        site.change(async |tx| tx.authorizers().system_update(&shop).await.unwrap()).await;
        site.push(SHOP, &text("gh_whoever", 1, "hi")).await.unwrap();
    }
    assert_eq!(count_messages(&site.db).await, 1);
}

#[tokio::test]
async fn what_is_not_encrypted_and_signed_by_the_component_is_refused() {
    let site = Site::open().await;
    let told = text(SHOP_NAME, 1, "hi");
    let foreign = Secret::from("foreign token");
    let refusal = site.push_sealed(SHOP, &told, KeySlot::Current, &foreign).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unverified), "{refusal}");
    let signature = plain_signature(&site.component.push_token, "1700000000", "7");
    let plain = format!("signature={signature}&timestamp=1700000000&nonce=7");
    let component = site.component.appid.as_str();
    for (component, appid, query) in [
        (component, SHOP, plain.clone()),
        (component, SHOP, format!("{plain}&encrypt_type=raw")),
        ("wxnobody", SHOP, plain.clone()),
        (component, "wx/%00", plain),
    ] {
        let refusal = site.pushes.accept(component, appid, &query, &told).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unverified), "{component} {appid} {query}");
    }
    assert_eq!(count_messages(&site.db).await, 0);
}

#[tokio::test]
async fn the_key_and_the_push_token_before_still_count() {
    let site = Site::open().await;
    let old = Secret::from(OLD_TOKEN);
    for (number, key, token) in [
        (1, KeySlot::Previous, &site.component.push_token),
        (2, KeySlot::Current, &old),
        (3, KeySlot::Previous, &old),
    ] {
        site.push_sealed(SHOP, &text(SHOP_NAME, number, "hi"), key, token).await.unwrap();
    }
    assert_eq!(count_messages(&site.db).await, 3);
    site.clock.advance(chrono::Duration::days(1));
    let late = text(SHOP_NAME, 4, "hi");
    let refusal = site.push_sealed(SHOP, &late, KeySlot::Current, &old).await.unwrap_err();
    assert!(refusal.is_final());
}

#[tokio::test]
async fn every_endpoint_that_wants_an_event_gets_a_delivery_of_it_in_the_same_commit() {
    let site = Site::open().await;
    let create = async |types: &[&str], authorizers: &[&str]| {
        let new = endpoint(NewKind::Webhook, types, authorizers);
        site.endpoints.create(&site.tenant, new).await.unwrap().0.id
    };
    let all = create(&[], &[]).await;
    let texts = create(&["message.text"], &[]).await;
    let of_mini = create(&[], &[MINI]).await;
    let paused = create(&["message.*"], &[SHOP]).await;
    let pause = EndpointChange { wanted: Some(Wanted::Paused), ..EndpointChange::default() };
    let endpoint = site.endpoints.change(&site.tenant, &paused, pause).await.unwrap();
    assert!(matches!(endpoint.state, EndpointState::Paused { .. }));

    let is_woken = || site.due.notified().now_or_never().is_some();
    site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
    assert!(is_woken(), "the deliverer need not find it by itself");
    site.push(SHOP, &event(SHOP_NAME, "unsubscribe", "")).await.unwrap();
    assert!(is_woken());
    let deliveries = kept_deliveries(&site.db).await;
    let events = site.events().await;
    let mut pairs: Vec<_> = deliveries
        .iter()
        .map(|delivery| (delivery.event_id.clone(), delivery.endpoint_id.clone()))
        .collect();
    pairs.sort();
    let [said, left] = [events[0].id.clone(), events[1].id.clone()];
    let mut expected =
        vec![(said.clone(), all.clone()), (said.clone(), texts), (said, paused), (left, all)];
    expected.sort();
    assert_eq!(pairs, expected);
    assert!(deliveries.iter().all(|one| one.endpoint_id != of_mini && one.attempts == 0));
}

#[tokio::test]
async fn two_events_of_one_second_that_differ_in_anything_are_two() {
    let site = Site::open().await;
    let paid = |fan: &str, order: u8| {
        let what = format!("<OpenId>{fan}</OpenId><OutTradeNo>{order}</OutTradeNo>");
        event(SHOP_NAME, "xpay_goods_deliver_notify", &what)
    };
    let notice = |id: u8| {
        let list = format!("<List><TemplateId>t</TemplateId><MsgID>{id}</MsgID></List>");
        let sent = format!("<SubscribeMsgSentEvent>{list}</SubscribeMsgSentEvent>");
        event(SHOP_NAME, "subscribe_msg_sent_event", &sent)
    };
    let card = |code: u8| {
        let code = format!("<CardId>c</CardId><UserCardCode>{code}</UserCardCode>");
        event(SHOP_NAME, "user_get_card", &code)
    };
    let path =
        |id: u8| event(SHOP_NAME, "add_express_path", &format!("<WayBillId>{id}</WayBillId>"));
    let new = |id: u8| event(SHOP_NAME, "SomethingNew", &format!("<Deep><Id>{id}</Id></Deep>"));
    let unnumbered = |words: &str| {
        message(SHOP_NAME, &format!("<MsgType>text</MsgType><Content>{words}</Content>"))
    };
    let pushes = [
        [paid("oA", 1), paid("oB", 1)],
        [paid("oA", 2), paid("oB", 2)],
        [notice(1), notice(2)],
        [card(1), card(2)],
        [path(1), path(2)],
        [new(1), new(2)],
        [unnumbered("a"), unnumbered("b")],
    ]
    .concat();
    for _ in 0..2 {
        for push in &pushes {
            site.push(SHOP, push).await.unwrap();
        }
    }
    let events = site.events().await;
    assert_eq!(events.len(), pushes.len());
    let of_payer = events.iter().filter(|event| event.openid.as_deref() == Some("oA"));
    assert_eq!(of_payer.count(), 2, "who paid, and not who pushes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_thousand_copies_of_ten_thousand_pushes_are_ten_thousand_events() {
    let site = Arc::new(Site::open().await);
    let new = endpoint(NewKind::Webhook, &[], &[]);
    site.endpoints.create(&site.tenant, new).await.unwrap();
    let copies = stream::iter(0..40_000_u64).map(|number| {
        let site = Arc::clone(&site);
        // Copies of one message come close together, as WeChat's repetitions do, and far apart.
        let message =
            text(SHOP_NAME, if number % 2 == 0 { number / 4 } else { number % 10_000 }, "hi");
        tokio::spawn(async move { site.push(SHOP, &message).await.map(drop).unwrap() })
    });
    copies.buffer_unordered(256).for_each(async |done| done.unwrap()).await;
    assert_eq!(count_messages(&site.db).await, 10_000);
    assert_eq!(kept_deliveries(&site.db).await.len(), 10_000, "and one delivery of each");
}

#[tokio::test]
async fn without_the_database_nothing_is_said() {
    let site = Site::open().await;
    // What is remembered is known from now on; only writing fails below.
    site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
    site.db.clone().close().await;
    for push in [text(SHOP_NAME, 2, "hi"), event(SHOP_NAME, "subscribe", ""), b"<xml".to_vec()] {
        let refusal = site.push(SHOP, &push).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Unrecorded(_)) && !refusal.is_final(), "{refusal}");
    }
    let refusal = site.push(STRANGER, &text(STRANGER_NAME, 3, "hi")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unrecorded(_)), "{refusal}");
}

#[tokio::test]
async fn an_account_that_nobody_owns_tells_the_operator() {
    let site = Site::open().await;
    let shop = Authorizer { tenant_id: None, ..site.shop.clone() };
    site.change(async |tx| tx.authorizers().system_update(&shop).await.unwrap()).await;
    site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
    assert!(site.events().await.is_empty());
    assert_eq!(kept_events(&site.db, None).await.len(), 1);
}

#[tokio::test]
async fn a_withdrawal_of_consent_is_the_fans_event_though_the_platform_sends_it() {
    let site = Site::open().await;
    let withdrawal = message(
        SHOP_NAME,
        &format!(
            "<MsgType>event</MsgType><Event>user_authorization_revoke</Event>\
             <OpenID>oOTHER</OpenID><AppID>{SHOP}</AppID>"
        ),
    );
    site.push(SHOP, &withdrawal).await.unwrap();
    assert_eq!(site.events().await[0].openid.as_deref(), Some("oOTHER"));
}

/// A handler that is only told.
pub(crate) fn handler(role: Role) -> WechatHandler {
    WechatHandler {
        push_token: Secret::from("handler"),
        encoding_aes_key: Secret::from(OWN_KEY),
        mode: Mode::Plain,
        role,
    }
}
