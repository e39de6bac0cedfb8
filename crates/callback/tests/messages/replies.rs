//! Who replies to a message, and what WeChat gets of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lingpai_callback::Taken;
use lingpai_emulator::Fault;
use lingpai_model::{
    Appid, Secret,
    auto_reply::{Article, AutoReplies, AutoReply, Reply, Trigger},
    delivery::{ClaimedDelivery, DeliveryState},
    endpoint::{LateReplies, Role},
    event::{EventFilter, EventPattern},
    id::EndpointId,
};
use lingpai_storage::testing::kept_deliveries;
use lingpai_webhook::{NewEndpoint, NewKind};
use lingpai_wechat::crypt::KeySlot;
use tokio::sync::Semaphore;

use crate::{
    authorizer_pushes::handler,
    http,
    site::{FAN, MINI, MINI_NAME, OLD_TOKEN, SHOP, SHOP_NAME, Site, event, text},
};

const SEND: &str = "/cgi-bin/message/custom/send";

impl Site {
    /// An endpoint at `url` that replies for every account.
    async fn replying(&self, url: String, late: LateReplies) {
        let new = NewEndpoint {
            name: String::new(),
            url,
            kind: NewKind::Wechat(handler(Role::Replying { late })),
            filter: EventFilter::default(),
        };
        self.endpoints.create(&self.tenant, new).await.unwrap();
    }

    /// What an account answers by itself.
    async fn answers(&self, appid: &Appid, rules: Vec<(Trigger, Reply)>) {
        let rules = rules.into_iter().map(|(trigger, reply)| AutoReply { trigger, reply });
        let replies = AutoReplies { rules: rules.collect() };
        let account = if *appid == self.shop.appid { &self.shop } else { &self.mini };
        let (scope, now) = (&self.tenant.scope, account.created_at);
        self.change(async |tx| {
            tx.auto_replies().put(scope, &account.id, &replies, now).await.unwrap();
        })
        .await;
    }
}

/// A handler that answers with this, by its number of requests.
async fn answering(body: impl Into<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let (body, asked) = (body.into(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let address = http::serve(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready((200, body.clone()))
    })
    .await;
    (format!("http://{address}/"), asked)
}

/// A reply as a handler writes it.
fn written(from: &str, content: &str) -> String {
    format!(
        "<xml><ToUserName>{FAN}</ToUserName><FromUserName>{from}</FromUserName>\
         <CreateTime>1700000001</CreateTime><MsgType>text</MsgType>\
         <Content>{content}</Content></xml>"
    )
}

fn says(content: &str) -> Reply {
    Reply::Text { content: content.to_owned() }
}

/// The answer to a push for which somebody is asked.
async fn asked(taken: Taken) -> Taken {
    match taken {
        Taken::Asked(asked) => asked.answer().await,
        other => panic!("somebody was to be asked: {other:?}"),
    }
}

#[tokio::test]
async fn a_handlers_reply_is_sealed_with_the_key_and_the_token_that_fitted_the_push() {
    let site = Site::open().await;
    let (url, _) = answering(written(SHOP_NAME, "您好")).await;
    site.replying(url, LateReplies::Drop).await;
    let old = Secret::from(OLD_TOKEN);
    for (number, key, token) in [
        (1, KeySlot::Current, &site.component.push_token),
        (2, KeySlot::Previous, &site.component.push_token),
        (3, KeySlot::Current, &old),
        (4, KeySlot::Previous, &old),
    ] {
        let told = text(SHOP_NAME, number, "hi");
        let taken = asked(site.push_sealed(SHOP, &told, key, token).await.unwrap()).await;
        let (reply, fitted) = site.opened(&taken, token);
        assert_eq!((reply.as_str(), fitted), (written(SHOP_NAME, "您好").as_str(), key));
    }
    site.settle().await;
    let deliveries = kept_deliveries(&site.db).await;
    assert_eq!(deliveries.len(), 4);
    for delivery in deliveries {
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 1));
    }
}

