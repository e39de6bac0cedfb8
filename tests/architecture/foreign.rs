//! Foreign crates by floor: who may name which.

use std::{collections::BTreeSet, fs};

use crate::house::{PACKAGES, SOURCES, Use, hold, names, root, short, words};

/// A foreign crate that only some of ours may name in what they ship. Crates that are not listed
/// are free for all but `wechat` and `model`, which have lists of their own.
struct Kept {
    foreign: &'static str,
    by: &'static [&'static str],
    why: &'static str,
}

const KEPT: &[Kept] = &[
    Kept {
        foreign: "poem",
        by: &["api", "server", "emulator"],
        why: "its releases are slow: its names stay on the one HTTP surface and in the listener",
    },
    Kept { foreign: "poem-openapi", by: &["api"], why: "one crate writes the documents" },
    Kept {
        foreign: "hyper",
        by: &["server", "emulator"],
        why: "the loop under poem, one per program",
    },
    Kept {
        foreign: "hyper-util",
        by: &["server", "emulator"],
        why: "the loop under poem, one per program",
    },
    Kept {
        foreign: "reqwest",
        by: &["wechat", "webhook", "emulator", "tests"],
        why: "its errors print URLs, and tokens travel in them: two doors lead out, wechat::client \
              and webhook::sender",
    },
    Kept { foreign: "sea-orm", by: &["storage"], why: "rows never leave storage" },
    Kept {
        foreign: "sea-orm-migration",
        by: &["migrations", "storage"],
        why: "steps are written in one crate and run by the other",
    },
    Kept { foreign: "sqlx", by: &[], why: "what it can do is reached through sea-orm" },
    Kept {
        foreign: "sea-query-sqlx",
        by: &["storage"],
        why: "statements go past sea-orm in one place, a transaction of two steps on SQLite",
    },
    Kept {
        foreign: "quick-xml",
        by: &["wechat"],
        why: "one bounded reader: what the library lets pass, others would forget to refuse",
    },
    Kept { foreign: "aes", by: &["wechat"], why: "message encryption is the wire's" },
    Kept { foreign: "cbc", by: &["wechat"], why: "message encryption is the wire's" },
    Kept {
        foreign: "sha1",
        by: &["wechat", "emulator"],
        why: "broken, and used only because WeChat's signatures are made of it",
    },
    Kept { foreign: "aes-gcm", by: &["storage"], why: "secrets are sealed where they are kept" },
    Kept { foreign: "moka", by: &["storage"], why: "a cache beside the rows it speeds up" },
    Kept {
        foreign: "rustls",
        by: &["server", "emulator", "tests"],
        why: "the provider is installed once by whoever owns the process",
    },
    Kept {
        foreign: "rand",
        by: &["model", "emulator"],
        why: "chance is passed in as model::clock::Entropy",
    },
    Kept { foreign: "ulid", by: &["model"], why: "ids are made by the nouns they name" },
    Kept { foreign: "clap", by: &["server", "emulator"], why: "only programs have arguments" },
    Kept { foreign: "config", by: &["server"], why: "settings are read in one place" },
    Kept { foreign: "toml", by: &["server", "tests"], why: "settings are read in one place" },
    Kept {
        foreign: "tracing-subscriber",
        by: &["server", "emulator"],
        why: "only programs decide where logs go",
    },
    Kept {
        foreign: "metrics-exporter-prometheus",
        by: &["server"],
        why: "only programs decide where figures go",
    },
    Kept {
        foreign: "anyhow",
        by: &["server", "emulator", "tests"],
        why: "a library's errors say what its caller can do",
    },
    Kept { foreign: "askama", by: &["api", "emulator"], why: "pages are part of the surface" },
    Kept { foreign: "qrcode", by: &["api"], why: "pages are part of the surface" },
    Kept {
        foreign: "tokio",
        by: &[
            "wechat", // its client only, see DOORS
            "storage",
            "component-token",
            "authorizer",
            "webhook",
            "callback", // wakes its own worker
            "api",
            "server",
            "emulator",
            "tests",
        ],
        why: "words and decisions need no runtime",
    },
    Kept { foreign: "cargo_metadata", by: &["tests"], why: "the rules read the workspace" },
    Kept { foreign: "serde_yaml", by: &[], why: "given up by its author" },
];

/// All that the wire may name. The second half only behind its feature `client`.
const WIRE: &[&str] = &[
    "aes",
    "cbc",
    "sha1",
    "subtle",
    "base16ct",
    "base64",
    "zeroize",
    "quick-xml",
    "serde",
    "serde_json",
    "thiserror",
    "csv",
];
const WIRE_CLIENT: &[&str] =
    &["bytes", "futures-util", "http", "reqwest", "tokio", "tracing", "url"];

