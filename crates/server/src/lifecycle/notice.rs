//! What peers can cause at will and the log must not repeat as often.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing is said after something was said.
const SILENCE: Duration = Duration::from_secs(60);

/// One thing to say, at most once per minute.
#[derive(Debug, Default)]
pub(super) struct Notice {
    said: Option<Instant>,
    unsaid: u64,
}

impl Notice {
    /// It happened `now`: if it is to be said, how often it happened unsaid before.
    pub(super) fn happened(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now < said + SILENCE) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_said_once_per_minute_and_counted() {
        let (mut notice, start) = (Notice::default(), Instant::now());
        let said = (0..150).map(|second| notice.happened(start + Duration::from_secs(second)));
        let said: Vec<_> = said.enumerate().filter_map(|(at, said)| Some((at, said?))).collect();
        assert_eq!(said, [(0, 0), (60, 59), (120, 59)]);
    }
}
