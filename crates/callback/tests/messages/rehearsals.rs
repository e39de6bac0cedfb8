//! The publish test rehearsed against our own door.

use lingpai_callback::{Error, RehearsalStep, Verdict};
use lingpai_model::page::PageRequest;
use lingpai_model::{Appid, audit::Action, caller::OperatorCaller};
use lingpai_storage::AuditFilter;

use crate::site::Site;

fn failed(verdicts: &[Verdict]) -> Vec<RehearsalStep> {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed);
    let mut steps: Vec<_> = failed.map(|verdict| verdict.step).collect();
    steps.dedup();
    steps
}

async fn rehearse(site: &Site, public_url: url::Url) -> Vec<Verdict> {
    let by: &OperatorCaller = &site.operator;
    let rehearsals = site.rehearsals(public_url);
    let verdicts = Box::pin(rehearsals.run(&by.act(), &site.component.appid)).await.unwrap();
    site.settle().await;
    for verdict in &verdicts {
        assert_eq!(verdict.passed, verdict.cure.is_none(), "{verdict}");
    }
    verdicts
}

#[tokio::test]
async fn an_installation_in_order_passes_every_step() {
    let mut site = Site::open().await;
    site.answer_publish_test().await;
    site.push_ticket().await;
    let public_url = site.serve(|said| said).await;
    let verdicts = rehearse(&site, public_url).await;
    assert_eq!(failed(&verdicts), [], "{verdicts:?}");
    assert_eq!(verdicts.len(), 4 + 5 + 5 + 10);
    let (filter, page) = (AuditFilter::default(), PageRequest::first());
    let trail = site.db.audit().system_list(&filter, &page).await.unwrap().items;
    assert_eq!(trail[0].action, Action::RehearsalAsked);
    assert_eq!(trail[0].subject, site.component.appid.as_str());
}

#[tokio::test]
async fn what_is_not_in_order_is_named_with_its_cure() {
    let mut site = Site::open().await;
    let public_url = site.serve(|said| said).await;
    let verdicts = rehearse(&site, public_url.clone()).await;
    assert_eq!(failed(&verdicts), [RehearsalStep::Switch, RehearsalStep::Ticket]);
    assert_eq!(verdicts.len(), 4, "the test accounts are left out");

    // Without a ticket there is no token, and WeChat cannot be asked about a code.
    site.answer_publish_test().await;
    let verdicts = rehearse(&site, public_url).await;
    assert_eq!(failed(&verdicts), [RehearsalStep::Ticket, RehearsalStep::ApiReply]);

    let elsewhere = "http://127.0.0.1:9/".parse().unwrap();
    let verdicts = rehearse(&site, elsewhere).await;
    assert!(verdicts.iter().skip(1).all(|verdict| !verdict.passed), "{verdicts:?}");
}

#[tokio::test]
async fn whatever_answers_in_our_place_is_noticed() {
    let mut site = Site::open().await;
    site.answer_publish_test().await;
    site.push_ticket().await;
    let public_url = site.serve(|_| (200, b"success".to_vec())).await;
    let verdicts = rehearse(&site, public_url).await;
    let expected = [
        RehearsalStep::UrlCheck,
        RehearsalStep::ForeignSignature,
        RehearsalStep::Text,
        RehearsalStep::Event,
        RehearsalStep::ApiReply,
    ];
    assert_eq!(failed(&verdicts), expected);
}

#[tokio::test]
async fn a_component_that_is_not_registered_cannot_rehearse() {
    let site = Site::open().await;
    let rehearsals = site.rehearsals("http://127.0.0.1:9/".parse().unwrap());
    let other = Appid::parse("wxnobody").unwrap();
    let refused = rehearsals.run(&site.operator.act(), &other).await.unwrap_err();
    assert!(matches!(refused, Error::ComponentNotFound { .. }), "{refused}");
}
