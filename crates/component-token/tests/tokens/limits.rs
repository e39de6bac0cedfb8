//! The limits on refreshes, whatever any clock says.

use std::num::NonZeroU32;

use lingpai_component_token::{Error, RefreshLimits};

use crate::world::{DUE, OVER, World};

/// No token is refreshed more than twice in an hour of the process.
fn two_an_hour() -> RefreshLimits {
    let per_token_hour = NonZeroU32::new(2).unwrap();
    RefreshLimits { per_token_hour, ..RefreshLimits::default() }
}

fn is_ceiling(error: &Error) -> bool {
    match error {
        Error::CeilingReached { .. } => true,
        Error::Shared(error) => is_ceiling(error),
        _ => false,
    }
}

#[tokio::test]
async fn a_token_that_was_refreshed_too_often_is_still_handed_out() {
    let world = World::start().await;
    let by = world.operator();
    let process = world.limited_process(two_an_hour()).await;
    process.get(&world.component).await.unwrap();
    process.renew(&by, &world.component).await.unwrap();
    let newest = world.newest();
    for _ in 0..3 {
        let error = process.renew(&by, &world.component).await.unwrap_err();
        assert!(is_ceiling(&error) && error.is_transient(), "{error}");
        let error = process.after_rejection(&world.component, newest.clone()).await.unwrap_err();
        assert!(is_ceiling(&error), "{error}");
        assert_eq!(process.get(&world.component).await.unwrap(), newest);
    }
    assert_eq!(world.calls(), 2);
    assert!(world.stored().await.failure.is_none(), "nobody was refused by WeChat");
}

#[tokio::test]
async fn each_process_counts_for_itself() {
    let world = World::start().await;
    let by = world.operator();
    let one = world.limited_process(two_an_hour()).await;
    one.get(&world.component).await.unwrap();
    one.renew(&by, &world.component).await.unwrap();
    let two = world.limited_process(two_an_hour()).await;
    two.renew(&by, &world.component).await.unwrap();
    assert!(one.renew(&by, &world.component).await.is_err());
    assert_eq!(world.calls(), 3);
}

#[tokio::test]
async fn clocks_gone_mad_cause_no_storm() {
    let world = World::start().await;
    let process = world.limited_process(two_an_hour()).await;
    process.get(&world.component).await.unwrap();
    let mut begun = 0;
    for _ in 0..20 {
        world.clock.advance(chrono::Duration::from_std(OVER).unwrap());
        world.push_ticket().await;
        begun += process.run_once().await.unwrap();
        process.settled().await;
    }
    assert_eq!(world.calls(), 2);
    assert_eq!(begun, 20, "the worker did look at it");
}

#[tokio::test]
async fn a_worker_puts_off_what_was_refreshed_too_often() {
    let world = World::start().await;
    let by = world.operator();
    let process = world.limited_process(two_an_hour()).await;
    process.get(&world.component).await.unwrap();
    process.renew(&by, &world.component).await.unwrap();
    world.advance(DUE);
    assert_eq!(process.run_once().await.unwrap(), 1);
    process.settled().await;
    assert_eq!(process.run_once().await.unwrap(), 0, "it is not claimed in a loop");
    let stored = world.stored().await;
    assert!(stored.failure.unwrap().reason.contains("too often"));
    assert_eq!(process.get(&world.component).await.unwrap(), world.newest());
    assert_eq!(world.calls(), 2);
}
