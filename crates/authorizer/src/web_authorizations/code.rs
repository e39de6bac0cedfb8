//! The one-time code that a fan brings to a tenant: the attempt's id and a proof that we made it, so
//! that the database is asked about no other. That it is good once, and for whom, is in the row.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use lingpai_model::id::WebAuthorizationId;
use lingpai_storage::Db;

/// How every code begins.
const PREFIX: &str = "lpc_";

/// How many characters tell the attempt.
const ULID_LEN: usize = 26;

/// How many characters prove it: 32 bytes.
const PROOF_LEN: usize = 43;

/// What the proof is made for; the same key makes no other.
const PURPOSE: &str = "web-authorization-code";

/// The code of this attempt: the same each time, as long as the master key is.
pub(super) fn of(db: &Db, id: &WebAuthorizationId) -> String {
    let ulid = id.as_str().trim_start_matches(WebAuthorizationId::PREFIX);
    let proof = BASE64_URL_SAFE_NO_PAD.encode(db.mac(PURPOSE, &[id.as_str().as_bytes()]));
    format!("{PREFIX}{ulid}{proof}")
}

/// The attempt that a code is of; `None` for what we did not make.
pub(super) fn read(db: &Db, text: &str) -> Option<WebAuthorizationId> {
    let rest = text.strip_prefix(PREFIX)?;
    if !rest.is_ascii() || rest.len() != ULID_LEN + PROOF_LEN {
        return None;
    }
    let (ulid, proof) = rest.split_at(ULID_LEN);
    let id = WebAuthorizationId::parse(&format!("{}{ulid}", WebAuthorizationId::PREFIX)).ok()?;
    let proof = BASE64_URL_SAFE_NO_PAD.decode(proof).ok()?;
    db.mac_matches(PURPOSE, &[id.as_str().as_bytes()], &proof).then_some(id)
}

#[cfg(test)]
mod tests {
    use lingpai_model::{Instant, clock::Entropy};
    use lingpai_storage::testing::TestDb;

    use super::*;

    #[tokio::test]
    async fn only_codes_of_our_own_making_are_read_and_in_one_spelling() {
        let TestDb { db, .. } = &TestDb::sqlite().await;
        let entropy = Entropy::seeded(1);
        let [id, other] = [(); 2].map(|()| WebAuthorizationId::new(Instant::UNIX_EPOCH, &entropy));
        let code = of(db, &id);
        assert_eq!(code, of(db, &id), "the same each time");
        assert_eq!(read(db, &code), Some(id.clone()));
        assert!(code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));

        let swapped = format!("{}{}", &of(db, &other)[..30], &code[30..]);
        let longer = format!("{code}A");
        let blank = format!("{code} ");
        let lower = format!("lpc_{}{}", code[4..30].to_lowercase(), &code[30..]);
        let foreign = code.replacen("lpc_", "lpv_", 1);
        let wide = format!("lpc_{}", "令".repeat(23));
        for wrong in ["", "lpc_", &swapped, &longer, &code[..72], &blank, &lower, &foreign, &wide] {
            assert_eq!(read(db, wrong), None, "{wrong}");
        }
        for at in 30..code.len() {
            let mut changed = code.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(read(db, &changed), None, "{at}");
        }
    }
}
