//! Everything the handlers, the pusher and the library share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::VirtualClock;
use crate::config::{EmulatorConfig, PushPolicy, Switches};
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::publish_test::StepVerdict;
use crate::pusher::Pusher;
use crate::seal::Seal;
use crate::state::Platform;
use crate::state::issues::Issue;
use crate::state::snapshot::Snapshot;

/// Where pushes go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets {
    pub(crate) events_url: Option<String>,
    pub(crate) messages_url: Option<String>,
}

/// One emulated WeChat.
pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    /// The component's; an account's own is made when it is needed.
    pub(crate) seal: Arc<Seal>,
    pub(crate) push_policy: PushPolicy,
    pub(crate) pusher: Pusher,
    pub(crate) faults: Faults,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// The verdicts of the publish test that ran last, as far as it got.
    verdicts: Mutex<Vec<StepVerdict>>,
    platform: Mutex<Platform>,
    switches: Mutex<Switches>,
    targets: RwLock<Targets>,
    changes: watch::Sender<u64>,
}

impl World {
    /// Builds a world that does nothing yet.
    ///
    /// # Errors
    /// When an appid or EncodingAESKey, the component's or an account's own, cannot be read.
    pub(crate) fn new(config: &EmulatorConfig) -> anyhow::Result<Self> {
        let component = &config.component;
        for account in &config.accounts {
            Seal::of_account(account)?;
        }
        Ok(Self {
            clock: VirtualClock::default(),
            seal: Arc::new(Seal::of_component(component)?),
            push_policy: config.push.clone(),
            pusher: Pusher::new(&config.push)?,
            faults: Faults::default(),
            ledger: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            verdicts: Mutex::default(),
            platform: Mutex::new(Platform::new(config)),
            switches: Mutex::new(config.switches.clone()),
            targets: RwLock::new(Targets {
                events_url: component.events_url.clone(),
                messages_url: component.messages_url.clone(),
            }),
            changes: watch::Sender::new(0),
        })
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The platform's memory; the guard is never held across a wait.
    pub(crate) fn platform(&self) -> MutexGuard<'_, Platform> {
        self.platform.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn switches(&self) -> Switches {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change_switches(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.switches.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed();
    }

    pub(crate) fn targets(&self) -> Targets {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change_targets(&self, change: impl FnOnce(&mut Targets)) {
        change(&mut self.targets.write().unwrap_or_else(PoisonError::into_inner));
        self.changed();
    }

    pub(crate) fn verdicts(&self) -> MutexGuard<'_, Vec<StepVerdict>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everyone who waits for a condition to look again.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The remembered issues with a number above `number`; written out after the lock is let go.
    pub(crate) fn issues_since(&self, number: u64) -> Vec<Issue> {
        let kept = self.platform().issues.since(number);
        kept.into_iter().map(Issue::from).collect()
    }

    /// The whole state at one instant.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = self.now();
        let targets = self.targets();
        let platform = self.platform();
        let token = platform.tokens.current(&crate::state::tokens::Holder::Component, now);
        Snapshot {
            now_ms: now,
            clock_offset_ms: self.clock.offset_ms(),
            component_appid: platform.component.appid.clone(),
            component_access_token: token.map(|(value, _)| value.to_owned()),
            component_access_token_expires_at_ms: token.map(|(_, at)| at),
            events_url: targets.events_url,
            messages_url: targets.messages_url,
            tickets: platform.live_tickets(now),
            accounts: platform.account_snapshots(now),
            switches: self.switches(),
            held: self.faults.held(),
        }
    }
}
