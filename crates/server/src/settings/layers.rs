//! The layers of the settings, put on top of each other and flattened to `section.key`.
//!
//! The layers stay text, numbers and lists as they were written; what a key means is decided where
//! it is read. In particular nothing guesses numbers in environment variables, because that changes
//! secrets made of digits.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::PathBuf,
};

use config::{Config, Environment, File, FileFormat, Value, ValueKind};

use super::fault::{Fault, Faults};

/// The reference: every key with its default.
pub(super) const DEFAULTS: &str = include_str!("default.toml");

const PREFIX: &str = "LINGPAI_";
const SEPARATOR: &str = "__";

/// Where settings come from, beside the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file given with `--config`.
    pub file: Option<PathBuf>,
    /// Environment variables, of which those that are not ours are passed over.
    pub environment: Vec<(OsString, OsString)>,
}

impl Sources {
    /// `file` and the environment of this process.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self { file, environment: std::env::vars_os().collect() }
    }
}

/// One value and the layer it came from.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) value: ValueKind,
    pub(super) origin: Origin,
}

/// The layer a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File,
    Environment,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "--config",
            Self::Environment => "environment",
        })
    }
}

/// Puts the layers on top of each other.
///
/// Faults that leave the rest readable (a variable that is not UTF-8) are added to `faults`.
///
/// # Errors
/// The file cannot be read or is not TOML, so that nothing can be said about its keys.
pub(super) fn stack(
    sources: &Sources,
    faults: &mut Faults,
) -> Result<BTreeMap<String, Found>, Fault> {
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(path) = &sources.file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Fault::new(
                "--config",
                &path.display().to_string(),
                &format!("a readable file; {error}"),
            )
        })?;
        check_toml(path, &text)?;
        builder = builder.add_source(File::from(path.as_path()).format(FileFormat::Toml));
    }
    let environment = Environment::with_prefix("LINGPAI")
        .prefix_separator("_")
        .separator(SEPARATOR)
        .source(Some(our_variables(sources, faults)));
    let config = builder.add_source(environment).build().map_err(|error| {
        Fault::new("settings", "layers that do not fit together", &error.to_string())
    })?;
    let mut flat = BTreeMap::new();
    flatten("", config.cache, &mut flat);
    Ok(flat)
}

/// Refuses what is not TOML, without quoting the line, which may hold a secret.
fn check_toml(path: &std::path::Path, text: &str) -> Result<(), Fault> {
    let Err(error) = text.parse::<toml::Table>() else { return Ok(()) };
    let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
    let found = format!("{} (line {line})", path.display());
    Err(Fault::new("--config", &found, &format!("a TOML file; {}", error.message())))
}

/// The variables that are ours, with faults for those that look like ours but cannot be.
///
/// A variable without `__` whose first word is a section is a slip of the pen and refused. Others
/// without `__` are left alone: Kubernetes sets `LINGPAI_PORT` and the like for a service of our
/// name.
fn our_variables(sources: &Sources, faults: &mut Faults) -> HashMap<String, String> {
    let mut ours = HashMap::new();
    for (name, value) in &sources.environment {
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let name = format!("{PREFIX}{rest}");
        if !rest.contains(SEPARATOR) {
            if let Some((section, key)) = rest.split_once('_').filter(|(s, _)| is_section(s)) {
                let wanted = format!("two underscores: {PREFIX}{section}{SEPARATOR}{key}");
                faults.add(Fault::new(&name, "one underscore", &wanted));
            }
        } else if !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            faults.add(Fault::new(&name, "a strange name", "letters, digits and underscores"));
        } else if let Some(value) = value.to_str() {
            ours.insert(name, value.to_owned());
        } else {
            faults.add(Fault::new(&name, "bytes that are not UTF-8", "UTF-8 text"));
        }
    }
    ours
}

fn is_section(word: &str) -> bool {
    let header = format!("[{}]", word.to_ascii_lowercase());
    DEFAULTS.lines().any(|line| line == header)
}

fn flatten(prefix: &str, value: Value, flat: &mut BTreeMap<String, Found>) {
    let origin = match value.origin() {
        None => Origin::Default,
        Some("the environment") => Origin::Environment,
        Some(_) => Origin::File,
    };
    match value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(&key, value, flat);
            }
        }
        kind => {
            flat.insert(prefix.to_owned(), Found { value: kind, origin });
        }
    }
}
