//! What pushes are sealed with: the component's token and key, or an account's own.
//!
//! Source: WeChat docs, "Message encryption" (消息加解密): pushes to a component carry the component's
//! appid in the frame, also messages of its accounts; pushes to an account that is connected
//! without a component carry that account's appid.

use anyhow::{Context as _, ensure};
use lingpai_wechat::crypt::{Crypt, EncodingAesKey, KeySlot};
use lingpai_wechat::id::Appid;
use lingpai_wechat::push::SealedReply;
use lingpai_wechat::secret::Secret;
use sha1::{Digest as _, Sha1};
use url::Url;

use crate::config::{AccountConfig, ComponentConfig};
use crate::state::mint;

/// A push token, a key and the appid that goes with them.
pub(crate) struct Seal {
    crypt: Crypt,
    push_token: String,
}

impl Seal {
    /// # Errors
    /// When the component's appid or EncodingAESKey cannot be read.
    pub(crate) fn of_component(config: &ComponentConfig) -> anyhow::Result<Self> {
        Self::new(&config.appid, &config.push_token, &config.encoding_aes_key).context("component")
    }

    /// An account's own; `None` for one that has none and whose pushes the component's seal.
    ///
    /// # Errors
    /// When the appid or the key cannot be read, or one of push token and key is missing.
    pub(crate) fn of_account(config: &AccountConfig) -> anyhow::Result<Option<Self>> {
        let own = (&config.push_token, &config.encoding_aes_key);
        ensure!(
            own.0.is_some() == own.1.is_some(),
            "account {}: push_token and encoding_aes_key go together",
            config.appid
        );
        let (Some(push_token), Some(key)) = own else { return Ok(None) };
        let seal = Self::new(&config.appid, push_token, key);
        seal.map(Some).with_context(|| format!("account {}", config.appid))
    }

    fn new(appid: &str, push_token: &str, encoding_aes_key: &str) -> anyhow::Result<Self> {
        let appid = Appid::parse(appid).context("appid")?;
        let key = EncodingAesKey::parse(encoding_aes_key).context("encoding_aes_key")?;
        let crypt = Crypt::new(Secret::from(push_token), appid, key, None);
        Ok(Self { crypt, push_token: push_token.to_owned() })
    }

    /// Encrypts a message, puts what goes with it into the URL's query, and gives the ciphertext.
    pub(crate) fn seal(&self, message: &str, now_secs: i64, url: &mut Url) -> String {
        let nonce = mint::nonce();
        let message = message.as_bytes();
        let sealed = self.crypt.seal(message, KeySlot::Current, now_secs, &nonce, mint::random());
        let timestamp = now_secs.to_string();
        url.query_pairs_mut()
            .append_pair("signature", &self.plain_signature(&timestamp, &nonce))
            .append_pair("timestamp", &timestamp)
            .append_pair("nonce", &nonce)
            .append_pair("encrypt_type", "aes")
            .append_pair("msg_signature", &sealed.msg_signature);
        sealed.encrypt
    }

    /// Opens a reply, which comes under the same token, key and appid as what it answers.
    ///
    /// # Errors
    /// When it is no sealed reply, or sealed with something else.
    pub(crate) fn open_reply(&self, body: &[u8]) -> anyhow::Result<String> {
        let sealed = SealedReply::parse(body)?;
        let opened = self.crypt.open(&sealed.query, &sealed.encrypt)?;
        String::from_utf8(opened.plaintext).context("the reply is not UTF-8")
    }

    /// The signature without the body, which WeChat sends as well.
    fn plain_signature(&self, timestamp: &str, nonce: &str) -> String {
        let mut parts = [self.push_token.as_str(), timestamp, nonce];
        parts.sort_unstable();
        base16ct::lower::encode_string(&Sha1::digest(parts.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_and_key_of_an_account_go_together_and_are_read() {
        let mut account = AccountConfig::generated(1);
        assert!(Seal::of_account(&account).unwrap().is_none());
        account.push_token = Some("CANARYtoken".to_owned());
        assert!(Seal::of_account(&account).is_err());
        account.encoding_aes_key = Some("too short".to_owned());
        assert!(Seal::of_account(&account).is_err());
        account.encoding_aes_key = Some(ComponentConfig::default().encoding_aes_key);
        assert!(Seal::of_account(&account).unwrap().is_some());
    }
}
