//! Calls that we make ourselves, for tokens above all: what goes out and how answers are read.
//!
//! Answers are untrusted. WeChat tells errors under HTTP 200, sends JSON under any content type,
//! leaves fields out and writes numbers as text; all of that is read here, and an empty or absurd
//! value of something needed is an error, so that it can never replace a good one.

pub mod account;
pub mod authorizer;
pub mod component;
mod field;
pub mod jssdk;
pub mod message;
pub mod mini_program;
pub mod oauth;
pub mod quota;
pub mod user;

use std::time::Duration;

use serde::Deserialize;

use crate::{errcode::Errcode, json, secret::Secret};

/// The longest that WeChat may say a token or code lives.
///
/// Assumed: every documented lifetime is at most two hours; a day leaves room and refuses nonsense.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest token or code that is believed.
///
/// Source: WeChat docs, "Get authorizer_access_token": keep at least 512 characters.
const MAX_TOKEN_BYTES: usize = 2048;

/// How much of an errmsg is kept.
const MAX_ERRMSG_CHARS: usize = 256;

/// One interface of WeChat's: POST with a JSON body, unless its constant says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// How errors and logs name it.
    pub name: &'static str,
    /// Its path.
    pub path: &'static str,
}

/// What a call is answered with.
pub trait Answer: Sized {
    /// Whether as much is read as can be when the answer is odd, even its errcode: it may carry a
    /// refresh token, and WeChat may not tell that again.
    const IS_SALVAGED: bool = false;

    /// Reads the answer from JSON that carries no error.
    ///
    /// # Errors
    /// [`AnswerError::Garbled`] when something needed is missing, empty or absurd.
    fn read(json: &[u8]) -> Result<Self, AnswerError>;
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// WeChat refused.
    #[error("WeChat refused with {errcode}: {errmsg}")]
    Rejected {
        /// Its number.
        errcode: Errcode,
        /// Its words: at most 256 characters, without control characters, `rid` kept.
        errmsg: String,
    },
    /// The answer is not what was documented.
    #[error("the answer is garbled: {0}")]
    Garbled(&'static str),
}

/// Reads the body of an answer, whatever content type it came under. The body is mended in place.
/// `secrets` are the ones that went out with the call: an errmsg that repeats one is blackened.
///
/// # Errors
/// [`AnswerError`], of which `Rejected` is told by the body alone.
pub fn read_answer<A: Answer>(
    body: &mut [u8],
    secrets: &[&Secret<String>],
) -> Result<A, AnswerError> {
    json::mend_strings(body);
    let json = body.trim_ascii();
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json).trim_ascii_start();
    if !json.starts_with(b"{") {
        return Err(AnswerError::Garbled("no JSON object"));
    }
    let judged = if json::is_shallow(json) {
        refusal(json, secrets)
    } else {
        Err(AnswerError::Garbled("JSON nested too deep"))
    };
    match judged {
        Ok(()) => A::read(json),
        Err(AnswerError::Garbled(what)) if A::IS_SALVAGED => {
            A::read(json).map_err(|_| AnswerError::Garbled(what))
        }
        Err(error) => Err(error),
    }
}

/// The errcode of an answer that is passed on as it is, if it carries one other than zero.
#[must_use]
pub fn errcode_in(body: &[u8]) -> Option<Errcode> {
    let json = body.trim_ascii();
    if !json.starts_with(b"{") || !json::is_shallow(json) {
        return None;
    }
    match refusal(json, &[]) {
        Err(AnswerError::Rejected { errcode, .. }) => Some(errcode),
        Ok(()) | Err(AnswerError::Garbled(_)) => None,
    }
}

/// The error that the answer carries, if any.
fn refusal(json: &[u8], secrets: &[&Secret<String>]) -> Result<(), AnswerError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default, deserialize_with = "field::integer")]
        errcode: Option<i64>,
        #[serde(default, deserialize_with = "field::lenient_text")]
        errmsg: Option<String>,
    }
    let wire: Wire = parse(json)?;
    match wire.errcode {
        None | Some(0) => Ok(()),
        Some(errcode) => Err(AnswerError::Rejected {
            errcode: Errcode(errcode),
            errmsg: clean_errmsg(wire.errmsg.unwrap_or_default(), secrets),
        }),
    }
}

/// At most 256 characters of it on one line. What stands at its end is kept: there is the `rid`.
fn clean_errmsg(mut errmsg: String, secrets: &[&Secret<String>]) -> String {
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        errmsg = errmsg.replace(secret.expose(), "…");
    }
    let clean: Vec<char> = errmsg.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.len() <= MAX_ERRMSG_CHARS {
        return clean.into_iter().collect();
    }
    let head = MAX_ERRMSG_CHARS / 2;
    let tail = clean.len() - (MAX_ERRMSG_CHARS - head - 1);
    clean[..head].iter().chain(&['…']).chain(&clean[tail..]).collect()
}

/// Parses JSON. The parser's own words are dropped: they may quote the answer.
fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, AnswerError> {
    serde_json::from_slice(json)
        .map_err(|_| AnswerError::Garbled("not the JSON that is documented"))
}

/// What is answered to a call that has nothing else to tell than that it was done.
fn done(json: &[u8]) -> Result<(), AnswerError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default, deserialize_with = "field::integer")]
        errcode: Option<i64>,
    }
    match parse::<Wire>(json)?.errcode {
        Some(0) => Ok(()),
        Some(_) | None => Err(AnswerError::Garbled("no errcode")),
    }
}

/// A token or code that is there and can be one.
fn needed_token(value: Option<String>) -> Result<Secret<String>, AnswerError> {
    optional_token(value)?.ok_or(AnswerError::Garbled("an empty or missing token"))
}

/// A token or code that may be missing; an empty one is missing too.
fn optional_token(value: Option<String>) -> Result<Option<Secret<String>>, AnswerError> {
    let Some(token) = value.map(Secret::new).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let is_plain = token.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain && token.expose().len() <= MAX_TOKEN_BYTES {
        Ok(Some(token))
    } else {
        Err(AnswerError::Garbled("a token that cannot be one"))
    }
}

/// A lifetime that can be believed.
fn lifetime(expires_in: Option<i64>) -> Result<Duration, AnswerError> {
    expires_in
        .and_then(|secs| u64::try_from(secs).ok())
        .map(Duration::from_secs)
        .filter(|lifetime| !lifetime.is_zero() && *lifetime <= LONGEST_LIFETIME)
        .ok_or(AnswerError::Garbled("a missing or absurd expires_in"))
}
