//! The pages of an authorization in a real browser: every way through them, on a computer and on a
//! phone, in both languages. The pictures are in `target/browser-shots`.

mod chromium;
mod fans;

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{EmulatorConfig, Fault, PushOrder};
use lingpai_tests::{
    needs,
    people::Program,
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use self::chromium::{Chromium, DESK, DESK_EN, EVERYBODY, PHONE, PHONE_EN, Person, Served};

/// WeChat's consent page.
const CONSENT: &str = "form[action='/emulator/consent']";

/// Its button.
const AGREE: &str = "form[action='/emulator/consent'] button[type=submit]";

/// The tenant's logo, on a host that is not there.
const LOGO: Served = Served {
    url: "https://cdn.shop.example/logo.svg",
    media_type: "image/svg+xml",
    body: "<svg xmlns='http://www.w3.org/2000/svg' width='96' height='96' viewBox='0 0 96 96'>\
           <rect width='96' height='96' fill='#e2557f'/><circle cx='48' cy='48' r='15' \
           fill='#ffd34d'/><g fill='#fff'><circle cx='48' cy='24' r='13'/><circle cx='72' cy='48' \
           r='13'/><circle cx='48' cy='72' r='13'/><circle cx='24' cy='48' r='13'/></g></svg>",
};

/// Where the tenant wants the administrator back, on a host that is not there either.
const DONE: Served = Served {
    url: "https://shop.example/done**",
    media_type: "text/html",
    body: "<title>shop</title><p id=shop>shop",
};

/// A world with a browser before it, and a tenant with a logo.
struct Scene {
    world: World,
    tenant: Program,
    browser: Chromium,
}

impl Scene {
    /// `None` where there is no browser.
    async fn open() -> Result<Option<Self>> {
        let Some(folder) = needs("LINGPAI_TEST_BROWSER") else { return Ok(None) };
        let mut config = EmulatorConfig::for_tests();
        config.switches.push_order = PushOrder::RedirectFirst;
        let world = World::start_with(config, None).await?;
        world.push_ticket().await?;
        let (id, tenant) = world.operator.create_tenant("花店").await?;
        let logo = json!({ "logo_url": LOGO.url });
        let path = format!("/admin/v1/tenants/{id}");
        world.operator.patch(&path, &logo).await?.expect(StatusCode::OK)?;
        let browser = Chromium::start(&folder, &[LOGO, DONE])?;
        Ok(Some(Self { world, tenant, browser }))
    }

    /// The link of an authorization that asks for these sets.
    async fn link(&self, category_ids: &[u32]) -> Result<String> {
        let more = json!({
            "category_ids": category_ids, "purpose": "自动回复顾客的消息，并通知他们新到的鲜花",
        });
        self.link_with(more).await
    }

    async fn link_with(&self, more: Value) -> Result<String> {
        let mut body = json!({
            "component_appid": self.world.component.appid, "account_kind": "official_account",
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let started = self.tenant.post("/v1/authorizations", &body).await?;
        started.expect(StatusCode::CREATED)?.field("url")
    }

    /// WeChat's push arrives and is worked off.
    async fn push_arrives(&self) -> Result<()> {
        self.world.emulator.flush_pushes().await;
        self.world.work().await
    }

    /// Shows a page to everybody and takes a picture of each.
    async fn show_to_everybody(&self, url: &str, name: &str) -> Result<()> {
        for person in EVERYBODY {
            self.browser.person(person).await?;
            self.browser.open(url).await?;
            self.browser.shoot(person, name).await?;
        }
        Ok(())
    }

    /// What the browser asked of hosts other than those of this machine.
    async fn strangers_asked(&self) -> Result<Vec<String>> {
        let asked = self.browser.asked().await?;
        let here = |url: &String| {
            Url::parse(url).is_ok_and(|url| url.host_str() == self.world.base.host_str())
        };
        Ok(asked.into_iter().filter(|url| !here(url)).collect())
    }

    /// From the start page to WeChat's, by the button for this person.
    async fn to_wechat(&self, person: Person, link: &str, button: &str) -> Result<()> {
        self.browser.person(person).await?;
        self.browser.open(link).await?;
        self.browser.click(button, CONSENT).await
    }
}

#[tokio::test]
async fn on_a_computer_a_click_leads_through_wechat_to_the_result() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    let Scene { world, browser, .. } = &scene;
    let link = scene.link(&[1, 2, 7, 11, 15]).await?;
    scene.show_to_everybody(&link, "start").await?;

    browser.person(DESK).await?;
    assert_eq!(browser.open(&link).await?, 200);
    assert_eq!(browser.pictures().await?, [96], "the logo is let in");
    assert_eq!(scene.strangers_asked().await?, [LOGO.url], "and nothing else");
    assert!(browser.shows("#authorize").await?);
    let text = browser.see("text").await?;
    for said in ["花店", "令牌示例平台", "新到的鲜花", "群发与通知", "30 分钟"]
    {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    browser.click("#authorize", CONSENT).await?;
    browser.shoot(DESK, "consent").await?;
    browser.choose(SHOP).await?;
    browser.click(AGREE, "[data-outcome=waiting]").await?;
    browser.shoot(DESK, "waiting").await?;
    assert!(!browser.see("url").await?.contains("auth_code"), "the code left the address");
    scene.push_arrives().await?;
    browser.wait("[data-outcome=granted]").await?;
    let text = browser.see("text").await?;
    assert!(text.contains("「令牌小店」已授权给「花店」"), "{text}");
    assert_eq!(scene.strangers_asked().await?, Vec::<String>::new());

    scene.show_to_everybody(&link, "granted").await?;
    let shown = scene.tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(shown.expect(StatusCode::OK)?.field("state")?, "active");
    assert_eq!(world.emulator.stats("/cgi-bin/component/api_query_auth", "*").refused, 0);
    end(scene).await
}

#[tokio::test]
async fn on_a_phone_the_administrator_goes_on_to_the_tenant() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    let browser = &scene.browser;
    let uri = json!({ "uri": "https://shop.example/done" });
    scene.tenant.post("/v1/redirect-uris", &uri).await?.expect(StatusCode::CREATED)?;
    let back = json!({ "return_url": "https://shop.example/done", "reference": "order 7" });
    let link = scene.link_with(back).await?;

    browser.person(PHONE).await?;
    browser.open(&link).await?;
    assert!(!browser.shows("figure.qr").await?, "a phone has no use for the code");
    assert!(!browser.shows(".elsewhere").await?, "this is WeChat already");
    browser.click("#authorize-mobile", CONSENT).await?;
    browser.shoot(PHONE, "consent").await?;
    browser.choose(SHOP).await?;
    browser.click(AGREE, "[data-outcome=waiting]").await?;
    scene.show_to_everybody(&format!("{link}/return?look=3"), "waiting").await?;
    scene.show_to_everybody(&format!("{link}/return?look=30"), "waiting-long").await?;
    scene.show_to_everybody(&format!("{link}/return?look=300"), "waiting-over").await?;

    browser.person(PHONE).await?;
    browser.open(&format!("{link}/return")).await?;
    scene.push_arrives().await?;
    browser.wait("#shop").await?;
    let url: Url = browser.see("url").await?.parse()?;
    let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["authorization_id", "authorization_state", "reference"], "{url}");
    end(scene).await
}

#[tokio::test]
async fn fewer_rights_are_named_and_granted_after_all_by_the_renewal_link() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    let browser = &scene.browser;
    let link = scene.link(&[1, 7, 15]).await?;
    scene.to_wechat(DESK_EN, &link, "#authorize").await?;
    browser.choose(SHOP).await?;
    browser.decline_set(7).await?;
    browser.click(AGREE, "[data-outcome=waiting]").await?;
    scene.push_arrives().await?;
    browser.wait("[data-outcome=granted-in-part]").await?;
    let text = browser.see("text").await?;
    assert!(text.to_lowercase().contains("mass send"), "{text}");
    assert!(!text.to_lowercase().contains("menu"), "what was granted is not missing: {text}");
    scene.show_to_everybody(&link, "granted-in-part").await?;

    browser.person(DESK).await?;
    browser.open(&link).await?;
    let renewal = browser.href("#again").await?;
    assert!(renewal.contains("/authorize/r_"), "{renewal}");
    scene.world.advance(Duration::minutes(2));
    browser.click("#again", "#authorize").await?;
    assert!(!browser.see("url").await?.contains("r_"), "it led on to a link of its own");
    browser.click("#authorize", CONSENT).await?;
    browser.choose(SHOP).await?;
    // The account is the tenant's already: its code alone is enough.
    browser.click(AGREE, "[data-outcome=granted]").await?;
    scene.push_arrives().await?;

    // Within the minute it leads to what it has started.
    browser.open(&renewal).await?;
    browser.wait("[data-outcome=granted]").await?;
    scene.world.advance(Duration::minutes(2));
    let pre_auth_code = "/cgi-bin/component/api_create_preauthcode";
    scene.world.emulator.set_fault(Fault::errcode(pre_auth_code, 45009));
    browser.open(&renewal).await?;
    scene.world.emulator.clear_faults();
    scene.show_to_everybody(&renewal, "renewed-just-now").await?;
    let (kept, changed) = renewal.split_at(renewal.len() - 10);
    let flipped = if changed.starts_with('A') { "B" } else { "A" };
    let forged = format!("{kept}{flipped}{}", &changed[1..]);
    browser.person(DESK).await?;
    assert_eq!(browser.open(&forged).await?, 404);
    browser.wait("[data-outcome=unknown-link]").await?;
    end(scene).await
}

