//! Section `[log]`: how much is told, and in which form.

use tracing::Level;

use super::reader::Reader;

/// How much is told, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// One object or one text per line.
    pub format: LogFormat,
    /// How much lingpai itself tells.
    pub level: Level,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// One line of text, for people.
    Text,
}

impl Log {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let format = reader.parsed("log.format", "json or text", |text| match text {
            "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            _ => None,
        });
        let level = reader.parsed("log.level", "error, warn, info, debug or trace", |text| {
            // Numbers are levels to `Level` too, but nobody means them.
            text.bytes().all(|b| b.is_ascii_alphabetic()).then(|| text.parse().ok())?
        });
        Some(Self { format: format?, level: level? })
    }
}
