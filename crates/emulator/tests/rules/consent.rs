//! The consent page: who may open it, and what a consent does.

use std::time::Duration;

use lingpai_emulator::PushOrder;

use crate::world::{CALLBACK, Receiver, SHOP, World, auth_code};

async fn page(world: &World, link: &str, referer: Option<&str>) -> String {
    let mut request = world.http.get(link);
    if let Some(referer) = referer {
        request = request.header("referer", referer);
    }
    let response = request.send().await.expect("the emulator answers");
    assert_eq!(response.status(), 200);
    response.text().await.expect("a page is text")
}

#[tokio::test]
async fn the_page_opens_only_from_the_callbacks_host() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let link = world.link(&token).await.unwrap();
    let good = page(&world, &link, Some("http://lingpai.example/start/x")).await;
    assert!(good.contains(r#"name="func_scope" value="15""#) && good.contains("令牌点单"));
    for referer in [None, Some("http://other.example/")] {
        assert!(page(&world, &link, referer).await.contains(r#"data-error="referer""#));
    }
}

#[tokio::test]
async fn the_mobile_pages_want_their_fixed_parameters() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let link = world.link(&token).await.unwrap();
    for path in ["/wxaopen/safe/bindcomponent", "/safe/bindcomponent"] {
        let mobile = link.replace("/cgi-bin/componentloginpage", path);
        let referer = Some("http://lingpai.example/");
        assert!(page(&world, &mobile, referer).await.contains(r#"data-error="parameters""#));
        let mobile = format!("{mobile}&action=bindcomponent&no_scan=1#wechat_redirect");
        assert!(page(&world, &mobile, referer).await.contains(r#"action="/emulator/consent""#));
    }
}

#[tokio::test]
async fn a_pre_auth_code_is_good_for_one_consent_and_half_an_hour() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let link = world.link(&token).await.unwrap();
    world.wechat.consent(&link, SHOP, &[1]).await.unwrap();
    let again = world.wechat.consent(&link, SHOP, &[1]).await.unwrap_err();
    assert!(again.to_string().contains("pre_auth_code"), "{again}");
    let late = world.link(&token).await.unwrap();
    world.wechat.advance_clock(Duration::from_secs(1800));
    assert!(world.wechat.consent(&late, SHOP, &[1]).await.is_err());
}

#[tokio::test]
async fn the_redirect_keeps_the_query_and_adds_the_code() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let link = world.link(&token).await.unwrap();
    let location = world.wechat.consent(&link, SHOP, &[]).await.unwrap();
    assert!(location.starts_with(&format!("{CALLBACK}&auth_code=queryauthcode%40%40%40CANARY")));
    assert!(location.ends_with("&expires_in=3600"));
}

#[tokio::test]
async fn only_an_offered_account_and_its_own_sets_can_be_granted() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let code = world.pre_auth_code(&token).await.unwrap();
    let mini_programs = world.link_with(&code, "&auth_type=2");
    let error = world.wechat.consent(&mini_programs, SHOP, &[1]).await.unwrap_err();
    assert!(error.to_string().contains("account"), "{error}");
    let all = world.link_with(&code, "&auth_type=3");
    let error = world.wechat.consent(&all, SHOP, &[18]).await.unwrap_err();
    assert!(error.to_string().contains("sets"), "{error}");
    world.wechat.consent(&all, SHOP, &[18, 7]).await.unwrap();
    let grant = world.wechat.snapshot().accounts[0].grant.clone().unwrap();
    assert_eq!(grant.sets, [7]);
}

#[tokio::test]
async fn a_first_grant_a_change_and_a_withdrawal_are_pushed_and_the_same_sets_are_not() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_events_url(&url);
    let link = world.link(&token).await.unwrap();
    let location = world.wechat.consent(&link, SHOP, &[1]).await.unwrap();
    world.consent(&token, &[1]).await.unwrap();
    world.consent(&token, &[1, 2]).await.unwrap();
    assert!(world.wechat.revoke(SHOP).await.unwrap().is_accepted());
    assert!(world.wechat.revoke(SHOP).await.is_err());
    let pushed = receiver.plaintexts();
    let types = ["authorized", "updateauthorized", "unauthorized"];
    assert_eq!(pushed.len(), types.len(), "{pushed:?} {:?}", receiver.refused());
    for (plaintext, info_type) in pushed.iter().zip(types) {
        assert!(plaintext.contains(&format!("<InfoType><![CDATA[{info_type}]]></InfoType>")));
        assert!(plaintext.contains(&format!("<AuthorizerAppid><![CDATA[{SHOP}]]>")));
    }
    // Push and redirect report the same code, and the push names the attempt.
    assert!(pushed[0].contains(&auth_code(&location).unwrap()));
    assert!(pushed[0].contains("<PreAuthCode><![CDATA[preauthcode@@@CANARY"));
}

#[tokio::test]
async fn the_push_can_follow_the_redirect_or_get_lost() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.change_switches(|switches| switches.push_order = PushOrder::Lost);
    world.consent(&token, &[1]).await.unwrap();
    world.wechat.change_switches(|switches| switches.push_order = PushOrder::RedirectFirst);
    world.consent(&token, &[1, 2]).await.unwrap();
    assert!(receiver.plaintexts().is_empty());
    let flushed = world.wechat.flush_pushes().await;
    assert_eq!(flushed.len(), 1);
    assert!(flushed[0].is_accepted());
    assert!(receiver.plaintexts()[0].contains("updateauthorized"));
}
