//! Tenants: what operators say about them.

use lingpai_model::{id::TenantId, page::PageRequest, tenant::TenantLimits};
use lingpai_tenant::{Error, NewTenant, TenantChange};

use crate::world::{World, new_tenant, secs};

const LOGO: &str = "https://shop.example/logo.png";

#[tokio::test]
async fn a_tenant_is_kept_as_it_was_said() {
    let world = World::start().await;
    let limits = TenantLimits { requests_per_second: Some(5), concurrent_requests: Some(3) };
    let new = NewTenant { logo_url: Some(LOGO.to_owned()), limits, ..new_tenant("小店") };
    let tenant = world.tenants().create(&world.operator, new).await.unwrap();
    assert_eq!((tenant.name.as_str(), tenant.logo_url.as_deref()), ("小店", Some(LOGO)));
    assert_eq!(tenant.limits, limits);
    assert_eq!((tenant.created_at, tenant.updated_at), (world.now(), world.now()));
    assert_eq!(world.tenants().get(&tenant.id).await.unwrap(), tenant);
    assert_eq!(world.tenants().list(&PageRequest::first()).await.unwrap().items, [tenant]);
}

#[tokio::test]
async fn only_what_is_named_changes() {
    let world = World::start().await;
    let limits = TenantLimits { requests_per_second: Some(5), concurrent_requests: Some(3) };
    let new = NewTenant { logo_url: Some(LOGO.to_owned()), limits, ..new_tenant("小店") };
    let tenant = world.tenants().create(&world.operator, new).await.unwrap();
    world.advance(secs(60));
    let change = async |change| {
        let changed = world.tenants().change(&world.operator, &tenant.id, change).await.unwrap();
        assert_eq!(world.tenants().get(&tenant.id).await.unwrap(), changed);
        changed
    };
    let renamed = TenantChange { name: Some("大店".to_owned()), ..TenantChange::default() };
    let renamed = change(renamed).await;
    assert_eq!((renamed.name.as_str(), renamed.logo_url.as_deref()), ("大店", Some(LOGO)));
    assert_eq!((renamed.limits, renamed.updated_at), (limits, world.now()));
    assert_eq!(renamed.created_at, tenant.created_at);

    let freed = TenantChange {
        logo_url: Some(None),
        requests_per_second: Some(None),
        concurrent_requests: Some(Some(9)),
        ..TenantChange::default()
    };
    let freed = change(freed).await;
    assert_eq!((freed.name.as_str(), freed.logo_url), ("大店", None));
    let limits = TenantLimits { requests_per_second: None, concurrent_requests: Some(9) };
    assert_eq!(freed.limits, limits);
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_none() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let entries = world.entries().await;
    world.advance(secs(60));
    let same = TenantChange { name: Some(tenant.name.clone()), ..TenantChange::default() };
    for change in [same, TenantChange::default()] {
        let changed = world.tenants().change(&world.operator, &tenant.id, change).await.unwrap();
        assert_eq!(changed, tenant);
    }
    assert_eq!(world.entries().await, entries);
}

#[tokio::test]
async fn values_that_cannot_be_are_refused() {
    let world = World::start().await;
    let tenant = world.tenant("小店").await;
    let none = TenantChange::default;
    let bad = [
        (
            TenantChange { logo_url: Some(Some("http://shop.example/".to_owned())), ..none() },
            "logo_url",
        ),
        (TenantChange { requests_per_second: Some(Some(0)), ..none() }, "requests_per_second"),
        (TenantChange { concurrent_requests: Some(Some(0)), ..none() }, "concurrent_requests"),
    ];
    for (change, expected) in bad {
        let limits = TenantLimits {
            requests_per_second: change.requests_per_second.flatten(),
            concurrent_requests: change.concurrent_requests.flatten(),
        };
        let new =
            NewTenant {
                logo_url: change.logo_url.clone().flatten(), limits, ..new_tenant("大店")
            };
        let outcomes = [
            world.tenants().create(&world.operator, new).await,
            world.tenants().change(&world.operator, &tenant.id, change).await,
        ];
        for outcome in outcomes {
            let Err(Error::BadField { field, .. }) = outcome else { panic!("{outcome:?}") };
            assert_eq!(field, expected);
        }
    }
    assert_eq!(world.tenants().list(&PageRequest::first()).await.unwrap().items, [tenant]);
}

#[tokio::test]
async fn a_tenant_that_is_not_there_is_neither_read_nor_changed() {
    let world = World::start().await;
    let nobody = TenantId::new(world.now(), &world.entropy);
    let read = world.tenants().get(&nobody).await;
    assert!(matches!(read, Err(Error::TenantNotFound { .. })));
    let change = TenantChange { name: Some("大店".to_owned()), ..TenantChange::default() };
    let changed = world.tenants().change(&world.operator, &nobody, change).await;
    assert!(matches!(changed, Err(Error::TenantNotFound { .. })));
}
