//! Operators: there is always one left.

use lingpai_model::{
    api_key::KeyText,
    audit::Act,
    caller::{OperatorCaller, Via},
    clock::Entropy,
    id::OperatorId,
    operator::Operator,
    page::PageRequest,
};
use lingpai_tenant::Error;

use crate::world::{World, from};

async fn second(world: &World) -> (Operator, String) {
    let made = world.operators().create(&world.operator.act(), "Grace".to_owned()).await;
    let (operator, text) = made.unwrap();
    (operator, text.into_text().expose().clone())
}

#[tokio::test]
async fn an_operator_shows_a_key_of_its_own() {
    let world = World::start().await;
    let (operator, text) = second(&world).await;
    let caller = world.operators().authenticate(&text, from("192.0.2.9")).await.unwrap();
    assert_eq!((caller.id, caller.via), (operator.id.clone(), from("192.0.2.9")));
    let other = Entropy::seeded(2);
    let same_id = KeyText::for_operator(&operator.id, &other).into_text();
    let unknown = KeyText::for_operator(&OperatorId::new(world.now(), &other), &other).into_text();
    let (_, tenants) = world.any_key(&world.tenant("小店").await).await;
    for wrong in ["", "lpo_", same_id.expose(), unknown.expose(), tenants.expose()] {
        let refused = world.operators().authenticate(wrong, Via::default()).await;
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{wrong}");
    }
}

#[tokio::test]
async fn a_revoked_operator_is_refused_and_still_listed() {
    let world = World::start().await;
    let (operator, text) = second(&world).await;
    world.operators().revoke(&world.operator, &operator.id).await.unwrap();
    let refused = world.operators().authenticate(&text, Via::default()).await;
    assert!(matches!(refused, Err(Error::Unauthenticated)));
    let listed = world.operators().list(&PageRequest::first()).await.unwrap().items;
    assert_eq!(listed.len(), 2);
    let kept = listed.iter().find(|kept| kept.id == operator.id).unwrap();
    assert_eq!(kept.revoked_at, Some(world.now()));

    let entries = world.entries().await;
    world.operators().revoke(&world.operator, &operator.id).await.unwrap();
    assert_eq!(world.entries().await, entries, "what has ended is not ended again");
}

#[tokio::test]
async fn the_last_operator_stays() {
    let world = World::start().await;
    let (operator, _) = second(&world).await;
    world.operators().revoke(&world.operator, &operator.id).await.unwrap();
    let refused = world.operators().revoke(&world.operator, &world.operator.id).await;
    assert!(matches!(refused, Err(Error::LastOperator)));
    let listed = world.operators().list(&PageRequest::first()).await.unwrap().items;
    let live: Vec<_> = listed.iter().filter(|operator| operator.revoked_at.is_none()).collect();
    assert_eq!(live.len(), 1);
}

#[tokio::test]
async fn two_operators_cannot_revoke_each_other_at_once() {
    let world = World::start().await;
    let (operator, _) = second(&world).await;
    let other = OperatorCaller { id: operator.id.clone(), via: Via::default() };
    let operators = world.operators();
    let (one, two) = tokio::join!(
        operators.revoke(&world.operator, &operator.id),
        operators.revoke(&other, &world.operator.id),
    );
    let refused: Vec<_> = [one, two].into_iter().filter_map(Result::err).collect();
    assert!(matches!(refused[..], [Error::LastOperator]), "{refused:?}");
}

#[tokio::test]
async fn an_operator_that_is_not_there_cannot_be_revoked() {
    let world = World::start().await;
    let nobody = OperatorId::new(world.now(), &world.entropy);
    let refused = world.operators().revoke(&world.operator, &nobody).await;
    assert!(matches!(refused, Err(Error::OperatorNotFound { .. })));
}

#[tokio::test]
async fn the_command_line_makes_an_operator_in_our_own_name() {
    let world = World::start().await;
    let made = world.operators().create(&Act::of_lingpai(), "Grace".to_owned()).await;
    let (operator, text) = made.unwrap();
    let shown = text.into_text();
    let caller = world.operators().authenticate(shown.expose(), Via::default()).await.unwrap();
    assert_eq!(caller.id, operator.id);
}
