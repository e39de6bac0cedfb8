//! What tests do as a fan: allow something on a web page, log in to a mini program, sign and encrypt
//! there, open a page that uses the JS-SDK.

use serde_json::Value;

use super::Emulator;
use crate::browser;
use crate::js_sdk::PageSignature;
use crate::open_data;
use crate::state::Kill;
use crate::state::jssdk::TicketKind;
use crate::state::web_codes::WebConsent;

/// What a fan does with WeChat's page of web authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FanChoice {
    /// Allows what is asked. Where WeChat asks nothing, as with `snsapi_base`, it goes on by itself.
    Allow {
        /// The fan; the account's first one if none is named.
        openid: Option<String>,
    },
    /// Declines.
    Refuse,
}

impl Emulator {
    /// Acts as a fan's WeChat client: opens the link of web authorization, which must end in
    /// `#wechat_redirect`, decides, and gives the address that is redirected to.
    ///
    /// # Errors
    /// When WeChat shows an error page, or there was nothing to refuse.
    pub async fn web_consent(&self, href: &str, choice: FanChoice) -> anyhow::Result<String> {
        browser::web_consent(href, choice).await
    }

    /// What fans allowed and refused, oldest first.
    #[must_use]
    pub fn web_consents(&self) -> Vec<WebConsent> {
        self.world.platform().web_codes.consents()
    }

    /// Ends all web access tokens of a fan: 40001 until they are refreshed.
    pub fn kill_web_token(&self, openid: &str) {
        self.kill(&Kill::WebTokens { openid: openid.to_owned() });
    }

    /// A fan opens a mini program: gives the code that its server logs in with, within five minutes
    /// and once. From now on he signs and encrypts there with a new session key.
    #[must_use]
    pub fn mint_js_code(&self, appid: &str, openid: &str) -> String {
        self.world.platform().logins.mint_code(appid, openid, self.world.now())
    }

    /// What a fan signs and encrypts with in a mini program at present, as WeChat tells it.
    #[must_use]
    pub fn session_key(&self, appid: &str, openid: &str) -> String {
        self.world.platform().logins.session_key(appid, openid)
    }

    /// What WeChat encrypts for a fan in a mini program: `encryptedData` and `iv`. A JSON object
    /// without a `watermark` gets one with the appid and the present time.
    #[must_use]
    pub fn encrypt_for_fan(&self, appid: &str, openid: &str, json: &Value) -> (String, String) {
        let session_key = self.session_key(appid, openid);
        let sealed = open_data::encrypt(&session_key, appid, json, self.world.now() / 1000);
        (sealed.encrypted_data, sealed.iv)
    }

    /// The `signature` that a mini program gets for a fan's `rawData`.
    #[must_use]
    pub fn sign_for_fan(&self, appid: &str, openid: &str, raw_data: &str) -> String {
        open_data::sign(&self.session_key(appid, openid), raw_data)
    }

    /// Whether WeChat takes what an account's page configures the JS-SDK with.
    #[must_use]
    pub fn verify_page(&self, appid: &str, page: &PageSignature<'_>) -> bool {
        page.fits(&self.world, appid)
    }

    /// Whether WeChat takes the signature of a card that an account signed. The values are those
    /// that were signed, without the ticket.
    #[must_use]
    pub fn verify_card(&self, appid: &str, values: &[&str], signature: &str) -> bool {
        let ticket = self.world.platform().ticket_of(appid, TicketKind::WxCard, self.world.now());
        ticket.is_some_and(|ticket| open_data::sign_sorted(values, &ticket) == signature)
    }

    /// The account's ticket of the JS-SDK that works, by its `type`: `jsapi` or `wx_card`.
    #[must_use]
    pub fn jssdk_ticket(&self, appid: &str, kind: &str) -> Option<String> {
        let kind = TicketKind::parse(kind)?;
        self.world.platform().ticket_of(appid, kind, self.world.now())
    }
}
