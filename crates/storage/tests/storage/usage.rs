//! Usage figures: added up by hour and by day, each tenant's own.

use chrono::Duration;
use lingpai_model::{
    Instant,
    page::{Page, PageRequest},
    tenant::Tenant,
    usage::{Granularity, UsageFigure, UsageKey},
};
use lingpai_storage::{Db, UsageFilter, testing::on_each_database};

use crate::world::{World, all_at_once, app, scope};

/// Half past the hour, in the evening of a day of UTC.
fn evening() -> Instant {
    Instant::UNIX_EPOCH + Duration::days(20_000) + Duration::minutes(23 * 60 + 30)
}

async fn add(db: &Db, calls: &[(UsageKey, u64)], at: Instant) {
    let tx = db.begin().await.unwrap();
    tx.usage().add(calls, at).await.unwrap();
    tx.commit().await.unwrap();
}

async fn all(db: &Db, tenant: &Tenant, granularity: Granularity) -> Vec<UsageFigure> {
    listed(db, tenant, granularity, UsageFilter::default()).await
}

async fn listed(
    db: &Db,
    tenant: &Tenant,
    granularity: Granularity,
    filter: UsageFilter,
) -> Vec<UsageFigure> {
    let (scope, all) = (scope(tenant), PageRequest::first());
    db.usage().list(&scope, granularity, &filter, &all).await.unwrap().items
}

fn key(world: &World, tenant: &Tenant, path: &str) -> UsageKey {
    UsageKey {
        tenant_id: tenant.id.clone(),
        key_id: world.api_key(tenant).id,
        authorizer_appid: app("wxA"),
        path: path.to_owned(),
        errcode: 0,
    }
}

#[tokio::test]
async fn calls_are_added_up_by_hour_and_by_day() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let key = key(&world, &tenant, "/cgi-bin/user/info");
        let failed = UsageKey { errcode: -1, ..key.clone() };
        add(&db, &[(key.clone(), 3), (failed.clone(), 1), (key.clone(), 4)], evening()).await;
        add(&db, &[(key.clone(), 10)], evening() + Duration::minutes(29)).await;
        add(&db, &[(key.clone(), 100)], evening() - Duration::hours(1)).await;
        add(&db, &[(key.clone(), 1000)], evening() + Duration::hours(1)).await;
        add(&db, &[], evening()).await;

        let figure = |starts_at: Instant, errcode, calls| UsageFigure {
            starts_at,
            key_id: key.key_id.clone(),
            authorizer_appid: app("wxA"),
            path: key.path.clone(),
            errcode,
            calls,
        };
        let hour = evening() - Duration::minutes(30);
        let mut hours = all(&db, &tenant, Granularity::Hour).await;
        hours.sort_by_key(|figure| (figure.starts_at, figure.errcode));
        let wanted = [
            figure(hour - Duration::hours(1), 0, 100),
            figure(hour, -1, 1),
            figure(hour, 0, 17),
            figure(hour + Duration::hours(1), 0, 1000),
        ];
        assert_eq!(hours, wanted);
        let day = hour - Duration::hours(23);
        let mut days = all(&db, &tenant, Granularity::Day).await;
        days.sort_by_key(|figure| (figure.starts_at, figure.errcode));
        let next = day + Duration::days(1);
        assert_eq!(days, [figure(day, -1, 1), figure(day, 0, 117), figure(next, 0, 1000)]);
    })
    .await;
}

