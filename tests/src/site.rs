//! lingpai as a process of its own beside an emulator inside the test: to be killed, locked out of
//! its database, and searched for leaks.

use anyhow::Result;
use lingpai_emulator::{Emulator, EmulatorConfig};
use tempfile::TempDir;

use crate::{
    people::{Administrator, Component, Program},
    processes::{Process, Start, eventually},
    world::ALLOW_LOOPBACK,
};

/// A running service on SQLite whose component is registered.
pub struct Site {
    /// WeChat.
    pub emulator: Emulator,
    /// The component that is registered.
    pub component: Component,
    /// How the service is started, and started again.
    pub start: Start,
    /// The service.
    pub process: Process,
    /// The program of the operator.
    pub operator: Program,
    /// Where database, master key and log are.
    pub dir: TempDir,
}

impl Site {
    /// Starts both, with these settings beside the usual ones, and registers the component.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn open(config: EmulatorConfig, settings: &[(&str, &str)]) -> Result<Self> {
        let component = Component::of(&config);
        let emulator = Emulator::start(config).await?;
        let dir = TempDir::new()?;
        let settings = [&[ALLOW_LOOPBACK], settings].concat();
        let start = Start::service(dir.path(), &emulator.base_url().parse()?, &settings)?;
        let process = start.run().await?;
        let key = start.command(&["operator-key", "create", "test"])?;
        let operator = Program::new(process.url.clone(), key.trim());
        let registered = operator.register(&component).await?;
        emulator.set_events_url(&registered.field("events_url")?);
        emulator.set_messages_url(&registered.field("messages_url")?);
        Ok(Self { emulator, component, start, process, operator, dir })
    }

    /// WeChat pushes a ticket, and lingpai takes it.
    ///
    /// # Errors
    /// When it does not answer `success`.
    pub async fn push_ticket(&self) -> Result<()> {
        let outcome = self.emulator.push_ticket().await;
        anyhow::ensure!(outcome.is_accepted(), "the ticket was answered with {outcome:?}");
        Ok(())
    }

    /// Makes a tenant that this account has authorized, and becomes its program.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn authorized(&self, appid: &str) -> Result<Program> {
        self.push_ticket().await?;
        let (_, tenant) = self.operator.create_tenant("花店").await?;
        let (_, link) = tenant.start_authorization(&self.component.appid).await?;
        let mut administrator = Administrator::new("zh-CN");
        let page = administrator.open_start_page(&link).await?;
        administrator.come_back(&administrator.consent(&page, appid).await?).await?;
        let shown = format!("/v1/authorizers/{appid}");
        eventually("the authorizer is stored", async || {
            Ok(tenant.get(&shown).await?.status.is_success().then_some(()))
        })
        .await?;
        Ok(tenant)
    }
}
