//! Everything the handlers, the pusher and the library share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::Context as _;
use lingpai_wechat::crypt::{Crypt, EncodingAesKey};
use lingpai_wechat::id::Appid;
use lingpai_wechat::secret::Secret;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::VirtualClock;
use crate::config::{EmulatorConfig, PushPolicy, Switches};
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::pusher::Pusher;
use crate::state::Platform;
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
    pub(crate) crypt: Crypt,
    pub(crate) push_token: String,
    pub(crate) push_policy: PushPolicy,
    pub(crate) pusher: Pusher,
    pub(crate) faults: Faults,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    platform: Mutex<Platform>,
    switches: Mutex<Switches>,
    targets: RwLock<Targets>,
    changes: watch::Sender<u64>,
}

impl World {
    /// Builds a world that does nothing yet.
    ///
    /// # Errors
    /// When the component's appid or EncodingAESKey cannot be read.
    pub(crate) fn new(config: &EmulatorConfig) -> anyhow::Result<Self> {
        let component = &config.component;
        let appid = Appid::parse(&component.appid).context("component.appid")?;
        let key = EncodingAesKey::parse(&component.encoding_aes_key)
            .context("component.encoding_aes_key")?;
        let push_token = Secret::from(component.push_token.as_str());
        Ok(Self {
            clock: VirtualClock::default(),
            crypt: Crypt::new(push_token, appid, key, None),
            push_token: component.push_token.clone(),
            push_policy: config.push.clone(),
            pusher: Pusher::new(&config.push)?,
            faults: Faults::default(),
            ledger: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
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

    /// Tells everyone who waits for a condition to look again.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
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
