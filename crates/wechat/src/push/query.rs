//! The query of a push, read strictly: what is signed must not be ambiguous.

use std::borrow::Cow;

use super::PushError;

const MAX_QUERY_BYTES: usize = 4096;
const MAX_PAIRS: usize = 32;
const MAX_TIMESTAMP_DIGITS: usize = 20;
const MAX_NONCE_BYTES: usize = 64;
const MAX_ECHOSTR_BYTES: usize = 512;
const SIGNATURE_DIGITS: usize = 40;

/// The query of an encrypted push (POST).
///
/// Parameters that are not named here are ignored; the plain `signature` is one of them, because it
/// does not cover the body and must never be used to accept one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushQuery {
    /// Part of what is signed, exactly as received. Anybody may replay it: it dates nothing.
    pub timestamp: String,
    /// Part of what is signed, exactly as received.
    pub nonce: String,
    /// The signature over push token, timestamp, nonce and ciphertext.
    pub msg_signature: String,
}

impl PushQuery {
    /// Reads the raw query, without the `?`.
    ///
    /// # Errors
    /// [`PushError::Query`] when a name is repeated, an escape is broken, a needed value is missing,
    /// too long or outside of its alphabet, or `encrypt_type` is not `aes`.
    pub fn parse(raw_query: &str) -> Result<Self, PushError> {
        let pairs = Pairs::parse(raw_query)?;
        if pairs.get("encrypt_type")? != "aes" {
            return Err(PushError::Query("encrypt_type is not aes"));
        }
        Ok(Self {
            timestamp: pairs.timestamp()?,
            nonce: pairs.nonce()?,
            msg_signature: pairs.signature("msg_signature")?,
        })
    }

    /// The same from the elements of a reply.
    pub(super) fn from_reply(
        timestamp: &str,
        nonce: &str,
        msg_signature: &str,
    ) -> Result<Self, PushError> {
        Ok(Self {
            timestamp: checked_timestamp(timestamp)?,
            nonce: checked_nonce(nonce)?,
            msg_signature: checked_signature(msg_signature)?,
        })
    }
}

/// The query of a URL check (GET): WeChat asks whether somebody who knows the push token lives here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlCheckQuery {
    /// Part of what is signed, exactly as received.
    pub timestamp: String,
    /// Part of what is signed, exactly as received.
    pub nonce: String,
    /// The signature over push token, timestamp and nonce.
    pub signature: String,
    /// What to answer, verbatim and as `text/plain`.
    pub echostr: String,
}

impl UrlCheckQuery {
    /// Reads the raw query, without the `?`.
    ///
    /// # Errors
    /// [`PushError::Query`] as [`PushQuery::parse`].
    pub fn parse(raw_query: &str) -> Result<Self, PushError> {
        let pairs = Pairs::parse(raw_query)?;
        let echostr = pairs.get("echostr")?;
        if !is_graphic(echostr, MAX_ECHOSTR_BYTES) {
            return Err(PushError::Query("echostr is not plain text of at most 512 bytes"));
        }
        Ok(Self {
            timestamp: pairs.timestamp()?,
            nonce: pairs.nonce()?,
            signature: pairs.signature("signature")?,
            echostr: echostr.to_owned(),
        })
    }
}

/// The decoded pairs of a query, each name once.
struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Pairs<'a> {
    fn parse(raw_query: &'a str) -> Result<Self, PushError> {
        if raw_query.len() > MAX_QUERY_BYTES {
            return Err(PushError::Query("it is longer than 4096 bytes"));
        }
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(8);
        for pair in raw_query.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(PushError::Query("it has more than 32 parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode(name)?;
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(PushError::Query("a parameter is repeated"));
            }
            pairs.push((name, percent_decode(value)?));
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Result<&str, PushError> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
            .ok_or(PushError::Query("a parameter is missing"))
    }

    fn timestamp(&self) -> Result<String, PushError> {
        checked_timestamp(self.get("timestamp")?)
    }

    fn nonce(&self) -> Result<String, PushError> {
        checked_nonce(self.get("nonce")?)
    }

    fn signature(&self, name: &'static str) -> Result<String, PushError> {
        checked_signature(self.get(name)?)
    }
}

fn checked_timestamp(text: &str) -> Result<String, PushError> {
    let fits = (1..=MAX_TIMESTAMP_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err(PushError::Query("timestamp is no number")) }
}

fn checked_nonce(text: &str) -> Result<String, PushError> {
    if is_graphic(text, MAX_NONCE_BYTES) {
        Ok(text.to_owned())
    } else {
        Err(PushError::Query("nonce is not plain text of at most 64 bytes"))
    }
}

