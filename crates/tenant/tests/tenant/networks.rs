//! From where a key may be used.

use lingpai_model::{caller::Via, network::Network};
use lingpai_tenant::{ApiKeyChange, Error, NewApiKey};

use crate::world::{World, from, new_key};

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| Network::parse(text).unwrap()).collect()
}

#[tokio::test]
async fn a_key_with_networks_opens_from_within_them_only() {
    let world = World::start().await;
    let networks = networks(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
    let new = NewApiKey { networks, ..new_key() };
    let (_, text) = world.key(&world.tenant("小店").await, new).await;
    let within =
        ["10.255.0.1", "192.0.2.7", "2001:db8:ffff::1", "::ffff:10.1.2.3", "::ffff:192.0.2.7"];
    for peer in within {
        let opened = world.api_keys.authenticate(text.expose(), from(peer)).await;
        assert!(opened.is_ok(), "{peer}");
    }
    for peer in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::ffff:11.0.0.1", "::10.1.2.3"] {
        let refused = world.api_keys.authenticate(text.expose(), from(peer)).await;
        assert!(matches!(refused, Err(Error::AddressRefused)), "{peer}");
    }
}

#[tokio::test]
async fn whose_address_is_unknown_is_within_no_network() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let everywhere = networks(&["0.0.0.0/0", "::/0"]);
    let (_, bound) = world.key(&tenant, NewApiKey { networks: everywhere, ..new_key() }).await;
    let refused = world.api_keys.authenticate(bound.expose(), Via::default()).await;
    assert!(matches!(refused, Err(Error::AddressRefused)));
    let (_, free) = world.any_key(&tenant).await;
    assert!(world.api_keys.authenticate(free.expose(), Via::default()).await.is_ok());
}

#[tokio::test]
async fn only_who_shows_a_living_key_hears_that_the_address_is_wrong() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let new = NewApiKey { networks: networks(&["10.0.0.0/8"]), ..new_key() };
    let (key, text) = world.key(&tenant, new).await;
    let other = lingpai_model::clock::Entropy::seeded(2);
    let guess = lingpai_model::api_key::KeyText::for_api_key(&key.id, &other).into_text();
    let refused = world.api_keys.authenticate(guess.expose(), from("192.0.2.1")).await;
    assert!(matches!(refused, Err(Error::Unauthenticated)));
    world.api_keys.revoke(&world.operator, &tenant.id, &key.id).await.unwrap();
    let refused = world.api_keys.authenticate(text.expose(), from("192.0.2.1")).await;
    assert!(matches!(refused, Err(Error::Unauthenticated)));
}

#[tokio::test]
async fn a_key_can_be_bound_and_freed_later() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let (key, text) = world.any_key(&tenant).await;
    let set = async |networks| {
        let change = ApiKeyChange { networks: Some(networks), ..ApiKeyChange::default() };
        world.api_keys.change(&world.operator, &tenant.id, &key.id, change).await.unwrap();
        world.api_keys.authenticate(text.expose(), from("192.0.2.1")).await.is_ok()
    };
    assert!(!set(networks(&["10.0.0.0/8"])).await);
    assert!(set(Vec::new()).await);
}
