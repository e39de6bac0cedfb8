//! The ledger of calls.

use std::time::Duration;

use lingpai_authorizer::{Ledger, UNANSWERED, UsageFilter};
use lingpai_emulator::{Fault, FaultKind};
use lingpai_model::{
    caller::Caller,
    clock::Clock as _,
    event::{EventContent, EventKind},
    page::PageRequest,
    usage::{Granularity, UsageFigure},
};
use lingpai_storage::testing::{Backend, TestDb};
use serde_json::json;

use crate::{
    site::{Site, USER_GET, path},
    world::SHOP,
};

const MENU: &str = "/cgi-bin/menu/get";

/// What WeChat says where there is no menu, and to a path that it does not know.
const NO_MENU: i64 = 46003;
const WRONG_URL: i64 = 40066;

fn counts(figures: &[UsageFigure]) -> Vec<(&str, i64, u64)> {
    let mut counts: Vec<_> =
        figures.iter().map(|one| (one.path.as_str(), one.errcode, one.calls)).collect();
    counts.sort_unstable();
    counts
}

#[tokio::test]
async fn calls_are_counted_by_path_and_answer_and_only_shown_to_their_tenant() {
    let site = Site::open().await;
    site.get(USER_GET).await.unwrap();
    site.get(MENU).await.unwrap();
    site.world.wechat.set_fault(Fault::new(USER_GET, FaultKind::LoseAnswer).times(1));
    site.get(USER_GET).await.map(|answered| answered.response.status).unwrap_err();
    assert!(site.figures(&site.tenant).await.is_empty(), "a call costs no word with the database");

    assert_eq!(site.ledger.flush().await.unwrap(), 3);
    assert_eq!(site.ledger.flush().await.unwrap(), 0);
    site.get(USER_GET).await.unwrap();
    // In whatever case it is written, it is the same path.
    site.get("/CGI-BIN/user/get").await.unwrap();
    site.ledger.flush().await.unwrap();
    let figures = site.figures(&site.tenant).await;
    let expected =
        [(MENU, NO_MENU, 1), (USER_GET, 0, 2), (USER_GET, WRONG_URL, 1), (USER_GET, UNANSWERED, 1)];
    assert_eq!(counts(&figures), expected);
    assert!(figures.iter().all(|one| one.key_id == site.tenant.key_id));
    assert!(figures.iter().all(|one| one.authorizer_appid.as_str() == SHOP));
    assert!(site.figures(&site.other).await.is_empty());
}

