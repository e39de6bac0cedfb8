//! What a mini program signs and encrypts for its server, with the fan's session key.
//!
//! Whoever has the session key can make any of it: it proves that the data came through WeChat as long
//! as the key stays on the server.

use aes::Aes128;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cbc::cipher::{
    BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7,
};
use serde_json::{Map, Value};
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{id::Appid, json, secret::Secret};

/// The bytes of a session key, of an initialisation vector and of a block.
///
/// Source: WeChat docs, "Signature verification and encryption of open data" (开放数据校验与解密):
/// AES-128-CBC with PKCS#7; key and vector are Base64 of 16 bytes.
const BLOCK_BYTES: usize = 16;

/// How many characters of Base64 stand for a block.
const BLOCK_CHARS: usize = 24;

/// The most encrypted data that is looked at, in characters of Base64.
///
/// Assumed: profiles, phone numbers and a month of steps have a few KiB at most.
pub const MAX_ENCRYPTED_CHARS: usize = 64 * 1024;

/// Why a mini program's data cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MiniProgramError {
    /// The initialisation vector is none.
    #[error("the iv is not base64 of 16 bytes")]
    BadIv,
    /// The data is no ciphertext.
    #[error("the encrypted data is not base64 of one or more blocks of 16 bytes")]
    BadData,
    /// There is too much of it.
    #[error("the encrypted data has more than 65536 characters")]
    TooLarge,
    /// What comes out is none of WeChat's data. Which check failed is not told: under a wrong key that
    /// is chance, and it would help to guess at what is inside.
    #[error("the session key does not fit it, which is that of another login")]
    WrongKey,
    /// The watermark inside names another mini program, or none.
    #[error("it is of another mini program")]
    OtherAppid,
}

/// What a mini program hands to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// `encryptedData`: the ciphertext in Base64.
    pub encrypted_data: String,
    /// `iv`: the initialisation vector in Base64.
    pub iv: String,
}

/// The signature of `raw_data`, 40 lower-case hexadecimal digits.
///
/// Source: WeChat docs, "Signature verification and encryption of open data" (开放数据校验与解密):
/// SHA-1 over `rawData` and the session key as it came, joined.
#[must_use]
pub fn sign(session_key: &Secret<String>, raw_data: &str) -> String {
    let hash = Sha1::new().chain_update(raw_data).chain_update(session_key.expose());
    base16ct::lower::encode_string(&hash.finalize())
}

/// Whether the signature was made over exactly this text with this session key. Takes as long for a
/// wrong one as for the right one.
#[must_use]
pub fn check_signature(session_key: &Secret<String>, raw_data: &str, signature: &str) -> bool {
    sign(session_key, raw_data).as_bytes().ct_eq(signature.as_bytes()).into()
}

/// Decrypts what a mini program of this appid sent: all fields, the watermark among them.
///
/// # Errors
/// [`MiniProgramError`].
pub fn decrypt(
    session_key: &Secret<String>,
    iv: &str,
    encrypted_data: &str,
    appid: &Appid,
) -> Result<Map<String, Value>, MiniProgramError> {
    let iv = block(iv).ok_or(MiniProgramError::BadIv)?;
    if encrypted_data.len() > MAX_ENCRYPTED_CHARS {
        return Err(MiniProgramError::TooLarge);
    }
    let mut data = Zeroizing::new(Vec::new());
    STANDARD.decode_vec(encrypted_data, &mut data).map_err(|_| MiniProgramError::BadData)?;
    if data.is_empty() || !data.len().is_multiple_of(BLOCK_BYTES) {
        return Err(MiniProgramError::BadData);
    }
    let fields = open(session_key, iv.as_slice(), &mut data).ok_or(MiniProgramError::WrongKey)?;
    let meant_for = fields.get("watermark").and_then(|mark| mark.get("appid"));
    if meant_for.and_then(Value::as_str) == Some(appid.as_str()) {
        Ok(fields)
    } else {
        Err(MiniProgramError::OtherAppid)
    }
}

/// Encrypts as WeChat does; `iv` must be fresh each time.
///
/// # Errors
/// [`MiniProgramError::WrongKey`] when the session key is none.
pub fn encrypt(
    session_key: &Secret<String>,
    iv: [u8; 16],
    plaintext: &str,
) -> Result<Encrypted, MiniProgramError> {
    let key = block(session_key.expose()).ok_or(MiniProgramError::WrongKey)?;
    let data = cbc::Encryptor::<Aes128>::new_from_slices(key.as_slice(), &iv)
        .expect("key and vector have 16 bytes")
        .encrypt_padded_vec::<Pkcs7>(plaintext.as_bytes());
    Ok(Encrypted { encrypted_data: STANDARD.encode(data), iv: STANDARD.encode(iv) })
}

/// Whether this can be a session key.
pub(crate) fn is_session_key(text: &Secret<String>) -> bool {
    block(text.expose()).is_some()
}

/// The object inside the ciphertext, which is decrypted in place; `None` when there is none.
fn open(session_key: &Secret<String>, iv: &[u8], data: &mut Vec<u8>) -> Option<Map<String, Value>> {
    let key = block(session_key.expose())?;
    let length = cbc::Decryptor::<Aes128>::new_from_slices(key.as_slice(), iv)
        .expect("key and vector have 16 bytes")
        .decrypt_padded::<Pkcs7>(data)
        .ok()?
        .len();
    data.truncate(length);
    std::str::from_utf8(data).ok()?;
    if !json::is_shallow(data) {
        return None;
    }
    // Nicknames may hold halves of surrogate pairs, as elsewhere.
    json::mend_strings(data);
    serde_json::from_slice(data).ok()
}

/// The 16 bytes that stand in 24 characters of Base64.
fn block(text: &str) -> Option<Zeroizing<[u8; BLOCK_BYTES]>> {
    if text.len() != BLOCK_CHARS {
        return None;
    }
    let mut bytes = Zeroizing::new([0; BLOCK_CHARS / 4 * 3]);
    let written = STANDARD.decode_slice(text, bytes.as_mut_slice()).ok()?;
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    block.copy_from_slice(bytes.get(..written).filter(|bytes| bytes.len() == BLOCK_BYTES)?);
    Some(block)
}
