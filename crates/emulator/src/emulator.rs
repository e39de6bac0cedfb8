//! The handle on a running emulator, for tests and for the binary.

pub(crate) mod fans;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::browser;
use crate::config::{AccountConfig, EmulatorConfig, Switches};
use crate::fan_messages::FanMessage;
use crate::faults::{Fault, StandingFault};
use crate::ledger::{Call, FlightStats};
use crate::publish_test::StepVerdict;
use crate::pusher::{PushOutcome, PushRecord};
use crate::serve;
use crate::state::Kill;
use crate::state::issues::Issue;
use crate::state::quota::Rate;
use crate::state::snapshot::{AccountSnapshot, Snapshot};
use crate::state::web::{Fan, WebTokens};
use crate::world::World;

/// A running WeChat. Stops when it is shut down or dropped; connections are cut then.
pub struct Emulator {
    world: Arc<World>,
    base_url: String,
}

impl Emulator {
    /// Starts listening and, unless the interval is 0, pushing tickets.
    ///
    /// # Errors
    /// When the configuration cannot be used or the address is taken.
    pub async fn start(config: EmulatorConfig) -> anyhow::Result<Self> {
        // reqwest comes without a provider; whoever was first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let world = Arc::new(World::new(&config)?);
        let listener = serve::listen(config.listen).await?;
        let base_url = format!("http://{}", listener.local_addr().context("own address")?);
        world.tasks.spawn(serve::run(listener, Arc::clone(&world)));
        if config.ticket_interval_secs > 0 {
            let interval = Duration::from_secs(config.ticket_interval_secs);
            world.tasks.spawn(Arc::clone(&world).push_tickets_forever(interval));
        }
        Ok(Self { world, base_url })
    }

    /// The URL that stands for all three hosts, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Says where authorization events are pushed.
    pub fn set_events_url(&self, url: &str) {
        self.world.change_targets(|targets| targets.events_url = Some(url.to_owned()));
    }

    /// Says where messages are pushed; `$APPID$` stands for the account's appid.
    pub fn set_messages_url(&self, url: &str) {
        self.world.change_targets(|targets| targets.messages_url = Some(url.to_owned()));
    }

    /// Mints a ticket, pushes it and waits for the first answer.
    pub async fn push_ticket(&self) -> PushOutcome {
        self.world.push_ticket().await
    }

    /// Pushes any text to the events URL, encrypted as every push.
    pub async fn push(&self, info_xml: &str) -> PushOutcome {
        self.world.dispatch(self.world.raw_push("raw", info_xml.to_owned())).await.outcome
    }

