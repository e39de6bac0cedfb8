//! Each endpoint has its turn, and no endpoint costs another one its own.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use lingpai_model::{
    delivery::{DeadReason, DeliveryState},
    endpoint::Endpoint,
    network::Network,
};
use lingpai_storage::{DatabaseConfig, Db, testing::Backend};
use lingpai_webhook::{Deliverer, Sender, SenderPolicy, WebhookBase, sender::Names};

use crate::{
    receiver::{Manner, Receiver, Request},
    world::{FAN, World, all_delivered, text},
};

#[tokio::test]
async fn every_event_is_delivered_once() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    let events = world.messages(150, &[&endpoint]).await;

    world.deliver().await;
    let requests = receiver.requests();
    let told: BTreeSet<&str> = requests.iter().map(Request::event_id).collect();
    assert_eq!((requests.len(), told.len()), (150, 150));
    assert!(events.iter().all(|event| told.contains(event.id.as_str())));
    let deliveries = world.deliveries().await;
    assert!(all_delivered(&deliveries));
    assert!(deliveries.iter().all(|delivery| delivery.attempts == 1));
    let health = world.endpoint(&endpoint).await.health;
    assert_eq!(health.last_success_at, Some(world.now()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_deliver_everything_once_on_every_database() {
    for backend in Backend::available() {
        let world = World::start_on(&backend).await;
        let receiver = Receiver::start(Manner::ok()).await;
        let mut endpoints = Vec::new();
        for _ in 0..4 {
            endpoints.push(world.webhook(receiver.url()).await);
        }
        let all: Vec<&Endpoint> = endpoints.iter().collect();
        let processes =
            [world.deliverer(), world.deliverer(), Deliverer::new(world.other_process().await)];
        // Events come while they are at work.
        for _ in 0..10 {
            world.messages(5, &all).await;
            for process in &processes {
                process.run_once().await.unwrap();
            }
        }
        join_all(processes.iter().map(Deliverer::settled)).await;
        world.deliver().await;
        let deliveries = world.deliveries().await;
        assert!(all_delivered(&deliveries), "on {}", backend.name());
        assert_eq!((deliveries.len(), receiver.load().came), (200, 200), "on {}", backend.name());
        world.database.remove().await;
    }
}

#[tokio::test]
async fn what_hangs_drips_or_fails_delays_nobody_else() {
    let world = World::start().await;
    let [hanging, dripping, failing, healthy, other] = [
        Receiver::start(Manner::Hang).await,
        Receiver::start(Manner::Drip).await,
        Receiver::start(Manner::status(500)).await,
        Receiver::start(Manner::ok()).await,
        Receiver::start(Manner::ok()).await,
    ];
    let mut endpoints = Vec::new();
    for receiver in [&hanging, &dripping, &failing, &healthy] {
        endpoints.push(world.webhook(receiver.url()).await);
    }
    let stranger = world.stranger().await;
    let others = world.webhook_of(&stranger, other.url()).await;
    for _ in 0..40 {
        world.message(&endpoints.iter().collect::<Vec<_>>()).await;
        world.message_of(&stranger, "oFan-2", &[&others]).await;
    }

    let deliverer = world.deliverer();
    assert_eq!(deliverer.run_once().await.unwrap(), 5);
    healthy.came(40).await;
    other.came(40).await;
    failing.came(5).await;
    assert_eq!(hanging.load().open, 4, "it still hangs, in all its lanes");
    assert_eq!(dripping.load().open, 4);
    let told: BTreeSet<String> =
        healthy.requests().iter().map(|request| request.event_id().to_owned()).collect();
    assert_eq!(told.len(), 40, "none twice");
}

#[tokio::test]
async fn four_are_in_flight_to_an_endpoint_whoever_sends() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.messages(40, &[&endpoint]).await;
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Deliverer::new(world.other_process().await));
    }

    let begun = join_all(processes.iter().map(Deliverer::run_once)).await;
    let begun: usize = begun.into_iter().map(Result::unwrap).sum();
    assert_eq!(begun, 1, "one process has the endpoint's lease");
    receiver.open(4).await;
    assert_eq!(processes[0].run_once().await.unwrap(), 0, "it is not lent twice");
    receiver.release();
    join_all(processes.iter().map(Deliverer::settled)).await;
    assert_eq!((receiver.load().came, receiver.load().most_open), (40, 4));
    assert!(all_delivered(&world.deliveries().await));
}

