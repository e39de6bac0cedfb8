//! The beat of a stream: every few seconds it is shown to be there, and its key is looked at again.

use std::time::Duration;

use lingpai_model::{
    Secret,
    api_key::Scope,
    caller::{TenantScope, Via},
    listener::Listener,
};
use lingpai_tenant::{ApiKeys, Error};
use lingpai_webhook::Listeners;
use tokio::{
    runtime::Handle,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::task::TaskTracker;

use crate::middleware::Cause;

/// How often: who replies counts as gone after three times as long, and proxies cut what is silent for
/// a minute.
const PAUSE: Duration = Duration::from_secs(10);

/// What happens every few seconds while a stream is open.
pub(super) struct Beat {
    ticks: Interval,
    api_keys: ApiKeys,
    key: Secret<String>,
    via: Via,
    attendance: Option<Attendance>,
}

impl Beat {
    /// The beat of a stream that was opened with `key`.
    pub(super) fn new(api_keys: ApiKeys, (key, via): (&str, &Via)) -> Self {
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, api_keys, key: Secret::from(key), via: via.clone(), attendance: None }
    }

    /// Who follows is known as a listener from now on.
    pub(super) fn attend(&mut self, attendance: Attendance) {
        self.attendance = Some(attendance);
    }

    /// Waits until the next beat is due, the first of which is at once. May be dropped and called again.
    pub(super) async fn due(&mut self) {
        self.ticks.tick().await;
    }

    /// Does what is due; tells whether the stream goes on.
    pub(super) async fn strike(&self) -> bool {
        if let Some(attendance) = &self.attendance {
            attendance.keep().await;
        }
        self.is_let_in().await
    }

    /// Security invariant: a key that was revoked, rotated or narrowed ends the streams that were opened
    /// with it and need what it lost, within one pause: who replies needs more than who follows. What cannot be found out now is asked again with the next beat.
    async fn is_let_in(&self) -> bool {
        match self.api_keys.authenticate(self.key.expose(), self.via.clone()).await {
            Ok(caller) => {
                let may_reply = self.attendance.is_none() || caller.may(Scope::EndpointWrite);
                caller.may(Scope::EventRead) && may_reply
            }
            Err(Error::Unauthenticated | Error::AddressRefused) => false,
            Err(error) => {
                let cause = Cause::chain(&error);
                tracing::warn!(error = cause.as_str(), "the key of a stream is not looked at");
                true
            }
        }
    }
}

/// A listener that is there; it leaves when this is dropped.
pub(super) struct Attendance {
    listeners: Listeners,
    tasks: TaskTracker,
    scope: TenantScope,
    listener: Listener,
}

impl Attendance {
    pub(super) fn new(
        (listeners, tasks): (Listeners, TaskTracker),
        scope: TenantScope,
        listener: Listener,
    ) -> Self {
        Self { listeners, tasks, scope, listener }
    }

    async fn keep(&self) {
        if let Err(error) = self.listeners.keep(&self.listener).await {
            let cause = Cause::chain(&error);
            tracing::warn!(error = cause.as_str(), "a listener could not be kept");
        }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        // Without a runtime the process is at its end, and the listener counts as gone by itself.
        let Ok(runtime) = Handle::try_current() else { return };
        let (listeners, scope) = (self.listeners.clone(), self.scope.clone());
        let listener = self.listener.clone();
        let leaving = async move {
            if let Err(error) = listeners.leave(&scope, &listener).await {
                let cause = Cause::chain(&error);
                tracing::warn!(error = cause.as_str(), "a listener counts as there for a while");
            }
        };
        self.tasks.spawn_on(leaving, &runtime);
    }
}
