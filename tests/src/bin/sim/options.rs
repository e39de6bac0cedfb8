//! What can be chosen.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use lingpai_storage::testing::Backend;

const USAGE: &str = "usage: sim [--authorizers N] [--hours N] [--per-second N] \
                     [--database postgres|sqlite] [--plot FILE]";

/// What is simulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// How many authorizers there are.
    pub(crate) authorizers: usize,
    /// How many hours go by.
    pub(crate) hours: i64,
    /// How many refreshes a second may have: by default what one instance's workers begin.
    pub(crate) per_second: usize,
    /// `postgres` or `sqlite`.
    pub(crate) database: String,
    /// Where the plot goes.
    pub(crate) plot: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            authorizers: 1_000_000,
            hours: 24,
            per_second: 200,
            database: "postgres".to_owned(),
            plot: "docs/sim-tokens.svg".into(),
        }
    }
}

impl Options {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// When one is not understood.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(name) = words.next() {
            let value = words.next().context(USAGE)?;
            match name.as_str() {
                "--authorizers" => options.authorizers = value.parse().context(USAGE)?,
                "--hours" => options.hours = value.parse().context(USAGE)?,
                "--per-second" => options.per_second = value.parse().context(USAGE)?,
                "--database" => options.database = value,
                "--plot" => options.plot = value.into(),
                _ => bail!("{name} is unknown; {USAGE}"),
            }
        }
        ensure!(options.authorizers > 0 && options.per_second > 0, USAGE);
        ensure!((1..=240).contains(&options.hours), "{USAGE}; up to 240 hours");
        Ok(options)
    }

    /// The database that was chosen.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn backend(&self) -> Result<Backend> {
        let wanted = |backend: &Backend| match backend {
            Backend::Sqlite => self.database == "sqlite",
            Backend::Postgres(_) => self.database == "postgres",
            Backend::MySql(_) => false,
        };
        let found = Backend::available().into_iter().find(wanted);
        found.with_context(|| format!("there is no {}; {USAGE}", self.database))
    }

    /// The database's name for people.
    pub(crate) fn database_name(&self) -> &'static str {
        if self.database == "sqlite" { "SQLite" } else { "PostgreSQL" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_by_name_and_the_rest_stays() {
        let words = ["--hours", "3", "--database", "sqlite"].map(str::to_owned);
        let options = Options::read(words.into_iter()).unwrap();
        let wanted = Options { hours: 3, database: "sqlite".to_owned(), ..Options::default() };
        assert_eq!(options, wanted);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [&["--hours"][..], &["--hours", "x"], &["--days", "1"], &["--hours", "0"]] {
            let words = words.iter().map(|word| (*word).to_owned());
            assert!(Options::read(words).is_err());
        }
    }
}
