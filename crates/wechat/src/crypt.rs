//! WXBizMsgCrypt: how pushes and replies are signed and encrypted.
//!
//! The steps of [`Crypt::open`] stand in the one order that is safe: nothing but the signature is
//! looked at before the signature holds. Ready-made padding is refused on purpose: WeChat pads to 32
//! bytes where the AES block is 16, and the `Pkcs7` of the cipher crates knows only the latter.

use std::fmt;

use aes::Aes256;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use cbc::cipher::{
    BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding,
};
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    id::Appid,
    push::{PushQuery, UrlCheckQuery},
    secret::Secret,
    xml::write_cdata,
};

/// How many characters an EncodingAESKey has.
///
/// Source: WeChat docs, "Message encryption" (消息加解密): exactly 43 characters.
const ENCODING_AES_KEY_CHARS: usize = 43;

/// Frames are padded to a multiple of this, not of the cipher's 16.
///
/// Source: WeChat docs, "Message encryption" (消息加解密): PKCS#7 with a block of 32 bytes.
const PAD_TO_BYTES: usize = 32;

/// The block of AES itself.
const AES_BLOCK_BYTES: usize = 16;

/// Random bytes at the head of a frame.
const RANDOM_BYTES: usize = 16;

/// Random bytes and the length field: what stands before the message.
const HEAD_BYTES: usize = RANDOM_BYTES + 4;

/// Reads EncodingAESKey. Its 43 characters carry two bits more than 32 bytes have, and the console
/// does not clear them, so every strict engine refuses most real keys.
const KEY_ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Why a key or a push was refused.
///
/// The sender is never told which check failed; this is for our own logs and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptError {
    /// `msg_signature` does not belong to this token, query and ciphertext.
    #[error("the message signature does not match")]
    BadSignature,
    /// The EncodingAESKey is not 43 characters that stand for 32 bytes.
    #[error("an EncodingAESKey is 43 characters of base64 that stand for 32 bytes")]
    BadKey,
    /// `Encrypt` is not standard base64.
    #[error("the ciphertext is not base64")]
    BadBase64,
    /// The ciphertext is empty or no multiple of the cipher's block.
    #[error("the ciphertext has an impossible length")]
    BadCiphertext,
    /// The padding is not 1 to 32 bytes that all hold their number. So it looks under a wrong key.
    #[error("the padding is wrong")]
    BadPadding,
    /// The frame is too short, or its length field points outside of it.
    #[error("the decrypted frame is malformed")]
    BadFrame,
    /// The appid at the end of the frame is another one.
    #[error("the frame is meant for another appid")]
    AppidMismatch,
}

impl CryptError {
    /// The number that the platform's sample code uses for this fault.
    #[must_use]
    pub fn official_code(&self) -> i32 {
        match self {
            Self::BadSignature => -40001,
            Self::BadKey => -40004,
            Self::AppidMismatch => -40005,
            Self::BadCiphertext | Self::BadPadding => -40007,
            Self::BadFrame => -40008,
            Self::BadBase64 => -40010,
        }
    }
}

/// A message key (消息加解密Key). Wiped when dropped, never printed.
#[derive(Clone)]
pub struct EncodingAesKey(Zeroizing<[u8; 32]>);

impl EncodingAesKey {
    /// Reads the 43 characters of the console.
    ///
    /// # Errors
    /// [`CryptError::BadKey`] for any other length or alphabet.
    pub fn parse(text: &str) -> Result<Self, CryptError> {
        if text.len() != ENCODING_AES_KEY_CHARS {
            return Err(CryptError::BadKey);
        }
        let mut key = Zeroizing::new([0; 32]);
        let written =
            KEY_ENGINE.decode_slice(text, key.as_mut_slice()).map_err(|_| CryptError::BadKey)?;
        if written == key.len() { Ok(Self(key)) } else { Err(CryptError::BadKey) }
    }

    /// The initialisation vector is the head of the key, always the same.
    fn iv(&self) -> &[u8] {
        &self.0[..AES_BLOCK_BYTES]
    }

    /// Decrypts `buffer` in place.
    fn decrypt(&self, buffer: &mut [u8]) -> Result<(), CryptError> {
        cbc::Decryptor::<Aes256>::new_from_slices(self.0.as_slice(), self.iv())
            .expect("the key has 32 bytes and the vector 16")
            .decrypt_padded::<NoPadding>(buffer)
            .map_err(|_| CryptError::BadCiphertext)?;
        Ok(())
    }

    /// Encrypts `buffer` in place; its length is a multiple of the block.
    fn encrypt(&self, buffer: &mut [u8]) {
        let length = buffer.len();
        cbc::Encryptor::<Aes256>::new_from_slices(self.0.as_slice(), self.iv())
            .expect("the key has 32 bytes and the vector 16")
            .encrypt_padded::<NoPadding>(buffer, length)
            .expect("a padded frame is a multiple of the block");
    }
}

impl fmt::Debug for EncodingAesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodingAesKey(…)")
    }
}

