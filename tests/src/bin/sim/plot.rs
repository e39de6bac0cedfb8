//! The plot: refreshes per second and memory over the hours, as an SVG on a ground of its own, so
//! that it can be read on light and dark pages.

use std::fmt::Write as _;

use crate::{OFF_AT_HOURS, OFF_FOR_HOURS, meter::Window, options::Options};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 936.0;

const STYLE: &str = "text{font:13px sans-serif;fill:#24292f}\
    .title{font-size:16px;font-weight:600}.small{font-size:12px;fill:#57606a}\
    .grid{stroke:#d8dee4;stroke-width:1}.axis{stroke:#57606a;stroke-width:1}\
    .band{fill:#54aeff;fill-opacity:.35}.mean{fill:none;stroke:#0550ae;stroke-width:1.5}\
    .memory{fill:none;stroke:#8250df;stroke-width:1.5}\
    .limit{stroke:#cf222e;stroke-width:1.2;stroke-dasharray:6 4}\
    .off{fill:#6e7781;fill-opacity:.16}";

/// One of the two panels: what stands where.
struct Panel {
    top: f64,
    bottom: f64,
    highest: f64,
    hours: f64,
}

impl Panel {
    fn x(&self, hour: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * hour / self.hours
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (value / self.highest).clamp(0.0, 1.0)
    }

    /// Frame, grid, numbers and the name of the upright axis.
    fn axes(&self, svg: &mut String, name: &str) {
        let step = step(self.highest);
        let mut value = 0.0;
        while value <= self.highest {
            let y = self.y(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
                LEFT - 8.0,
                y + 4.0
            );
            value += step;
        }
        let every = if self.hours > 48.0 { 12.0 } else { 2.0 };
        let mut hour = 0.0;
        while hour <= self.hours {
            let (x, below) = (self.x(hour), self.bottom + 18.0);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{}\"/>\
                 <text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\">{hour:.0}</text>",
                self.top, self.bottom
            );
            hour += every;
        }
        let middle = f64::midpoint(self.top, self.bottom);
        let _ = write!(
            svg,
            "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {}V{}H{RIGHT}\"/>\
             <text transform=\"translate(22 {middle}) rotate(-90)\" text-anchor=\"middle\">{name}</text>",
            self.top, self.bottom
        );
    }

    fn line(&self, class: &str, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (hour, value) in points {
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", self.x(hour), self.y(value));
        }
        format!("<path class=\"{class}\" d=\"{path}\"/>")
    }

    /// The hours in which the installation was off.
    fn off(&self) -> String {
        let [from, to] = [OFF_AT_HOURS, OFF_AT_HOURS + OFF_FOR_HOURS].map(|hour| hour as f64);
        if from >= self.hours {
            return String::new();
        }
        let (from, to) = (self.x(from), self.x(to.min(self.hours)));
        let (width, height) = (to - from, self.bottom - self.top);
        format!(
            "<rect class=\"off\" x=\"{from:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{height}\"/>",
            self.top
        )
    }
}

/// Draws everything.
pub(crate) fn draw(options: &Options, windows: &[Window]) -> String {
    let most = windows.iter().map(|window| f64::from(window.max)).fold(0.0, f64::max);
    let memory = windows.iter().map(|window| window.memory_mb).fold(0.0, f64::max);
    let (limit, hours) = (options.per_second as f64, options.hours as f64);
    let calls = Panel { top: 64.0, bottom: 350.0, highest: above(most.max(limit)), hours };
    let held = Panel { top: 410.0, bottom: 510.0, highest: above(memory), hours };
    let mut svg = head(options);
    svg += &calls.off();
    svg += &held.off();
    calls.axes(&mut svg, "upstream calls per second");
    held.axes(&mut svg, "memory, MB");
    svg += &band(&calls, windows);
    svg += &calls.line("mean", windows.iter().map(|window| (window.hour, window.mean)));
    let looked = windows.iter().filter(|window| window.memory_mb > 0.0);
    svg += &held.line("memory", looked.map(|window| (window.hour, window.memory_mb)));
    let y = calls.y(limit);
    let _ = writeln!(
        svg,
        "<line class=\"limit\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\"/>\
         <text class=\"small\" x=\"{LEFT}\" dx=\"6\" y=\"{:.1}\">ceiling: {limit:.0}</text>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">hours</text></svg>",
        y - 6.0,
        f64::midpoint(LEFT, RIGHT),
        HEIGHT - 14.0,
    );
    svg
}

fn head(options: &Options) -> String {
    let (count, hours) = (grouped(options.authorizers), options.hours);
    let database = options.database_name();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
         <title>Token refreshes of {count} authorizers over {hours} hours</title>\
         <style>{STYLE}</style>\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>\
         <text class=\"title\" x=\"{LEFT}\" y=\"28\">Token refreshes of {count} authorizers on \
         {database}</text>\
         <text class=\"small\" x=\"{LEFT}\" y=\"48\">Line: mean of five minutes; band: slowest and \
         busiest second in them; grey: everything off, as before a restore</text>"
    )
}

fn band(panel: &Panel, windows: &[Window]) -> String {
    let there = windows.iter().map(|window| (window.hour, f64::from(window.max)));
    let back = windows.iter().rev().map(|window| (window.hour, f64::from(window.min)));
    panel.line("band", there.chain(back))
}

/// A number with its thousands set apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let starts = |at: usize| at > 0 && (digits.len() - at).is_multiple_of(3);
    let parts = digits.char_indices().flat_map(|(at, digit)| {
        let comma = starts(at).then_some(',');
        comma.into_iter().chain([digit])
    });
    parts.collect()
}

/// A round number of at least a tenth more.
fn above(value: f64) -> f64 {
    let step = step(value.max(1.0));
    (value.max(1.0) * 1.1 / step).ceil() * step
}

/// A round distance of at least 1 that gives about five lines.
fn step(highest: f64) -> f64 {
    let rough = highest / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| rough <= nice * power);
    (nice.unwrap_or(10.0) * power).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_round_and_few() {
        assert_eq!((step(250.0), step(9.0), step(1000.0)), (50.0, 2.0, 200.0));
        assert_eq!((above(250.0), step(1.0)), (300.0, 1.0));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([7, 1000, 1_000_000].map(grouped), ["7", "1,000", "1,000,000"]);
    }

    #[test]
    fn the_drawing_has_axes_names_and_every_window() {
        let window = Window { hour: 0.0, min: 1, mean: 2.0, max: 3, memory_mb: 40.0 };
        let windows = [window, Window { hour: 5.0 / 60.0, ..window }];
        let svg = draw(&Options { hours: 1, ..Options::default() }, &windows);
        for part in ["upstream calls per second", "memory, MB", ">hours<", "ceiling: 200"] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        assert_eq!(svg.matches("class=\"mean\" d=\"M").count(), 1);
        assert!(!svg.contains("class=\"off\""), "noon has not come: {svg}");
    }
}
