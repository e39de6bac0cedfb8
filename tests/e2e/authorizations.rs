//! Authorizations: from the link to the stored authorizer, in every order of push and browser.

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{EmulatorConfig, PushOrder};
use lingpai_tests::{
    people::Administrator,
    world::{ORDERS, SHOP, World},
};
use reqwest::{StatusCode, header::LOCATION};
use serde_json::json;

async fn world_with(order: PushOrder) -> Result<World> {
    let mut config = EmulatorConfig::for_tests();
    config.switches.push_order = order;
    let world = World::start_with(config, None).await?;
    world.push_ticket().await?;
    Ok(world)
}

#[tokio::test]
async fn an_account_is_authorized_from_link_to_authorizer() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let authorization = world.authorize(&tenant, SHOP).await?;
    assert_eq!(authorization.field("state")?, "finished");
    assert_eq!(authorization.field("authorizer_appid")?, SHOP);

    let shown = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?.expect(StatusCode::OK)?;
    assert_eq!(shown.field("state")?, "active");
    assert_eq!(shown.field("nick_name")?, "令牌小店");
    assert_eq!(shown.field("user_name")?, "gh_0a1b2c3d4e5f");
    assert_eq!(shown.field("component_appid")?, world.component.appid);
    assert_eq!(shown.field("connection")?, "component");
    assert_eq!(shown.field("token.state")?, "fresh");
    let messages = json!({ "id": 1, "name": "消息管理" });
    let func_info = shown.json["func_info"].as_array().expect("a list");
    assert!(func_info.iter().any(|set| set["id"] == messages["id"]), "{}", shown.text);
    assert!(func_info.iter().all(|set| set["name"].is_string()), "{}", shown.text);

    let list = tenant.get("/v1/authorizers?limit=1").await?.expect(StatusCode::OK)?;
    assert_eq!(list.json["items"][0]["appid"], SHOP);
    assert_eq!(world.emulator.stats("/cgi-bin/component/api_query_auth", "*").refused, 0);
    world.end().await
}

#[tokio::test]
async fn the_browser_may_come_first_and_binds_nothing() -> Result<()> {
    let world = world_with(PushOrder::RedirectFirst).await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let (id, link) = tenant.start_authorization(&world.component.appid).await?;
    let mut administrator = Administrator::new("en");
    let page = administrator.authorize(&link, SHOP).await?.expect(StatusCode::OK)?;
    assert!(page.text.contains("http-equiv=\"refresh\""), "{}", page.text);
    let before = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(before.status, StatusCode::NOT_FOUND);

    world.emulator.flush_pushes().await;
    world.work().await?;
    let after = tenant.get(&format!("/v1/authorizations/{id}")).await?;
    assert_eq!(after.field("state")?, "finished");
    let queries = world.emulator.calls_to("/cgi-bin/component/api_query_auth");
    assert_eq!(queries.len(), 1, "the code is exchanged once, whoever brings it");
    world.end().await
}

#[tokio::test]
async fn the_browser_may_never_come_back() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let (id, link) = tenant.start_authorization(&world.component.appid).await?;
    let mut administrator = Administrator::new("zh");
    let page = administrator.open_start_page(&link).await?;
    administrator.consent(&page, ORDERS).await?;
    world.work().await?;
    let after = tenant.get(&format!("/v1/authorizations/{id}")).await?;
    assert_eq!(after.field("state")?, "finished");
    let shown = tenant.get(&format!("/v1/authorizers/{ORDERS}")).await?;
    assert_eq!(shown.field("nick_name")?, "令牌点单");
    world.end().await
}

#[tokio::test]
async fn granting_the_same_sets_again_sends_no_push_and_still_renews_the_tokens() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.advance(Duration::minutes(5));
    let again = world.authorize(&tenant, SHOP).await?;
    assert_eq!(again.field("state")?, "finished");
    // The old refresh token is void now; only a new one can refresh.
    world.advance(Duration::hours(3));
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(answer.json["total"], 2, "{}", answer.text);
    world.end().await
}

#[tokio::test]
async fn an_account_does_not_move_to_another_tenant() -> Result<()> {
    let (world, owner) = World::with_authorizer().await?;
    let (_, other) = world.operator.create_tenant("另一家").await?;
    world.advance(Duration::minutes(1));
    let (id, link) = other.start_authorization(&world.component.appid).await?;
    let mut administrator = Administrator::new("zh");
    let page = administrator.open_start_page(&link).await?;
    // Other sets than before, so that WeChat pushes.
    let back = world.emulator.consent(page.desktop.as_str(), SHOP, &[1, 2]).await?;
    administrator.open(&back.parse()?).await?;
    world.work().await?;

    let outcome = other.get(&format!("/v1/authorizations/{id}")).await?;
    assert_eq!(outcome.field("state")?, "owned_elsewhere");
    let foreign = other.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let shown = administrator.open(&link).await?.expect(StatusCode::OK)?;
    assert!(!shown.text.contains("花店"), "the owner is not told: {}", shown.text);
    // The owner's tokens are the new ones: the old refresh token is void.
    world.advance(Duration::hours(3));
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    assert_eq!(owner.get(&path).await?.json["total"], 2);
    world.end().await
}

