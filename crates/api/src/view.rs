//! What both APIs tell, in one place, so that a thing has one form and one name wherever it is told.

pub(crate) mod audit;
pub(crate) mod authorizer;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod file;
pub(crate) mod quota;
pub(crate) mod scope;

/// What took so long, in whole milliseconds.
pub(crate) fn millis(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
