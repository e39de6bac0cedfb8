//! Refresh tokens: none is lost, whatever WeChat answers.

use std::time::Duration;

use lingpai_authorizer::Error;
use lingpai_emulator::{Fault, FaultKind, Kill};
use lingpai_model::authorizer::AuthorizerState;

use crate::world::{AUTHORIZER_TOKEN, COMPONENT_TOKEN, LIFE, SHOP, World, cause};

#[tokio::test]
async fn a_rotated_refresh_token_is_kept_and_each_one_is_in_the_history() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.authorizer(SHOP).await;
    world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = true);
    let mut known = vec![world.refresh_token_at_wechat(SHOP)];
    for _ in 0..3 {
        process.tokens.get(&shop).await.unwrap();
        world.advance(LIFE);
        known.push(world.refresh_token_at_wechat(SHOP));
        let stored = world.stored(&shop.token_key()).await;
        assert_eq!(stored.refresh_token.as_ref(), known.last());
    }
    let history = world.history(&shop).await;
    assert!(known.iter().all(|token| history.contains(token)), "{history:?}");
    assert_eq!(world.wechat.stats(AUTHORIZER_TOKEN, SHOP).refused, 0);
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_token_and_refresh_token_as_they_were() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.authorizer(SHOP).await;
    let first = process.tokens.get(&shop).await.unwrap();
    let before = world.stored(&shop.token_key()).await;
    let other = |body: &str| FaultKind::OtherAnswer {
        status: 200,
        content_type: "text/plain".to_owned(),
        body: body.to_owned(),
    };
    let refused = |errcode| FaultKind::Errcode { errcode, errmsg: None };
    let failures = [
        refused(61004),
        refused(45011),
        refused(50002),
        FaultKind::EmptyAnswer,
        FaultKind::LoseAnswer,
        other("{}"),
        other(r#"{"authorizer_access_token":"","expires_in":7200,"authorizer_refresh_token":""}"#),
    ];
    for failure in failures {
        world.wechat.set_fault(Fault::new(AUTHORIZER_TOKEN, failure.clone()).times(1));
        process.tokens.renew(&shop).await.unwrap_err();
        let stored = world.stored(&shop.token_key()).await;
        assert_eq!(stored.token.as_ref(), Some(&first), "{failure:?}");
        assert_eq!(stored.refresh_token, before.refresh_token, "{failure:?}");
        assert!(stored.failure.is_some(), "{failure:?}");
        assert_eq!(process.tokens.get(&shop).await.unwrap(), first, "{failure:?}");
    }
    assert_eq!(world.reload(&shop).await, shop, "nor is the account given up");
}

#[tokio::test]
async fn a_refresh_token_beside_an_odd_token_is_kept() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.authorizer(SHOP).await;
    world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = true);
    let body = r#"{"authorizer_access_token":"","authorizer_refresh_token":"refreshtoken@@@odd"}"#;
    let odd = FaultKind::OtherAnswer {
        status: 200,
        content_type: "application/json".to_owned(),
        body: body.to_owned(),
    };
    world.wechat.set_fault(Fault::new(AUTHORIZER_TOKEN, odd).times(1));
    let error = process.tokens.get(&shop).await.unwrap_err();
    assert!(matches!(cause(&error), Error::NoAccessToken { .. }), "{error:?}");
    let told = lingpai_model::Secret::from("refreshtoken@@@odd");
    assert!(world.history(&shop).await.contains(&told));
}

#[tokio::test]
async fn an_account_that_was_given_up_is_asked_about_every_six_hours_only() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.authorizer(SHOP).await;
    world.wechat.kill(&Kill::RefreshToken { appid: SHOP.to_owned() });
    process.tokens.get(&shop).await.unwrap_err();
    let shop = world.reload(&shop).await;
    assert!(matches!(shop.state, AuthorizerState::NeedsReauthorization { .. }));
    let asked = world.calls(AUTHORIZER_TOKEN);
    for _ in 0..2 {
        world.advance(Duration::from_secs(2 * 3600 + 60));
        process.component_tokens.run_once().await.unwrap();
        process.component_tokens.settled().await;
        let error = process.tokens.get(&shop).await.unwrap_err();
        assert!(matches!(error, Error::NeedsReauthorization { .. }), "{error:?}");
    }
    assert_eq!(world.calls(COMPONENT_TOKEN), 3, "the component's token is a new one each time");
    assert_eq!(world.calls(AUTHORIZER_TOKEN), asked);
}

#[tokio::test]
async fn a_token_that_failed_for_want_of_the_components_is_tried_when_that_is_back() {
    let world = World::start().await;
    let process = world.process().await;
    let shop = world.authorizer(SHOP).await;
    world.advance(Duration::from_secs(60));
    let refusal = world.wechat.set_fault(Fault::errcode(COMPONENT_TOKEN, 61004));
    for _ in 0..3 {
        process.tokens.get(&shop).await.unwrap_err();
    }
    assert_eq!((world.calls(COMPONENT_TOKEN), world.calls(AUTHORIZER_TOKEN)), (1, 0));
    world.wechat.clear_fault(refusal);
    world.advance(Duration::from_secs(600));
    process.component_tokens.get(&world.component).await.unwrap();
    process.tokens.get(&shop).await.unwrap();
    assert_eq!(world.calls(AUTHORIZER_TOKEN), 1);
}