/// Which of the two keys a push was encrypted with; its reply must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySlot {
    /// The key that the console shows now.
    Current,
    /// The key before it: pushes in flight may still use it.
    Previous,
}

/// A push whose signature held and whose frame was whole.
///
/// Its `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The message, byte for byte. WeChat sends UTF-8; nothing here relies on it.
    pub plaintext: Vec<u8>,
    /// The key that fitted.
    pub key: KeySlot,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes, {:?} key)", self.plaintext.len(), self.key)
    }
}

/// An encrypted message with the signature that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The ciphertext in base64.
    pub encrypt: String,
    /// Its signature, 40 lower-case hexadecimal digits.
    pub msg_signature: String,
    /// The sealer's own time in Unix seconds, part of what is signed.
    pub timestamp: i64,
    /// The nonce, part of what is signed.
    pub nonce: String,
}

impl Sealed {
    /// The outbound envelope: what a reply looks like on the wire.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut xml = String::with_capacity(self.encrypt.len() + 256);
        xml.push_str("<xml><Encrypt>");
        write_cdata(&mut xml, &self.encrypt);
        xml.push_str("</Encrypt><MsgSignature>");
        write_cdata(&mut xml, &self.msg_signature);
        xml.push_str("</MsgSignature><TimeStamp>");
        xml.push_str(&self.timestamp.to_string());
        xml.push_str("</TimeStamp><Nonce>");
        write_cdata(&mut xml, &self.nonce);
        xml.push_str("</Nonce></xml>");
        xml
    }

    /// The outbound envelope for an account that chose JSON: `TimeStamp` is a number there.
    ///
    /// Source: WeChat docs, "Message push" (消息推送) of mini programs, the JSON example.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = serde_json::json!({
            "Encrypt": self.encrypt,
            "MsgSignature": self.msg_signature,
            "TimeStamp": self.timestamp,
            "Nonce": self.nonce,
        });
        json.to_string()
    }
}

/// The inbound envelope of the authorization-event URL.
#[must_use]
pub fn envelope_to_component(component_appid: &str, encrypt: &str) -> String {
    inbound_envelope("AppId", component_appid, encrypt)
}

/// The inbound envelope of the message-and-event URL; `user_name` is the account's `gh_…`.
#[must_use]
pub fn envelope_to_account(user_name: &str, encrypt: &str) -> String {
    inbound_envelope("ToUserName", user_name, encrypt)
}

/// The inbound envelope for an account that chose JSON.
#[must_use]
pub fn json_envelope_to_account(user_name: &str, encrypt: &str) -> String {
    serde_json::json!({ "ToUserName": user_name, "Encrypt": encrypt }).to_string()
}

fn inbound_envelope(element: &str, addressee: &str, encrypt: &str) -> String {
    let mut xml = format!("<xml><{element}>");
    xml.reserve(encrypt.len() + addressee.len() + 96);
    write_cdata(&mut xml, addressee);
    xml.push_str("</");
    xml.push_str(element);
    xml.push_str("><Encrypt>");
    write_cdata(&mut xml, encrypt);
    xml.push_str("</Encrypt></xml>");
    xml
}

/// `msg_signature`: SHA-1 over push token, timestamp, nonce and ciphertext, sorted by byte value and
/// joined without a separator.
#[must_use]
pub fn msg_signature(
    push_token: &Secret<String>,
    timestamp: &str,
    nonce: &str,
    encrypt: &str,
) -> String {
    sorted_sha1(&mut [push_token.expose(), timestamp, nonce, encrypt])
}

/// `signature`: the same without the ciphertext. It proves nothing about a body.
#[must_use]
pub fn plain_signature(push_token: &Secret<String>, timestamp: &str, nonce: &str) -> String {
    sorted_sha1(&mut [push_token.expose(), timestamp, nonce])
}

/// SHA-1 over the parts, sorted by byte value and joined without a separator, in lower case.
pub(crate) fn sorted_sha1(parts: &mut [&str]) -> String {
    parts.sort_unstable();
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    base16ct::lower::encode_string(&hash.finalize())
}

/// Opens and seals the messages of one component, or of one account with keys of its own.
#[derive(Debug, Clone)]
pub struct Crypt {
    push_token: Secret<String>,
    appid: Appid,
    current: EncodingAesKey,
    previous: Option<EncodingAesKey>,
}

impl Crypt {
    /// `appid` is the one that frames must carry: the component's, also for an authorizer's messages;
    /// the account's own where the keys are the account's own.
    ///
    /// Source: WeChat docs, "Message encryption" (消息加解密).
    #[must_use]
    pub fn new(
        push_token: Secret<String>,
        appid: Appid,
        current: EncodingAesKey,
        previous: Option<EncodingAesKey>,
    ) -> Self {
        Self { push_token, appid, current, previous }
    }

