//! Components: registered, and changed while they are in use.

use lingpai_component_token::{
    ComponentChange, Components, Error, NewComponent, PUSH_TOKEN_OVERLAP,
};
use lingpai_model::{
    Appid, Secret,
    audit::{Action, Actor},
    clock::Clock as _,
    component::Component,
    token::{RefreshCause, TokenKey},
};

use crate::world::{World, trail};

const KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
const START: &str = "/cgi-bin/component/api_start_push_ticket";

fn components(world: &World) -> Components {
    let clock = std::sync::Arc::new(world.clock.clone());
    Components::new(world.database.db.clone(), clock, world.entropy.clone())
}

fn secret(text: &str) -> Option<Secret<String>> {
    Some(Secret::from(text))
}

#[tokio::test]
async fn what_proves_pushes_is_rotated_with_an_overlap() {
    let world = World::start().await;
    let (service, by, appid) = (components(&world), world.operator(), &world.component.appid);
    let change = ComponentChange {
        name: Some("new name".to_owned()),
        push_token: secret("new token"),
        encoding_aes_key: secret(KEY),
        ..Default::default()
    };
    let changed = service.change(&by, appid, change).await.unwrap();
    let stored = service.get(appid).await.unwrap();
    assert_eq!(stored.name, "new name");
    assert_eq!(stored.push_token, Secret::from("new token"));
    let until = world.clock.now() + PUSH_TOKEN_OVERLAP;
    let before = &world.component;
    assert_eq!(stored.previous_push_token, Some((before.push_token.clone(), until)));
    assert_eq!(stored.encoding_aes_key, Secret::from(KEY));
    assert_eq!(stored.previous_encoding_aes_key, Some(before.encoding_aes_key.clone()));
    assert_eq!(stored.appsecret, before.appsecret);
    assert_eq!(changed.updated_at, stored.updated_at);

    // What stays the same pushes nothing out.
    let same = ComponentChange {
        push_token: secret("new token"),
        encoding_aes_key: secret(KEY),
        ..Default::default()
    };
    world.clock.advance(chrono::Duration::hours(1));
    let again = service.change(&by, appid, same).await.unwrap();
    assert_eq!(again.previous_push_token, stored.previous_push_token);
    assert_eq!(again.previous_encoding_aes_key, stored.previous_encoding_aes_key);

    let actor = Actor::Operator(by.id);
    let entry = (Action::ComponentChanged, appid.to_string(), actor);
    assert_eq!(trail(&world).await, [entry]);
}

#[tokio::test]
async fn a_change_of_nothing_is_none_and_not_in_the_trail() {
    let world = World::start().await;
    let (service, by, appid) = (components(&world), world.operator(), &world.component.appid);
    world.clock.advance(chrono::Duration::hours(1));
    let Component { name, appsecret, push_token, encoding_aes_key, .. } = world.component.clone();
    let same = ComponentChange {
        name: Some(name),
        appsecret: Some(appsecret),
        push_token: Some(push_token),
        encoding_aes_key: Some(encoding_aes_key),
        answers_publish_test: Some(false),
    };
    for change in [ComponentChange::default(), same] {
        assert_eq!(service.change(&by, appid, change).await.unwrap(), world.component);
    }
    assert_eq!(service.get(appid).await.unwrap(), world.component);
    assert!(trail(&world).await.is_empty());
    let change = ComponentChange { name: Some("another".to_owned()), ..Default::default() };
    let changed = service.change(&by, appid, change).await.unwrap();
    assert_eq!(changed.updated_at, world.clock.now());
    assert_eq!(trail(&world).await.len(), 1);
}

#[tokio::test]
async fn what_proves_pushes_is_not_changed_twice_while_wechat_may_still_use_the_first() {
    const THIRD: &str = "ABCDEFGHIJKLMNOPQabcdefghijklmnopqrstuvwxyz";
    let world = World::start().await;
    let (service, by, appid) = (components(&world), world.operator(), &world.component.appid);
    let before = &world.component;
    let push_token = |text| ComponentChange { push_token: secret(text), ..Default::default() };
    let key = |text| ComponentChange { encoding_aes_key: secret(text), ..Default::default() };
    for (second, third, back) in [
        (push_token("second"), push_token as fn(_) -> _, push_token(before.push_token.expose())),
        (key(KEY), key, key(before.encoding_aes_key.expose())),
    ] {
        let changed_at = world.clock.now();
        service.change(&by, appid, second).await.unwrap();
        let kept = service.get(appid).await.unwrap();
        world.clock.advance(PUSH_TOKEN_OVERLAP - chrono::Duration::milliseconds(1));
        let refused = service.change(&by, appid, third(THIRD)).await;
        let until = changed_at + PUSH_TOKEN_OVERLAP;
        assert!(matches!(refused, Err(Error::ChangeUnderWay { until: told, .. }) if told == until));
        assert_eq!(service.get(appid).await.unwrap(), kept, "nothing is half done");

        // The way back is open, and keeps what it leaves.
        let returned = service.change(&by, appid, back).await.unwrap();
        assert_eq!(returned.push_token, before.push_token);
        assert_eq!(returned.encoding_aes_key, before.encoding_aes_key);
        world.clock.advance(chrono::Duration::milliseconds(1));
        let refused = service.change(&by, appid, third(THIRD)).await;
        assert!(matches!(refused, Err(Error::ChangeUnderWay { .. })));
        world.clock.advance(PUSH_TOKEN_OVERLAP);
        service.change(&by, appid, third(THIRD)).await.unwrap();
        world.clock.advance(PUSH_TOKEN_OVERLAP);
        let first = ComponentChange {
            push_token: Some(before.push_token.clone()),
            encoding_aes_key: Some(before.encoding_aes_key.clone()),
            ..Default::default()
        };
        service.change(&by, appid, first).await.unwrap();
        world.clock.advance(PUSH_TOKEN_OVERLAP);
    }
}

