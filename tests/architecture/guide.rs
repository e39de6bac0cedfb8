//! The guide: what a client may meet is explained, and what is referred to is there.

use std::{fs, path::Path};

use crate::house::{SOURCES, hold, root};

/// Where each refusal of ours has its name.
const CODES: &str = "crates/api/src/problem/code.rs";

/// Where each of them is explained.
const FAILURES: &str = "docs/guide/when-something-fails.md";

/// The codes in the rows of `Code`: `("unauthenticated", S::…`.
fn codes() -> Vec<String> {
    let source = SOURCES.iter().find(|source| source.path == CODES);
    let text = &source.expect("the codes stand in one file").text;
    let rows = text.lines().filter(|line| line.contains("=> (\"") && line.contains(", S::"));
    rows.filter_map(|row| row.split('"').nth(1)).map(str::to_owned).collect()
}

#[test]
fn every_refusal_is_explained() {
    let guide = fs::read_to_string(root().join(FAILURES)).expect("the guide is there");
    let codes = codes();
    assert!(codes.len() > 30, "codes found: {}", codes.len());
    let missing: Vec<String> =
        codes.into_iter().filter(|code| !guide.contains(&format!("`{code}`"))).collect();
    hold(
        "A refusal has no row in docs/guide/when-something-fails.md.",
        "Say in one row what happened and what to do.",
        &missing,
    );
}

#[test]
fn every_page_that_is_referred_to_is_there() {
    let mut breaches = Vec::new();
    let folder = root().join("docs/guide");
    for entry in fs::read_dir(&folder).expect("the guide can be listed") {
        let page = entry.expect("the entry can be read").path();
        let text = fs::read_to_string(&page).expect("a page is text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_elsewhere = file.is_empty() || file.contains("://");
            if !is_elsewhere && !Path::new(&folder).join(file).exists() {
                breaches.push(format!("{}: {link}", page.display()));
            }
        }
    }
    hold("A page of the guide refers to one that is not there.", "Mend the link.", &breaches);
}