#[tokio::test]
async fn each_refusal_says_what_to_do_next() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    let Scene { world, browser, .. } = &scene;

    let link = scene.link(&[1]).await?;
    scene.to_wechat(PHONE_EN, &link, "#authorize-mobile").await?;
    browser.click("#decline", "[data-outcome=no-code]").await?;
    let declined = browser.see("url").await?;
    browser.click("#again", "#authorize-mobile").await?;
    scene.show_to_everybody(&declined, "no-code").await?;

    world.advance(Duration::hours(2));
    scene.show_to_everybody(&link, "expired").await?;
    browser.wait("[data-outcome=expired]").await?;
    assert!(!browser.see("html").await?.contains("id=\"authorize\""), "it offers nothing");

    world.push_ticket().await?;
    let link = scene.link(&[]).await?;
    let query_auth = "/cgi-bin/component/api_query_auth";
    world.emulator.set_fault(Fault::errcode(query_auth, 61028));
    scene.to_wechat(DESK, &link, "#authorize").await?;
    browser.choose(SHOP).await?;
    browser.click(AGREE, "[data-outcome=not-published]").await?;
    assert!(browser.see("text").await?.contains("授权测试公众号/小程序列表"));
    scene.show_to_everybody(&link, "not-published").await?;
    scene.push_arrives().await?;
    world.emulator.clear_faults();

    let unknown = world.base.join(&format!("authorize/{}", "0".repeat(64)))?;
    scene.show_to_everybody(unknown.as_str(), "unknown-link").await?;
    browser.wait("[data-outcome=unknown-link]").await?;
    end(scene).await
}

