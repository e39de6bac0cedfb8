//! Verification files: a name belongs to whoever took it first.

use lingpai_model::file::{FileContent, FileName};
use lingpai_tenant::Error;

use crate::world::World;

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

fn content(text: &str) -> FileContent {
    FileContent::parse(text).unwrap()
}

#[tokio::test]
async fn a_file_is_found_by_everybody_and_listed_by_its_owner() {
    let world = World::start().await;
    let [one, other] = [world.any_caller().await, world.any_caller().await];
    let (files, by) = (world.files(), &world.operator);
    let tenants = files.upload(&one, name("MP_verify_1.txt"), content("1")).await.unwrap();
    let ours = files.upload_for_operator(by, name("MP_verify_2.txt"), content("2")).await.unwrap();
    assert_eq!(tenants.tenant_id.as_ref(), Some(one.scope.tenant_id()));
    assert_eq!((ours.tenant_id.as_ref(), ours.created_at), (None, world.now()));
    for file in [&tenants, &ours] {
        assert_eq!(files.find(&file.name).await.unwrap().as_ref(), Some(file));
    }
    assert_eq!(files.find(&name("MP_verify_3.txt")).await.unwrap(), None);
    assert_eq!(files.list(&one.scope).await.unwrap(), [tenants]);
    assert_eq!(files.list_of_operator().await.unwrap(), [ours]);
    assert!(files.list(&other.scope).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_is_taken_stays_with_its_owner() {
    let world = World::start().await;
    let [one, other] = [world.any_caller().await, world.any_caller().await];
    let (files, by) = (world.files(), &world.operator);
    let (tenants, ours) = (name("MP_verify_1.txt"), name("MP_verify_2.txt"));
    files.upload(&one, tenants.clone(), content("1")).await.unwrap();
    files.upload_for_operator(by, ours.clone(), content("2")).await.unwrap();
    let entries = world.entries().await;
    let refused = [
        files.upload(&other, tenants.clone(), content("x")).await,
        files.upload_for_operator(by, tenants.clone(), content("x")).await,
        files.upload(&other, ours.clone(), content("x")).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::FileTaken { .. })), "{refused:?}");
    }
    for (kept, text) in [(&tenants, "1"), (&ours, "2")] {
        assert_eq!(files.find(kept).await.unwrap().unwrap().content.as_str(), text);
    }
    assert_eq!(world.entries().await, entries);
}

#[tokio::test]
async fn an_owner_replaces_what_he_keeps() {
    let world = World::start().await;
    let caller = world.any_caller().await;
    let (files, by) = (world.files(), &world.operator);
    for text in ["1", "2"] {
        files.upload(&caller, name("MP_verify_1.txt"), content(text)).await.unwrap();
        files.upload_for_operator(by, name("MP_verify_2.txt"), content(text)).await.unwrap();
    }
    assert_eq!(files.list(&caller.scope).await.unwrap().len(), 1);
    assert_eq!(files.list_of_operator().await.unwrap().len(), 1);
    for kept in ["MP_verify_1.txt", "MP_verify_2.txt"] {
        assert_eq!(files.find(&name(kept)).await.unwrap().unwrap().content, content("2"));
    }
}

#[tokio::test]
async fn only_its_owner_removes_a_file_and_then_the_name_is_free() {
    let world = World::start().await;
    let [one, other] = [world.any_caller().await, world.any_caller().await];
    let (files, by) = (world.files(), &world.operator);
    let (tenants, ours) = (name("MP_verify_1.txt"), name("MP_verify_2.txt"));
    files.upload(&one, tenants.clone(), content("1")).await.unwrap();
    files.upload_for_operator(by, ours.clone(), content("2")).await.unwrap();
    let refused = [
        files.remove(&other, &tenants).await,
        files.remove_for_operator(by, &tenants).await,
        files.remove(&one, &ours).await,
        files.remove(&one, &name("MP_verify_3.txt")).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::FileNotFound { .. })), "{refused:?}");
    }
    files.remove(&one, &tenants).await.unwrap();
    files.remove_for_operator(by, &ours).await.unwrap();
    assert_eq!(files.find(&tenants).await.unwrap(), None);
    for free in [tenants, ours] {
        files.upload(&other, free, content("3")).await.unwrap();
    }
}

#[tokio::test]
async fn fifty_files_are_kept() {
    let world = World::start().await;
    let caller = world.any_caller().await;
    let (files, by) = (world.files(), &world.operator);
    let [tenants, ours] =
        ["t", "o"].map(|owner| move |n: usize| name(&format!("MP_verify_{owner}{n}.txt")));
    for n in 0..50 {
        files.upload(&caller, tenants(n), content("1")).await.unwrap();
        files.upload_for_operator(by, ours(n), content("1")).await.unwrap();
    }
    let refused = [
        files.upload(&caller, tenants(50), content("1")).await,
        files.upload_for_operator(by, ours(50), content("1")).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::BadField { field: "name", .. })), "{refused:?}");
    }
    files.upload(&caller, tenants(0), content("2")).await.unwrap();
    files.remove(&caller, &tenants(0)).await.unwrap();
    files.upload(&caller, tenants(50), content("1")).await.unwrap();
}

#[tokio::test]
async fn a_tenant_uploads_names_that_wechat_draws_and_the_operator_any() {
    let world = World::start().await;
    let caller = world.any_caller().await;
    let (files, by) = (world.files(), &world.operator);
    for drawn in ["MP_verify_a1B2.txt", "WW_verify_a1B2.txt", "0aB1cD2eF3.txt"] {
        files.upload(&caller, name(drawn), content("x")).await.unwrap();
    }
    let entries = world.entries().await;
    for other in ["a.txt", "keybase.txt", "google-verification.txt"] {
        let refused = files.upload(&caller, name(other), content("x")).await;
        assert!(matches!(refused, Err(Error::BadField { field: "name", .. })), "{refused:?}");
    }
    assert_eq!(world.entries().await, entries);
    files.upload_for_operator(by, name("keybase.txt"), content("x")).await.unwrap();
}
