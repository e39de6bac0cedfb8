//! The tables: medians, ratios, and what was reached of what is wanted.

use std::{
    fmt::{self, Write as _},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};
use lingpai_model::clock::{Clock as _, SystemClock};

use crate::{
    Figures, Sample,
    deliveries::Delivered,
    limits::{Limits, POSTGRES_GROUP, SQLITE_GROUP},
    load::{CALM_PACE, CONNECTIONS, PUSH_CONNECTIONS},
    machine, nginx,
    tokens::{AUTHORIZERS, Calm, LIFE_SECS, TokenReads},
    wire::Wire,
};

/// What stands around the tables in the page; everything else there is written by hand.
const BEGIN: &str = "<!-- tables: begin; written by `make bench` -->";
const END: &str = "<!-- tables: end -->";

/// Puts the tables into the page.
///
/// # Errors
/// When the page or its marks are not there.
pub(crate) fn write(page: &Path, tables: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("no {}", page.display()))?;
    let (before, rest) = text.split_once(BEGIN).context("the page has no place for tables")?;
    let (_, after) = rest.split_once(END).context("the place for tables has no end")?;
    fs::write(page, format!("{before}{BEGIN}\n\n{tables}\n{END}{after}"))?;
    Ok(())
}

/// All tables, as Markdown.
///
/// # Errors
/// When the machine cannot be described.
pub(crate) fn tables(wire: &[Wire], figures: &Figures, rounds: usize) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{}, {rounds} rounds, {CONNECTIONS} kept-alive connections, {PUSH_CONNECTIONS} for pushes, on {}. nginx {}, {}{}. Other \
         programs used {:.1} cores when the rounds began.\n",
        SystemClock.now().format("%Y-%m-%d"),
        machine::describe()?,
        nginx::version()?,
        first_line("python3", &["-c", "import sqlite3; print('SQLite', sqlite3.sqlite_version)"]),
        if figures.postgres.is_empty() {
            String::new()
        } else {
            format!(", {}", first_line("psql", &["--version"]))
        },
        median(figures.others.iter().copied()),
    )?;
    in_one_process(&mut text, wire)?;
    text.push_str(&push_tables(figures)?);
    deliveries(&mut text, figures)?;
    calls_passed_on(&mut text, figures)?;
    text.push_str(&token_tables(&figures.token_reads)?);
    goals(&mut text, figures)?;
    Ok(text)
}

fn in_one_process(text: &mut String, wire: &[Wire]) -> Result<()> {
    text.push_str("### In one process\n\n| what | median | throughput |\n|---|--:|--:|\n");
    for Wire { name, time, throughput } in wire {
        writeln!(text, "| `{name}` | {time} | {} |", throughput.as_deref().unwrap_or(""))?;
    }
    text.push('\n');
    Ok(())
}

const COLUMNS: &str = "answers/s | per core-second | ratio | p50 | p99 | p99 at 500/s | \
                       cores: server | load | rest |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

/// The tables of the section about pushes, as Markdown.
///
/// # Errors
/// Never: text takes all that is written.
pub(crate) fn push_tables(figures: &Figures) -> Result<String> {
    let mut text = String::new();
    durable_pushes(&mut text, figures)?;
    beside_the_database(&mut text, figures)?;
    Ok(text)
}

fn durable_pushes(text: &mut String, figures: &Figures) -> Result<()> {
    const { assert!(CALM_PACE == 500, "the columns say 500") };
    write!(text, "### Durable pushes\n\n| who | {COLUMNS}")?;
    row(text, "nginx `return 200`: stores nothing", &figures.answer, &figures.answer)?;
    row(text, "lingpai on SQLite", &figures.sqlite, &figures.answer)?;
    row(text, "lingpai on PostgreSQL", &figures.postgres, &figures.answer)?;
    text.push('\n');
    Ok(())
}

fn deliveries(text: &mut String, figures: &Figures) -> Result<()> {
    let of = |field: fn(&Delivered) -> f64| median(figures.deliveries.iter().map(field));
    writeln!(
        text,
        "### Deliveries\n\n| deliveries/s | delay at 500 pushes/s: p50 | p99 |\n|--:|--:|--:|\n\
         | {} | {:.1} ms | {:.1} ms |\n",
        thousands(of(|it| it.rate)),
        of(|it| it.delay_p50_ms),
        of(|it| it.delay_p99_ms),
    )?;
    Ok(())
}

