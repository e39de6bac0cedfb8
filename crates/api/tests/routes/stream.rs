//! The live tail, and the replies of who follows it.

use std::time::Duration;

use futures_util::{StreamExt as _, future::join_all, poll};
use lingpai_model::{api_key::Scope, caller::Via};
use lingpai_tenant::ApiKeyChange;
use poem::{Response, http::Request};
use serde_json::{Value, json};
use tokio::time;

use crate::{
    client::Client,
    house::House,
    pushes::{reply, text},
};

const STREAM: &str = "/v1/events/stream";

/// What comes out of a stream, frame by frame.
struct Frames(futures_util::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>);

impl Frames {
    /// The frames of an answer, which has to be a stream.
    fn of(answer: Response) -> Self {
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.content_type(), Some("text/event-stream"));
        assert_eq!(answer.header("x-accel-buffering"), Some("no"));
        Self(answer.into_body().into_bytes_stream().boxed())
    }

    async fn open(house: &House, query: &str) -> Self {
        let frames = house.open(&format!("{STREAM}{query}"), &house.key).await;
        let mut frames = Self::of(frames);
        assert_eq!(frames.next().await.as_deref(), Some(":\n\n"), "it begins with a sign of life");
        frames
    }

    async fn next(&mut self) -> Option<String> {
        let bytes = self.0.next().await?.expect("no stream of ours fails");
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    /// The next event, whatever comments are before it.
    async fn event(&mut self) -> Value {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if let Some((head, data)) = frame.split_once("data: ") {
                let data: Value = serde_json::from_str(data).expect("the body of a webhook");
                let text = |name: &str| data[name].as_str().expect("a text").to_owned();
                let (id, kind) = (text("id"), text("type"));
                assert_eq!(head, format!("id: {id}\nevent: {kind}\n"));
                return data;
            }
        }
    }

    /// Reads to the end of what is left.
    async fn end(&mut self) {
        while self.next().await.is_some() {}
    }
}

async fn house() -> House {
    let house = House::start().await;
    house.connect_shop().await;
    // What comes from now on comes later than that.
    house.clock.advance(chrono::Duration::milliseconds(1));
    house
}

async fn code(house: &House, path: &str, key: &str) -> (u16, String) {
    let answer = house.get(path, Some(key)).await;
    (answer.status, answer.code())
}

#[tokio::test]
async fn events_are_followed_as_they_come_and_from_where_one_was_cut_off() {
    let house = house().await;
    let mut frames = Frames::open(&house, "?types=message.*").await;
    let mut others = Frames::open(&house, "?authorizers=wx1&for_secs=1").await;
    house.told(&text(1, "first")).await;
    let first = frames.event().await;
    assert_eq!(first["data"]["message"]["Content"], "first");
    house.told(&text(2, "second")).await;
    assert_eq!(frames.event().await["data"]["message"]["Content"], "second");
    drop(frames);

    let request = Request::builder()
        .uri(STREAM)
        .header("authorization", format!("Bearer {}", house.key))
        .header("last-event-id", first["id"].as_str().unwrap());
    let mut again = Frames::of(house.send_open(request).await);
    assert_eq!(again.event().await["data"]["message"]["Content"], "second");
    assert_eq!(others.next().await, None, "nothing of another account, and its time is over");
}

#[tokio::test]
async fn who_may_not_follow_is_refused_before_anything_flows() {
    let house = house().await;
    let blind = house.key_with(&[Scope::EndpointWrite]).await;
    assert_eq!(code(&house, STREAM, &blind).await, (403, "scope_missing".to_owned()));
    let mute = house.key_with(&[Scope::EventRead]).await;
    let replying = format!("{STREAM}?replying=true");
    assert_eq!(code(&house, &replying, &mute).await, (403, "scope_missing".to_owned()));
    assert_eq!(code(&house, STREAM, "lpk_x").await, (401, "unauthenticated".to_owned()));
    assert_eq!(house.get(STREAM, None).await.status, 401);
    for query in ["types=x*", "authorizers=a%2Fb", "replying=1", "for_secs=0"] {
        let bad = format!("{STREAM}?{query}");
        assert_eq!(code(&house, &bad, &house.key).await, (422, "invalid_field".to_owned()));
    }
    let post = Request::builder().method("POST").uri(STREAM);
    let post = house.send(post.header("authorization", format!("Bearer {}", house.key)), "").await;
    assert_eq!((post.status, post.code().as_str()), (405, "method_not_allowed"));
    assert!(post.header("ratelimit-policy").is_some(), "it went through the door");
}

