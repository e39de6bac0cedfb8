//! Fault switches: what goes wrong on purpose, per path, a given number of times.
//!
//! A fault is planned before a call has its effect and played out after it, because the cruel
//! cases are those where WeChat did the work and the caller never learns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// One thing that shall go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The path it applies to, such as `/cgi-bin/component/api_authorizer_token`; `*` for all.
    pub path: String,
    /// Only calls on behalf of this appid.
    #[serde(default)]
    pub appid: Option<String>,
    /// How many calls it hits before it is used up; without a number, all.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens.
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The answer comes late. The effect does not.
    Latency {
        /// By how much, in milliseconds.
        ms: u64,
    },
    /// The call is refused and has no effect.
    Errcode {
        /// WeChat's number.
        errcode: i64,
        /// WeChat's words; without them the usual ones for the number.
        #[serde(default)]
        errmsg: Option<String>,
    },
    /// The call has its effect, then the connection is cut without an answer.
    LoseAnswer,
    /// The call has its effect, then the answer is an empty HTTP 500.
    EmptyAnswer,
    /// The call has its effect, then the answer is this one instead of the true one.
    OtherAnswer {
        /// HTTP status.
        status: u16,
        /// The `Content-Type` header.
        content_type: String,
        /// The body.
        body: String,
    },
    /// The call has its effect, then the answer waits until it is released or the process ends.
    Hold,
}

impl Fault {
    /// A fault of `kind` on `path`, for every appid and every call.
    #[must_use]
    pub fn new(path: &str, kind: FaultKind) -> Self {
        Self { path: path.to_owned(), appid: None, times: None, kind }
    }

    /// A refusal by number.
    #[must_use]
    pub fn errcode(path: &str, errcode: i64) -> Self {
        Self::new(path, FaultKind::Errcode { errcode, errmsg: None })
    }

    /// The same fault, used up after `times` calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The same fault, for calls on behalf of one appid.
    #[must_use]
    pub fn for_appid(mut self, appid: &str) -> Self {
        self.appid = Some(appid.to_owned());
        self
    }
}

/// A fault that is set, with the number to clear it by.
#[derive(Debug, Clone, Serialize)]
pub struct StandingFault {
    /// Clears it.
    pub id: u64,
    /// What it does; `times` counts down.
    #[serde(flatten)]
    pub fault: Fault,
}

/// How a call ends after its effect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Ending {
    #[default]
    Answer,
    Cut,
    Empty,
    Other {
        status: u16,
        content_type: String,
        body: String,
    },
}

/// What is going to happen to one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    pub(crate) latency_ms: u64,
    pub(crate) errcode: Option<(i64, Option<String>)>,
    pub(crate) ending: Ending,
    pub(crate) hold: bool,
}

impl Plan {
    /// The names of what is planned, for the ledger.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.latency_ms > 0 {
            names.push("latency");
        }
        if self.errcode.is_some() {
            names.push("errcode");
        }
        if self.hold {
            names.push("hold");
        }
        match self.ending {
            Ending::Answer => {}
            Ending::Cut => names.push("lose_answer"),
            Ending::Empty => names.push("empty_answer"),
            Ending::Other { .. } => names.push("other_answer"),
        }
        names
    }
}

/// The faults that are set and the answers that are held.
#[derive(Default)]
pub(crate) struct Faults {
    standing: Mutex<Standing>,
    held: Mutex<Vec<Held>>,
}

#[derive(Default)]
struct Standing {
    last_id: u64,
    faults: Vec<StandingFault>,
}

struct Held {
    path: String,
    release: oneshot::Sender<()>,
}

impl Faults {
    pub(crate) fn set(&self, fault: Fault) -> u64 {
        let mut standing = lock(&self.standing);
        standing.last_id += 1;
        let id = standing.last_id;
        standing.faults.push(StandingFault { id, fault });
        id
    }

    /// Takes away one fault, or all.
    pub(crate) fn clear(&self, id: Option<u64>) {
        lock(&self.standing).faults.retain(|standing| id.is_some_and(|id| standing.id != id));
    }

    pub(crate) fn list(&self) -> Vec<StandingFault> {
        lock(&self.standing).faults.clone()
    }