fn calls_passed_on(text: &mut String, figures: &Figures) -> Result<()> {
    write!(text, "### Calls passed on\n\n| who | {COLUMNS}")?;
    row(text, "nginx `proxy_pass`", &figures.proxy_pass, &figures.proxy_pass)?;
    row(text, "lingpai's proxy", &figures.forwarded, &figures.proxy_pass)?;
    row(text, "lingpai's gateway", &figures.gateway, &figures.proxy_pass)?;
    text.push('\n');
    Ok(())
}

/// The tables of the section about token reads, as Markdown.
///
/// # Errors
/// Never: text takes all that is written.
pub(crate) fn token_tables(reads: &TokenReads) -> Result<String> {
    let mut text = format!("### Token reads\n\n| who | {COLUMNS}");
    row(&mut text, "nginx `return 200`: knows no token", &reads.answer, &reads.answer)?;
    row(&mut text, "Redis `GET`", &reads.redis, &reads.answer)?;
    row(&mut text, "lingpai on SQLite", &reads.lingpai, &reads.answer)?;
    if reads.redis.is_empty() {
        text.push_str("\nRedis: not present.\n");
    }
    text.push_str(
        "\n| reads at 500/s | reads | p50 | p99 | longest | refreshes meanwhile |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for Calm { when, reads, p50_ms, p99_ms, max_ms, refreshes } in &reads.calm {
        let (reads, refreshes) = (thousands(*reads as f64), thousands(*refreshes as f64));
        writeln!(
            text,
            "| {when} | {reads} | {p50_ms:.2} ms | {p99_ms:.2} ms | {max_ms:.2} ms | {refreshes} |"
        )?;
    }
    writeln!(
        text,
        "\n{} authorizers, whose tokens lived {LIFE_SECS} s and were renewed one right after the \
         other. Of the tokens that the wave replaced, none had less than {:.1} s left.\n",
        thousands(f64::from(AUTHORIZERS)),
        reads.least_left_secs,
    )?;
    Ok(text)
}

fn row(text: &mut String, who: &str, samples: &[Sample], yardstick: &[Sample]) -> Result<()> {
    if samples.is_empty() {
        return Ok(());
    }
    let of = |field: fn(&Sample) -> f64| median(samples.iter().map(field));
    writeln!(
        text,
        "| {who} | {} | {} | {:.2} | {} | {} | {} | {:.2} | {:.2} | {:.2} |",
        thousands(of(|it| it.rate)),
        thousands(of(per_core_second)),
        of(per_core_second) / median(yardstick.iter().map(per_core_second)),
        milliseconds(of(|it| it.p50_ms)),
        milliseconds(of(|it| it.p99_ms)),
        milliseconds(of(|it| it.calm_p99_ms)),
        of(|it| it.cores.server),
        of(|it| it.cores.load),
        of(|it| it.cores.rest),
    )?;
    Ok(())
}

fn beside_the_database(text: &mut String, figures: &Figures) -> Result<()> {
    writeln!(
        text,
        "### Beside the database alone\n\n| database | lingpai, pushes/s | in a commit | alone, as many \
         | ratio | alone, one | ratio |\n|---|--:|--:|--:|--:|--:|--:|"
    )?;
    for (name, group, samples, limits) in [
        ("SQLite", SQLITE_GROUP, &figures.sqlite, &figures.sqlite_limits),
        ("PostgreSQL", POSTGRES_GROUP, &figures.postgres, &figures.postgres_limits),
    ] {
        if limits.is_empty() {
            continue;
        }
        let rate = median(samples.iter().map(|it| it.rate));
        let (grouped, single) = medians(limits);
        writeln!(
            text,
            "| {name} | {} | {group} | {} | {:.2} | {} | {:.1} |",
            thousands(rate),
            thousands(grouped),
            rate / grouped,
            thousands(single),
            rate / single,
        )?;
    }
    text.push('\n');
    Ok(())
}

