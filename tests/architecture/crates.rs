//! The crate table: who may depend on whom, among our own crates.

use std::collections::BTreeSet;

use crate::house::{PACKAGES, Use, hold, names, short};

/// One crate of ours, and those it may build on.
struct Row {
    name: &'static str,
    may_use: &'static [&'static str],
    /// Whether it may call WeChat, that is switch on `client` of the crate `wechat`.
    calls_wechat: bool,
    why: &'static str,
}

/// The floors, from the ground up. An edge that is not here is a decision: add it with its reason
/// and write the page in `docs/adr`.
const TABLE: &[Row] = &[
    Row {
        name: "wechat",
        may_use: &[],
        calls_wechat: false,
        why: "the wire is the ground: everybody may stand on it because it stands on nothing",
    },
    Row {
        name: "model",
        may_use: &["wechat"],
        calls_wechat: false,
        why: "our nouns are spelled with the wire's, and do no I/O",
    },
    Row {
        name: "migrations",
        may_use: &[],
        calls_wechat: false,
        why: "a released step never changes, so it must not move with a noun",
    },
    Row {
        name: "storage",
        may_use: &["model", "migrations"],
        calls_wechat: false,
        why: "keeps records and decides nothing; what WeChat says is not its business",
    },
    Row {
        name: "component-token",
        may_use: &["wechat", "model", "storage"],
        calls_wechat: true,
        why: "tickets in, tokens out",
    },
    Row {
        name: "authorizer",
        may_use: &["wechat", "model", "storage", "component-token"],
        calls_wechat: true,
        why: "grants need the component's token; who the tenant is, is decided before",
    },
    Row {
        name: "tenant",
        may_use: &["model", "storage"],
        calls_wechat: false,
        why: "who may do what has nothing to do with WeChat",
    },
    Row {
        name: "webhook",
        may_use: &["wechat", "model", "storage"],
        calls_wechat: false,
        why: "events go out to tenants in forms that are the wire's; whose they are, is decided before",
    },
    Row {
        name: "callback",
        may_use: &["wechat", "model", "storage", "component-token", "authorizer", "webhook"],
        calls_wechat: false,
        why: "takes pushes in; calls go out through the crates that own the tokens, and to tenants \
              through the one that owns the endpoints",
    },
    Row {
        name: "api",
        may_use: &["model", "component-token", "authorizer", "tenant", "webhook", "callback"],
        calls_wechat: false,
        why: "a route asks a service: it never sees a row, a client or a setting",
    },
    Row {
        name: "server",
        may_use: &[
            "wechat",
            "model",
            "migrations",
            "storage",
            "component-token",
            "authorizer",
            "tenant",
            "webhook",
            "callback",
            "api",
        ],
        calls_wechat: true,
        why: "puts everything together, builds the one client, and holds no rule of its own",
    },
    Row {
        name: "emulator",
        may_use: &["wechat"],
        calls_wechat: false,
        why: "stands in for WeChat: what it shares with the service cannot be tested by it",
    },
    Row {
        name: "tests",
        may_use: &["wechat", "model", "server", "emulator", "storage"],
        calls_wechat: false,
        why: "sees the product from outside; of storage only the making of a fresh database, of the \
              wire only what WeChat and a handler of its pushes seal with",
    },
];

fn row(name: &str) -> &'static Row {
    TABLE.iter().find(|row| row.name == name).unwrap_or_else(|| {
        panic!("the crate {name} is not in the table of tests/architecture/crates.rs: add its row")
    })
}

/// Everything below `name`, by any number of steps.
fn below(name: &str, found: &mut BTreeSet<&'static str>) {
    for next in row(name).may_use {
        if found.insert(next) {
            below(next, found);
        }
    }
}

#[test]
fn crates_depend_on_those_in_the_table_only() {
    let mut breaches = Vec::new();
    for package in PACKAGES.iter() {
        let row = row(short(&package.name));
        for (name, of, _) in names(package) {
            let Some(other) = name.strip_prefix("lingpai-") else { continue };
            if of == Use::Shipped && !row.may_use.contains(&other) {
                breaches.push(format!("{} -> {other} ({})", row.name, row.why));
            }
        }
    }
    hold(
        "An edge between our crates is not in the table.",
        "Move the code to the floor that may know both, or add the edge to TABLE with an ADR.",
        &breaches,
    );
}

/// Tests may set up what lies below their crate, however deep, and have the emulator play WeChat;
/// they may not look up.
#[test]
fn tests_of_a_crate_look_down_only() {
    let mut breaches = Vec::new();
    for package in PACKAGES.iter() {
        let name = short(&package.name);
        let mut may = BTreeSet::from([name, "emulator"]);
        below(name, &mut may);
        for (other, of, _) in names(package) {
            let Some(other) = other.strip_prefix("lingpai-") else { continue };
            if of == Use::TestsOnly && !may.contains(other) {
                breaches.push(format!("{name} -> {other}, in dev-dependencies"));
            }
        }
    }
    hold(
        "A crate's tests name a crate that does not lie below it.",
        "Test it one floor up, where both are known, or end to end in tests/e2e.",
        &breaches,
    );
}

#[test]
fn only_those_who_call_wechat_have_its_client() {
    let mut breaches = Vec::new();
    for package in PACKAGES.iter() {
        let row = row(short(&package.name));
        for dependency in &package.dependencies {
            if dependency.name != "lingpai-wechat" || row.calls_wechat {
                continue;
            }
            if dependency.features.iter().any(|feature| feature == "client") {
                breaches.push(format!("{} ({})", row.name, row.why));
            }
        }
    }
    hold(
        "A crate switches on `client` of lingpai-wechat that must not call WeChat.",
        "Ask the service that owns the token (component-token, authorizer) to make the call.",
        &breaches,
    );
}

#[test]
fn the_wire_is_pure_unless_asked() {
    let wire = PACKAGES.iter().find(|package| package.name.as_str() == "lingpai-wechat");
    let wire = wire.expect("the wire is one of our crates");
    let default = wire.features.get("default").cloned().unwrap_or_default();
    assert!(default.is_empty(), "lingpai-wechat must have no default features, not {default:?}");
}

#[test]
fn the_table_has_no_row_too_many() {
    let gone: Vec<String> = TABLE
        .iter()
        .filter(|row| !PACKAGES.iter().any(|package| short(&package.name) == row.name))
        .map(|row| row.name.to_owned())
        .collect();
    hold("The table names crates that are not there.", "Take their rows out.", &gone);
}
