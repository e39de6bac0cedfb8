//! The form of the sources: sizes, names, and words that nobody writes.

use std::{collections::BTreeMap, fs};

use crate::house::{PACKAGES, SOURCES, hold, is_test_file, root, words};

/// Lines of code of a file without its unit tests; blank lines and comments do not count.
const FILE: usize = 400;
/// The same with them, and for files of nothing but tests.
const FILE_WITH_TESTS: usize = 800;
/// Lines of code that a crate ships.
const CRATE: usize = 6_000;

/// Crates that may ship more, and why.
const ROOMY: &[(&str, usize, &str)] = &[
    ("crates/api", 13_500, "every field of both documents is written out there, once"),
    ("crates/storage", 9_000, "a repository, an entity and a mapping for each table"),
    ("crates/emulator", 7_500, "it plays three hosts, their pages and their clients, all in one"),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["common", "util", "utils", "helper", "helpers", "core", "misc", "shared"];

/// Pieces of code that stand nowhere, with what to write instead.
const NOWHERE: &[(&str, &str)] = &[
    ("#[ignore", "a test that does not run proves nothing: mend it or take it out"),
    ("#[allow(", "write #[expect(…, reason = \"…\")]: it tells when it is no longer needed"),
    ("#![allow(", "write #![expect(…, reason = \"…\")]: it tells when it is no longer needed"),
    ("set_var(", "the environment belongs to the whole process: pass the value in"),
    ("remove_var(", "the environment belongs to the whole process: pass the value in"),
];

#[test]
fn files_are_short() {
    let mut breaches = Vec::new();
    for source in SOURCES.iter() {
        let (shipped, whole) = source.sizes();
        if shipped > FILE {
            breaches.push(format!("{}: {shipped} lines of code, {FILE} at most", source.path));
        }
        if whole > FILE_WITH_TESTS {
            breaches
                .push(format!("{}: {whole} with tests, {FILE_WITH_TESTS} at most", source.path));
        }
    }
    hold("A file is too long to be read at once.", "Split it by noun.", &breaches);
}

#[test]
fn crates_are_small() {
    let mut sizes = BTreeMap::<&str, usize>::new();
    for source in SOURCES.iter().filter(|source| !is_test_file(&source.path)) {
        let name = source.path.split("/src/").next().unwrap_or_default();
        *sizes.entry(name).or_default() += source.sizes().0;
    }
    let breaches: Vec<String> = sizes
        .iter()
        .map(|(name, lines)| (name, *lines, most_of(name)))
        .filter(|(_, lines, most)| lines > most)
        .map(|(name, lines, most)| format!("{name}: {lines} lines of code, {most} at most"))
        .collect();
    hold("A crate has become a heap.", "Find the piece that needs to know less.", &breaches);
}

fn most_of(name: &str) -> usize {
    ROOMY.iter().find(|(roomy, _, _)| *roomy == name).map_or(CRATE, |(_, most, _)| *most)
}

#[test]
fn modules_are_named_after_what_is_in_them() {
    let mut breaches = Vec::new();
    for source in SOURCES.iter() {
        let mut parts: Vec<&str> = source.path.split('/').collect();
        let file = parts.pop().unwrap_or_default();
        if file == "mod.rs" {
            breaches.push(format!("{}: name the file after the module", source.path));
        }
        for part in parts.into_iter().chain(file.strip_suffix(".rs")) {
            if EMPTY_NAMES.contains(&part) {
                breaches.push(format!("{}: {part}", source.path));
            }
        }
        for (number, line) in source.lines() {
            let mut before = "";
            for word in words(line) {
                if before == "mod" && EMPTY_NAMES.contains(&word) {
                    breaches.push(format!("{}:{number}: mod {word}", source.path));
                }
                before = word;
            }
        }
    }
    hold("A module has an empty name.", "A function lives with the noun it serves.", &breaches);
}

#[test]
fn some_things_are_never_written() {
    let mut breaches = Vec::new();
    for source in SOURCES.iter() {
        for (number, line) in source.lines() {
            let line: String = line.split_whitespace().collect();
            for (piece, instead) in NOWHERE.iter().filter(|(piece, _)| line.contains(piece)) {
                breaches.push(format!("{}:{number}: {piece} – {instead}", source.path));
            }
        }
    }
    hold("Something is written that nobody writes here.", "Each line says what to do.", &breaches);
}

#[test]
fn every_crate_introduces_itself() {
    let mut breaches = Vec::new();
    for package in PACKAGES.iter() {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
        let lib = fs::read_to_string(folder.join("src/lib.rs")).unwrap_or_default();
        if !folder.join("README.md").exists() {
            breaches.push(format!("{}: no README.md", package.name));
        } else if !lib.contains("#![doc = include_str!(\"../README.md\")]") {
            breaches.push(format!("{}: src/lib.rs does not include README.md", package.name));
        }
    }
    hold(
        "A crate does not say what it is for.",
        "README.md: one line of purpose, what it must not know, main types, an example; then \
         `#![doc = include_str!(\"../README.md\")]` in src/lib.rs.",
        &breaches,
    );
}

#[test]
fn manifests_take_versions_and_lints_from_the_root() {
    let mut breaches = Vec::new();
    for package in PACKAGES.iter() {
        let text = fs::read_to_string(&package.manifest_path).expect("the manifest can be read");
        let manifest: toml::Table = text.parse().expect("cargo has read it too");
        let from_root = |table: Option<&toml::Value>| {
            table
                .and_then(|table| table.get("workspace"))
                .is_some_and(|it| it.as_bool() == Some(true))
        };
        if !from_root(manifest.get("lints")) {
            breaches.push(format!("{}: [lints] workspace = true is missing", package.name));
        }
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(kind).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, _) in dependencies.iter().filter(|(_, it)| !from_root(Some(it))) {
                breaches.push(format!("{}: {name} has a version of its own", package.name));
            }
        }
    }
    hold(
        "A manifest decides for itself.",
        "Versions stand in the root's [workspace.dependencies], each with the reason it is there.",
        &breaches,
    );
}

#[test]
fn the_toolchain_is_one() {
    let read = |name: &str| fs::read_to_string(root().join(name)).expect("the file is there");
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().expect("it is TOML");
    let channel =
        toolchain["toolchain"]["channel"].as_str().expect("it names a channel").to_owned();
    let version = channel.rsplit_once('.').map_or(channel.as_str(), |(version, _)| version);
    let manifest: toml::Table = read("Cargo.toml").parse().expect("it is TOML");
    let oldest = manifest["workspace"]["package"]["rust-version"].as_str();
    assert_eq!(oldest, Some(version), "rust-version in Cargo.toml and rust-toolchain.toml differ");
    let image = format!("FROM rust:{version}-");
    assert!(read("deploy/Dockerfile").contains(&image), "deploy/Dockerfile builds without {image}");
}
