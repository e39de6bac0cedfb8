//! What was obtained while the right to store it was lost, or the database was away.

use lingpai_authorizer::Error;
use lingpai_component_token as component_token;
use lingpai_emulator::Fault;
use lingpai_model::authorizer::AuthorizerState;
use lingpai_storage::testing::kept_events;

use crate::world::{AUTHORIZER_TOKEN, Errors, SHOP, World, cause};

#[tokio::test]
async fn a_holder_that_was_fenced_changes_nothing_and_its_refresh_token_is_in_the_history() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.authorizer(SHOP).await;
    let first = world.refresh_token_at_wechat(SHOP);
    world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = true);
    world.hold_next(AUTHORIZER_TOKEN);
    let (handed_out, ()) = tokio::join!(process.tokens.get(&shop), async {
        world.held().await;
        world.change(async |tx| tx.tokens().retire(&shop.token_key()).await.unwrap()).await;
        world.wechat.release(None);
    });
    let error = handed_out.unwrap_err();
    let is_fenced =
        matches!(cause(&error), Error::Component(component_token::Error::LeaseBusy { .. }));
    assert!(is_fenced, "{error:?}");
    let stored = world.stored(&shop.token_key()).await;
    assert!(stored.token.is_none() && stored.due_at.is_none(), "{stored:?}");
    assert_eq!(stored.refresh_token, Some(first.clone()));
    let second = world.refresh_token_at_wechat(SHOP);
    assert_ne!(second, first, "WeChat has rotated it");
    assert!(world.history(&shop).await.contains(&second));
}

/// One sleeps while WeChat answers, and its lease runs out; the next one refreshes meanwhile.
#[tokio::test]
async fn of_two_holders_the_later_one_counts_though_the_earlier_wakes_last() {
    let world = World::start().await;
    let (sleeper, next) = (world.process().await, world.process().await);
    let shop = world.authorizer(SHOP).await;
    world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = true);
    world.hold_next(AUTHORIZER_TOKEN);
    let (late, token) = tokio::join!(sleeper.tokens.get(&shop), async {
        world.held().await;
        world.take_lease_away(&shop.token_key()).await;
        let token = next.tokens.get(&shop).await.unwrap();
        world.wechat.release(None);
        token
    });
    assert_eq!(late.unwrap(), token);
    let stored = world.stored(&shop.token_key()).await;
    assert_eq!(stored.token, Some(token));
    assert_eq!(stored.refresh_token, Some(world.refresh_token_at_wechat(SHOP)));
    assert_eq!(world.reload(&shop).await.state, AuthorizerState::Active);
}

/// The sleeper's refusal is old news: the next one has refreshed since.
#[tokio::test]
async fn a_holder_that_was_fenced_and_refused_does_not_give_the_account_up() {
    for is_rotated in [true, false] {
        let world = World::start().await;
        let (sleeper, next) = (world.process().await, world.process().await);
        let shop = world.authorizer(SHOP).await;
        world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = is_rotated);
        world.wechat.set_fault(Fault::errcode(AUTHORIZER_TOKEN, 61023).times(1));
        world.hold_next(AUTHORIZER_TOKEN);
        let (late, token) = tokio::join!(sleeper.tokens.get(&shop), async {
            world.held().await;
            world.take_lease_away(&shop.token_key()).await;
            let token = next.tokens.get(&shop).await.unwrap();
            world.wechat.release(None);
            token
        });
        assert_eq!(late.unwrap(), token, "rotated: {is_rotated}");
        let stored = world.stored(&shop.token_key()).await;
        assert_eq!((stored.token, stored.failure), (Some(token), None));
        assert!(world.history(&shop).await.contains(&world.refresh_token_at_wechat(SHOP)));
        assert_eq!(world.reload(&shop).await.state, AuthorizerState::Active);
        assert_eq!(kept_events(&world.database.db, None).await, [], "nobody is told anything");
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_that_the_database_refuses_is_kept_as_soon_as_it_takes_it() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.authorizer(SHOP).await;
    world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = true);
    let (refused, _guard) = Errors::from("lingpai_authorizer::history");
    let elsewhere = world.connect().await;
    world.hold_next(AUTHORIZER_TOKEN);
    let (token, ()) = tokio::join!(process.tokens.get(&shop), async {
        world.held().await;
        let locked = elsewhere.begin().await.unwrap();
        world.wechat.release(None);
        refused.notified().await;
        drop(locked);
    });
    let stored = world.stored(&shop.token_key()).await;
    assert_eq!(stored.token, Some(token.unwrap()));
    assert_eq!(stored.refresh_token, Some(world.refresh_token_at_wechat(SHOP)));
    assert_eq!(world.calls(AUTHORIZER_TOKEN), 1);
}