#[tokio::test]
async fn a_withdrawn_grant_is_confirmed_and_then_ends_the_calls() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.advance(Duration::minutes(1));
    // A push alone is not believed: WeChat still knows the grant.
    let xml = format!(
        "<xml><AppId>{}</AppId><CreateTime>{}</CreateTime><InfoType>unauthorized</InfoType>\
         <AuthorizerAppid>{SHOP}</AuthorizerAppid></xml>",
        world.component.appid,
        world.emulator.now_ms() / 1000
    );
    assert!(world.emulator.push(&xml).await.is_accepted());
    world.work().await?;
    let shown = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(shown.field("state")?, "active");

    world.advance(Duration::minutes(1));
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    let shown = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(shown.field("state")?, "revoked");
    let call = tenant.get(&format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get")).await?;
    assert_eq!(call.expect(StatusCode::CONFLICT)?.field("code")?, "authorizer_revoked");

    world.advance(Duration::minutes(1));
    assert_eq!(world.authorize(&tenant, SHOP).await?.field("state")?, "finished");
    let shown = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(shown.field("state")?, "active");
    world.end().await
}

#[tokio::test]
async fn the_start_page_speaks_both_languages_and_tells_who_asks() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("<b>花店</b>").await?;
    let body = json!({
        "component_appid": world.component.appid,
        "account_kind": "official_account",
        "category_ids": [1, 15],
        "purpose": "自动回复\"顾客\"",
    });
    let started = tenant.post("/v1/authorizations", &body).await?.expect(StatusCode::CREATED)?;
    let link = started.field("url")?.parse()?;
    for (language, words, set) in
        [("zh-CN,zh;q=0.9", "授权", "消息管理"), ("en-US", "Authorize", "messages")]
    {
        let page = Administrator::new(language).open_start_page(&link).await?;
        assert!(page.html.contains(words), "{language}: {}", page.html);
        assert!(!page.html.contains("<b>花店"), "names are escaped");
        assert!(page.html.contains(set), "requested sets are named: {}", page.html);
        assert_eq!(page.desktop.path(), "/cgi-bin/componentloginpage");
        assert_eq!(page.mobile.path(), "/wxaopen/safe/bindcomponent");
        assert_eq!(page.mobile.fragment(), Some("wechat_redirect"));
    }
    world.end().await
}

#[tokio::test]
async fn a_code_brought_by_a_strange_browser_is_not_taken() -> Result<()> {
    let world = world_with(PushOrder::Lost).await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let (_, link) = tenant.start_authorization(&world.component.appid).await?;
    let mut administrator = Administrator::new("zh");
    let page = administrator.open_start_page(&link).await?;
    let back = administrator.consent(&page, SHOP).await?;
    // Somebody else's browser has no cookie; a state can be used once.
    Administrator::new("zh").come_back(&back).await?.expect(StatusCode::OK)?;
    assert_eq!(world.emulator.calls_to("/cgi-bin/component/api_query_auth").len(), 0);
    administrator.come_back(&back).await?.expect(StatusCode::OK)?;
    administrator.come_back(&back).await?.expect(StatusCode::OK)?;
    assert_eq!(world.emulator.calls_to("/cgi-bin/component/api_query_auth").len(), 1);
    world.end().await
}

#[tokio::test]
async fn the_administrator_goes_on_to_a_registered_address_only() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let body = json!({
        "component_appid": world.component.appid,
        "account_kind": "any",
        "return_url": "https://shop.example/done?x=1",
        "reference": "order 7",
    });
    let refused = tenant.post("/v1/authorizations", &body).await?;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let uri = json!({ "uri": "https://shop.example/done?x=1" });
    tenant.post("/v1/redirect-uris", &uri).await?.expect(StatusCode::CREATED)?;
    let started = tenant.post("/v1/authorizations", &body).await?.expect(StatusCode::CREATED)?;

    let link = started.field("url")?.parse()?;
    let mut administrator = Administrator::new("zh");
    let page = administrator.open_start_page(&link).await?;
    let back = administrator.consent(&page, SHOP).await?;
    world.work().await?;
    let end = administrator.come_back(&back).await?;
    assert_eq!(end.status, StatusCode::SEE_OTHER, "{}", end.text);
    let target = end.headers[LOCATION].to_str()?;
    assert!(target.starts_with("https://shop.example/done?x=1&"), "{target}");
    assert!(target.contains("reference=order"), "{target}");
    assert!(!target.contains("auth_code"), "{target}");
    world.end().await
}