/// What is wanted on two cores, and what this run reached of it.
fn goals(text: &mut String, figures: &Figures) -> Result<()> {
    text.push_str("### Goals\n\n| goal | measured | |\n|---|--:|---|\n");
    let of = |samples: &[Sample], field: fn(&Sample) -> f64| median(samples.iter().map(field));
    let mut line = |goal: &str, shown: String, is_reached: bool| {
        let verdict = if is_reached { "reached" } else { "**short**" };
        writeln!(text, "| {goal} | {shown} | {verdict} |")
    };
    push_goals(&mut line, figures)?;
    let delivered = |field: fn(&Delivered) -> f64| median(figures.deliveries.iter().map(field));
    let rate = delivered(|it| it.rate);
    line("deliveries: 2 000/s", format!("{}/s", thousands(rate)), rate >= 2e3)?;
    let delay = delivered(|it| it.delay_p99_ms);
    line("deliveries: delay p99 ≤ 250 ms", format!("{delay:.1} ms"), delay <= 250.0)?;
    let ratio = of(&figures.gateway, per_core_second) / of(&figures.proxy_pass, per_core_second);
    line(
        "gateway calls: 0.55 of `proxy_pass` per core-second",
        format!("{ratio:.2}"),
        ratio >= 0.55,
    )?;
    let added =
        of(&figures.gateway, |it| it.calm_p99_ms) - of(&figures.proxy_pass, |it| it.calm_p99_ms);
    line(
        "gateway calls: p99 at 500/s at most 1 ms above nginx's",
        format!("{added:.2} ms"),
        added <= 1.0,
    )?;
    let reads = &figures.token_reads;
    if let [before, wave, after] = &reads.calm[..] {
        // How far the two outside it are apart tells what chance does.
        let [before, wave, after] = [before, wave, after].map(|calm| calm.p99_ms);
        let shown = format!("{wave:.2} ms; {before:.2} and {after:.2} ms outside");
        let is_reached = wave <= 1.1 * before.max(after);
        line("token reads: p99 in a wave of refreshes as outside it", shown, is_reached)?;
    }
    if !reads.redis.is_empty() {
        let ratio = of(&reads.lingpai, per_core_second) / of(&reads.redis, per_core_second);
        line(
            "token reads: 0.7 of Redis `GET` per core-second",
            format!("{ratio:.2}"),
            ratio >= 0.7,
        )?;
    }
    let idle = median(figures.idle_mb.iter().copied());
    line("memory, idle: 40 MB", format!("{idle:.1} MB"), idle <= 40.0)?;
    writeln!(
        text,
        "\nMemory after the pushes of a round: {:.1} MB; after the calls of all rounds: {:.1} MB.",
        median(figures.after_pushes_mb.iter().copied()),
        figures.after_calls_mb.last().copied().unwrap_or_default(),
    )?;
    Ok(())
}

/// What is wanted of pushes.
fn push_goals(
    line: &mut impl FnMut(&str, String, bool) -> fmt::Result,
    figures: &Figures,
) -> fmt::Result {
    let of = |samples: &[Sample], field: fn(&Sample) -> f64| median(samples.iter().map(field));
    if !figures.postgres.is_empty() {
        let rate = of(&figures.postgres, |it| it.rate);
        line("pushes on PostgreSQL: 20 000/s", format!("{}/s", thousands(rate)), rate >= 2e4)?;
        let calm = of(&figures.postgres, |it| it.calm_p99_ms);
        line("pushes on PostgreSQL: p99 ≤ 5 ms at 500/s", format!("{calm:.2} ms"), calm <= 5.0)?;
    }
    if !figures.postgres_limits.is_empty() {
        let share = of(&figures.postgres, |it| it.rate) / medians(&figures.postgres_limits).0;
        line(
            "pushes on PostgreSQL: 0.35 of its limit in batches",
            format!("{share:.2}"),
            share >= 0.35,
        )?;
    }
    let share = of(&figures.sqlite, |it| it.rate) / medians(&figures.sqlite_limits).0;
    line("pushes on SQLite: 0.8 of its group-commit limit", format!("{share:.2}"), share >= 0.8)?;
    let calm = of(&figures.sqlite, |it| it.calm_p99_ms);
    line("pushes on SQLite: p99 ≤ 5 ms at 500/s", format!("{calm:.2} ms"), calm <= 5.0)?;
    Ok(())
}

fn per_core_second(sample: &Sample) -> f64 {
    sample.rate / sample.cores.server
}

fn medians(limits: &[Limits]) -> (f64, f64) {
    (median(limits.iter().map(|it| it.grouped)), median(limits.iter().map(|it| it.single)))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A latency with its unit; a dash where none was measured.
fn milliseconds(value: f64) -> String {
    if value.is_nan() { "–".to_owned() } else { format!("{value:.2} ms") }
}

/// A number without a fraction, its thousands apart.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn first_line(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    printed.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}