#[tokio::test]
async fn hours_add_up_to_days_and_old_figures_are_swept() {
    let site = Site::open().await;
    let day = async |caller: &Caller| {
        let (filter, page) = (UsageFilter::default(), PageRequest::new(100, None).unwrap());
        let days = site.ledger.figures(&caller.scope, Granularity::Day, &filter, &page).await;
        days.unwrap().items
    };
    for _ in 0..2 {
        site.ledger.count(&site.tenant, &site.shop.clone().into(), &path("/a"), 0);
        site.ledger.flush().await.unwrap();
        site.world.advance(Duration::from_secs(60 * 60));
    }
    let hours = site.figures(&site.tenant).await;
    assert_eq!(hours.iter().map(|one| one.calls).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(day(&site.tenant).await.iter().map(|one| one.calls).sum::<u64>(), 2);

    assert_eq!(site.ledger.sweep().await.unwrap(), 0);
    site.world.clock.advance(chrono::Duration::days(92));
    assert_eq!(site.ledger.sweep().await.unwrap(), 2, "hours go before days");
    assert!(!day(&site.tenant).await.is_empty());
    site.world.clock.advance(chrono::Duration::days(310));
    site.ledger.sweep().await.unwrap();
    assert!(day(&site.tenant).await.is_empty());
}

#[tokio::test]
async fn paths_that_nobody_has_make_no_rows_of_their_own() {
    let site = Site::open().await;
    for number in 0..5 {
        site.get(&format!("/wxa/made_up_{number}")).await.unwrap();
    }
    let shop = site.shop.clone().into();
    for number in 0..70 {
        site.ledger.count(&site.tenant, &shop, &path(&format!("/wxa/new_{number}")), 0);
    }
    site.ledger.flush().await.unwrap();
    let figures = site.figures(&site.tenant).await;
    let others: Vec<_> = counts(&figures).into_iter().filter(|it| it.0 == "(other)").collect();
    assert_eq!(others, [("(other)", 0, 6), ("(other)", WRONG_URL, 5)]);
    assert_eq!(figures.len(), 64 + 2, "as many as a tenant's are told apart in an hour");
}

#[tokio::test]
async fn a_flush_that_fails_keeps_its_counts() {
    let site = Site::open().await;
    let empty = TestDb::open_empty(&Backend::Sqlite).await;
    let clock = std::sync::Arc::new(site.world.clock.clone());
    let ledger = Ledger::new(empty.db.clone(), clock, site.entropy.clone());
    let shop = site.shop.clone().into();
    for errcode in [0, 0, 45009] {
        ledger.count(&site.tenant, &shop, &path("/a"), errcode);
    }
    ledger.flush().await.unwrap_err();
    ledger.count(&site.tenant, &shop, &path("/a"), 0);
    empty.db.migrate().await.unwrap();
    // The tenant is not there, so its event cannot be told; the counts do not wait for that.
    ledger.flush().await.unwrap_err();
    let (filter, page) = (UsageFilter::default(), PageRequest::new(100, None).unwrap());
    let scope = &site.tenant.scope;
    let figures = ledger.figures(scope, Granularity::Hour, &filter, &page).await.unwrap();
    assert_eq!(counts(&figures.items), [("/a", 0, 3), ("/a", 45009, 1)]);
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_once_a_day_whoever_heard_it() {
    let site = Site::open().await;
    let shop = site.shop.clone().into();
    let (one, two) = (&site.ledger, &site.another_ledger());
    for ledger in [one, two, one] {
        ledger.count(&site.tenant, &shop, &path("/cgi-bin/menu/get"), 45009);
        ledger.count(&site.tenant, &shop, &path("/cgi-bin/menu/get"), 45009);
        ledger.flush().await.unwrap();
    }
    let events = site.events(&site.tenant).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event_type, EventKind::QuotaWarning);
    assert_eq!(events[0].authorizer_appid, Some(site.shop.appid.clone()));
    let detail = json!({ "path": "/cgi-bin/menu/get", "errcode": 45009 });
    assert_eq!(events[0].content, EventContent::Ours(Some(detail)));
    assert!(site.events(&site.other).await.is_empty());

    one.count(&site.tenant, &shop, &path("/cgi-bin/user/get"), 45009);
    one.flush().await.unwrap();
    assert_eq!(site.events(&site.tenant).await.len(), 2, "another path is another quota");
    site.world.advance(Duration::from_secs(24 * 60 * 60));
    two.count(&site.tenant, &shop, &path("/cgi-bin/menu/get"), 45009);
    two.flush().await.unwrap();
    assert_eq!(site.events(&site.tenant).await.len(), 3, "another day");
}

#[tokio::test]
async fn calls_that_come_too_fast_are_told_once_an_hour() {
    let site = Site::open().await;
    let shop = site.shop.clone().into();
    let into_the_hour = site.world.clock.now().timestamp() % 3600;
    site.world.clock.advance(chrono::Duration::seconds(3600 - into_the_hour));
    for (minutes, told) in [(0, 1), (59, 1), (1, 2)] {
        site.world.clock.advance(chrono::Duration::minutes(minutes));
        site.ledger.count(&site.tenant, &shop, &path("/a"), 45011);
        site.ledger.count(&site.tenant, &shop, &path("/a"), 44990);
        site.ledger.flush().await.unwrap();
        assert_eq!(site.told(&site.tenant).await.len(), told);
    }
}
