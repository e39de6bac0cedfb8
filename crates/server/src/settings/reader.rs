//! Reads the flattened layers key by key and remembers every fault instead of stopping at the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use config::ValueKind;
use lingpai_model::{Secret, network::Network};
use url::Url;

use super::{
    fault::{Fault, Faults},
    layers::{Found, Origin},
};

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";

/// The layers, what was already read of them, and what was wrong.
pub(super) struct Reader<'a> {
    flat: &'a BTreeMap<String, Found>,
    known: BTreeSet<String>,
    faults: Faults,
}

impl<'a> Reader<'a> {
    pub(super) fn new(flat: &'a BTreeMap<String, Found>, faults: Faults) -> Self {
        Self { flat, known: BTreeSet::new(), faults }
    }

    /// Every fault, those of keys that nobody asked for included.
    pub(super) fn finish(mut self) -> Faults {
        for (key, found) in self.flat.iter().filter(|(key, _)| !self.known.contains(*key)) {
            let section = key.split_once('.').map_or("", |(section, _)| section);
            let prefix = format!("{section}.");
            let keys: Vec<_> = self.known.iter().filter_map(|k| k.strip_prefix(&prefix)).collect();
            let wanted = if keys.is_empty() {
                let sections: BTreeSet<_> =
                    self.known.iter().filter_map(|k| k.split('.').next()).collect();
                format!("one of the sections {}", join(sections))
            } else {
                format!("one of the keys {}", join(keys))
            };
            let found = format!("an unknown key ({})", found.origin);
            self.faults.add(Fault::new(key, &found, &wanted));
        }
        self.faults
    }

    /// Notes that the value of `key` is not `wanted`; `shown` is the value, masked if need be.
    pub(super) fn fault(&mut self, key: &str, shown: &str, wanted: &str) {
        let origin = self.flat.get(key).map_or(&Origin::Default, |found| &found.origin);
        self.faults.add(Fault::new(key, &format!("{shown} ({origin})"), wanted));
    }

    /// The text at `key`, if there is any.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.raw(key) {
            Some(ValueKind::String(text)) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
            Some(other) => {
                let shown = other.to_string();
                self.fault(key, &shown, "a text in quotes");
                None
            }
            None => None,
        }
    }

    /// The text at `key` as `parse` understands it; an empty one is a fault too.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let faults = self.faults.iter().count();
        let text = self.text(key).unwrap_or_default();
        let value = parse(&text);
        if value.is_none() && self.faults.iter().count() == faults {
            self.fault(key, &format!("{text:?}"), wanted);
        }
        value
    }

    /// Whether the switch at `key` is on.
    pub(super) fn switch(&mut self, key: &str) -> Option<bool> {
        match self.raw(key) {
            Some(ValueKind::Boolean(on)) => Some(*on),
            Some(ValueKind::String(text)) if text == "true" => Some(true),
            Some(ValueKind::String(text)) if text == "false" => Some(false),
            other => {
                let shown = other.map_or_else(|| "nothing".to_owned(), |v| format!("{v:?}"));
                self.fault(key, &shown, "true or false");
                None
            }
        }
    }

    /// The whole number at `key`.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let raw = self.raw(key);
        let number = match raw {
            Some(ValueKind::I64(number)) => u64::try_from(*number).ok(),
            Some(ValueKind::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let shown = match raw {
            Some(ValueKind::String(text)) => format!("{text:?}"),
            Some(other) => other.to_string(),
            None => "nothing".to_owned(),
        };
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.fault(key, &shown, &wanted);
        None
    }

    /// The number of seconds at `key`.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.number(key, range).map(Duration::from_secs)
    }

    /// The address and port at `key`.
    pub(super) fn address(&mut self, key: &str) -> Option<SocketAddr> {
        self.parsed(key, ADDRESS, |text| text.parse().ok())
    }

    /// The address and port at `key`, which may be left empty.
    pub(super) fn optional_address(&mut self, key: &str) -> Option<SocketAddr> {
        let text = self.text(key)?;
        let address = text.parse().ok();
        if address.is_none() {
            self.fault(key, &format!("{text:?}"), ADDRESS);
        }
        address
    }

    /// The origin at `key`: an http or https URL that ends with its host.
    pub(super) fn origin(&mut self, key: &str) -> Option<Url> {
        self.parsed(
            key,
            "an http or https URL of a host alone, such as https://example.com",
            |text| {
                let url = Url::parse(text).ok()?;
                let bare = matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.path() == "/"
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none();
                bare.then_some(url)
            },
        )
    }

    /// The addresses and networks at `key`, joined by commas; empty: none.
    pub(super) fn networks(&mut self, key: &str) -> Option<Vec<Network>> {
        self.parsed(key, "addresses or networks such as 10.0.0.7, 10.1.0.0/16", |text| {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| Network::parse(part).ok()).collect()
        })
    }

    /// The path at `key`, which may be left empty.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// The secret text at `key`, never shown: anything but text is only called so.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret<String>> {
        match self.raw(key) {
            Some(ValueKind::String(text)) => {
                Some(text.trim()).filter(|text| !text.is_empty()).map(Secret::from)
            }
            Some(_) => {
                self.fault(key, MASK, "a text in quotes");
                None
            }
            None => None,
        }
    }

    /// The secret text in the file that `key` names.
    pub(super) fn file(&mut self, key: &str, path: &Path) -> Option<Secret<String>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(Secret::new(text)),
            Err(error) => {
                let shown = path.display().to_string();
                self.fault(key, &shown, &format!("a readable file; {error}"));
                None
            }
        }
    }

    /// Whether `key` still has its default.
    pub(super) fn is_default(&self, key: &str) -> bool {
        self.flat.get(key).is_none_or(|found| found.origin == Origin::Default)
    }

    fn raw(&mut self, key: &str) -> Option<&'a ValueKind> {
        self.known.insert(key.to_owned());
        self.flat.get(key).map(|found| &found.value)
    }
}

const ADDRESS: &str = "an address and port such as 127.0.0.1:8080 or [::]:8080";

fn join<'k>(words: impl IntoIterator<Item = &'k str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{
        super::layers::{Sources, stack},
        *,
    };

    #[test]
    fn secrets_made_of_digits_stay_text() {
        for digits in ["00123", "1e5", "0x10", "true"] {
            let pair = (OsString::from("LINGPAI_SECRETS__MASTER_KEY"), OsString::from(digits));
            let sources = Sources { file: None, environment: vec![pair] };
            let flat = stack(&sources, &mut Faults::default()).expect("it can be layered");
            let mut reader = Reader::new(&flat, Faults::default());
            assert_eq!(reader.secret("secrets.master_key"), Some(Secret::from(digits)));
        }
    }
}