#[tokio::test]
async fn a_message_is_handed_over_once_however_often_wechat_repeats_it() {
    let site = Site::open().await;
    let (url, count) = answering(written(SHOP_NAME, "您好")).await;
    site.replying(url, LateReplies::Drop).await;
    let told = text(SHOP_NAME, 1, "hi");
    asked(site.push(SHOP, &told).await.unwrap()).await;
    for _ in 0..2 {
        assert!(matches!(site.push(SHOP, &told).await, Ok(Taken::Success)));
    }
    site.settle().await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_no_reply_to_this_fan_is_success() {
    for body in [
        String::new(),
        "success".to_owned(),
        "<html>hello</html>".to_owned(),
        written("gh_another", "您好"),
        written(SHOP_NAME, "您好").replace(FAN, "oANOTHER"),
        written(SHOP_NAME, &"x".repeat(3000)),
    ] {
        let site = Site::open().await;
        let (url, _) = answering(body.clone()).await;
        site.replying(url, LateReplies::CustomerService).await;
        let taken = site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
        assert!(matches!(asked(taken).await, Taken::Success), "{body}");
        site.settle().await;
        site.late_replies.run_once().await.unwrap();
        assert_eq!(site.sent(SHOP), [""; 0], "{body}");
    }
}

#[tokio::test]
async fn a_reply_that_nobody_waits_for_any_more_is_sent_as_a_message_where_that_is_wanted() {
    for (late, expected) in [(LateReplies::Drop, 0), (LateReplies::CustomerService, 1)] {
        let site = Site::open().await;
        site.push_ticket().await;
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let address = http::serve(move |_| {
            let held = Arc::clone(&held);
            async move {
                let _open = held.acquire().await;
                (200, written(SHOP_NAME, "来晚了").into_bytes())
            }
        })
        .await;
        site.replying(format!("http://{address}/"), late).await;
        let taken = site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
        assert!(matches!(taken, Taken::Asked(_)));
        drop(taken);
        gate.add_permits(1);
        site.settle().await;
        assert_eq!(site.late_replies.run_once().await.unwrap(), expected);
        assert_eq!(site.late_replies.run_once().await.unwrap(), 0, "and not twice");
        let sent = site.sent(SHOP);
        assert_eq!(sent.len(), expected);
        assert!(sent.iter().all(|body| body.contains("来晚了") && body.contains(FAN)), "{sent:?}");
    }
}

#[tokio::test]
async fn a_late_reply_that_wechat_refuses_holds_up_nobody() {
    let site = Site::open().await;
    site.push_ticket().await;
    let (url, _) = answering(written(SHOP_NAME, "来晚了")).await;
    site.replying(url, LateReplies::CustomerService).await;
    for number in [1, 2] {
        drop(site.push(SHOP, &text(SHOP_NAME, number, "hi")).await.unwrap());
    }
    site.settle().await;
    site.wechat.set_fault(Fault::errcode(SEND, 45015).times(1));
    assert_eq!(site.late_replies.run_once().await.unwrap(), 2);
    assert_eq!(site.sent(SHOP).len(), 1);
    assert_eq!(site.late_replies.run_once().await.unwrap(), 0);
}

#[tokio::test]
async fn an_account_answers_by_itself_also_when_wechat_repeats_the_message() {
    let site = Site::open().await;
    let articles = ["一", "二"].map(|title| Article {
        title: title.to_owned(),
        description: None,
        pic_url: None,
        url: "https://example.com/".to_owned(),
    });
    let news = Reply::News { articles: articles.to_vec() };
    let rules = vec![
        (Trigger::Subscribe, says("欢迎")),
        (Trigger::MenuClick { key: "V1".to_owned() }, news.clone()),
        (Trigger::Keyword { words: vec!["价格".to_owned()] }, says("十元")),
        (Trigger::Keyword { words: vec!["图文".to_owned()] }, news),
    ];
    site.answers(&site.shop.appid, rules).await;
    for _ in 0..3 {
        let taken = site.push(SHOP, &text(SHOP_NAME, 1, " 价格 ")).await.unwrap();
        assert_eq!(site.words(&taken), "十元");
    }
    let followed = site.push(SHOP, &event(SHOP_NAME, "subscribe", "")).await.unwrap();
    assert_eq!(site.words(&followed), "欢迎");
    assert!(matches!(site.push(SHOP, &text(SHOP_NAME, 2, "别的")).await, Ok(Taken::Success)));
    assert_eq!(site.events().await.len(), 3);

    let articles = async |push: Vec<u8>| {
        let taken = site.push(SHOP, &push).await.unwrap();
        let (reply, _) = site.opened(&taken, &site.component.push_token);
        reply.matches("<item>").count()
    };
    let tapped = event(SHOP_NAME, "CLICK", "<EventKey>V1</EventKey>");
    assert_eq!(articles(tapped).await, 2);
    assert_eq!(articles(text(SHOP_NAME, 3, "图文")).await, 1, "a message takes one article only");
}

#[tokio::test]
async fn an_account_that_answers_by_itself_asks_nobody_and_tells_its_endpoint_all_the_same() {
    let site = Site::open().await;
    let (url, count) = answering(written(SHOP_NAME, "from the handler")).await;
    site.replying(url, LateReplies::CustomerService).await;
    site.answers(&site.shop.appid, vec![(Trigger::AnyMessage, says("by itself"))]).await;
    let taken = site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
    assert_eq!(site.words(&taken), "by itself");
    site.settle().await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let deliveries = kept_deliveries(&site.db).await;
    assert_eq!((deliveries.len(), deliveries[0].attempts), (1, 0), "a worker delivers it");
}

#[tokio::test]
async fn a_mini_program_is_answered_by_messages_and_by_handing_over_only() {
    let hand_over = Reply::TransferCustomerService { kf_account: None };
    let keyword = |word: &str| Trigger::Keyword { words: vec![word.to_owned()] };
    let site = Site::open().await;
    site.push_ticket().await;
    let rules = vec![(keyword("客服"), hand_over), (keyword("价格"), says("十元"))];
    site.answers(&site.mini.appid, rules).await;
    let taken = asked(site.push(MINI, &text(MINI_NAME, 1, "客服")).await.unwrap()).await;
    let (reply, _) = site.opened(&taken, &site.component.push_token);
    assert!(reply.contains("transfer_customer_service"), "{reply}");

    let taken = asked(site.push(MINI, &text(MINI_NAME, 2, "价格")).await.unwrap()).await;
    assert!(matches!(taken, Taken::Success));
    assert_eq!(site.late_replies.run_once().await.unwrap(), 1);
    assert!(site.sent(MINI)[0].contains("十元"));
    // Its repetition is answered, and nothing is sent again.
    assert!(matches!(site.push(MINI, &text(MINI_NAME, 2, "价格")).await, Ok(Taken::Success)));
    assert_eq!(site.late_replies.run_once().await.unwrap(), 0);
}

#[tokio::test]
async fn a_mini_programs_handler_is_heard_by_a_message_where_that_is_wanted() {
    for (late, expected) in [(LateReplies::Drop, 0), (LateReplies::CustomerService, 1)] {
        let site = Site::open().await;
        site.push_ticket().await;
        let (url, _) = answering(written(MINI_NAME, "您好")).await;
        site.replying(url, late).await;
        let taken = asked(site.push(MINI, &text(MINI_NAME, 1, "hi")).await.unwrap()).await;
        assert!(matches!(taken, Taken::Success));
        site.settle().await;
        assert_eq!(site.late_replies.run_once().await.unwrap(), expected);
        assert_eq!(site.sent(MINI).len(), expected);
    }
}

#[tokio::test]
async fn a_listener_replies_in_the_place_of_the_endpoint_as_long_as_it_is_there() {
    let site = Site::open().await;
    let (url, count) = answering(written(SHOP_NAME, "from the endpoint")).await;
    site.replying(url, LateReplies::Drop).await;
    let filter = EventFilter {
        authorizers: vec![],
        event_types: vec![EventPattern::parse("message.*").unwrap()],
    };
    let listener = site.listeners.arrive(&site.tenant, filter).await.unwrap();
    let taken = site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
    let event_id = site.events().await[0].id.clone();
    let reply = Some(Secret::new(written(SHOP_NAME, "from the laptop")));
    site.listeners.reply(&site.tenant, &event_id, reply).await.unwrap();
    assert_eq!(site.words(&asked(taken).await), "from the laptop");
    assert_eq!(count.load(Ordering::SeqCst), 0);

    // It does not listen to events; and nobody waits for one that is gone.
    let followed = event(SHOP_NAME, "subscribe", "");
    let taken = asked(site.push(SHOP, &followed).await.unwrap()).await;
    assert_eq!(site.words(&taken), "from the endpoint");
    site.listeners.leave(&site.tenant.scope, &listener).await.unwrap();
    let taken = asked(site.push(SHOP, &text(SHOP_NAME, 2, "hi")).await.unwrap()).await;
    assert_eq!(site.words(&taken), "from the endpoint");
}

#[tokio::test]
async fn for_a_listener_is_waited_only_where_somebody_reads_the_reply() {
    let site = Site::open().await;
    let (url, _) = answering(written(SHOP_NAME, "from the endpoint")).await;
    site.replying(url, LateReplies::Drop).await;
    site.listeners.arrive(&site.tenant, EventFilter::default()).await.unwrap();
    for unread in ["LOCATION", "VIEW", "TEMPLATESENDJOBFINISH", "user_get_card"] {
        let taken = site.push(SHOP, &event(SHOP_NAME, unread, "")).await.unwrap();
        assert_eq!(site.words(&asked(taken).await), "from the endpoint", "{unread}");
    }
}

#[tokio::test]
async fn without_a_seat_to_wait_for_a_listener_it_is_as_if_there_were_none() {
    let site = Site::open().await;
    let (url, _) = answering(written(SHOP_NAME, "from the endpoint")).await;
    site.replying(url, LateReplies::Drop).await;
    site.listeners.arrive(&site.tenant, EventFilter::default()).await.unwrap();
    let mut waiting = Vec::new();
    for number in 0..8 {
        waiting.push(site.push(SHOP, &text(SHOP_NAME, number, "hi")).await.unwrap());
    }
    let taken = site.push(SHOP, &text(SHOP_NAME, 8, "hi")).await.unwrap();
    assert_eq!(site.words(&asked(taken).await), "from the endpoint");
    // Whoever waits no longer gives his seat back.
    waiting.pop();
    let tenant = site.tenant.scope.tenant_id();
    let seat = site.listeners.seat(tenant);
    assert!(seat.is_some() && site.listeners.seat(tenant).is_none());
}

#[tokio::test]
async fn whoever_acknowledges_is_asked_again_when_wechat_asks_again() {
    let site = Site::open().await;
    let (url, count) = answering("<xml><ErrCode>1</ErrCode></xml>").await;
    site.replying(url, LateReplies::CustomerService).await;
    let paid = event(SHOP_NAME, "xpay_goods_deliver_notify", "<OutTradeNo>1</OutTradeNo>");
    for times in 1..=3 {
        let taken = asked(site.push(SHOP, &paid).await.unwrap()).await;
        let (told, _) = site.opened(&taken, &site.component.push_token);
        assert!(told.contains("<ErrCode>1</ErrCode>"), "{told}");
        assert_eq!(count.load(Ordering::SeqCst), times);
    }
    site.settle().await;
    assert_eq!(site.events().await.len(), 1);
    let [delivery] = &kept_deliveries(&site.db).await[..] else { panic!("one delivery") };
    assert_eq!((&delivery.state, delivery.attempts), (&DeliveryState::Delivered, 1));
}

#[tokio::test]
async fn nobody_is_asked_for_whom_no_seat_is_free_or_who_is_blocked() {
    let site = Site::open().await;
    let (url, count) = answering(written(SHOP_NAME, "您好")).await;
    site.replying(url, LateReplies::Drop).await;
    let tenant = site.tenant.scope.tenant_id();
    let endpoint = site.db.cached_endpoints(tenant).await.unwrap()[0].clone();
    let seats: Vec<_> = std::iter::from_fn(|| site.asker.seat(&endpoint)).collect();
    assert!(matches!(site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await, Ok(Taken::Success)));
    drop(seats);
    let blocked_until = Some(site.shop.created_at + chrono::Duration::days(1));
    let health = lingpai_model::endpoint::EndpointHealth { blocked_until, ..endpoint.health };
    site.change(async |tx| tx.endpoints().note_health(&endpoint.id, &health).await.unwrap()).await;
    assert!(matches!(site.push(SHOP, &text(SHOP_NAME, 2, "hi")).await, Ok(Taken::Success)));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(kept_deliveries(&site.db).await.len(), 2, "workers deliver them");
    let may_reply = |claimed: &[ClaimedDelivery]| claimed.iter().all(|one| one.may_reply);
    let claimed = claim(&site, &endpoint.id).await;
    assert!(may_reply(&claimed) && claimed.len() == 2, "their replies are late, and not lost");
}

#[tokio::test]
async fn who_is_not_asked_because_somebody_else_replies_does_not_reply_late() {
    let site = Site::open().await;
    let (url, _) = answering(written(SHOP_NAME, "您好")).await;
    site.replying(url, LateReplies::CustomerService).await;
    let listener = site.listeners.arrive(&site.tenant, EventFilter::default()).await.unwrap();
    drop(site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap());
    site.listeners.leave(&site.tenant.scope, &listener).await.unwrap();
    let tenant = site.tenant.scope.tenant_id();
    let endpoint = site.db.cached_endpoints(tenant).await.unwrap()[0].id.clone();
    let claimed = claim(&site, &endpoint).await;
    assert_eq!(claimed.iter().map(|one| one.may_reply).collect::<Vec<_>>(), [false]);
}

/// What a worker gets to do.
async fn claim(site: &Site, endpoint: &EndpointId) -> Vec<ClaimedDelivery> {
    let (hold, later) = (Duration::from_secs(30), site.shop.created_at + chrono::Duration::days(2));
    let lease = site.db.lease_endpoint(endpoint, hold).await.unwrap().unwrap();
    let tx = site.db.begin().await.unwrap();
    tx.deliveries().claim(&lease, later, 10, hold).await.unwrap()
}

#[tokio::test]
async fn nobody_is_asked_before_the_message_is_recorded() {
    let site = Site::open().await;
    let (url, count) = answering(written(SHOP_NAME, "您好")).await;
    site.replying(url, LateReplies::Drop).await;
    asked(site.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap()).await;
    site.db.clone().close().await;
    site.push(SHOP, &text(SHOP_NAME, 2, "hi")).await.unwrap_err();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
