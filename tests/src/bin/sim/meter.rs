//! What is measured: refreshes by virtual second, and memory by five minutes.

use std::{fmt::Write as _, time::Duration};

use crate::{machine, options::Options};

/// How many seconds are put together for the figures and the plot.
const WINDOW: usize = 300;

/// Counts and looks.
pub(crate) struct Meter {
    by_second: Vec<u32>,
    memory_mb: Vec<f64>,
    memory_before_mb: f64,
    cpu_before: f64,
    took: Duration,
}

/// Five minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    /// When it begins, in hours from the start.
    pub(crate) hour: f64,
    /// Refreshes in the second with the fewest.
    pub(crate) min: u32,
    /// Refreshes per second on the average.
    pub(crate) mean: f64,
    /// Refreshes in the second with the most.
    pub(crate) max: u32,
    /// The most memory in use, in MB; 0 when nobody looked.
    pub(crate) memory_mb: f64,
}

impl Meter {
    /// Nothing has happened yet.
    pub(crate) fn new(hours: i64, memory_before_mb: f64) -> Self {
        let seconds = usize::try_from(hours).unwrap_or(0) * 3600;
        Self {
            by_second: vec![0; seconds],
            memory_mb: vec![0.0; seconds / WINDOW],
            memory_before_mb,
            cpu_before: machine::cpu_seconds().unwrap_or(0.0),
            took: Duration::ZERO,
        }
    }

    /// Counts `done` refreshes, spread evenly over `seconds` from `at` on.
    pub(crate) fn record(&mut self, at: usize, seconds: usize, done: usize) {
        for second in 0..seconds {
            let share = done * (second + 1) / seconds - done * second / seconds;
            // What belongs behind the end counts for the last second: nothing may get lost.
            let last = self.by_second.len() - 1;
            self.by_second[(at + second).min(last)] += u32::try_from(share).unwrap_or(u32::MAX);
        }
    }

    /// Remembers the most memory of each window.
    pub(crate) fn look_at_memory(&mut self, at: usize, mb: f64) {
        if let Some(most) = self.memory_mb.get_mut(at / WINDOW) {
            *most = most.max(mb);
        }
    }

    /// The hours are over; they took so long.
    pub(crate) fn end(&mut self, took: Duration) {
        self.took = took;
    }

    /// All refreshes.
    pub(crate) fn total(&self) -> usize {
        self.by_second.iter().map(|count| *count as usize).sum()
    }

    /// Processor seconds that were used before the first refresh.
    pub(crate) fn cpu_before(&self) -> f64 {
        self.cpu_before
    }

    /// The hours in pieces of five minutes.
    pub(crate) fn windows(&self) -> Vec<Window> {
        let pieces = self.by_second.chunks(WINDOW).zip(&self.memory_mb).enumerate();
        let window = |(at, (piece, memory_mb)): (usize, (&[u32], &f64))| Window {
            hour: (at * WINDOW) as f64 / 3600.0,
            min: piece.iter().copied().min().unwrap_or(0),
            mean: piece.iter().map(|count| f64::from(*count)).sum::<f64>() / piece.len() as f64,
            max: piece.iter().copied().max().unwrap_or(0),
            memory_mb: *memory_mb,
        };
        pieces.map(window).collect()
    }

    /// What came of it, as text; `cpu` are the processor seconds of the keeper and its storage in
    /// this process.
    pub(crate) fn figures(&self, options: &Options, cpu: f64) -> String {
        let (windows, total) = (self.windows(), self.total());
        let most = windows.iter().map(|window| window.max).max().unwrap_or(0);
        let mean = total as f64 / self.by_second.len() as f64;
        let memory = windows.iter().map(|window| window.memory_mb).fold(0.0, f64::max);
        let real = self.took.as_secs_f64();
        let mut text = String::from("hour   calls per second: min   mean    max   memory\n");
        for window in windows.iter().step_by(3600 / WINDOW) {
            let Window { hour, min, mean, max, memory_mb } = window;
            let _ = writeln!(
                text,
                "{hour:>4.0}   {min:>21} {mean:>6.1} {max:>6}   {memory_mb:>3.0} MB"
            );
        }
        let _ = write!(
            text,
            "\n{} authorizers, {} hours, {}\n\
             {total} upstream calls, {mean:.1} per second on the average, {most} at most ({} allowed)\n\
             memory {:.0} MB at the start, {memory:.0} MB at most (with the simulation itself)\n\
             {:.2} processor seconds per 1,000 refreshes, without the database\n\
             {real:.0} s of real time, {:.0} refreshes per second of it",
            options.authorizers,
            options.hours,
            options.database_name(),
            options.per_second,
            self.memory_before_mb,
            cpu / (total.max(1) as f64 / 1000.0),
            total as f64 / real.max(0.001),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_are_spread_over_the_seconds_that_they_take_and_none_is_lost() {
        let mut meter = Meter::new(1, 0.0);
        meter.record(0, 3, 7);
        meter.record(3599, 2, 5);
        assert_eq!(meter.by_second[..3].iter().sum::<u32>(), 7);
        assert_eq!(meter.by_second[..3].iter().max(), Some(&3));
        assert_eq!((meter.by_second[3599], meter.total()), (5, 12));
    }

    #[test]
    fn a_window_knows_its_extremes() {
        let mut meter = Meter::new(1, 0.0);
        for second in 0..WINDOW {
            meter.record(second, 1, if second == 7 { 30 } else { 10 });
        }
        meter.look_at_memory(5, 20.0);
        meter.look_at_memory(6, 10.0);
        let first = meter.windows()[0];
        assert_eq!((first.min, first.max, first.memory_mb), (10, 30, 20.0));
        assert_eq!(meter.windows().len(), 12);
    }
}
