//! Sealing of secrets at rest: AES-256-GCM under a ring of master keys.
//!
//! A sealed value is bound to its place (table, column, row), so that one that was cut, changed or
//! moved to another row does not open. Each place has a key of its own, derived from the master
//! key: random nonces then stay safe however many rows one master key seals over the years, which
//! they would not with one key for all (about 2^32 values).
//!
//! Form: version (1), length of the key's id, the id, nonce (12 bytes), ciphertext with its tag.

use std::sync::Arc;

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lingpai_model::{Secret, clock::Entropy};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, Result};

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const MAX_KEY_ID: usize = 32;

/// The master keys: the newest seals, all of them open.
#[derive(Clone)]
pub struct KeyRing {
    keys: Arc<[MasterKey]>,
    /// Nonces must never repeat, so they always come from the operating system.
    entropy: Entropy,
}

/// One master key.
pub(crate) struct MasterKey {
    id: String,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// The text is not a ring of master keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// There is no key in it.
    #[error("there is no master key")]
    Empty,
    /// A line is not `id:base64`.
    #[error("line {line} of the master keys is not `id:base64` of 32 bytes")]
    BadLine {
        /// Which one, from 1.
        line: usize,
    },
    /// Two keys have the same id.
    #[error("the master key id {id} stands there twice")]
    DuplicateId {
        /// The id.
        id: String,
    },
}

/// Where a sealed value lives. It opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Its table.
    pub(crate) table: &'static str,
    /// Its column.
    pub(crate) column: &'static str,
    /// What tells its row from all others: component and tenant where there are any, then the id.
    pub(crate) row: &'a [&'a str],
}

impl KeyRing {
    /// Reads a ring: one `id:base64` a line, the newest first; or the base64 of a single key, whose
    /// id is derived from it. Blank lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`KeyRingError`], which never repeats what it could not read.
    pub fn parse(text: &Secret<String>) -> Result<Self, KeyRingError> {
        let mut keys: Vec<MasterKey> = Vec::new();
        for (index, line) in text.expose().lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = MasterKey::parse(line).ok_or(KeyRingError::BadLine { line: index + 1 })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeyRingError::DuplicateId { id: key.id });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        Ok(Self { keys: keys.into(), entropy: Entropy::system() })
    }

    /// Draws a new key. Returns the ring that holds it and the text of the file to keep it in.
    #[must_use]
    pub fn generate(entropy: &Entropy) -> (Self, Secret<String>) {
        let key = MasterKey::with_derived_id(Zeroizing::new(entropy.bytes()));
        let base64 = Zeroizing::new(STANDARD.encode(*key.key));
        let text = Secret::new(format!("{}:{}\n", key.id, base64.as_str()));
        (Self { keys: Arc::new([key]), entropy: Entropy::system() }, text)
    }

    /// The key that seals.
    pub(crate) fn newest(&self) -> &MasterKey {
        &self.keys[0]
    }

    /// All keys, the newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &MasterKey> {
        self.keys.iter()
    }

    /// Seals `plain` for `place` with the newest key.
    pub(crate) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Vec<u8> {
        let master = self.newest();
        let nonce: [u8; NONCE_BYTES] = self.entropy.bytes();
        let mut sealed = Vec::with_capacity(2 + master.id.len() + NONCE_BYTES + plain.len() + 16);
        sealed.push(VERSION);
        sealed.push(u8::try_from(master.id.len()).expect("an id has at most 32 bytes"));
        sealed.extend_from_slice(master.id.as_bytes());
        let context = place.context(&sealed);
        let ciphertext = master
            .cipher(&context)
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: &context })
            .expect("a value that fits in memory is within AES-GCM's bound of 64 GiB");
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    /// Seals a text.
    pub(crate) fn seal_text(&self, place: Place<'_>, text: &Secret<String>) -> Vec<u8> {
        self.seal(place, text.expose().as_bytes())
    }

    /// Seals bytes.
    pub(crate) fn seal_bytes(&self, place: Place<'_>, bytes: &Secret<Vec<u8>>) -> Vec<u8> {
        self.seal(place, bytes.expose())
    }

    /// Opens what was sealed for `place`.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret<Vec<u8>>> {
        self.try_open(place, sealed)
            .map(Secret::new)
            .ok_or(Error::Unopenable { table: place.table, column: place.column })
    }

    /// Opens a text.
    pub(crate) fn open_text(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret<String>> {
        let unopenable = Error::Unopenable { table: place.table, column: place.column };
        let plain = self.try_open(place, sealed).ok_or(unopenable.clone())?;
        String::from_utf8(plain).map(Secret::new).map_err(|error| {
            error.into_bytes().zeroize();
            unopenable
        })
    }

    /// Whether just `plain` was sealed for `place`, with a key of this ring.
    pub(crate) fn holds(&self, place: Place<'_>, sealed: &[u8], plain: &[u8]) -> bool {
        self.open(place, sealed).is_ok_and(|opened| opened.expose() == plain)
    }

    fn try_open(&self, place: Place<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let id_len = usize::from(*sealed.get(1).filter(|_| sealed[0] == VERSION)?);
        let (header, rest) = sealed.split_at_checked(2 + id_len)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES)?;
        let master = self.keys.iter().find(|key| key.id.as_bytes() == &header[2..])?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let context = place.context(header);
        let payload = Payload { msg: ciphertext, aad: &context };
        master.cipher(&context).decrypt(&Nonce::from(nonce), payload).ok()
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl MasterKey {
    fn parse(line: &str) -> Option<Self> {
        let (id, base64) = match line.split_once(':') {
            Some((id, base64)) => (Some(id.trim()), base64.trim()),
            None => (None, line),
        };
        let bytes = Zeroizing::new(STANDARD.decode(base64).ok()?);
        let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(bytes.as_slice().try_into().ok()?);
        let Some(id) = id else {
            return Some(Self::with_derived_id(key));
        };
        let fits = (1..=MAX_KEY_ID).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self { id: id.to_owned(), key })
    }

    fn with_derived_id(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"lingpai master key id");
        hash.update(*key);
        let id = base16ct::lower::encode_string(&hash.finalize()[..4]);
        Self { id, key }
    }

    /// The key of one context: the one-step key derivation of NIST SP 800-56C (a counter, the
    /// secret, then the context) over SHA-256.
    pub(crate) fn derive(&self, context: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut hash = Sha256::new();
        hash.update(1_u32.to_be_bytes());
        hash.update(*self.key);
        hash.update(context);
        Zeroizing::new(hash.finalize().into())
    }

    /// The cipher of one place.
    fn cipher(&self, context: &[u8]) -> Aes256Gcm {
        let key = self.derive(context);
        Aes256Gcm::new_from_slice(&*key).expect("SHA-256 gives the 32 bytes of an AES-256 key")
    }
}

