//! kill -9 between any two steps of the authorization: the authorizer is there after a restart, and
//! its refresh token too.
//!
//! A step ends with a commit or with an answer of WeChat's. To stand between two of them the
//! emulator holds the answer of the call that comes next: the effect has happened at WeChat, and
//! the process is killed before it learns of it.

use anyhow::Result;
use lingpai_emulator::{EmulatorConfig, Fault, FaultKind, PushOrder};
use lingpai_tests::{
    people::{Administrator, Program},
    processes::eventually,
    site::Site,
    world::SHOP,
};
use tokio::task::JoinSet;

const QUERY_AUTH: &str = "/cgi-bin/component/api_query_auth";
const AUTHORIZER_INFO: &str = "/cgi-bin/component/api_get_authorizer_info";
const COMPONENT_TOKEN: &str = "/cgi-bin/component/api_component_token";

/// A site with a ticket and a tenant, ready to authorize.
struct Ready {
    site: Site,
    tenant: Program,
}

impl Ready {
    async fn open(order: PushOrder) -> Result<Self> {
        let mut config = EmulatorConfig::for_tests();
        config.switches.push_order = order;
        // A push that meets a dead process is repeated, as WeChat does.
        config.push.pauses_ms = vec![500, 1000, 2000, 4000, 8000, 16_000];
        let site = Site::open(config, &[]).await?;
        site.push_ticket().await?;
        let (_, tenant) = site.operator.create_tenant("花店").await?;
        Ok(Self { site, tenant })
    }

    fn hold(&self, path: &str) {
        self.site.emulator.set_fault(Fault::new(path, FaultKind::Hold));
    }

    async fn kill_and_restart(&mut self) -> Result<()> {
        self.site.process.kill()?;
        self.site.emulator.clear_faults();
        self.site.emulator.release(None);
        self.site.process = self.site.start.run().await?;
        Ok(())
    }

    /// The authorizer is there, and so is its refresh token: with the access token killed, only a
    /// refresh can make the call succeed.
    async fn authorizer_is_there(&self) -> Result<()> {
        let path = format!("/v1/authorizers/{SHOP}");
        eventually("the authorizer is stored", async || {
            Ok(self.tenant.get(&path).await?.status.is_success().then_some(()))
        })
        .await?;
        self.site.emulator.advance_clock(std::time::Duration::from_secs(3 * 60 * 60));
        self.site.push_ticket().await?;
        let answer = self.tenant.get(&format!("{path}/proxy/cgi-bin/user/get")).await?;
        assert_eq!(answer.json["total"], 2, "{}", answer.text);
        Ok(())
    }
}

/// Authorizes, kills the process while the answer of `path` is held, restarts it and looks.
async fn killed_while_waiting_for(path: &'static str, order: PushOrder) -> Result<()> {
    let mut ready = Ready::open(order).await?;
    let (_, link) = ready.tenant.start_authorization(&ready.site.component.appid).await?;
    let mut administrator = Administrator::new("zh");
    let page = administrator.open_start_page(&link).await?;
    ready.hold(path);
    let back = administrator.consent(&page, SHOP).await?;
    let mut browser = JoinSet::new();
    if order == PushOrder::RedirectFirst {
        browser.spawn(async move { administrator.open(&back).await.map(drop) });
    }
    ready.site.emulator.wait_until(|wechat| !wechat.held().is_empty()).await;
    ready.kill_and_restart().await?;
    browser.abort_all();
    if order == PushOrder::RedirectFirst {
        ready.site.emulator.flush_pushes().await;
    }
    ready.authorizer_is_there().await
}

#[tokio::test]
async fn killed_after_wechat_took_the_code_of_the_push() -> Result<()> {
    killed_while_waiting_for(QUERY_AUTH, PushOrder::PushFirst).await
}

#[tokio::test]
async fn killed_after_the_refresh_token_was_stored_for_the_push() -> Result<()> {
    killed_while_waiting_for(AUTHORIZER_INFO, PushOrder::PushFirst).await
}

#[tokio::test]
async fn killed_after_wechat_took_the_code_of_the_browser() -> Result<()> {
    killed_while_waiting_for(QUERY_AUTH, PushOrder::RedirectFirst).await
}

#[tokio::test]
async fn killed_after_the_refresh_token_was_stored_for_the_browser() -> Result<()> {
    killed_while_waiting_for(AUTHORIZER_INFO, PushOrder::RedirectFirst).await
}

#[tokio::test]
async fn killed_while_the_component_token_was_on_its_way() -> Result<()> {
    let mut ready = Ready::open(PushOrder::PushFirst).await?;
    ready.hold(COMPONENT_TOKEN);
    let mut callers = JoinSet::new();
    let (tenant, appid) = (ready.tenant.clone(), ready.site.component.appid.clone());
    callers.spawn(async move { tenant.start_authorization(&appid).await.map(drop) });
    ready.site.emulator.wait_until(|wechat| !wechat.held().is_empty()).await;
    ready.kill_and_restart().await?;
    let link = eventually("an authorization can be started", async || {
        Ok(ready.tenant.start_authorization(&ready.site.component.appid).await.ok())
    })
    .await?
    .1;
    Administrator::new("zh").authorize(&link, SHOP).await?;
    ready.authorizer_is_there().await
}

#[tokio::test]
async fn killed_right_after_the_push_was_answered() -> Result<()> {
    let mut ready = Ready::open(PushOrder::PushFirst).await?;
    let (_, link) = ready.tenant.start_authorization(&ready.site.component.appid).await?;
    let page = Administrator::new("zh").open_start_page(&link).await?;
    let consent = ready.site.emulator.consent(page.desktop.as_str(), SHOP, &[]);
    consent.await?;
    ready.kill_and_restart().await?;
    ready.authorizer_is_there().await
}

#[tokio::test]
async fn killed_before_the_push_came() -> Result<()> {
    let mut ready = Ready::open(PushOrder::PushFirst).await?;
    let (_, link) = ready.tenant.start_authorization(&ready.site.component.appid).await?;
    let page = Administrator::new("zh").open_start_page(&link).await?;
    ready.site.process.kill()?;
    let (consented, restarted) = tokio::join!(
        ready.site.emulator.consent(page.desktop.as_str(), SHOP, &[]),
        ready.site.start.run()
    );
    consented?;
    ready.site.process = restarted?;
    ready.authorizer_is_there().await
}
