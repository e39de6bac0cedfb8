//! The limits on refreshes of accounts.

use std::num::NonZeroU32;

use lingpai_component_token::RefreshLimits;
use lingpai_emulator::{AccountConfig, EmulatorConfig};

use crate::world::{AUTHORIZER_TOKEN, FLOWERS, SHOP, World};

fn limit(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

#[tokio::test]
async fn a_worker_takes_on_what_it_can_begin_in_two_seconds() {
    let config = EmulatorConfig { many_accounts: 10, ..EmulatorConfig::for_tests() };
    let world = World::start_with(config).await;
    for number in 1..=10 {
        world.authorizer(&AccountConfig::generated(number).appid).await;
    }
    let limits = RefreshLimits { ahead_per_second: limit(3), ..RefreshLimits::default() };
    let (slow, fast) = (world.limited_process(limits).await, world.process().await);
    assert_eq!(slow.tokens.run_once().await.unwrap(), 6);
    assert_eq!(fast.tokens.run_once().await.unwrap(), 4, "the others are free for others");
    tokio::join!(slow.tokens.settled(), fast.tokens.settled());
    assert_eq!(world.calls(AUTHORIZER_TOKEN), 10);
}

#[tokio::test]
async fn each_account_has_a_limit_of_its_own() {
    let world = World::start().await;
    let limits = RefreshLimits { per_token_hour: limit(1), ..RefreshLimits::default() };
    let process = world.limited_process(limits).await;
    let (shop, flowers) = (world.authorizer(SHOP).await, world.authorizer(FLOWERS).await);
    for account in [&shop, &flowers] {
        let token = process.tokens.get(account).await.unwrap();
        process.tokens.renew(account).await.unwrap_err();
        process.tokens.after_rejection(account, &token.value).await.unwrap_err();
        assert_eq!(process.tokens.get(account).await.unwrap(), token);
    }
    assert_eq!(world.calls(AUTHORIZER_TOKEN), 2);
}
