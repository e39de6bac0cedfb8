//! Every fault that token keeping and events have to bear, in full size, on real processes and
//! PostgreSQL, some on SQLite too. `make soak-tokens` and `make soak-events` call it.
//!
//! What it refuses is a refresh too many, a call that should have succeeded, a refresh token that is
//! gone, and more than five minutes until a thousand wiped ones are back; a push that is not answered
//! within four seconds, and an event that is lost or doubled. It asserts no other time.
#![recursion_limit = "256"]

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lingpai_storage::testing::Backend;
use lingpai_tests::{
    needs,
    trials::{
        Cold, Cut, Expiries, Frozen, KilledPushes, KilledTokens, Kills, LeaseEnd, LostAnswers,
        Pace, Pushed, Report, Stage, Wipe, Wiped,
    },
};

/// The trials, by the letter that chooses one.
const TRIALS: [(char, &str); 12] = [
    ('a', "tokens run out under load"),
    ('b', "cold callers"),
    ('c', "kill -9"),
    ('d', "a frozen holder"),
    ('e', "all access tokens killed"),
    ('f', "refresh tokens wiped"),
    ('g', "answers lost"),
    ('h', "clocks shifted"),
    ('i', "connections cut"),
    ('j', "pushes while endpoints are broken"),
    ('k', "kill -9 under pushes"),
    ('l', "copies of pushes"),
];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the chosen trials; whether all of them held.
async fn run() -> Result<bool> {
    let chosen = chosen(env::args().nth(1))?;
    let postgres = Backend::available().into_iter().find(|it| matches!(it, Backend::Postgres(_)));
    let backend = postgres.context("LINGPAI_TEST_POSTGRES_URL names no PostgreSQL")?;
    let stage = Stage { backend, tell: |line| eprintln!("     {line}") };
    let (began, mut reports) = (Instant::now(), Vec::new());
    for (letter, name) in TRIALS.into_iter().filter(|(letter, _)| chosen.contains(*letter)) {
        eprintln!("   {letter}: {name}");
        for report in trial(letter, &stage).await.with_context(|| format!("{letter}: {name}"))? {
            eprintln!("     {}", if report.violations.is_empty() { "holds" } else { "VIOLATED" });
            reports.push((letter, report));
        }
    }
    let violations: usize = reports.iter().map(|(_, report)| report.violations.len()).sum();
    println!("{}", table(&reports));
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!("{} trials, {violations} violations, {minutes:.1} minutes", reports.len());
    Ok(violations == 0)
}

/// The letters of the trials to run.
fn chosen(letters: Option<String>) -> Result<String> {
    let all: String = TRIALS.iter().map(|(letter, _)| letter).collect();
    let letters = letters.with_context(|| format!("usage: soak LETTERS, some of {all}"))?;
    if letters.is_empty() || !letters.chars().all(|letter| all.contains(letter)) {
        bail!("usage: soak LETTERS; {letters} are not all of {all}");
    }
    Ok(letters)
}

/// One trial in full size.
async fn trial(letter: char, stage: &Stage) -> Result<Vec<Report>> {
    let report = match letter {
        // A cycle is about 18 of the 24 seconds, so 50 of them are a quarter of an hour. WeChat takes
        // the token before for a quarter of its life: longer than the five seconds for which an
        // instance may remember what another has replaced.
        'a' => expiries(8, 200, 50, 24).run(stage).await,
        'b' => Cold { instances: 8, callers: 50, answer_ms: 3000 }.run(stage).await,
        'c' => return kills(stage).await,
        'd' => Frozen { lease_end: LeaseEnd::Waited }.run(stage).await,
        'e' => {
            let killed = KilledTokens { instances: 8, authorizers: 200, callers: 16, times: 10 };
            killed.run(stage).await
        }
        'f' => {
            let wipes = vec![Wipe::InUse, Wipe::History, Wipe::HistoryAndInfo];
            let limit = Some(Duration::from_secs(5 * 60));
            Wiped { instances: 4, authorizers: 1000, wipes, limit }.run(stage).await
        }
        'g' => LostAnswers { instances: 4, authorizers: 50, times: 5, callers: 8 }.run(stage).await,
        'h' => {
            let library = needs("LINGPAI_TEST_FAKETIME");
            let library = library.context("LINGPAI_TEST_FAKETIME names no libfaketime")?;
            let shifts = ["", "+3h", "-3h", "+400d"];
            expiries(4, 50, 10, 24).with_clocks(&library, &shifts).run(stage).await
        }
        'i' => Cut { instances: 4, authorizers: 60, rounds: 40, callers: 8 }.run(stage).await,
        'j' => return pushed(300 * 60, 1, stage).await,
        'k' => return killed_pushes(stage).await,
        'l' => return pushed(10_000, 4, stage).await,
        _ => bail!("there is no trial {letter}"),
    };
    Ok(vec![report?])
}

fn expiries(instances: usize, authorizers: u32, expiries: usize, life_secs: u64) -> Expiries {
    Expiries { instances, authorizers, expiries, life_secs, callers: 16, own: Vec::new() }
}

/// Most kills among several instances, who outlive each other; some on SQLite, where nobody does.
async fn kills(stage: &Stage) -> Result<Vec<Report>> {
    let many = Kills { instances: 4, authorizers: 60, kills: 200, callers: 8 };
    let alone = Kills { instances: 1, authorizers: 20, kills: 20, callers: 4 };
    Ok(vec![many.run(stage).await?, alone.run(&on_sqlite(stage)).await?])
}

/// So many messages in so many copies, 300 pushes a second, on both databases.
async fn pushed(messages: u64, copies: u64, stage: &Stage) -> Result<Vec<Report>> {
    let (pace, authorizers) = (Pace::Judged, 50);
    let alone = Pushed { instances: 1, authorizers, messages, copies, per_second: 300, pace };
    let two = Pushed { instances: 2, ..alone.clone() };
    Ok(vec![alone.run(&on_sqlite(stage)).await?, two.run(stage).await?])
}

/// Most kills on SQLite, where nobody outlives the killed one.
async fn killed_pushes(stage: &Stage) -> Result<Vec<Report>> {
    let alone = KilledPushes { instances: 1, authorizers: 20, kills: 60, per_second: 200 };
    let two = KilledPushes { instances: 2, authorizers: 20, kills: 20, per_second: 200 };
    Ok(vec![alone.run(&on_sqlite(stage)).await?, two.run(stage).await?])
}

fn on_sqlite(stage: &Stage) -> Stage {
    Stage { backend: Backend::Sqlite, ..stage.clone() }
}

/// What came of everything, as text.
fn table(reports: &[(char, Report)]) -> String {
    let mut table = String::new();
    for (letter, report) in reports {
        let verdict = if report.violations.is_empty() { "holds" } else { "VIOLATED" };
        let seconds = report.took().as_secs();
        table += &format!("\n{letter}  {verdict:<8} {seconds:>5} s  {}\n", report.trial);
        for figure in &report.figures {
            table += &format!("                     {figure}\n");
        }
        for violation in &report.violations {
            table += &format!("                     VIOLATION: {violation}\n");
        }
    }
    table
}
