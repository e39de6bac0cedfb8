//! Verification files: a name stands once, and is its owner's.

use lingpai_model::{
    file::{FileContent, FileName, VerificationFile},
    tenant::Tenant,
};
use lingpai_storage::{Db, testing::on_each_database};

use crate::world::{World, all_at_once, at, scope};

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

fn file(owner: Option<&Tenant>, text: &str, content: &str) -> VerificationFile {
    VerificationFile {
        name: name(text),
        content: FileContent::parse(content).unwrap(),
        tenant_id: owner.map(|tenant| tenant.id.clone()),
        created_at: at(1),
    }
}

async fn insert(db: &Db, file: &VerificationFile) -> bool {
    let tx = db.begin().await.unwrap();
    let inserted = tx.files().insert(file).await.unwrap();
    tx.commit().await.unwrap();
    inserted
}

#[tokio::test]
async fn a_file_is_served_as_its_owner_last_uploaded_it() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let first = file(Some(&owner), "MP_verify_a.txt", "a");
        assert!(insert(&db, &first).await);
        assert_eq!(db.files().system_find(&first.name).await.unwrap().as_ref(), Some(&first));
        for thief in [Some(&other), None] {
            assert!(!insert(&db, &file(thief, "MP_verify_a.txt", "b")).await, "taken");
        }
        let again =
            VerificationFile { created_at: at(2), ..file(Some(&owner), "MP_verify_a.txt", "c") };
        assert!(insert(&db, &again).await);
        assert_eq!(db.files().system_find(&first.name).await.unwrap(), Some(again));
        let in_capitals = file(Some(&other), "MP_VERIFY_A.txt", "d");
        assert!(insert(&db, &in_capitals).await, "another name");
        assert_eq!(db.files().system_find(&name("none.txt")).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn owners_list_and_remove_their_own() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let [b, a] = ["b.txt", "a.txt"].map(|text| file(Some(&owner), text, text));
        let [of_other, of_operator] =
            [file(Some(&other), "c.txt", "c"), file(None, &format!("{}.txt", "d".repeat(64)), "d")];
        for file in [&b, &a, &of_other, &of_operator] {
            assert!(insert(&db, file).await);
        }
        assert_eq!(db.files().list(&scope(&owner)).await.unwrap(), [a.clone(), b.clone()]);
        let listed = db.files().system_list(Some(&other.id)).await.unwrap();
        assert_eq!(listed.as_slice(), std::slice::from_ref(&of_other));
        let listed = db.files().system_list(None).await.unwrap();
        assert_eq!(listed.as_slice(), std::slice::from_ref(&of_operator));

        let tx = db.begin().await.unwrap();
        assert!(!tx.files().delete(&scope(&owner), &of_other.name).await.unwrap());
        assert!(!tx.files().delete(&scope(&owner), &of_operator.name).await.unwrap());
        assert!(!tx.files().system_delete(None, &a.name).await.unwrap());
        assert!(tx.files().delete(&scope(&owner), &a.name).await.unwrap());
        assert!(!tx.files().delete(&scope(&owner), &a.name).await.unwrap(), "gone");
        assert!(tx.files().system_delete(None, &of_operator.name).await.unwrap());
        assert!(tx.files().system_delete(Some(&other.id), &of_other.name).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(db.files().list(&scope(&owner)).await.unwrap(), [b]);
        assert!(insert(&db, &file(Some(&other), "a.txt", "mine-now")).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_owners_that_want_a_name_at_the_same_time_one_gets_it() {
    on_each_database(|db| async move {
        let world = World::new();
        let [a, b] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let uploads = [(&a, "a1"), (&b, "b1"), (&a, "a2"), (&b, "b2")].map(|(owner, content)| {
            let (db, file) = (db.clone(), file(Some(owner), "x.txt", content));
            async move { (insert(&db, &file).await, file.tenant_id) }
        });
        let outcomes = all_at_once(uploads).await;
        let kept = db.files().system_find(&name("x.txt")).await.unwrap().unwrap();
        for (inserted, owner) in outcomes {
            assert_eq!(inserted, owner == kept.tenant_id);
        }
    })
    .await;
}
