//! Workers: ahead of the end, once for each token, however many processes there are.

use std::time::Duration;

use lingpai_emulator::{AccountConfig, EmulatorConfig};
use lingpai_model::{
    Secret,
    authorizer::AuthorizerState,
    clock::Clock as _,
    token::{AccessToken, KeptToken, RefreshCause},
};

use crate::world::{AUTHORIZER_TOKEN, COMPONENT_TOKEN, LIFE, Process, SHOP, World};

/// Turns the workers of both processes at once until neither finds anything.
async fn work(one: &Process, two: &Process) -> usize {
    let mut begun = 0;
    loop {
        let (a, b) = tokio::join!(one.tokens.run_once(), two.tokens.run_once());
        let turn = a.unwrap() + b.unwrap();
        if turn == 0 {
            break;
        }
        begun += turn;
    }
    tokio::join!(one.tokens.settled(), two.tokens.settled());
    begun
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_refresh_each_of_fifty_due_accounts_once() {
    let config = EmulatorConfig { many_accounts: 50, ..EmulatorConfig::for_tests() };
    let world = World::start_with(config).await;
    let mut accounts = Vec::new();
    for number in 1..=50 {
        accounts.push(world.authorizer(&AccountConfig::generated(number).appid).await);
    }
    let (one, two) = (world.process().await, world.process().await);
    assert_eq!(work(&one, &two).await, 50);
    for round in 1..=2 {
        for account in &accounts {
            let stats = world.wechat.stats(AUTHORIZER_TOKEN, account.appid.as_str());
            assert_eq!((stats.succeeded, stats.refused, stats.max_in_flight), (round, 0, 1));
            let issued = world.wechat.account(account.appid.as_str()).unwrap().grant.unwrap();
            let stored = world.stored(&account.token_key()).await;
            let token = stored.token.map(|token| token.value);
            assert_eq!(token, issued.access_token.map(Secret::new));
            assert_eq!(stored.refreshes[0].cause, RefreshCause::Ahead);
        }
        let per_round = usize::try_from(round).unwrap();
        assert_eq!(world.calls(AUTHORIZER_TOKEN), 50 * per_round);
        assert_eq!(world.calls(COMPONENT_TOKEN), per_round);
        if round == 1 {
            world.advance(Duration::from_secs(110 * 60));
            one.component_tokens.run_once().await.unwrap();
            one.component_tokens.settled().await;
            assert_eq!(work(&one, &two).await, 50);
        }
    }
}

#[tokio::test]
async fn a_withdrawn_account_is_claimed_once_and_never_asked_about() {
    let world = World::start().await;
    let process = world.process().await;
    let mut shop = world.authorizer(SHOP).await;
    shop.state = AuthorizerState::Revoked { at: world.clock.now() };
    world.change(async |tx| tx.authorizers().system_update(&shop).await.unwrap()).await;
    assert_eq!(process.tokens.run_once().await.unwrap(), 0);
    assert_eq!(world.calls(AUTHORIZER_TOKEN), 0);
    assert_eq!(world.stored(&shop.token_key()).await.due_at, None);
}

/// WeChat gives the same stable token again until five minutes before its end. Forcing another one
/// out of it would end the present one at once, under the hands of those who use it.
#[tokio::test]
async fn a_worker_that_comes_early_does_not_force_a_stable_token() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.account(SHOP).await;
    let first = process.tokens.get(&shop).await.unwrap();
    let ahead = Duration::from_secs(7200 - 230);
    world.clock.advance(chrono::Duration::from_std(ahead).unwrap());
    // WeChat's clock is two minutes behind ours.
    world.wechat.advance_clock(ahead - Duration::from_secs(120));
    assert_eq!(process.tokens.run_once().await.unwrap(), 1);
    process.tokens.settled().await;
    let stored = world.stored(&shop.token_key()).await.token.unwrap();
    assert_eq!(stored.value, first.value, "the present one goes on");
    assert!(stored.expires_at > first.expires_at, "as long as WeChat says");
    assert_eq!(world.wechat.issues().len(), 1);
}

#[tokio::test]
async fn a_stable_token_that_wechat_rejects_is_forced_out_and_others_are_not() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.account(SHOP).await;
    let first = process.tokens.get(&shop).await.unwrap();
    let newer = process.tokens.after_rejection(&shop, &first.value).await.unwrap();
    assert_ne!(newer.token.value, first.value);
    assert_eq!(world.wechat.issues().len(), 2);

    world.advance(LIFE - Duration::from_secs(200));
    assert_eq!(process.tokens.run_once().await.unwrap(), 1);
    process.tokens.settled().await;
    let third = world.stored(&shop.token_key()).await.token.unwrap();
    assert_ne!(third.value, newer.token.value);
    let left = world.wechat.issues().last().unwrap().previous_remaining_ms.unwrap();
    assert!(left > 0, "ahead of the end, so that the present one lives on: {left} ms");
    assert_eq!(world.calls("/cgi-bin/stable_token"), 4, "normal, normal and forced, normal");
}

#[tokio::test]
async fn an_account_without_a_token_that_nobody_is_to_look_at_is_left_alone() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.authorizer(SHOP).await;
    let life = AccessToken::obtained(Secret::from("t"), world.clock.now(), LIFE);
    let kept = KeptToken { token: Some(life), ..KeptToken::unknown(shop.token_key(), 1) };
    world.change(async |tx| tx.tokens().replace(&kept).await.unwrap()).await;
    world.advance(2 * LIFE);
    assert_eq!(process.tokens.run_once().await.unwrap(), 0);
}
