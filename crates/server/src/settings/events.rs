//! Section `[events]`: how long what happened is kept.

use std::time::Duration;

use super::reader::Reader;

/// How long what happened is kept.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    /// How long an event is kept, with what WeChat pushed and with its deliveries.
    pub retention: Duration,
}

impl Events {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Deliveries are tried for three days: an event must outlive them.
        let days = reader.number("events.retention_days", 4..=3650)?;
        Some(Self { retention: Duration::from_secs(days * 24 * 60 * 60) })
    }
}
