//! What the databases could do at best: the rows that lingpai has just written, events and their
//! deliveries, written once more into tables of the same form, without anything around it.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

/// How many events lingpai commits together at most, each with its deliveries, on SQLite.
pub(crate) const SQLITE_GROUP: usize = 128;

/// The same on PostgreSQL.
pub(crate) const POSTGRES_GROUP: usize = 64;

/// Events with their deliveries per second that a database alone takes, durably.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// As many of them in a commit as lingpai commits together.
    pub(crate) grouped: f64,
    /// One in a commit.
    pub(crate) single: f64,
}

/// Measures SQLite beside the file in which lingpai has stored `stored` pushes.
///
/// # Errors
/// When another number of pushes is there, or Python cannot do it.
pub(crate) fn of_sqlite(file: &Path, stored: usize, limit: Duration) -> Result<Limits> {
    let measure = |rows: usize| {
        let output = Command::new("python3")
            .args(["-c", include_str!("sqlite_limit.py")])
            .arg(file)
            .arg(file.with_file_name("limit.db"))
            .args([rows.to_string(), limit.as_secs_f64().to_string()])
            .output()
            .context("python3 could not be started")?;
        rate(&output, stored)
    };
    Ok(Limits { grouped: measure(SQLITE_GROUP)?, single: measure(1)? })
}

/// Measures PostgreSQL inside the database in which lingpai has stored `stored` pushes. `None`
/// when there is no `psql` here.
///
/// # Errors
/// When another number of pushes is there, or the statements fail.
pub(crate) fn of_postgres(url: &str, stored: usize) -> Result<Option<Limits>> {
    if Command::new("psql").arg("--version").output().is_err() {
        return Ok(None);
    }
    let measure = |rows: usize, commits: usize| {
        let mut psql = Command::new("psql")
            .args([url, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--field-separator= ", "--set=ON_ERROR_STOP=1"])
            .args([format!("--set=rows={rows}"), format!("--set=commits={commits}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = psql.stdin.take().context("psql takes no statements")?;
        input.write_all(include_bytes!("postgres_limit.sql"))?;
        drop(input);
        rate(&psql.wait_with_output()?, stored)
    };
    Ok(Some(Limits { grouped: measure(POSTGRES_GROUP, 1000)?, single: measure(1, 4000)? }))
}

/// Reads how many pushes lingpai had stored, and how many rows were written in how many seconds.
fn rate(output: &Output, stored: usize) -> Result<f64> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the database's limit could not be measured: {said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = printed.split_whitespace().flat_map(str::parse).collect();
    let [found, written, seconds] = numbers[..] else {
        anyhow::bail!("three numbers were expected: {printed}{said}");
    };
    let answered = stored as f64;
    ensure!(found == answered, "{answered} pushes were answered, {found} are stored");
    Ok(written / seconds)
}
