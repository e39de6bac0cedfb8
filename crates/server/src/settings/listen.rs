//! Section `[listen]`: what `lingpai listen` follows, and how it speaks to the handler it forwards to.

use lingpai_model::{Secret, endpoint::Mode};
use lingpai_wechat::crypt::EncodingAesKey;
use url::Url;

use super::reader::{MASK, Reader};

/// What `lingpai listen` follows, and how it speaks to the handler it forwards to.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The installation whose events are followed.
    pub server: Url,
    /// A tenant's API key; `None` while nobody listens.
    pub key: Option<Secret<String>>,
    /// Token (令牌) of the handler.
    pub token: Secret<String>,
    /// EncodingAESKey (消息加解密密钥) of the handler; none is needed in the plain mode.
    pub encoding_aes_key: Option<Secret<String>>,
    /// How much of what is forwarded is encrypted.
    pub mode: Mode,
}

impl Listen {
    pub(super) fn read(reader: &mut Reader<'_>, public_url: Option<&Url>) -> Option<Self> {
        let server = match reader.text("listen.server") {
            None => public_url.cloned(),
            Some(_) => reader.origin("listen.server"),
        };
        let key = one_of(reader, "listen.key", "listen.key_file");
        let token = reader.secret("listen.token");
        let encoding_aes_key = reader.secret("listen.encoding_aes_key");
        let mode = reader.parsed("listen.mode", "plain, compatible or secure", Mode::parse);
        if let Some(key) = &encoding_aes_key
            && EncodingAesKey::parse(key.expose()).is_err()
        {
            reader.fault("listen.encoding_aes_key", MASK, "43 letters and digits");
            return None;
        }
        if mode.is_some_and(|mode| mode != Mode::Plain) && encoding_aes_key.is_none() {
            reader.fault("listen.encoding_aes_key", "nothing", "a key, or listen.mode = \"plain\"");
            return None;
        }
        Some(Self { server: server?, key, token: token?, encoding_aes_key, mode: mode? })
    }
}

/// The secret at `text`, or the one in the file that `file` names.
fn one_of(reader: &mut Reader<'_>, text: &str, file: &str) -> Option<Secret<String>> {
    let (given, path) = (reader.secret(text), reader.path(file));
    match (given, path) {
        (Some(_), Some(_)) => {
            reader.fault(file, "a file", "only one of the key and its file");
            None
        }
        (Some(given), None) => Some(given),
        (None, Some(path)) => {
            let read = reader.file(file, &path)?;
            Some(Secret::from(read.expose().trim()))
        }
        (None, None) => None,
    }
}
