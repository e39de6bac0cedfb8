//! What comes from outside, held to `deny.toml`. cargo-deny does the same and more where it is
//! installed; it is not everywhere, and this needs no network.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    sync::LazyLock,
};

use crate::house::{PACKAGES, hold, names, root};

/// One foreign package that is really built here.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Built {
    name: String,
    version: String,
    licence: String,
}

/// Everything in the tree of this platform, tests included. `cargo tree` and not `cargo metadata`:
/// the latter also lists what weak features would bring.
static TREE: LazyLock<BTreeSet<Built>> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--workspace", "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    text.lines().filter(|line| !line.is_empty()).map(read_line).collect()
});

/// A line of the tree: `serde v1.0.229|MIT OR Apache-2.0`, with a `(*)` where it was shown before.
fn read_line(line: &str) -> Built {
    let (package, licence) =
        line.trim_end_matches(" (*)").split_once('|').expect("the format has a bar");
    let mut words = package.split_whitespace();
    let name = words.next().expect("a package has a name").to_owned();
    let version = words.next().expect("a package has a version").trim_start_matches('v').to_owned();
    Built { name, version, licence: licence.to_owned() }
}

static DENY: LazyLock<toml::Table> = LazyLock::new(|| {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    text.parse().expect("deny.toml is TOML")
});

/// A list of tables in `deny.toml`.
fn rows(section: &str, list: &str) -> Vec<&'static toml::Table> {
    DENY[section][list]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(toml::Value::as_table)
        .collect()
}

fn text<'a>(row: &'a toml::Table, key: &str) -> &'a str {
    row[key].as_str().expect("a text")
}

fn texts(value: &toml::Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect()
}

#[test]
fn nothing_banned_is_built() {
    let mut breaches = Vec::new();
    for row in rows("bans", "deny") {
        let (name, reason) = (text(row, "crate"), text(row, "reason"));
        if row.contains_key("wrappers") {
            // Somebody else may bring it; we may not name it.
            breaches.extend(
                PACKAGES
                    .iter()
                    .filter(|package| names(package).any(|(named, _, _)| named == name))
                    .map(|package| format!("{name}, named by {} ({reason})", package.name)),
            );
        } else if TREE.iter().any(|built| built.name == name) {
            breaches.push(format!("{name} ({reason}); `cargo tree -i {name}` says who brings it"));
        }
    }
    hold("A banned crate is in the tree.", "Switch off the feature that brings it.", &breaches);
}

#[test]
fn every_licence_is_allowed() {
    let allowed = texts(&DENY["licenses"]["allow"]);
    let mut breaches = Vec::new();
    for built in TREE.iter() {
        let mut may = allowed.clone();
        for row in
            rows("licenses", "exceptions").iter().filter(|row| text(row, "crate") == built.name)
        {
            may.extend(texts(&row["allow"]));
        }
        if !is_allowed(&built.licence, &may) {
            breaches.push(format!("{} {}: {:?}", built.name, built.version, built.licence));
        }
    }
    hold(
        "A licence is not on the list of deny.toml.",
        "Do without the crate, or add the licence there and say why it may be shipped.",
        &breaches,
    );
}

#[test]
fn nothing_new_is_there_twice() {
    let mut versions = BTreeMap::<&str, BTreeSet<&str>>::new();
    for built in TREE.iter() {
        versions.entry(&built.name).or_default().insert(&built.version);
    }
    let skipped: Vec<(&str, &str)> =
        rows("bans", "skip").iter().filter_map(|row| text(row, "crate").split_once('@')).collect();
    let is_skipped = |name: &str, version: &str| {
        skipped.iter().any(|(skip, prefix)| {
            *skip == name && (version == *prefix || version.starts_with(&format!("{prefix}.")))
        })
    };
    let mut breaches = Vec::new();
    for (name, versions) in &versions {
        let kept = versions.iter().filter(|version| !is_skipped(name, version)).count();
        if kept > 1 {
            breaches.push(format!("{name}: {versions:?}"));
        }
    }
    for (name, prefix) in &skipped {
        let here = versions.get(name).cloned().unwrap_or_default();
        if here.len() < 2 || !here.iter().any(|version| is_skipped(name, version)) {
            breaches
                .push(format!("{name}@{prefix} is skipped, but there is no second one any more"));
        }
    }
    hold(
        "A package is there in two versions, or a row of deny.toml [bans] skip is out of date.",
        "Take the version the others take; where that cannot be, add the older one to `skip` with \
         the reason.",
        &breaches,
    );
}

#[test]
fn every_exception_has_its_reason() {
    let mut breaches = Vec::new();
    for (section, list) in [("advisories", "ignore"), ("bans", "deny"), ("bans", "skip")] {
        for row in rows(section, list) {
            if row.get("reason").and_then(toml::Value::as_str).unwrap_or_default().is_empty() {
                breaches.push(format!("[{section}] {list}: {row:?}"));
            }
        }
    }
    hold("A row of deny.toml gives no reason.", "Write it down.", &breaches);
}

/// Whether an SPDX expression can be satisfied by the licences in `may`. A `/` is the old `OR`.
fn is_allowed(expression: &str, may: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = any_of(&mut words, may);
    allowed && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, may: &[&str]) -> bool {
    let mut allowed = all_of(words, may);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all_of(words, may);
    }
    allowed
}

fn all_of(words: &mut Words<'_>, may: &[&str]) -> bool {
    let mut allowed = one(words, may);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words, may);
    }
    allowed
}

fn one(words: &mut Words<'_>, may: &[&str]) -> bool {
    match words.next() {
        Some("(") => {
            let allowed = any_of(words, may);
            allowed && words.next() == Some(")")
        }
        Some(licence) if words.next_if_eq(&"WITH").is_some() => {
            let whole = format!("{licence} WITH {}", words.next().unwrap_or_default());
            may.contains(&whole.as_str())
        }
        Some(licence) => may.contains(&licence),
        None => false,
    }
}

#[test]
fn licence_expressions_are_understood() {
    let may = ["MIT", "ISC"];
    for allowed in ["MIT", "MIT OR GPL-3.0", "MIT/GPL-3.0", "(GPL-3.0 OR MIT) AND ISC"] {
        assert!(is_allowed(allowed, &may), "{allowed}");
    }
    for refused in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH Nothing", "(MIT", "MIT ISC"] {
        assert!(!is_allowed(refused, &may), "{refused}");
    }
}
