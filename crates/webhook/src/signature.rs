//! Signatures of webhooks by the rules of Standard Webhooks, so that any of its libraries can check
//! them.
//!
//! Source: Standard Webhooks, specification v1 (github.com/standard-webhooks/standard-webhooks,
//! `spec/standard-webhooks.md`), read 2026-11-20: HMAC-SHA256 over `id.timestamp.body`, `v1,` and
//! base64, several signatures joined by a blank; secrets are `whsec_` and base64 of 24 to 64 bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use lingpai_model::{Instant, Secret, clock::Entropy, endpoint::WebhookSecrets};
use sha2::Sha256;

/// The header with the id: the same for every attempt, so that receivers can tell repetitions.
pub const ID_HEADER: &str = "webhook-id";

/// The header with the time of the attempt in Unix seconds: receivers refuse what is too old.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";

/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How every secret begins.
const SECRET_PREFIX: &str = "whsec_";

/// How many random bytes a new secret has.
const SECRET_BYTES: usize = 32;

/// A secret that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not `whsec_` and base64")]
pub struct BadSecret;

/// A new secret.
#[must_use]
pub fn new_secret(entropy: &Entropy) -> Secret<String> {
    let bytes = Secret::new(entropy.bytes::<SECRET_BYTES>());
    Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes.expose())))
}

/// The value of [`SIGNATURE_HEADER`]: by the present secret, and by the one before it as long as that
/// counts at `now`.
///
/// # Errors
/// [`BadSecret`].
pub fn sign(
    secrets: &WebhookSecrets,
    now: Instant,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Result<String, BadSecret> {
    let previous = secrets.previous.as_ref().filter(|(_, end)| now < *end);
    let mut header = String::new();
    for secret in std::iter::once(&secrets.current).chain(previous.map(|(secret, _)| secret)) {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        STANDARD.encode_string(mac(secret, id, timestamp, body)?, &mut header);
    }
    Ok(header)
}

fn mac(
    secret: &Secret<String>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Result<[u8; 32], BadSecret> {
    let encoded = secret.expose().strip_prefix(SECRET_PREFIX).ok_or(BadSecret)?;
    let key = Secret::new(STANDARD.decode(encoded).map_err(|_| BadSecret)?);
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length is a key");
    for part in [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body] {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration};

    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const TIMESTAMP: i64 = 1_614_265_330;

    fn now() -> Instant {
        DateTime::from_timestamp(TIMESTAMP, 0).unwrap()
    }

    /// The example of the libraries' own tests.
    fn known() -> Secret<String> {
        Secret::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    fn by(secret: Secret<String>) -> WebhookSecrets {
        WebhookSecrets { current: secret, previous: None }
    }

    #[test]
    fn the_published_example_comes_out() {
        let header = sign(&by(known()), now(), ID, TIMESTAMP, BODY);
        assert_eq!(header.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn both_secrets_sign_until_the_overlap_ends() {
        let entropy = Entropy::seeded(1);
        let old = new_secret(&entropy);
        let end = now() + Duration::hours(1);
        let secrets = WebhookSecrets { previous: Some((old.clone(), end)), current: known() };
        let at = |at| sign(&secrets, at, ID, TIMESTAMP, BODY).unwrap();
        let [new_alone, old_alone] =
            [known(), old].map(|secret| sign(&by(secret), now(), ID, TIMESTAMP, BODY).unwrap());
        assert_eq!(at(end - Duration::milliseconds(1)), format!("{new_alone} {old_alone}"));
        assert_eq!(at(end), new_alone);
    }

    #[test]
    fn id_time_and_body_are_all_signed() {
        let secrets = by(known());
        let whole = sign(&secrets, now(), ID, TIMESTAMP, BODY);
        assert_ne!(sign(&secrets, now(), "evt_2", TIMESTAMP, BODY), whole);
        assert_ne!(sign(&secrets, now(), ID, TIMESTAMP + 1, BODY), whole);
        assert_ne!(sign(&secrets, now(), ID, TIMESTAMP, b"{}"), whole);
    }

    #[test]
    fn a_new_secret_signs_and_is_never_the_same() {
        let entropy = Entropy::seeded(2);
        let [one, other] = [new_secret(&entropy), new_secret(&entropy)];
        assert_ne!(one, other);
        let text = one.expose().strip_prefix(SECRET_PREFIX).unwrap();
        assert_eq!(STANDARD.decode(text).unwrap().len(), SECRET_BYTES);
        assert!(sign(&by(one), now(), ID, TIMESTAMP, BODY).is_ok());
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        for text in ["", "whsec", "whsec_?", "whsec_a", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let header = sign(&by(Secret::from(text)), now(), ID, TIMESTAMP, BODY);
            assert_eq!(header, Err(BadSecret), "{text:?}");
        }
    }
}
