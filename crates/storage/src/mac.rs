//! Message authentication: texts that we hand out and recognise when they come back, without a row.
//!
//! HMAC-SHA256 under a key of its own for each purpose, derived from the master key, so that what was
//! made for one purpose proves nothing for another, nor anything about what is sealed.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    db::Db,
    seal::{KeyRing, MasterKey},
};

impl Db {
    /// Proves, to whoever has our master key, that we made `message` for `purpose`. Its parts are
    /// kept apart: no other list of parts has the same proof.
    #[must_use]
    pub fn mac(&self, purpose: &'static str, message: &[&[u8]]) -> [u8; 32] {
        self.keys().mac(purpose, message)
    }

    /// Whether `mac` is what [`Db::mac`] gave for this purpose and message, now or before the master
    /// key was changed. Takes the same time wherever it differs.
    #[must_use]
    pub fn mac_matches(&self, purpose: &'static str, message: &[&[u8]], mac: &[u8]) -> bool {
        self.keys().mac_matches(purpose, message, mac)
    }
}

impl KeyRing {
    fn mac(&self, purpose: &'static str, message: &[&[u8]]) -> [u8; 32] {
        begun(self.newest(), purpose, message).finalize().into_bytes().into()
    }

    fn mac_matches(&self, purpose: &'static str, message: &[&[u8]], mac: &[u8]) -> bool {
        let under = |key| begun(key, purpose, message).verify_slice(mac).is_ok();
        self.all().fold(false, |matches, key| matches | under(key))
    }
}

fn begun(key: &MasterKey, purpose: &'static str, message: &[&[u8]]) -> Hmac<Sha256> {
    // The place of a sealed value begins with a header whose first byte is 1, never with this word.
    let context = prefixed(&[b"lingpai message authentication", purpose.as_bytes()]);
    let key = key.derive(&context);
    let mut mac = Hmac::<Sha256>::new_from_slice(&*key).expect("HMAC takes a key of any length");
    mac.update(&prefixed(message));
    mac
}

/// The parts in one piece, each with its length in front.
fn prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use lingpai_model::Secret;

    use super::*;

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(&Secret::from(text)).expect("a good ring")
    }

    fn key(byte: char) -> String {
        format!("{}=", byte.to_string().repeat(43))
    }

    #[test]
    fn a_proof_holds_for_its_purpose_and_its_parts_only() {
        let keys = ring(&key('A'));
        let mac = keys.mac("a", &[b"ab", b"c"]);
        assert!(keys.mac_matches("a", &[b"ab", b"c"], &mac));
        assert!(!keys.mac_matches("b", &[b"ab", b"c"], &mac), "another purpose");
        for parts in [&[b"a".as_slice(), b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[]] {
            assert!(!keys.mac_matches("a", parts, &mac), "{parts:?}");
        }
        assert!(!ring(&key('E')).mac_matches("a", &[b"ab", b"c"], &mac), "another installation");
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused() {
        let keys = ring(&key('A'));
        let mac = keys.mac("a", &[b"message"]);
        for length in 0..mac.len() {
            assert!(!keys.mac_matches("a", &[b"message"], &mac[..length]), "cut to {length}");
        }
        for at in 0..mac.len() {
            let mut changed = mac;
            changed[at] ^= 1;
            assert!(!keys.mac_matches("a", &[b"message"], &changed), "byte {at}");
        }
        assert!(!keys.mac_matches("a", &[b"message"], &[mac.as_slice(), &[0]].concat()));
    }

    #[test]
    fn a_proof_outlives_the_change_of_the_master_key_while_the_old_one_is_kept() {
        let old = ring(&format!("old:{}", key('A')));
        let both = ring(&format!("new:{}\nold:{}", key('E'), key('A')));
        let new = ring(&format!("new:{}", key('E')));
        let before = old.mac("a", &[b"message"]);
        assert!(both.mac_matches("a", &[b"message"], &before));
        assert!(!new.mac_matches("a", &[b"message"], &before));
        let after = both.mac("a", &[b"message"]);
        assert!(new.mac_matches("a", &[b"message"], &after), "the newest key proves");
        assert!(!old.mac_matches("a", &[b"message"], &after));
    }
}
