//! Logs and figures.
//!
//! Logs go to standard error, one record per line. Security invariant: nothing below lingpai's own
//! crates tells more than warnings, whatever the level, because the finer levels of an HTTP client
//! or a database driver print headers and statements; and a panic tells where it happened, not what
//! it said, because messages of the standard library quote the value that was in hand.
//!
//! Figures go through the `metrics` façade; this module owns the recorder, its buckets and upkeep.

use std::{
    io::{self, Write},
    sync::OnceLock,
    time::Duration,
};

use lingpai_api::{REQUEST_SECONDS, REQUESTS_TOTAL};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::settings::{Log, LogFormat};

/// Connections that were closed at once, by the limit that they hit.
const CONNECTIONS_REFUSED: &str = "lingpai_connections_refused_total";

/// Durations in seconds, from a cached answer to a silent upstream.
const SECONDS_BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How often histograms are drained.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Counts a connection that found no seat.
pub(crate) fn connection_refused(limit: &'static str) {
    metrics::counter!(CONNECTIONS_REFUSED, "limit" => limit).increment(1);
}

/// Sends the process's log to standard error. For `main`, once.
///
/// # Errors
/// The process has a log already.
pub fn install_log(log: Log) -> anyhow::Result<()> {
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        // It warns of every ping answer that nobody asked for: any peer could flood the log.
        .with_target("h2", LevelFilter::OFF)
        .with_target("lingpai", LevelFilter::from_level(log.level));
    let base = tracing_subscriber::fmt::layer().with_writer(OneLine).with_ansi(false);
    match log.format {
        LogFormat::Json => {
            let json = base.json().flatten_event(true).with_span_list(false);
            tracing_subscriber::registry().with(json.with_filter(filter)).try_init()?;
        }
        LogFormat::Text => {
            tracing_subscriber::registry().with(base.with_filter(filter)).try_init()?;
        }
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic.location = location, "a task panicked");
    }));
    Ok(())
}

/// The log of commands that only print: warnings and worse, as text.
pub const QUIET: Log = Log { format: LogFormat::Text, level: Level::WARN };

/// Standard error, with control characters inside a record made visible, so that hostile text
/// cannot begin a record of its own.
struct OneLine;

impl<'a> MakeWriter<'a> for OneLine {
    type Writer = OneLineWriter<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(io::stderr())
    }
}

struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    /// Takes one whole record: `tracing-subscriber` writes each in one piece.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = record.strip_suffix(b"\n").unwrap_or(record);
        let mut line = Vec::with_capacity(record.len() + 1);
        for byte in text {
            if byte.is_ascii_control() {
                line.extend(byte.escape_ascii());
            } else {
                line.push(*byte);
            }
        }
        line.push(b'\n');
        self.0.write_all(&line)?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The figures of this process.
#[derive(Clone)]
pub struct Figures(PrometheusHandle);

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Figures")
    }
}

impl Figures {
    /// Where every figure of this process ends.
    ///
    /// There is one such place per process, like the façade that feeds it; the first call makes it.
    #[must_use]
    pub fn of_process() -> Self {
        static RECORDED: OnceLock<PrometheusHandle> = OnceLock::new();
        Self(RECORDED.get_or_init(install_recorder).clone())
    }

    /// The figures in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Drains histograms until `stop`; without this they grow.
    pub async fn keep_up(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(UPKEEP_INTERVAL) => self.0.run_upkeep(),
            }
        }
    }
}

fn install_recorder() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .expect("the list of buckets is not empty")
        .build_recorder();
    let figures = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("this process has another metrics recorder: /metrics stays empty");
    }
    metrics::describe_counter!(
        CONNECTIONS_REFUSED,
        "Connections closed at once because of a limit on connections"
    );
    metrics::describe_counter!(REQUESTS_TOTAL, "Requests by route, method and status");
    metrics::describe_histogram!(REQUEST_SECONDS, "Seconds until the head of the answer");
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_in_its_record() {
        let mut out = Vec::new();
        let record = "name=\u{4ee4}\u{724c}\r\nERROR forged\x1b[31m\n".as_bytes();
        OneLineWriter(&mut out).write_all(record).expect("a vector takes everything");
        let line = String::from_utf8(out).expect("UTF-8 stays UTF-8");
        assert_eq!(line, "name=\u{4ee4}\u{724c}\\r\\nERROR forged\\x1b[31m\n");
    }

    #[test]
    fn figures_are_rendered_as_histograms() {
        let figures = Figures::of_process();
        connection_refused("total");
        metrics::histogram!(REQUEST_SECONDS).record(0.2);
        let text = figures.render();
        assert!(text.contains("lingpai_connections_refused_total{limit=\"total\"} 1"), "{text}");
        assert!(text.contains("_bucket{le=\"0.25\"} 1"), "{text}");
    }
}