#[tokio::test]
async fn a_tenant_has_eight_streams_and_gets_its_seat_back() {
    let house = house().await;
    let opened = join_all((0..8).map(|_| house.open(STREAM, &house.key))).await;
    let mut open: Vec<_> = opened.into_iter().map(Frames::of).collect();
    assert_eq!(code(&house, STREAM, &house.key).await, (429, "too_many_streams".to_owned()));
    let foreign = house.foreign_key().await;
    let _theirs = Frames::of(house.open(STREAM, &foreign).await);
    open.pop();
    open.push(Frames::open(&house, "").await);
}

#[tokio::test]
async fn a_stream_ends_with_its_key() {
    let house = house().await;
    let mut frames = Frames::open(&house, "").await;
    let services = &house.services;
    let by = services.operators.authenticate(&house.operator_key, Via::default()).await.unwrap();
    let caller = services.api_keys.authenticate(&house.key, Via::default()).await.unwrap();
    services.api_keys.revoke(&by, &house.tenant_id, &caller.key_id).await.unwrap();
    // Its next beat is due at once. The database is not asked while time stands still.
    time::pause();
    time::advance(Duration::from_secs(10)).await;
    time::resume();
    frames.end().await;
}

#[tokio::test]
async fn who_may_no_longer_reply_follows_no_longer_as_who_replies() {
    let house = house().await;
    let services = &house.services;
    let by = services.operators.authenticate(&house.operator_key, Via::default()).await.unwrap();
    let key = house.key_with(&[Scope::EventRead, Scope::EndpointWrite]).await;
    let caller = services.api_keys.authenticate(&key, Via::default()).await.unwrap();
    let of = async |query| {
        let mut frames = Frames::of(house.open(&format!("{STREAM}{query}"), &key).await);
        assert_eq!(frames.next().await.as_deref(), Some(":\n\n"));
        frames
    };
    let (mut following, mut replying) = (of("").await, of("?replying=true").await);
    let narrowed = ApiKeyChange {
        scopes: Some([Scope::EventRead].into_iter().collect()),
        ..ApiKeyChange::default()
    };
    services.api_keys.change(&by, &house.tenant_id, &caller.key_id, narrowed).await.unwrap();
    time::pause();
    time::advance(Duration::from_secs(10)).await;
    time::resume();
    replying.end().await;
    assert_eq!(following.next().await.as_deref(), Some(":\n\n"), "who only follows goes on");
}

#[tokio::test]
async fn streams_end_when_the_service_stops() {
    let house = house().await;
    let mut frames = Frames::open(&house, "").await;
    house.services.stopping.cancel();
    frames.end().await;
}

#[tokio::test]
async fn the_reply_of_who_follows_goes_back_to_wechat() {
    let house = house().await;
    let tenant = Client::tenant(&house);
    let mut frames = Frames::open(&house, "?replying=true").await;
    let message = text(1, "hello");
    let replying = async {
        let event = frames.event().await;
        let path = format!("/events/{}/reply", event["id"].as_str().unwrap());
        for broken in ["<xml", "<xml><MsgType>text</MsgType></xml>"] {
            tenant.post(&path, &json!({ "xml": broken })).await.refused(422, "reply_refused");
        }
        let xml = json!({ "xml": reply("welcome") });
        tenant.post(&path, &xml).await.expected(204);
        tenant.post(&path, &xml).await.refused(409, "already_replied");
    };
    let (answer, ()) = tokio::join!(house.push(&message), replying);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/xml")));
    assert!(answer.text.contains("<Encrypt>"), "{}", answer.text);
    let reader = house.key_with(&[Scope::EventRead]).await;
    let reader = Client::tenant(&house).with_key(&reader);
    reader.post("/events/x/reply", &json!({})).await.refused(403, "scope_missing");

    drop(frames);
    house.services.tasks.close();
    house.services.tasks.wait().await;
    // Nobody is there any more, so that nobody is waited for.
    house.told(&text(2, "hello")).await;
}

/// There are 64 seats for pushes of one kind.
#[tokio::test]
async fn who_takes_its_time_with_a_reply_takes_no_seat_of_others() {
    let house = house().await;
    let frames = Frames::open(&house, "?replying=true").await;
    let mut waiting = Vec::new();
    for id in 0..64 {
        let message = text(id, "hello");
        let house = &house;
        let mut push = Box::pin(async move { house.push(&message).await });
        assert!(poll!(&mut push).is_pending());
        waiting.push(push);
    }
    let tenant = Client::tenant(&house);
    let recorded = async {
        while tenant.get("/events?limit=100&type=message.*").await["items"]
            .as_array()
            .unwrap()
            .len()
            < 64
        {}
    };
    let pushes = join_all(waiting);
    tokio::pin!(pushes);
    let early = tokio::select! {
        biased;
        _ = &mut pushes => true,
        () = recorded => false,
    };
    assert!(!early, "they wait for replies after they were recorded");
    drop(frames);
    let answers = pushes.await;
    assert!(answers.iter().all(|answer| answer.text == "success"));
}