fn checked_signature(text: &str) -> Result<String, PushError> {
    let fits = text.len() == SIGNATURE_DIGITS
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if fits { Ok(text.to_owned()) } else { Err(PushError::Query("a signature is malformed")) }
}

fn is_graphic(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Decodes `%xx` and `+`; borrows where there is nothing to decode.
fn percent_decode(text: &str) -> Result<Cow<'_, str>, PushError> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, rest @ ..] => {
                bytes.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
                rest
            }
            [b'%', ..] => return Err(PushError::Query("an escape is cut off")),
            [b'+', rest @ ..] => {
                bytes.push(b' ');
                rest
            }
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
    let text = String::from_utf8(bytes).map_err(|_| PushError::Query("an escape is not UTF-8"))?;
    Ok(Cow::Owned(text))
}

fn hex_digit(byte: u8) -> Result<u8, PushError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(PushError::Query("an escape is not hexadecimal")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "ee8a184bad53b38c59a9af1b43ead108a47aefd1";

    fn push(rest: &str) -> Result<PushQuery, PushError> {
        PushQuery::parse(&format!("encrypt_type=aes&msg_signature={SIGNATURE}&{rest}"))
    }

    #[test]
    fn a_push_is_read_and_what_is_unknown_ignored() {
        let query = push("signature=x&timestamp=1714112445&&nonce=415%370741&openid=o%20x&a&=b");
        let expected = PushQuery {
            timestamp: "1714112445".to_owned(),
            nonce: "4157".to_owned() + "0741",
            msg_signature: SIGNATURE.to_owned(),
        };
        assert_eq!(query, Ok(expected));
    }

    #[test]
    fn what_is_not_strict_is_refused() {
        let valid = "timestamp=1&nonce=2";
        assert!(push(valid).is_ok());
        let long = format!("timestamp=1&nonce={}", "n".repeat(65));
        let digits = format!("timestamp={}&nonce=2", "1".repeat(21));
        let many = format!("{valid}{}", (0..32).map(|at| format!("&p{at}=")).collect::<String>());
        let huge = format!("{valid}&x={}", "x".repeat(4096));
        for rest in [
            "timestamp=1",
            "nonce=2",
            "timestamp=&nonce=2",
            "timestamp=1&nonce=",
            "timestamp=1a&nonce=2",
            "timestamp=-1&nonce=2",
            "timestamp=+1&nonce=2",
            "timestamp=1&nonce=2&nonce=2",
            "timestamp=1&nonce=2&non%63e=2",
            "timestamp=1&nonce=2&x=1&x=2",
            "timestamp=1&nonce=2&encrypt_type=aes",
            "timestamp=1&nonce=2%",
            "timestamp=1&nonce=2%4",
            "timestamp=1&nonce=2%4g",
            "timestamp=1&nonce=2&x=%ff",
            "timestamp=1&nonce=2%00",
            "timestamp=1&nonce=2+3",
            "timestamp=1&nonce=2\n",
            "timestamp=1&nonce=é",
            "Timestamp=1&nonce=2",
            &long,
            &digits,
            &many,
            &huge,
        ] {
            assert!(matches!(push(rest), Err(PushError::Query(_))), "{rest}");
        }
    }

    #[test]
    fn only_aes_with_a_whole_signature_is_taken() {
        for head in [
            String::new(),
            format!("msg_signature={SIGNATURE}"),
            format!("encrypt_type=raw&msg_signature={SIGNATURE}"),
            format!("encrypt_type=AES&msg_signature={SIGNATURE}"),
            "encrypt_type=aes".to_owned(),
            "encrypt_type=aes&msg_signature=".to_owned(),
            format!("encrypt_type=aes&msg_signature={}", &SIGNATURE[1..]),
            format!("encrypt_type=aes&msg_signature={}", SIGNATURE.to_uppercase()),
            format!("encrypt_type=aes&signature={SIGNATURE}"),
        ] {
            let query = PushQuery::parse(&format!("{head}&timestamp=1&nonce=2"));
            assert!(matches!(query, Err(PushError::Query(_))), "{head}");
        }
    }

    #[test]
    fn a_url_check_hands_back_its_echostr() {
        let check = |echostr: &str| {
            UrlCheckQuery::parse(&format!(
                "signature={SIGNATURE}&timestamp=1&nonce=2&echostr={echostr}"
            ))
        };
        assert_eq!(check("12%2B3%3D").map(|query| query.echostr), Ok("12+3=".to_owned()));
        for echostr in ["", "%0a", "a%20b", &"e".repeat(513)] {
            assert!(matches!(check(echostr), Err(PushError::Query(_))), "{echostr}");
        }
    }
}
