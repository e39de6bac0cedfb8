//! Operators: the last one cannot be revoked by two who each revoke the other.

use lingpai_model::{id::OperatorId, operator::Operator, page::PageRequest};
use lingpai_storage::{Db, testing::on_each_database};

use crate::world::{World, all_at_once, at};

/// Revokes an operator unless it is the last one that lives.
async fn revoke(db: &Db, id: &OperatorId) -> bool {
    let tx = db.begin().await.unwrap();
    if tx.operators().count_live().await.unwrap() < 2 {
        return false;
    }
    assert!(tx.operators().mark_revoked(id, at(1)).await.unwrap());
    tx.commit().await.unwrap();
    true
}

#[tokio::test]
async fn an_operator_is_revoked_once_and_still_listed() {
    on_each_database(|db| async move {
        let world = World::new();
        let [a, b] = [world.stored_operator(&db).await, world.stored_operator(&db).await];
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.operators().count_live().await.unwrap(), 2);
        for second in [2, 3] {
            assert!(tx.operators().mark_revoked(&a.id, at(second)).await.unwrap(), "it is there");
        }
        assert!(!tx.operators().mark_revoked(&world.operator().id, at(2)).await.unwrap());
        assert_eq!(tx.operators().count_live().await.unwrap(), 1);
        tx.commit().await.unwrap();

        let revoked = Operator { revoked_at: Some(at(2)), ..a };
        let first = db.operators().list(&PageRequest::new(1, None).unwrap()).await.unwrap();
        assert_eq!(first.items, [revoked], "the second time changed nothing");
        let rest = PageRequest::new(1, first.next).unwrap();
        let rest = db.operators().list(&rest).await.unwrap();
        assert_eq!((rest.items, rest.next), (vec![b], None));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_operators_that_revoke_each_other_one_stays() {
    on_each_database(|db| async move {
        let world = World::new();
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(world.stored_operator(&db).await.id);
        }
        let revoking = ids.into_iter().map(|id| {
            let db = db.clone();
            async move { revoke(&db, &id).await }
        });
        let revoked = all_at_once(revoking).await.into_iter().filter(|revoked| *revoked).count();
        assert_eq!(revoked, 3);
        let all = db.operators().list(&PageRequest::first()).await.unwrap().items;
        assert_eq!(all.iter().filter(|operator| operator.revoked_at.is_none()).count(), 1);
    })
    .await;
}
