use std::time::{Duration, Instant};

use governor::clock::Clock;

/// The process's own stopwatch, which nobody sets.
#[derive(Debug, Clone)]
pub(super) enum Stopwatch {
    Running(Instant),
    /// Stands still until it is moved.
    #[cfg(test)]
    Held(std::sync::Arc<std::sync::Mutex<Duration>>),
}

impl Stopwatch {
    pub(super) fn started() -> Self {
        Self::Running(Instant::now())
    }
}

impl Clock for Stopwatch {
    type Instant = Duration;

    fn now(&self) -> Duration {
        match self {
            Self::Running(since) => since.elapsed(),
            #[cfg(test)]
            Self::Held(shown) => *shown.lock().expect("no test panics while it moves the hands"),
        }
    }
}
