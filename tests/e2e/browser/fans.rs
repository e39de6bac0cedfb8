//! A fan in the browser inside WeChat: from a tenant's page through WeChat's consent to the page again.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use lingpai_tests::{
    needs,
    receiver::{Manner, Receiver},
    shop::Shop,
    world::{SHOP, World},
};
use url::Url;

use super::chromium::{Chromium, EVERYBODY, PHONE};

/// WeChat's consent page for fans, and its two buttons.
const CONSENT: &str = "button[name=choice][value=allow]";
const ALLOW: &str = CONSENT;
const REFUSE: &str = "button[name=choice][value=refuse]";

/// A world with the tenant's shop in it, and a browser.
struct Scene {
    world: World,
    browser: Chromium,
    /// The tenant's pages.
    pages: Receiver,
}

impl Scene {
    /// `None` where there is no browser.
    async fn open() -> Result<Option<Self>> {
        let Some(folder) = needs("LINGPAI_TEST_BROWSER") else { return Ok(None) };
        let (world, tenant) = World::with_authorizer().await?;
        let pages = Receiver::start(Manner::well()).await?;
        let script = format!("{}/open/js/jweixin-1.6.0.js", world.emulator.base_url());
        let places = (world.base.clone(), script.parse()?);
        let origin = format!("http://{}", pages.address());
        let shop = Shop::new(tenant.clone(), places, SHOP, origin);
        shop.register().await?;
        pages.answer(Manner::Shop(Arc::new(shop)));
        let browser = Chromium::start(&folder, &[])?;
        Ok(Some(Self { world, browser, pages }))
    }

    fn shop(&self, path: &str) -> String {
        format!("http://{}{path}", self.pages.address())
    }

    /// From the shop to WeChat's consent page.
    async fn to_consent(&self) -> Result<()> {
        self.browser.person(PHONE).await?;
        self.browser.open(&self.shop("/")).await?;
        self.browser.click("#enter", CONSENT).await
    }

    /// The last address below `path` that the browser asked for.
    async fn asked(&self, path: &str) -> Result<String> {
        let asked = self.browser.asked().await?;
        let found =
            asked.iter().rev().find(|url| Url::parse(url).is_ok_and(|url| url.path() == path));
        found.cloned().with_context(|| format!("no {path} in {asked:?}"))
    }

    async fn end(self) -> Result<()> {
        let Self { world, browser, .. } = self;
        drop(browser);
        world.end().await
    }
}

#[tokio::test]
async fn a_fan_consents_and_the_shop_knows_his_name_and_may_use_the_jssdk() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    let browser = &scene.browser;
    scene.to_consent().await?;
    browser.shoot(PHONE, "fan-consent").await?;
    browser.click(ALLOW, "#fan").await?;
    browser.wait("#jssdk:text('ready')").await?;
    assert!(browser.see("text").await?.contains("小林"));
    assert_eq!(browser.see("url").await?, scene.shop("/"), "the code left the address");
    browser.shoot(PHONE, "fan-welcome").await?;
    for url in browser.asked().await? {
        for secret in ["oLingPai", "lpk_", "access_token"] {
            assert!(!url.contains(secret), "{secret} in {url}");
        }
    }
    scene.end().await
}

#[tokio::test]
async fn a_fan_who_is_only_to_be_known_again_sees_no_question() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    scene.browser.person(PHONE).await?;
    scene.browser.open(&scene.shop("/")).await?;
    scene.browser.click("#silent", "#fan[data-silent]").await?;
    scene.end().await
}

#[tokio::test]
async fn a_refusal_brings_the_fan_back_with_nothing() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    scene.to_consent().await?;
    scene.browser.click(REFUSE, "[data-refused=fan]").await?;
    assert!(!scene.browser.see("url").await?.contains("code="));
    scene.end().await
}

#[tokio::test]
async fn the_same_code_twice_is_told_to_the_shop() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    scene.to_consent().await?;
    scene.browser.click(ALLOW, "#fan").await?;
    let back = scene.asked("/back").await?;
    scene.browser.open(&back).await?;
    scene.browser.wait("[data-refused=one_time_code_used]").await?;
    scene.end().await
}

#[tokio::test]
async fn a_return_that_another_browser_set_out_for_shows_what_to_do() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    scene.to_consent().await?;
    scene.browser.click(ALLOW, "#fan").await?;
    let back = scene.asked("/oauth2/return").await?;
    for person in EVERYBODY {
        scene.browser.person(person).await?;
        assert_eq!(scene.browser.open(&back).await?, 400);
        scene.browser.wait("[data-notice=other_browser]").await?;
        scene.browser.shoot(person, "fan-other-browser").await?;
    }
    scene.end().await
}

#[tokio::test]
async fn a_foreign_redirect_uri_leads_nowhere_and_says_why() -> Result<()> {
    let Some(scene) = Scene::open().await? else { return Ok(()) };
    let url = format!(
        "{}gateway/connect/oauth2/authorize?appid={SHOP}&redirect_uri=https%3A%2F%2Fevil.example%2F\
         &response_type=code&scope=snsapi_base&state=x#wechat_redirect",
        scene.world.base
    );
    for person in EVERYBODY {
        scene.browser.person(person).await?;
        assert_eq!(scene.browser.open(&url).await?, 400);
        scene.browser.wait("[data-notice=unknown_link]").await?;
        scene.browser.shoot(person, "fan-unknown-link").await?;
    }
    scene.end().await
}