#[tokio::test]
async fn sixteen_are_in_flight_to_a_tenant() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let mut endpoints = Vec::new();
    for _ in 0..6 {
        endpoints.push(world.webhook(receiver.url()).await);
    }
    let all: Vec<&Endpoint> = endpoints.iter().collect();
    world.messages(8, &all).await;

    let deliverer = world.deliverer();
    assert_eq!(deliverer.run_once().await.unwrap(), 6);
    receiver.open(16).await;
    receiver.release();
    deliverer.settled().await;
    world.deliver().await;
    assert_eq!((receiver.load().came, receiver.load().most_open), (48, 16));
    assert!(all_delivered(&world.deliveries().await));
}

#[tokio::test]
async fn what_comes_during_a_turn_is_part_of_it() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    let deliverer = world.deliverer();
    deliverer.run_once().await.unwrap();
    receiver.open(1).await;
    world.messages(5, &[&endpoint]).await;
    receiver.release();
    deliverer.settled().await;
    assert_eq!(receiver.load().came, 6);
}

#[tokio::test]
async fn a_turn_ends_when_the_process_does() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.messages(40, &[&endpoint]).await;
    let base = world.base();
    let tasks = base.tasks.clone();
    let deliverer = Deliverer::new(base);
    deliverer.run_once().await.unwrap();
    receiver.open(4).await;
    tasks.close();
    receiver.release();
    tasks.wait().await;

    let deliveries = world.deliveries().await;
    let came = receiver.load().came;
    assert!(came < 40, "the rest is for others");
    let made: u32 = deliveries.iter().map(|delivery| delivery.attempts).sum();
    assert_eq!(usize::try_from(made), Ok(came), "what was not sent does not count as an attempt");
    world.deliver().await;
    assert_eq!(receiver.load().came, 40);
    assert!(all_delivered(&world.deliveries().await));
}

#[tokio::test]
async fn large_events_are_delivered_like_others() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    let large = "x".repeat(100_000);
    for _ in 0..10 {
        let event = world.event(&world.caller, FAN, text(FAN, &large));
        world.record_event(event, vec![world.delivery(&endpoint)]).await;
        world.message(&[&endpoint]).await;
    }
    world.deliver().await;
    assert!(all_delivered(&world.deliveries().await));
    let long = receiver.requests().iter().filter(|one| one.body.len() > large.len()).count();
    assert_eq!((receiver.load().came, long), (20, 10));
}

/// Names that make whoever asks for the first one panic.
#[derive(Debug, Default)]
struct Treacherous(AtomicBool);

impl Names for Treacherous {
    fn lookup<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        assert!(self.0.swap(true, Ordering::SeqCst), "the first one");
        Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
    }
}

#[tokio::test]
async fn a_delivery_by_which_the_program_breaks_is_given_up_and_holds_up_nobody() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let url = receiver.url().replace("127.0.0.1", "us.example");
    let endpoint = world.webhook(url).await;
    world.messages(10, &[&endpoint]).await;
    let allow_private = vec![Network::parse("127.0.0.0/8").unwrap()];
    let policy = SenderPolicy { allow_private, ..SenderPolicy::default() };
    let sender = Sender::with_names(policy, Arc::new(Treacherous::default())).unwrap();
    let deliverer = Deliverer::new(WebhookBase { sender, ..world.base() });
    while deliverer.run_once().await.unwrap() > 0 {
        deliverer.settled().await;
    }
    let (broken, sound): (Vec<_>, Vec<_>) = world
        .deliveries()
        .await
        .into_iter()
        .partition(|delivery| delivery.state == DeliveryState::Dead(DeadReason::Unreadable));
    assert_eq!((broken.len(), sound.len()), (1, 9));
    assert!(all_delivered(&sound));
    assert_eq!(world.endpoint(&endpoint).await.health.last_failure, None);
}

#[tokio::test]
async fn what_was_sent_while_the_database_is_busy_is_written_down_once_it_is_not() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.messages(4, &[&endpoint]).await;
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_millis(300),
        ..world.database.config.clone()
    };
    let db = Db::connect(&config, world.database.keys.clone()).await.unwrap();
    let deliverer = Deliverer::new(WebhookBase { db: db.clone(), ..world.base() });
    deliverer.run_once().await.unwrap();
    receiver.open(4).await;
    let busy = db.begin().await.unwrap();
    receiver.release();
    // Whoever waited before this one is told that there is no connection.
    for _ in 0..3 {
        assert!(db.begin().await.is_err());
    }
    drop(busy);
    deliverer.settled().await;
    assert!(all_delivered(&world.deliveries().await));
    assert_eq!(receiver.load().came, 4, "none twice");
}