impl Place<'_> {
    /// The place in bytes, each part with its length in front, so that no two places look alike.
    fn context(&self, header: &[u8]) -> Vec<u8> {
        let parts = [header, self.table.as_bytes(), self.column.as_bytes()];
        let parts = parts.into_iter().chain(self.row.iter().map(|part| part.as_bytes()));
        let mut context = Vec::with_capacity(160);
        for part in parts {
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part);
        }
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Place<'_> = Place { table: "t", column: "c", row: &["cmp_1", "tnt_1", "row"] };

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(&Secret::from(text)).expect("a good ring")
    }

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    #[test]
    fn a_sealed_value_opens_in_its_place_only() {
        let keys = ring(&key(1));
        let sealed = keys.seal(HOME, b"canary");
        assert_eq!(keys.open(HOME, &sealed).expect("its own place").expose(), b"canary");
        let elsewhere = [
            Place { table: "u", ..HOME },
            Place { column: "d", ..HOME },
            Place { row: &["cmp_1", "tnt_1", "other"], ..HOME },
            Place { row: &["cmp_1", "tnt_1row"], ..HOME },
            Place { row: &["cmp_2", "tnt_1", "row"], ..HOME },
        ];
        for place in elsewhere {
            let error = keys.open(place, &sealed).expect_err("a foreign place");
            assert!(matches!(error, Error::Unopenable { .. }), "{place:?}");
        }
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused() {
        let keys = ring(&key(1));
        let sealed = keys.seal(HOME, b"canary");
        for length in 0..sealed.len() {
            assert!(keys.open(HOME, &sealed[..length]).is_err(), "cut to {length}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(HOME, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn nothing_of_the_plain_text_shows_and_equal_texts_seal_differently() {
        let keys = ring(&key(1));
        let [a, b] = [keys.seal(HOME, b"canary"), keys.seal(HOME, b"canary")];
        assert_ne!(a, b);
        assert!(!a.windows(6).any(|window| window == b"canary"));
    }

    #[test]
    fn an_old_key_still_opens_and_the_newest_seals() {
        let old = ring(&format!("2025:{}", key(1)));
        let both = ring(&format!("# rotated\n2026:{}\n\n2025:{}\n", key(2), key(1)));
        let new = ring(&format!("2026:{}", key(2)));
        let sealed_before = old.seal(HOME, b"x");
        assert_eq!(both.open(HOME, &sealed_before).expect("the ring has it").expose(), b"x");
        let sealed_after = both.seal(HOME, b"y");
        assert_eq!(new.open(HOME, &sealed_after).expect("the newest sealed").expose(), b"y");
        assert!(old.open(HOME, &sealed_after).is_err());
        assert!(new.open(HOME, &sealed_before).is_err());
    }

    #[test]
    fn a_generated_key_reads_back_from_its_file() {
        let (keys, file) = KeyRing::generate(&Entropy::seeded(1));
        let sealed = keys.seal(HOME, b"x");
        let read = KeyRing::parse(&file).expect("our own file");
        assert_eq!(read.open(HOME, &sealed).expect("the same key").expose(), b"x");
        let single = file.expose().split_once(':').expect("id and key").1.to_owned();
        let single = KeyRing::parse(&Secret::new(single)).expect("a single key");
        assert_eq!(single.open(HOME, &sealed).expect("the same derived id").expose(), b"x");
    }

    #[test]
    fn a_bad_ring_is_refused_without_repeating_it() {
        let parse = |text: &str| KeyRing::parse(&Secret::from(text)).err();
        assert_eq!(parse(" \n# none\n"), Some(KeyRingError::Empty));
        for line in ["canary", "a:canary", &format!(":{}", key(1)), &format!("a b:{}", key(1))] {
            let error = parse(&format!("x:{}\n{line}", key(9))).expect("a bad line");
            assert_eq!(error, KeyRingError::BadLine { line: 2 });
            assert!(!error.to_string().contains("canary"));
        }
        let twice = format!("a:{}\na:{}", key(1), key(2));
        assert_eq!(parse(&twice), Some(KeyRingError::DuplicateId { id: "a".into() }));
    }

    #[test]
    fn debug_shows_ids_only() {
        assert_eq!(format!("{:?}", ring(&format!("a:{}", key(1)))), "[\"a\"]");
    }
}
