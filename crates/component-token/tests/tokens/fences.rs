//! What was obtained while the right to store it was lost, or the database was away.

use lingpai_component_token::Error;
use lingpai_model::token::TokenState;

use crate::world::{Errors, OVER, World};

/// The error behind what several callers were told.
fn cause(error: &Error) -> &Error {
    match error {
        Error::Shared(error) => cause(error),
        error => error,
    }
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_hands_out_what_the_next_one_stored() {
    let world = World::start().await;
    let process = world.process().await;
    process.get(&world.component).await.unwrap();
    world.advance(OVER);
    world.hold_next();
    let (handed_out, other) = tokio::join!(process.get(&world.component), async {
        world.held().await;
        let other = world.store_other("somebody else's").await;
        world.wechat.release(None);
        other
    });
    assert_eq!(handed_out.unwrap(), other.value);
    let stored = world.stored().await;
    assert_eq!(stored.token, Some(other));
    assert!(stored.refreshes.is_empty() && stored.failure.is_none(), "{stored:?}");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_does_not_bring_back_what_was_dropped() {
    let world = World::start().await;
    let process = world.process().await;
    process.get(&world.component).await.unwrap();
    world.advance(OVER);
    world.hold_next();
    let (handed_out, ()) = tokio::join!(process.get(&world.component), async {
        world.held().await;
        world.change(async |tx| tx.tokens().retire(&world.key()).await.unwrap()).await;
        world.wechat.release(None);
    });
    let error = handed_out.unwrap_err();
    let fenced = matches!(cause(&error), Error::LeaseBusy { .. });
    assert!(fenced, "{error:?}");
    let stored = world.stored().await;
    assert!(stored.token.is_none() && stored.due_at.is_none(), "{stored:?}");
    assert_eq!(process.health(&world.component).await.unwrap().state, TokenState::Missing);
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_and_was_refused_notes_nothing() {
    let world = World::start().await;
    let process = world.process().await;
    process.get(&world.component).await.unwrap();
    world.advance(OVER);
    world.refuse_next(40125);
    world.hold_next();
    let (handed_out, other) = tokio::join!(process.get(&world.component), async {
        world.held().await;
        let other = world.store_other("somebody else's").await;
        world.wechat.release(None);
        other
    });
    assert_eq!(handed_out.unwrap(), other.value);
    let stored = world.stored().await;
    assert_eq!(stored.token, Some(other));
    assert!(stored.refreshes.is_empty() && stored.failure.is_none(), "{stored:?}");
}

#[tokio::test]
async fn a_token_that_the_database_refuses_is_stored_as_soon_as_it_takes_it() {
    let world = World::start().await;
    let process = world.process().await;
    let (refused, _guard) = Errors::from("lingpai_component_token::keeper::attempt");
    let elsewhere = world.connect().await;
    world.hold_next();
    let (handed_out, ()) = tokio::join!(process.get(&world.component), async {
        world.held().await;
        let locked = elsewhere.begin().await.unwrap();
        world.wechat.release(None);
        refused.notified().await;
        drop(locked);
    });
    assert_eq!(handed_out.unwrap(), world.newest());
    assert_eq!(world.stored().await.token.unwrap().value, world.newest());
    assert_eq!(world.calls(), 1);
}
