//! Creating calls that are sent again when nobody knows what became of the first.

use lingpai_emulator::{Fault, FaultKind};
use poem::http::Request;

use crate::house::{Answer, House, SHOP};

const CLEAR: &str = "/cgi-bin/clear_quota";

/// Has the shop's calls counted anew, once under this key.
async fn clear_once(house: &House, key: &str) -> Answer {
    let request = Request::builder()
        .method("POST")
        .uri(format!("/v1/authorizers/{SHOP}/quota/clear"))
        .header("authorization", format!("Bearer {}", house.key))
        .header("idempotency-key", key);
    house.send(request, "").await
}

async fn house() -> House {
    let house = House::start().await;
    house.connect_shop().await;
    house
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_not_made_again_under_its_key() {
    let house = house().await;
    house.wechat.set_fault(Fault::new(CLEAR, FaultKind::LoseAnswer).times(1));
    let lost = clear_once(&house, "k").await;
    assert_eq!((lost.status, lost.code().as_str()), (502, "upstream_unreachable"));
    let at_once = clear_once(&house, "k").await;
    assert_eq!((at_once.status, at_once.code().as_str()), (409, "idempotency_under_way"));
    house.clock.advance(chrono::Duration::seconds(61));
    let later = clear_once(&house, "k").await;
    assert_eq!((later.status, later.code().as_str()), (409, "idempotency_interrupted"));
    assert_eq!(house.wechat.calls_to(CLEAR).len(), 1, "it had its effect once");
    assert_eq!(clear_once(&house, "another").await.status, 200);
}

#[tokio::test]
async fn a_call_that_wechat_refused_may_be_made_again_under_its_key() {
    let house = house().await;
    let busy = house.wechat.set_fault(Fault::errcode(CLEAR, -1));
    let refused = clear_once(&house, "k").await;
    assert_eq!((refused.status, refused.code().as_str()), (502, "upstream_rejected"));
    house.wechat.clear_fault(busy);
    assert_eq!(clear_once(&house, "k").await.status, 200);
}