#[tokio::test]
async fn an_account_of_another_tenant_stays_where_it_is() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    let Scene { world, browser, .. } = &scene;
    let (_, owner) = world.operator.create_tenant("另一家").await?;
    let first = owner.start_authorization(&world.component.appid).await?.1;
    scene.to_wechat(DESK, first.as_str(), "#authorize").await?;
    browser.choose(SHOP).await?;
    browser.decline_set(24).await?;
    browser.click(AGREE, "[data-outcome=waiting]").await?;
    scene.push_arrives().await?;
    browser.wait("[data-outcome=granted]").await?;

    world.advance(Duration::minutes(1));
    let link = scene.link(&[]).await?;
    scene.to_wechat(PHONE, &link, "#authorize-mobile").await?;
    browser.choose(SHOP).await?;
    browser.click(AGREE, "[data-outcome]").await?;
    scene.push_arrives().await?;
    browser.wait("[data-outcome=owned-elsewhere]").await?;
    assert!(!browser.see("text").await?.contains("另一家"), "the owner is not told");
    scene.show_to_everybody(&link, "owned-elsewhere").await?;
    end(scene).await
}

#[tokio::test]
async fn wechats_page_opens_only_from_a_page_on_our_domain() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    let Scene { world, browser, .. } = &scene;
    let refused = "[data-error=referer]";
    let link = scene.link(&[]).await?;
    for (person, button) in [(DESK, "#authorize"), (PHONE, "#authorize-mobile")] {
        browser.person(person).await?;
        browser.open(&link).await?;
        let href = browser.href(button).await?;
        browser.click(button, CONSENT).await?;
        // Pasted into the address bar it comes from nowhere.
        browser.person(person).await?;
        browser.open(&href).await?;
        browser.wait(refused).await?;
    }
    // The same page under another name is on another domain.
    let mut elsewhere: Url = link.parse()?;
    elsewhere.set_host(Some("localhost"))?;
    assert_ne!(elsewhere.host_str(), world.base.host_str());
    browser.person(DESK).await?;
    browser.open(elsewhere.as_str()).await?;
    browser.click("#authorize", refused).await?;
    end(scene).await
}

#[tokio::test]
async fn a_logo_that_does_not_come_leaves_the_first_letter() -> Result<()> {
    let Some(folder) = needs("LINGPAI_TEST_BROWSER") else { return Ok(()) };
    let world = World::with_ticket().await?;
    let (id, tenant) = world.operator.create_tenant("Ümlaut & Söhne").await?;
    let logo = json!({ "logo_url": "http://localhost:9/logo.png" });
    let path = format!("/admin/v1/tenants/{id}");
    world.operator.patch(&path, &logo).await?.expect(StatusCode::OK)?;
    let (_, link) = tenant.start_authorization(&world.component.appid).await?;
    let browser = Chromium::start(&folder, &[])?;
    browser.person(PHONE_EN).await?;
    browser.open(link.as_str()).await?;
    assert_eq!(browser.pictures().await?, [0]);
    assert!(browser.see("text").await?.contains("Ü\n"), "the letter is there");
    browser.shoot(PHONE_EN, "no-logo").await?;
    world.end().await
}

/// Ends the browser before the world: a page that still refreshes itself would keep it open.
async fn end(scene: Scene) -> Result<()> {
    let Scene { world, browser, .. } = scene;
    drop(browser);
    world.end().await
}