    /// Plans one call and uses up one count of every fault that hits it.
    pub(crate) fn plan(&self, path: &str, appid: &str) -> Plan {
        let mut standing = lock(&self.standing);
        let mut plan = Plan::default();
        for StandingFault { fault, .. } in &mut standing.faults {
            let hits = (fault.path == "*" || fault.path == path)
                && fault.appid.as_deref().is_none_or(|only| only == appid);
            if !hits {
                continue;
            }
            if let Some(times) = &mut fault.times {
                let Some(left) = times.checked_sub(1) else { continue };
                *times = left;
            }
            match fault.kind.clone() {
                FaultKind::Latency { ms } => plan.latency_ms += ms,
                FaultKind::Errcode { errcode, errmsg } => plan.errcode = Some((errcode, errmsg)),
                FaultKind::LoseAnswer => plan.ending = Ending::Cut,
                FaultKind::EmptyAnswer => plan.ending = Ending::Empty,
                FaultKind::OtherAnswer { status, content_type, body } => {
                    plan.ending = Ending::Other { status, content_type, body };
                }
                FaultKind::Hold => plan.hold = true,
            }
        }
        standing.faults.retain(|standing| standing.fault.times != Some(0));
        plan
    }

    /// Holds one answer; it may go when the receiver resolves.
    pub(crate) fn hold(&self, path: &str) -> oneshot::Receiver<()> {
        let (release, released) = oneshot::channel();
        lock(&self.held).push(Held { path: path.to_owned(), release });
        released
    }

    /// Lets held answers go, those of one path or all; tells how many there were.
    pub(crate) fn release(&self, path: Option<&str>) -> usize {
        let mut held = lock(&self.held);
        let (go, stay): (Vec<_>, Vec<_>) =
            held.drain(..).partition(|one| path.is_none_or(|path| path == one.path));
        *held = stay;
        go.into_iter().filter_map(|one| one.release.send(()).ok()).count()
    }

    /// The paths of the answers that are held now and still waited for.
    pub(crate) fn held(&self) -> Vec<String> {
        let mut held = lock(&self.held);
        held.retain(|one| !one.release.is_closed());
        held.iter().map(|one| one.path.clone()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_is_used_up() {
        let faults = Faults::default();
        faults.set(Fault::errcode("/a", -1).times(2));
        assert!(faults.plan("/b", "").errcode.is_none());
        for _ in 0..2 {
            assert_eq!(faults.plan("/a", "").errcode, Some((-1, None)));
        }
        assert_eq!(faults.plan("/a", ""), Plan::default());
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_fault_for_one_appid_spares_the_others() {
        let faults = Faults::default();
        faults.set(Fault::new("*", FaultKind::Hold).for_appid("wx1"));
        assert!(faults.plan("/a", "wx1").hold);
        assert!(!faults.plan("/a", "wx2").hold);
    }

    #[test]
    fn clearing_one_fault_keeps_the_other() {
        let faults = Faults::default();
        let first = faults.set(Fault::new("/a", FaultKind::LoseAnswer));
        let second = faults.set(Fault::new("/a", FaultKind::Latency { ms: 5 }));
        faults.clear(Some(first));
        assert_eq!(faults.list().iter().map(|one| one.id).collect::<Vec<_>>(), [second]);
        faults.clear(None);
        assert!(faults.list().is_empty());
    }

    #[tokio::test]
    async fn a_held_answer_goes_when_its_path_is_released() {
        let faults = Faults::default();
        let released = faults.hold("/a");
        assert_eq!(faults.held(), ["/a"]);
        assert_eq!(faults.release(Some("/b")), 0);
        assert_eq!(faults.release(Some("/a")), 1);
        released.await.unwrap();
    }

    #[test]
    fn an_answer_nobody_waits_for_is_not_held() {
        let faults = Faults::default();
        drop(faults.hold("/a"));
        assert!(faults.held().is_empty());
    }

    #[test]
    fn faults_read_from_json() {
        let fault: Fault =
            serde_json::from_str(r#"{"path":"/a","kind":"latency","ms":7,"times":1}"#).unwrap();
        assert_eq!(fault, Fault::new("/a", FaultKind::Latency { ms: 7 }).times(1));
    }
}