#[tokio::test]
async fn a_new_secret_is_proved_at_once() {
    let world = World::start().await;
    let (service, by, appid) = (components(&world), world.operator(), &world.component.appid);
    let tokens = world.process().await;
    tokens.get(&world.component).await.unwrap();
    assert_eq!(tokens.run_once().await.unwrap(), 0, "the token is fresh");

    let same = ComponentChange {
        appsecret: Some(world.component.appsecret.clone()),
        ..Default::default()
    };
    service.change(&by, appid, same).await.unwrap();
    assert_eq!(tokens.run_once().await.unwrap(), 0, "it is the same secret");
    let change = ComponentChange { appsecret: secret("mistyped"), ..Default::default() };
    service.change(&by, appid, change).await.unwrap();
    assert_eq!(tokens.run_once().await.unwrap(), 1);
    tokens.settled().await;
    let key = TokenKey::Component(world.component.id.clone());
    let kept = world.database.db.tokens().find(&key).await.unwrap().unwrap();
    assert!(kept.failure.is_some(), "WeChat does not take it, and the health tells so");
    assert!(kept.token.is_some(), "the token goes on as long as it lives");

    let change = ComponentChange {
        appsecret: Some(world.component.appsecret.clone()),
        ..Default::default()
    };
    service.change(&by, appid, change).await.unwrap();
    assert_eq!(tokens.run_once().await.unwrap(), 1, "a rest after the failure does not hold it up");
    tokens.settled().await;
    let kept = world.database.db.tokens().find(&key).await.unwrap().unwrap();
    assert_eq!((kept.failure, kept.refreshes[0].cause), (None, RefreshCause::Manual));
}

#[tokio::test]
async fn what_is_got_with_the_secret_before_does_not_prove_the_new_one() {
    let world = World::start().await;
    let (service, by, appid) = (components(&world), world.operator(), &world.component.appid);
    let [first, second] = [world.process().await, world.process().await];
    world.hold_next();
    let (asked, ()) = tokio::join!(first.get(&world.component), async {
        world.held().await;
        let change = ComponentChange { appsecret: secret("mistyped"), ..Default::default() };
        service.change(&by, appid, change).await.unwrap();
        world.wechat.release(None);
    });
    asked.unwrap_err();
    first.settled().await;
    let kept = world.stored().await;
    assert_eq!((kept.token, kept.due_at), (None, Some(world.clock.now())), "it stays due");
    assert_eq!(second.run_once().await.unwrap(), 1);
    second.settled().await;
    assert!(world.stored().await.failure.is_some(), "the new secret is what was tried");

    // Nor is it used by whoever has read it before the change.
    world.clock.advance(chrono::Duration::hours(1));
    first.get(&world.component).await.unwrap_err();
    assert_eq!(world.stored().await.token, None);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_no_trace() {
    let world = World::start().await;
    let (service, by, appid) = (components(&world), world.operator(), &world.component.appid);
    let bad = ComponentChange { encoding_aes_key: secret("short"), ..Default::default() };
    let refused = service.change(&by, appid, bad).await;
    assert!(matches!(refused, Err(Error::BadEncodingAesKey(_))));
    let nobody = Appid::parse("wxnobody").unwrap();
    let absent = service.change(&by, &nobody, ComponentChange::default()).await;
    assert!(matches!(absent, Err(Error::ComponentNotFound { .. })));
    let taken = NewComponent {
        appid: appid.clone(),
        name: "again".to_owned(),
        appsecret: Secret::from("s"),
        push_token: Secret::from("t"),
        encoding_aes_key: Secret::from(KEY),
    };
    let refused = service.create(&by, taken).await;
    assert!(matches!(refused, Err(Error::ComponentExists { .. })));
    assert!(trail(&world).await.is_empty());
}

#[tokio::test]
async fn what_an_operator_asks_for_is_in_the_trail_whatever_becomes_of_it() {
    let world = World::start().await;
    let by = world.operator();
    let tokens = world.process().await;
    let watch = world.watch().await;
    world.clock.advance(chrono::Duration::seconds(1));
    tokens.renew(&by, &world.component).await.unwrap();
    world.clock.advance(chrono::Duration::seconds(1));
    world.refuse_next(-1);
    world.refuse_next(40125);
    tokens.renew(&by, &world.component).await.unwrap_err();
    world.clock.advance(chrono::Duration::seconds(1));
    watch.start_push_ticket(&by, &world.component).await.unwrap();
    assert_eq!(world.wechat.calls_to(START).len(), 1);
    let actions: Vec<Action> = trail(&world).await.into_iter().map(|entry| entry.0).collect();
    let refresh = Action::ComponentTokenRefreshAsked;
    assert_eq!(actions, [Action::ComponentTicketPushAsked, refresh.clone(), refresh]);
}

#[tokio::test]
async fn the_publish_test_is_answered_while_an_operator_wants_it() {
    let world = World::start().await;
    let (service, by, appid) = (components(&world), world.operator(), &world.component.appid);
    assert!(!world.component.answers_publish_test, "a new component does not");
    for wanted in [true, false] {
        let change = ComponentChange { answers_publish_test: Some(wanted), ..Default::default() };
        service.change(&by, appid, change).await.unwrap();
        assert_eq!(service.get(appid).await.unwrap().answers_publish_test, wanted);
        let kept = ComponentChange { name: Some(format!("{wanted}")), ..Default::default() };
        let changed = service.change(&by, appid, kept).await.unwrap();
        assert_eq!(changed.answers_publish_test, wanted, "another change leaves it");
    }
    assert_eq!(trail(&world).await.len(), 4);
}