    /// Pushes any text to an account's messages URL.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn push_message(&self, appid: &str, xml: &str) -> anyhow::Result<PushOutcome> {
        let push = self.world.message_push(appid, xml.to_owned()).context("no such account")?;
        Ok(self.world.dispatch(push).await.outcome)
    }

    /// A fan writes or does something; gives the first attempt with the reply that he is shown.
    ///
    /// # Errors
    /// When there is no such account, or it is not said what the fan writes or does.
    pub async fn fan_message(&self, message: &FanMessage) -> anyhow::Result<PushRecord> {
        self.world.fan_message(message).await
    }

    /// Tests the service as WeChat does before it is published to the whole network: with the two
    /// accounts of one group (1 to 5), or with all ten. Gives a verdict for each step.
    pub async fn publish_test(&self, group: Option<u8>) -> Vec<StepVerdict> {
        self.world.publish_test(group).await
    }

    /// Sends the pushes that are kept back behind a redirect or for reordering.
    pub async fn flush_pushes(&self) -> Vec<PushOutcome> {
        self.world.flush_pushes().await
    }

    /// Every remembered push attempt, oldest first.
    #[must_use]
    pub fn pushes(&self) -> Vec<PushRecord> {
        self.world.pusher.records()
    }

    /// Acts as the administrator's browser: opens the authorization link from the page it stands
    /// on, consents for `appid` to `sets` (none: all offered) and gives the redirect's address.
    ///
    /// # Errors
    /// When the page or the consent is refused.
    pub async fn consent(
        &self,
        authorize_href: &str,
        appid: &str,
        sets: &[u32],
    ) -> anyhow::Result<String> {
        consent(&self.world, authorize_href, appid, sets).await
    }

    /// Grants like a consent, but without a page and without a push: as if it had happened while
    /// nobody listened. No sets: all that the account has.
    ///
    /// # Errors
    /// When there is no such account or it has none of the sets.
    pub fn grant(&self, appid: &str, sets: &[u32]) -> anyhow::Result<()> {
        grant(&self.world, appid, sets)
    }

    /// Mints a fan's first web tokens, as an exchanged code would.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn mint_web_token(
        &self,
        appid: &str,
        openid: &str,
        scope: &str,
    ) -> anyhow::Result<WebTokens> {
        mint_web_tokens(&self.world, &Fan { appid, openid, scope })
    }

    /// The account's administrator withdraws: its tokens are void and `unauthorized` is pushed.
    ///
    /// # Errors
    /// When nothing was granted.
    pub async fn revoke(&self, appid: &str) -> anyhow::Result<PushOutcome> {
        revoke(&self.world, appid).await.context("the account has granted nothing")
    }

    /// Adds an account, or changes what one is; its grant stands.
    pub fn add_account(&self, account: AccountConfig) {
        self.world.platform().add_account(account);
    }

    /// Changes what is configured of an account, such as where its messages are pushed.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn change_account(
        &self,
        appid: &str,
        change: impl FnOnce(&mut AccountConfig),
    ) -> anyhow::Result<()> {
        let mut platform = self.world.platform();
        let account = platform.accounts.get_mut(appid).context("no such account")?;
        change(&mut account.config);
        Ok(())
    }

    /// Ends something before its time.
    pub fn kill(&self, kill: &Kill) {
        self.world.platform().kill(kill, self.world.now());
    }

    /// Sets a fault and gives the number to clear it by.
    pub fn set_fault(&self, fault: Fault) -> u64 {
        self.world.faults.set(fault)
    }

    /// Clears one fault. Answers that are held already stay held.
    pub fn clear_fault(&self, id: u64) {
        self.world.faults.clear(Some(id));
    }

    /// Clears all faults.
    pub fn clear_faults(&self) {
        self.world.faults.clear(None);
    }

    /// The faults that are set.
    #[must_use]
    pub fn faults(&self) -> Vec<StandingFault> {
        self.world.faults.list()
    }

    /// Lets held answers go, those of one path or all; gives how many there were.
    pub fn release(&self, path: Option<&str>) -> usize {
        self.world.faults.release(path)
    }

    /// The paths of the answers that are held now.
    #[must_use]
    pub fn held(&self) -> Vec<String> {
        self.world.faults.held()
    }

    /// The switches as they stand.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.world.switches()
    }

    /// Changes switches.
    pub fn change_switches(&self, change: impl FnOnce(&mut Switches)) {
        self.world.change_switches(change);
    }

    /// Limits how often each account may call a path in a day; `None`: not at all. What was called
    /// today counts.
    pub fn set_quota(&self, path: &str, daily: Option<u64>) {
        self.world.platform().quota.set_daily(path, daily);
    }

    /// Limits how often each account may call a path within a short while; `None`: not at all.
    pub fn set_rate(&self, path: &str, rate: Option<Rate>) {
        self.world.platform().quota.set_rate(path, rate);
    }

    /// Every remembered API call, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world.ledger.calls(None)
    }

    /// The remembered calls of one path.
    #[must_use]
    pub fn calls_to(&self, path: &str) -> Vec<Call> {
        self.world.ledger.calls(Some(path))
    }

    /// The counters of one path on behalf of one appid.
    #[must_use]
    pub fn stats(&self, path: &str, appid: &str) -> FlightStats {
        self.world.ledger.stats(path, appid)
    }

    /// Every remembered issue of an access token, oldest first.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        self.issues_since(0)
    }

    /// The remembered issues with a number above `number`, oldest first.
    #[must_use]
    pub fn issues_since(&self, number: u64) -> Vec<Issue> {
        self.world.issues_since(number)
    }

    /// Moves the emulator's clock forward.
    pub fn advance_clock(&self, by: Duration) {
        self.world.clock.advance(by);
    }

    /// The emulator's clock, Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.world.now()
    }

    /// The whole state at one instant.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.world.snapshot()
    }

    /// One account at one instant: cheap, where [`Emulator::snapshot`] shows all there are.
    #[must_use]
    pub fn account(&self, appid: &str) -> Option<AccountSnapshot> {
        let platform = self.world.platform();
        let account = platform.accounts.get(appid)?;
        Some(platform.account_snapshot(account, self.world.now()))
    }

    /// Waits until `condition` holds; it is looked at again whenever something was called, held,
    /// pushed or switched.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let mut changes = self.world.changes();
        while !condition(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Stops listening and pushing and waits for all tasks to end.
    pub async fn shutdown(self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        self.world.tasks.wait().await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}

/// Withdraws a grant and pushes it; `None` when nothing was granted.
pub(crate) async fn revoke(world: &Arc<World>, appid: &str) -> Option<PushOutcome> {
    let now = world.now();
    if !world.platform().withdraw(appid, now) {
        return None;
    }
    let push = world.info_push("unauthorized", &[("AuthorizerAppid", appid)]);
    Some(world.dispatch(push).await.outcome)
}

/// Grants without a page and without a push. No sets named: all that the account has.
pub(crate) fn grant(world: &World, appid: &str, sets: &[u32]) -> anyhow::Result<()> {
    let mut platform = world.platform();
    let owned = &platform.accounts.get(appid).context("no such account")?.config.permission_sets;
    let granted: Vec<u32> =
        owned.iter().copied().filter(|id| sets.is_empty() || sets.contains(id)).collect();
    ensure!(!granted.is_empty(), "the account has none of the sets");
    platform.grant(appid, granted, world.now());
    world.changed();
    Ok(())
}

/// Mints a fan's first web tokens.
pub(crate) fn mint_web_tokens(world: &World, fan: &Fan<&str>) -> anyhow::Result<WebTokens> {
    let life = world.switches().life();
    world.platform().mint_web_tokens(fan, life, world.now()).context("no such account")
}

/// Consents over HTTP like a browser. No sets named: all that the account has.
pub(crate) async fn consent(
    world: &World,
    authorize_href: &str,
    appid: &str,
    sets: &[u32],
) -> anyhow::Result<String> {
    let offered = {
        let platform = world.platform();
        let account = platform.accounts.get(appid).context("no such account")?;
        account.config.permission_sets.clone()
    };
    let sets = if sets.is_empty() { &offered } else { sets };
    browser::consent(authorize_href, appid, sets).await
}
