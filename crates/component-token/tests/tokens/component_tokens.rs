//! Handing out and refreshing, when all goes well and when WeChat refuses.

use std::time::Duration;

use futures_util::future::join_all;
use lingpai_component_token::{Error, UpstreamFault};
use lingpai_emulator::{Fault, FaultKind};
use lingpai_model::{
    id::ComponentId,
    token::{KeptToken, RefreshCause, TokenKey, TokenState},
};

use crate::world::{COMPONENT_TOKEN, DUE, OVER, World};

#[tokio::test]
async fn fifty_callers_of_two_processes_cause_one_call() {
    let world = World::start().await;
    let (one, two) = (world.process().await, world.process().await);
    let callers = (0..50).map(|number| {
        let process = if number % 2 == 0 { &one } else { &two };
        process.get(&world.component)
    });
    for token in join_all(callers).await {
        assert_eq!(token.unwrap(), world.newest());
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_due_token_is_handed_out_while_its_refresh_is_under_way() {
    let world = World::start().await;
    let process = world.process().await;
    let first = process.get(&world.component).await.unwrap();
    world.advance(DUE);
    world.hold_next();
    assert_eq!(process.get(&world.component).await.unwrap(), first);
    world.held().await;
    for _ in 0..3 {
        assert_eq!(process.get(&world.component).await.unwrap(), first);
    }
    assert_eq!(process.health(&world.component).await.unwrap().state, TokenState::Due);
    world.wechat.release(None);
    process.settled().await;
    assert_eq!(world.calls(), 2, "one refresh for all who asked");
    assert_ne!(world.newest(), first);
    assert_eq!(process.get(&world.component).await.unwrap(), world.newest());
}

#[tokio::test]
async fn a_new_token_that_is_wanted_during_a_refresh_is_another_than_before() {
    let world = World::start().await;
    let by = world.operator();
    let process = world.process().await;
    let first = process.get(&world.component).await.unwrap();
    world.advance(DUE);
    world.hold_next();
    process.get(&world.component).await.unwrap();
    world.held().await;
    let renewing = process.renew(&by, &world.component);
    let (health, ()) = tokio::join!(renewing, world.release_once_asked(1));
    assert_eq!(health.unwrap().state, TokenState::Fresh);
    let second = process.get(&world.component).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(world.calls(), 2, "the refresh under way gave it");

    let health = process.renew(&by, &world.component).await.unwrap();
    assert_ne!(process.get(&world.component).await.unwrap(), second);
    let causes: Vec<_> = health.refreshes.iter().map(|refresh| refresh.cause).collect();
    assert_eq!(causes, [RefreshCause::Manual, RefreshCause::Asked, RefreshCause::Asked]);
}

#[tokio::test]
async fn many_who_want_a_new_token_at_once_get_the_same_one() {
    let world = World::start().await;
    let by = world.operator();
    let process = world.process().await;
    process.get(&world.component).await.unwrap();
    world.hold_next();
    let renewing = join_all((0..20).map(|_| process.renew(&by, &world.component)));
    let (renewed, ()) = tokio::join!(renewing, world.release_once_asked(20));
    for health in renewed {
        health.unwrap();
    }
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_rejected_token_that_another_process_has_replaced_is_not_refreshed_again() {
    let world = World::start().await;
    let (one, two) = (world.process().await, world.process().await);
    let component = &world.component;
    let first = one.get(component).await.unwrap();
    world.kill_tokens();
    let second = two.after_rejection(component, first.clone()).await.unwrap();
    assert_eq!((second.token.value, second.is_new), (world.newest(), true));
    world.advance(Duration::from_secs(1));
    for newer in join_all((0..20).map(|_| one.after_rejection(component, first.clone()))).await {
        let newer = newer.unwrap();
        assert_eq!((newer.token.value, newer.is_new), (world.newest(), false));
    }
    assert_eq!(one.get(component).await.unwrap(), world.newest(), "nor is the old one given out");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_token_rejected_by_twenty_callers_of_two_processes_is_refreshed_once() {
    let world = World::start().await;
    let (one, two) = (world.process().await, world.process().await);
    let first = one.get(&world.component).await.unwrap();
    world.kill_tokens();
    let callers = (0..20).map(|number| {
        let process = if number % 2 == 0 { &one } else { &two };
        process.after_rejection(&world.component, first.clone())
    });
    for token in join_all(callers).await {
        assert_eq!(token.unwrap().token.value, world.newest());
    }
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_token_as_it_was_and_rests() {
    let world = World::start().await;
    let process = world.process().await;
    let first = process.get(&world.component).await.unwrap();
    world.advance(DUE);
    let refusal = world.wechat.set_fault(Fault::errcode(COMPONENT_TOKEN, 40125));
    for _ in 0..3 {
        assert_eq!(process.get(&world.component).await.unwrap(), first);
        process.settled().await;
    }
    assert_eq!(world.calls(), 2, "it rests after the first");
    let stored = world.stored().await;
    assert_eq!(stored.token.unwrap().value, first);
    assert_eq!(stored.failure.unwrap().in_a_row, 1);

    world.advance(OVER - DUE);
    let error = process.get(&world.component).await.unwrap_err();
    assert!(matches!(&error, Error::Shared(error) if matches!(**error, Error::Resting { .. })));
    assert_eq!(world.calls(), 2, "nor does it end early because the token is over");

    world.wechat.clear_fault(refusal);
    world.advance(Duration::from_secs(600));
    assert_eq!(process.get(&world.component).await.unwrap(), world.newest());
    assert!(process.health(&world.component).await.unwrap().last_failure.is_none());
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_leaves_the_token_as_it_was() {
    let world = World::start().await;
    let by = world.operator();
    let process = world.process().await;
    let first = process.get(&world.component).await.unwrap();
    for body in ["{}", "<html>", r#"{"component_access_token":"","expires_in":7200}"#] {
        let answer = FaultKind::OtherAnswer {
            status: 200,
            content_type: "application/json".to_owned(),
            body: body.to_owned(),
        };
        world.wechat.set_fault(Fault::new(COMPONENT_TOKEN, answer).times(1));
        let error = process.renew(&by, &world.component).await.unwrap_err();
        let fault = error.wechat().map(UpstreamFault::from);
        assert_eq!(fault, Some(UpstreamFault::Garbled), "{body}");
        assert_eq!(world.stored().await.token.unwrap().value, first, "{body}");
    }
}

#[tokio::test]
async fn a_worker_refreshes_what_is_due_and_looks_away_from_what_is_nobodys() {
    let world = World::start().await;
    let process = world.process().await;
    let first = process.get(&world.component).await.unwrap();
    assert_eq!(process.run_once().await.unwrap(), 0, "nothing is due yet");

    world.advance(DUE);
    let gone = TokenKey::Component(ComponentId::new(world.component.created_at, &world.entropy));
    let due_at = Some(world.component.created_at);
    let due = KeptToken { due_at, ..KeptToken::unknown(gone.clone(), 1) };
    world.change(async |tx| tx.tokens().replace(&due).await.unwrap()).await;
    assert_eq!(process.run_once().await.unwrap(), 1, "the other one is nobody's");
    process.settled().await;
    assert_ne!(process.get(&world.component).await.unwrap(), first);
    assert_eq!(world.stored().await.refreshes[0].cause, RefreshCause::Ahead);
    assert_eq!(world.calls(), 2);
    assert_eq!(process.run_once().await.unwrap(), 0);
    let gone = world.database.db.tokens().find(&gone).await.unwrap().unwrap();
    assert_eq!(gone.due_at, None);
}

#[tokio::test]
async fn a_worker_gives_way_to_a_refresh_that_somebody_waits_for() {
    let world = World::start().await;
    let (one, two) = (world.process().await, world.process().await);
    one.get(&world.component).await.unwrap();
    world.advance(OVER);
    world.hold_next();
    let (token, begun) = tokio::join!(one.get(&world.component), async {
        world.held().await;
        let begun = [one.run_once().await.unwrap(), two.run_once().await.unwrap()];
        world.wechat.release(None);
        begun
    });
    assert_eq!(begun, [0, 0], "its lease is taken");
    assert_eq!(token.unwrap(), world.newest());
    assert_eq!(world.calls(), 2);
}
