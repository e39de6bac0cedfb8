//! Redirect URIs: exactly what a tenant registered, and nobody else's.

use lingpai_model::audit::Action;
use lingpai_tenant::Error;

use crate::world::World;

const URI: &str = "https://shop.example/done";

#[tokio::test]
async fn an_address_is_registered_once() {
    let world = World::start().await;
    let [one, other] = [world.any_caller().await, world.any_caller().await];
    let uris = world.redirect_uris();
    for _ in 0..2 {
        uris.register(&one, URI).await.unwrap();
    }
    assert_eq!(uris.list(&one.scope).await.unwrap(), [URI]);
    assert!(uris.list(&other.scope).await.unwrap().is_empty());
    let entries = world.entries().await;
    let told = entries.iter().filter(|entry| entry.action == Action::RedirectUriRegistered);
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn only_who_registered_an_address_removes_it() {
    let world = World::start().await;
    let [one, other] = [world.any_caller().await, world.any_caller().await];
    let uris = world.redirect_uris();
    uris.register(&one, URI).await.unwrap();
    for (caller, uri) in [(&other, URI), (&one, "https://shop.example/"), (&one, "")] {
        let refused = uris.remove(caller, uri).await;
        assert!(matches!(refused, Err(Error::RedirectUriNotFound)), "{uri}");
    }
    uris.remove(&one, URI).await.unwrap();
    assert!(uris.list(&one.scope).await.unwrap().is_empty());
    let again = uris.remove(&one, URI).await;
    assert!(matches!(again, Err(Error::RedirectUriNotFound)));
}

#[tokio::test]
async fn a_tenant_registers_a_hundred() {
    let world = World::start().await;
    let caller = world.any_caller().await;
    let uris = world.redirect_uris();
    for n in 0..100 {
        uris.register(&caller, &format!("https://shop.example/{n}")).await.unwrap();
    }
    let refused = uris.register(&caller, URI).await;
    assert!(matches!(refused, Err(Error::BadRedirectUri { .. })));
    uris.register(&caller, "https://shop.example/0").await.unwrap();
    uris.remove(&caller, "https://shop.example/0").await.unwrap();
    uris.register(&caller, URI).await.unwrap();
}