#[tokio::test]
async fn another_tenants_calls_are_counted_and_seen_apart() {
    on_each_database(|db| async move {
        let world = World::new();
        let [tenant, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let mine = key(&world, &tenant, "/a");
        let others = UsageKey { tenant_id: other.id.clone(), ..mine.clone() };
        add(&db, &[(mine, 1), (others, 2)], evening()).await;
        let calls = async |tenant| {
            let figures = all(&db, tenant, Granularity::Hour).await;
            figures.iter().map(|figure| figure.calls).collect::<Vec<_>>()
        };
        assert_eq!((calls(&tenant).await, calls(&other).await), (vec![1], vec![2]));
    })
    .await;
}

#[tokio::test]
async fn figures_are_found_by_account_key_and_span() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let a = key(&world, &tenant, "/a");
        let b = UsageKey { authorizer_appid: app("wxB"), ..key(&world, &tenant, "/b") };
        let hour = |hours| evening() + Duration::hours(hours);
        add(&db, &[(a.clone(), 1)], hour(-3)).await;
        add(&db, &[(b.clone(), 2)], hour(-2)).await;
        add(&db, &[(a.clone(), 4)], hour(-1)).await;

        let found = async |granularity, filter| {
            let figures = listed(&db, &tenant, granularity, filter).await;
            figures.iter().map(|figure| figure.calls).collect::<Vec<_>>()
        };
        let none = UsageFilter::default;
        let by_account = UsageFilter { authorizer_appid: Some(app("wxA")), ..none() };
        assert_eq!(found(Granularity::Hour, by_account).await, [1, 4], "the oldest first");
        let by_key = UsageFilter { key_id: Some(b.key_id), ..none() };
        assert_eq!(found(Granularity::Hour, by_key).await, [2]);
        let spans = |from: Option<i64>, to: Option<i64>| UsageFilter {
            from: from.map(|hours| hour(hours) - Duration::minutes(30)),
            to: to.map(|hours| hour(hours) - Duration::minutes(30)),
            ..none()
        };
        assert_eq!(found(Granularity::Hour, spans(Some(-2), None)).await, [2, 4]);
        assert_eq!(found(Granularity::Hour, spans(None, Some(-2))).await, [1]);
        assert_eq!(found(Granularity::Hour, spans(Some(-2), Some(-1))).await, [2]);
        let within = UsageFilter { from: Some(hour(-3)), to: Some(hour(-2)), ..none() };
        let found_within = found(Granularity::Hour, within.clone()).await;
        assert_eq!(found_within, [2], "the hour in which `from` is began before it");
        assert!(found(Granularity::Day, within).await.is_empty());
        let to_day = UsageFilter { to: Some(hour(-3)), ..none() };
        assert_eq!(found(Granularity::Day, to_day).await.iter().sum::<u64>(), 7);
    })
    .await;
}

#[tokio::test]
async fn pages_follow_the_cursor_through_more_rows_than_one_statement_writes() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let one = key(&world, &tenant, "/");
        let calls: Vec<(UsageKey, u64)> =
            (0..1203).map(|i| (UsageKey { path: format!("/{i}"), ..one.clone() }, 1)).collect();
        add(&db, &calls, evening()).await;
        add(&db, &calls, evening()).await;
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let request = PageRequest::new(100, after).unwrap();
            let filter = UsageFilter::default();
            let page = db.usage().list(&scope(&tenant), Granularity::Hour, &filter, &request).await;
            let Page { items, next } = page.unwrap();
            assert!(items.iter().all(|figure| figure.calls == 2));
            seen.extend(items.into_iter().map(|figure| figure.path));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 1203);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1203, "each once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_flush_at_the_same_time_lose_nothing() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let keys: Vec<UsageKey> = (0..20).map(|i| key(&world, &tenant, &format!("/{i}"))).collect();
        let flushes = (0..6).map(|instance| {
            let (db, mut keys) = (db.clone(), keys.clone());
            keys.rotate_left(instance * 3);
            let calls: Vec<(UsageKey, u64)> = keys.into_iter().map(|key| (key, 1)).collect();
            async move { add(&db, &calls, evening()).await }
        });
        all_at_once(flushes).await;
        for granularity in Granularity::ALL {
            let figures = all(&db, &tenant, granularity).await;
            assert_eq!(figures.len(), 20);
            assert!(figures.iter().all(|figure| figure.calls == 6), "{granularity:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_sweep_of_many_figures_erases_them_in_turns() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let one = key(&world, &tenant, "/");
        let calls: Vec<(UsageKey, u64)> =
            (0..10_004).map(|i| (UsageKey { path: format!("/{i}"), ..one.clone() }, 1)).collect();
        add(&db, &calls, evening()).await;
        for wanted in [10_000, 4, 0] {
            let tx = db.begin().await.unwrap();
            let later = evening() + Duration::hours(1);
            assert_eq!(tx.usage().sweep(Granularity::Hour, later).await.unwrap(), wanted);
            tx.commit().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_sweep_erases_old_hours_or_old_days() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let calls = [(key(&world, &tenant, "/"), 1)];
        for days in 0..4 {
            add(&db, &calls, evening() + Duration::days(days)).await;
        }
        let sweep = async |granularity, before| {
            let tx = db.begin().await.unwrap();
            let erased = tx.usage().sweep(granularity, before).await.unwrap();
            tx.commit().await.unwrap();
            erased
        };
        let third = evening() + Duration::days(2);
        assert_eq!(sweep(Granularity::Hour, third).await, 2, "the hour of that instant stays");
        assert_eq!(sweep(Granularity::Hour, third).await, 0);
        assert_eq!(all(&db, &tenant, Granularity::Hour).await.len(), 2);
        assert_eq!(all(&db, &tenant, Granularity::Day).await.len(), 4, "the days are kept");
        assert_eq!(sweep(Granularity::Day, third).await, 2);
        assert_eq!(all(&db, &tenant, Granularity::Hour).await.len(), 2);
    })
    .await;
}
