#![doc = include_str!("../README.md")]
#![recursion_limit = "256"]

pub mod cluster;
pub mod fans;
pub mod handler;
pub mod load;
pub mod oracle;
pub mod people;
pub mod processes;
pub mod raw;
pub mod receiver;
pub mod recorder;
pub mod sdk;
pub mod seals;
pub mod shop;
pub mod site;
pub mod stream;
pub mod trials;
pub mod visitor;
pub mod world;
pub mod xml;

/// What the surroundings offer a test: the value of `variable`, which `make test` sets.
///
/// Without it the test has nothing to run on and says so; `make test` itself refuses to go on
/// without its databases and its Python.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
pub fn needs(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        eprintln!("{variable} is not set: this test did nothing; `make test` sets it");
    }
    value
}