#[tokio::test]
async fn authorizations_are_found_by_state_and_reference() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let appid = &world.component.appid;
    let start = async |reference: &str| {
        let body = json!({
            "component_appid": appid, "account_kind": "any", "reference": reference,
        });
        tenant.post("/v1/authorizations", &body).await?.expect(StatusCode::CREATED)
    };
    let late = start("late").await?.field("id")?;
    world.advance(Duration::hours(1));
    let granted = world.authorize(&tenant, SHOP).await?.field("id")?;
    world.push_ticket().await?;
    let open = start("open").await?.field("id")?;
    for (query, wanted) in [
        ("state=expired", vec![&late]),
        ("state=finished", vec![&granted]),
        ("state=pending", vec![&open]),
        ("state=refused", vec![]),
        ("reference=open", vec![&open]),
        ("reference=OPEN", vec![]),
        ("reference=late&state=pending", vec![]),
    ] {
        let path = format!("/v1/authorizations?{query}");
        let found = tenant.get(&path).await?.expect(StatusCode::OK)?;
        let ids: Vec<_> = found.json["items"].as_array().into_iter().flatten().collect();
        let ids: Vec<_> = ids.iter().map(|item| item["id"].as_str().unwrap_or_default()).collect();
        assert_eq!(ids, wanted, "{query}");
    }
    world.end().await
}

#[tokio::test]
async fn links_end_and_unknown_ones_lead_nowhere() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let (id, link) = tenant.start_authorization(&world.component.appid).await?;
    world.advance(Duration::hours(2));
    let page = Administrator::new("en").open(&link).await?;
    assert!(!page.text.contains("id=\"authorize\""), "an expired link offers nothing");
    let shown = tenant.get(&format!("/v1/authorizations/{id}")).await?;
    assert_eq!(shown.field("state")?, "expired");

    for made_up in ["x".to_owned(), "0".repeat(64), "..%2f..".to_owned()] {
        let url = world.base.join(&format!("authorize/{made_up}"))?;
        let answer = Administrator::new("en").open(&url).await?;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{made_up}");
    }
    world.end().await
}

#[tokio::test]
async fn a_made_up_code_touches_nobodys_account() -> Result<()> {
    let (world, owner) = World::with_authorizer().await?;
    world.advance(Duration::minutes(1));
    let before = owner.get(&format!("/v1/authorizers/{SHOP}")).await?.json;
    let (_, stranger) = world.operator.create_tenant("另一家").await?;
    let (id, link) = stranger.start_authorization(&world.component.appid).await?;
    let mut browser = Administrator::new("zh");
    let page = browser.open_start_page(&link).await?;
    let back = page.desktop.query_pairs().find(|(name, _)| name == "redirect_uri");
    let mut back: url::Url = back.expect("the link tells where to return").1.parse()?;
    back.query_pairs_mut().append_pair("auth_code", "queryauthcode@@@made-up");
    browser.open(&back).await?;
    world.work().await?;

    let codes = world.emulator.calls_to("/cgi-bin/component/api_query_auth");
    assert_eq!(codes.last().expect("WeChat was asked").errcode, 61009);
    assert_eq!(world.emulator.calls_to("/cgi-bin/component/api_get_authorizer_list").len(), 0);
    let after = owner.get(&format!("/v1/authorizers/{SHOP}")).await?.json;
    assert_eq!(after, before);
    let outcome = stranger.get(&format!("/v1/authorizations/{id}")).await?;
    assert_eq!(outcome.field("state")?, "pending");
    world.end().await
}

#[tokio::test]
async fn a_withdrawal_older_than_the_grant_is_not_even_asked_about() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let before = world.emulator.calls().len();
    let xml = format!(
        "<xml><AppId>{}</AppId><CreateTime>{}</CreateTime><InfoType>unauthorized</InfoType>\
         <AuthorizerAppid>{SHOP}</AuthorizerAppid></xml>",
        world.component.appid,
        world.emulator.now_ms() / 1000 - 3600
    );
    assert!(world.emulator.push(&xml).await.is_accepted());
    world.work().await?;
    assert_eq!(world.emulator.calls().len(), before);
    let shown = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(shown.field("state")?, "active");
    world.end().await
}

#[tokio::test]
async fn looking_at_a_link_without_opening_it_uses_nothing_up() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let (_, link) = tenant.start_authorization(&world.component.appid).await?;
    for _ in 0..40 {
        let looked = lingpai_tests::people::http_client().head(link.clone()).send().await?;
        assert_eq!(looked.status(), StatusCode::OK);
    }
    Administrator::new("zh").open_start_page(&link).await?;
    world.end().await
}