/// All that the nouns may name: values only, nothing that reads, writes or waits.
const NOUNS: &[&str] = &[
    "chrono",
    "serde",
    "serde_json",
    "sha2",
    "base16ct",
    "base64",
    "ipnet",
    "rand",
    "subtle",
    "thiserror",
    "ulid",
    "url",
    "zeroize",
];

/// Names that may stand only in some files of a crate that has them.
struct Door {
    name: &'static str,
    crate_folder: &'static str,
    files: &'static [&'static str],
    why: &'static str,
}

const CLIENT: &[&str] = &["crates/wechat/src/client.rs", "crates/wechat/src/client/"];
const SENDER: &[&str] = &["crates/webhook/src/sender.rs", "crates/webhook/src/sender/"];
const ONE_SENDER: &str = "what goes to tenants is judged, resolved and bounded in one place";
const WIRE_IS_PURE: &str = "the wire is plain values outside its client";

const DOORS: &[Door] = &[
    Door { name: "reqwest", crate_folder: "crates/wechat/", files: CLIENT, why: WIRE_IS_PURE },
    Door { name: "tokio", crate_folder: "crates/wechat/", files: CLIENT, why: WIRE_IS_PURE },
    Door { name: "tracing", crate_folder: "crates/wechat/", files: CLIENT, why: WIRE_IS_PURE },
    Door { name: "SystemTime", crate_folder: "crates/wechat/", files: &[], why: "no clock" },
    Door { name: "reqwest", crate_folder: "crates/webhook/", files: SENDER, why: ONE_SENDER },
    Door { name: "lookup_host", crate_folder: "crates/webhook/", files: SENDER, why: ONE_SENDER },
    Door {
        name: "to_socket_addrs",
        crate_folder: "crates/webhook/",
        files: SENDER,
        why: ONE_SENDER,
    },
    Door { name: "TcpListener", crate_folder: "crates/wechat/", files: &[], why: "no server" },
];

#[test]
fn foreign_crates_are_named_by_their_keepers_only() {
    let mut breaches = Vec::new();
    for package in PACKAGES.iter() {
        let ours = short(&package.name);
        for (name, of, _) in names(package) {
            let Some(kept) = KEPT.iter().find(|kept| kept.foreign == name) else { continue };
            if of == Use::Shipped && !kept.by.contains(&ours) {
                breaches.push(format!("{ours} -> {name} ({})", kept.why));
            }
        }
    }
    hold(
        "A crate of ours names a foreign crate that is not its business.",
        "Move the code to a keeper of that crate, or change KEPT with an ADR.",
        &breaches,
    );
}

#[test]
fn wire_and_nouns_name_what_is_listed_only() {
    let mut breaches = Vec::new();
    for package in PACKAGES.iter() {
        for (name, of, optional) in names(package) {
            let listed = match short(&package.name) {
                "wechat" => WIRE.contains(&name) || optional && WIRE_CLIENT.contains(&name),
                "model" => NOUNS.contains(&name) || name.starts_with("lingpai-"),
                _ => true,
            };
            if of == Use::Shipped && !listed {
                breaches.push(format!("{} -> {name}", package.name));
            }
        }
    }
    hold(
        "The two lowest crates name something new.",
        "They are plain values: what does I/O lives higher, or in the client behind its feature. \
         A new value type is added to WIRE or NOUNS.",
        &breaches,
    );
}

#[test]
fn names_stay_behind_their_doors() {
    let mut breaches = Vec::new();
    for source in SOURCES.iter() {
        for door in DOORS.iter().filter(|door| source.path.starts_with(door.crate_folder)) {
            if door.files.iter().any(|file| source.path.starts_with(file)) {
                continue;
            }
            for (number, line) in source.shipped() {
                if words(line).any(|word| word == door.name) {
                    breaches
                        .push(format!("{}:{number}: {} ({})", source.path, door.name, door.why));
                }
            }
        }
    }
    hold(
        "A name stands outside the files that may use it.",
        "Go through the types that those files offer.",
        &breaches,
    );
}

#[test]
fn no_dependency_is_left_over() {
    let mut breaches = Vec::new();
    for package in PACKAGES.iter() {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
        let folder = folder.strip_prefix(root()).expect("our packages lie below the root");
        let readme = fs::read_to_string(root().join(folder).join("README.md")).unwrap_or_default();
        let prefix = format!("{folder}/");
        let mut named: BTreeSet<&str> = words(&readme).collect();
        for source in SOURCES.iter().filter(|source| source.path.starts_with(&prefix)) {
            named.extend(source.code.iter().flat_map(|line| words(line)));
        }
        for (name, _, _) in names(package) {
            if !named.contains(name.replace('-', "_").as_str()) {
                breaches.push(format!("{}: {name}", package.name));
            }
        }
    }
    hold(
        "A manifest names a crate that no source of it uses.",
        "Take the line out: what is not there need not be built, watched or explained.",
        &breaches,
    );
}
