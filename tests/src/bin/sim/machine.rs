//! What the operating system counts for this process.

use std::fs;

use anyhow::{Context as _, Result};

/// Clock ticks per second in `/proc`; Linux shows 100 to programs whatever it uses itself.
const TICKS: f64 = 100.0;

/// Memory of this process that is in use, in MB (10^6 bytes).
pub(crate) fn resident_mb() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no resident size")?;
    Ok(kib.parse::<f64>()? * 1024.0 / 1e6)
}

/// Processor seconds that this process has used.
pub(crate) fn cpu_seconds() -> Result<f64> {
    cpu_seconds_of("/proc/self")
}

/// Processor seconds that a process or a thread has used, by its folder in `/proc`.
pub(crate) fn cpu_seconds_of(folder: &str) -> Result<f64> {
    let line = fs::read_to_string(format!("{folder}/stat"))?;
    // The name comes second, in brackets, and may hold anything.
    let (_, fields) = line.rsplit_once(')').context("a line without a name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let ticks: f64 = ticks.sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS)
}
