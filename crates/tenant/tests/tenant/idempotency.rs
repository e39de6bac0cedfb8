//! Idempotency keys: a repeated request has no second effect.

use futures_util::future::join_all;
use lingpai_model::{Secret, digest::Digest};
use lingpai_tenant::{
    Begun, Claim, Error, IdempotencyKeys, IdempotencyOwner, Result, StoredAnswer,
};

use crate::world::{World, secs};

const DAY: u64 = 24 * 60 * 60;

fn request(text: &str) -> Digest {
    Digest::of(&[text.as_bytes()])
}

fn answer() -> StoredAnswer {
    StoredAnswer {
        status: 201,
        content_type: "application/json".to_owned(),
        body: Secret::new(b"{\"id\":\"atn_1\"}".to_vec()),
    }
}

fn first(begun: Result<Begun>) -> Claim {
    match begun.unwrap() {
        Begun::First(claim) => claim,
        Begun::Again(answer) => panic!("{answer:?}"),
    }
}

fn again(begun: Result<Begun>) -> StoredAnswer {
    match begun.unwrap() {
        Begun::First(_) => panic!("it is told as new"),
        Begun::Again(answer) => answer,
    }
}

/// One owner's requests.
struct Client {
    keys: IdempotencyKeys,
    owner: IdempotencyOwner,
}

impl Client {
    async fn of(world: &World) -> Self {
        let owner = IdempotencyOwner::from(&world.any_caller().await);
        Self { keys: world.idempotency_keys(), owner }
    }

    async fn begin(&self, key: &str, text: &str) -> Result<Begun> {
        self.keys.begin(self.owner.clone(), key, request(text)).await
    }
}

#[tokio::test]
async fn who_repeats_a_request_gets_its_answer() {
    let world = World::start().await;
    let client = Client::of(&world).await;
    let claim = first(client.begin("k", "POST /a").await);
    client.keys.finish(claim, answer()).await.unwrap();
    world.advance(secs(DAY - 1));
    for _ in 0..2 {
        assert_eq!(again(client.begin("k", "POST /a").await), answer());
    }
    drop(first(client.begin("another", "POST /a").await));
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused() {
    let world = World::start().await;
    let client = Client::of(&world).await;
    let claim = first(client.begin("k", "POST /a").await);
    let other = client.begin("k", "POST /b").await.unwrap_err();
    assert!(matches!(other, Error::IdempotencyMismatch), "while it is under way: {other}");
    client.keys.finish(claim, answer()).await.unwrap();
    let other = client.begin("k", "POST /b").await.unwrap_err();
    assert!(matches!(other, Error::IdempotencyMismatch), "when it is answered: {other}");
    assert_eq!(again(client.begin("k", "POST /a").await), answer());
}

#[tokio::test]
async fn a_request_is_under_way_until_it_must_have_broken_off() {
    let world = World::start().await;
    let client = Client::of(&world).await;
    let claim = first(client.begin("k", "POST /a").await);
    world.advance(secs(59));
    let early = client.begin("k", "POST /a").await.unwrap_err();
    assert!(matches!(early, Error::IdempotencyUnderWay), "{early}");
    world.advance(secs(1));
    let late = client.begin("k", "POST /a").await.unwrap_err();
    assert!(matches!(late, Error::IdempotencyInterrupted), "{late}");
    client.keys.finish(claim, answer()).await.unwrap();
    assert_eq!(again(client.begin("k", "POST /a").await), answer(), "it was only slow");
}

#[tokio::test]
async fn an_abandoned_request_may_be_repeated() {
    let world = World::start().await;
    let client = Client::of(&world).await;
    let claim = first(client.begin("k", "POST /a").await);
    client.keys.abandon(claim).await.unwrap();
    let claim = first(client.begin("k", "POST /a").await);
    client.keys.finish(claim, answer()).await.unwrap();
    assert_eq!(again(client.begin("k", "POST /a").await), answer());
}

#[tokio::test]
async fn of_many_at_once_one_is_the_first() {
    let world = World::start().await;
    let client = Client::of(&world).await;
    let begun = join_all((0..8).map(|_| client.begin("k", "POST /a"))).await;
    let firsts = begun.iter().filter(|begun| matches!(begun, Ok(Begun::First(_)))).count();
    let others = begun.iter().filter(|begun| matches!(begun, Err(Error::IdempotencyUnderWay)));
    assert_eq!((firsts, others.count()), (1, 7));
}

#[tokio::test]
async fn keys_of_others_are_others() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let [one, sibling] = [world.caller(&tenant).await, world.caller(&tenant).await];
    let stranger = world.any_caller().await;
    let owners = [
        IdempotencyOwner::from(&one),
        IdempotencyOwner::from(&sibling),
        IdempotencyOwner::from(&stranger),
        IdempotencyOwner::from(&world.operator),
    ];
    let keys = world.idempotency_keys();
    for owner in owners {
        let claim = first(keys.begin(owner, "k", request("POST /a")).await);
        keys.finish(claim, answer()).await.unwrap();
    }
    let mine = keys.begin(IdempotencyOwner::from(&one), "k", request("POST /a")).await;
    assert_eq!(again(mine), answer());
}

#[tokio::test]
async fn a_key_is_short_and_visible() {
    let world = World::start().await;
    let client = Client::of(&world).await;
    for good in ["k", "~!\"}", &"k".repeat(255)] {
        drop(first(client.begin(good, "POST /a").await));
    }
    for bad in ["", " ", "a b", "a\n", "键", "\u{7f}", &"k".repeat(256)] {
        let refused = client.begin(bad, "POST /a").await.unwrap_err();
        assert!(matches!(refused, Error::BadIdempotencyKey), "{bad:?}");
    }
}

#[tokio::test]
async fn a_key_is_new_when_it_was_swept_after_a_day() {
    let world = World::start().await;
    let client = Client::of(&world).await;
    let claim = first(client.begin("answered", "POST /a").await);
    client.keys.finish(claim, answer()).await.unwrap();
    drop(first(client.begin("broken-off", "POST /a").await));
    world.advance(secs(DAY));
    assert_eq!(client.keys.sweep().await.unwrap(), 0, "a day is not over");
    drop(first(client.begin("young", "POST /a").await));
    world.advance(secs(1));
    assert_eq!(again(client.begin("answered", "POST /a").await), answer());
    assert_eq!(client.keys.sweep().await.unwrap(), 2);
    for key in ["answered", "broken-off"] {
        drop(first(client.begin(key, "POST /b").await));
    }
    let young = client.begin("young", "POST /a").await.unwrap_err();
    assert!(matches!(young, Error::IdempotencyUnderWay), "{young}");
}
