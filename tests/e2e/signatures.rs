//! The signatures of webhooks, checked by the rules of Standard Webhooks.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use lingpai_tests::receiver::Taken;
use sha2::Sha256;

/// Whether one of the signatures of a webhook was made with this secret.
///
/// Source: Standard Webhooks, "Signature scheme": HMAC-SHA256 over id, timestamp and body, joined by
/// dots; `v1,` and base64, several divided by blanks.
pub(crate) fn is_signed_by(taken: &Taken, secret: &str) -> bool {
    let key = secret.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.expect("a secret is base64"))
        .expect("any key makes a MAC");
    let (id, timestamp) = (taken.header("webhook-id"), taken.header("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.{}", taken.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    taken.header("webhook-signature").split(' ').any(|signature| signature == expected)
}