    /// Verifies and decrypts a push: first with the current key, then with the previous one.
    ///
    /// Security invariant: before the signature holds, nothing else of `encrypt` is looked at.
    ///
    /// # Errors
    /// One [`CryptError`] for each step. When neither key fits, the error is the current key's.
    pub fn open(&self, query: &PushQuery, encrypt: &str) -> Result<Opened, CryptError> {
        let expected = msg_signature(&self.push_token, &query.timestamp, &query.nonce, encrypt);
        if !bool::from(expected.as_bytes().ct_eq(query.msg_signature.as_bytes())) {
            return Err(CryptError::BadSignature);
        }
        let failure = match self.open_with(&self.current, encrypt) {
            Ok(plaintext) => return Ok(Opened { plaintext, key: KeySlot::Current }),
            Err(failure @ (CryptError::BadBase64 | CryptError::BadCiphertext)) => {
                return Err(failure);
            }
            Err(failure) => failure,
        };
        let previous = self.previous.as_ref().ok_or(failure)?;
        let plaintext = self.open_with(previous, encrypt).map_err(|_| failure)?;
        Ok(Opened { plaintext, key: KeySlot::Previous })
    }

    fn open_with(&self, key: &EncodingAesKey, encrypt: &str) -> Result<Vec<u8>, CryptError> {
        let mut frame = Zeroizing::new(Vec::new());
        STANDARD.decode_vec(encrypt, &mut frame).map_err(|_| CryptError::BadBase64)?;
        if frame.is_empty() || !frame.len().is_multiple_of(AES_BLOCK_BYTES) {
            return Err(CryptError::BadCiphertext);
        }
        key.decrypt(&mut frame)?;
        let unpadded = unpadded_len(&frame)?;
        let message = message_len(&frame[..unpadded], self.appid.as_str().as_bytes())?;
        frame.truncate(HEAD_BYTES + message);
        frame.drain(..HEAD_BYTES);
        Ok(std::mem::take(&mut frame))
    }

    /// Encrypts and signs `plaintext`; `timestamp` is in Unix seconds.
    ///
    /// A reply uses the slot of the push it answers. Without a previous key both slots mean the
    /// current one. `random` must be fresh for every message.
    ///
    /// # Panics
    /// When `plaintext` has 4 GiB or more, which no bounded body reaches.
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "a frame and its signature have that many independent parts; each is named once"
    )]
    pub fn seal(
        &self,
        plaintext: &[u8],
        key: KeySlot,
        timestamp: i64,
        nonce: &str,
        random: [u8; 16],
    ) -> Sealed {
        let key = match (key, &self.previous) {
            (KeySlot::Previous, Some(previous)) => previous,
            (KeySlot::Previous, None) | (KeySlot::Current, _) => &self.current,
        };
        let appid = self.appid.as_str().as_bytes();
        let length = u32::try_from(plaintext.len()).expect("bodies are bounded far below 4 GiB");
        let whole = HEAD_BYTES + plaintext.len() + appid.len();
        let pad = PAD_TO_BYTES - whole % PAD_TO_BYTES;
        let mut frame = Zeroizing::new(Vec::with_capacity(whole + pad));
        frame.extend_from_slice(&random);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(plaintext);
        frame.extend_from_slice(appid);
        frame.resize(whole + pad, u8::try_from(pad).expect("a pad is 1 to 32"));
        key.encrypt(&mut frame);
        let encrypt = STANDARD.encode(frame.as_slice());
        let msg_signature =
            msg_signature(&self.push_token, &timestamp.to_string(), nonce, &encrypt);
        Sealed { encrypt, msg_signature, timestamp, nonce: nonce.to_owned() }
    }

    /// Whether a URL check (GET with `echostr`) comes from somebody who knows the push token.
    #[must_use]
    pub fn verify_url(&self, query: &UrlCheckQuery) -> bool {
        let expected = plain_signature(&self.push_token, &query.timestamp, &query.nonce);
        expected.as_bytes().ct_eq(query.signature.as_bytes()).into()
    }
}

/// The length of the frame without its padding. Every byte of the padding is checked, not only the
/// last one as widely used readers do.
fn unpadded_len(frame: &[u8]) -> Result<usize, CryptError> {
    let &last = frame.last().ok_or(CryptError::BadPadding)?;
    let pad = usize::from(last);
    if !(1..=PAD_TO_BYTES).contains(&pad) || pad > frame.len() {
        return Err(CryptError::BadPadding);
    }
    let unpadded = frame.len() - pad;
    if frame[unpadded..].iter().all(|&byte| byte == last) {
        Ok(unpadded)
    } else {
        Err(CryptError::BadPadding)
    }
}

/// The length of the message inside an unpadded frame that must end with `appid`.
fn message_len(frame: &[u8], appid: &[u8]) -> Result<usize, CryptError> {
    let (head, rest) = frame.split_at_checked(HEAD_BYTES).ok_or(CryptError::BadFrame)?;
    let length = <[u8; 4]>::try_from(&head[RANDOM_BYTES..]).expect("the head ends with 4 bytes");
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| CryptError::BadFrame)?;
    let (_, tail) = rest.split_at_checked(length).ok_or(CryptError::BadFrame)?;
    if tail == appid { Ok(length) } else { Err(CryptError::AppidMismatch) }
}
