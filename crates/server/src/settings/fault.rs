//! What is wrong with the settings, all of it at once.

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    key: String,
    found: String,
    wanted: String,
}

impl Fault {
    /// At `key` stands `found`, but `wanted` is needed. `found` must be masked already.
    pub(super) fn new(key: &str, found: &str, wanted: &str) -> Self {
        Self { key: key.to_owned(), found: found.to_owned(), wanted: wanted.to_owned() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: found {}, wanted {}", self.key, self.found, self.wanted)
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Whether the settings are fine.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the settings have {} fault(s):", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        f.write_str("\n`lingpai config print` shows every setting and where it comes from")
    }
}

impl std::error::Error for Faults {}
