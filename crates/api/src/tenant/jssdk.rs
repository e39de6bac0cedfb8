//! JS-SDK: signatures with which a page may use what WeChat's own script offers.

use lingpai_authorizer::{CardSignature, CardToSign, JsSdk, PageConfig};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::Example};

use super::{Group, authorizer_appid};
use crate::{
    auth::{TenantAuth, WechatCall},
    example,
    input::Input,
    parameter::AppidText,
    problem::Result,
};

/// How a card is signed, in the word that `wx.chooseCard` takes.
///
/// Source: WeChat docs, "JS-SDK" (JS-SDK说明文档), appendix 4: the only one is `SHA1`.
const SIGN_TYPE: &str = "SHA1";

pub(crate) struct JsSdkApi {
    pub(super) jssdk: JsSdk,
}

/// Which page is to be signed.
#[derive(Object)]
#[oai(rename = "NewPageSignature", example)]
struct NewPageSignature {
    /// The page's address, as `location.href` has it. What comes after `#` is not signed; the rest is,
    /// letter by letter, and has 2,048 bytes at most.
    #[oai(validator(min_length = 1, max_length = 4096))]
    url: String,
}

impl Example for NewPageSignature {
    fn example() -> Self {
        Self { url: "https://shop.example/goods?id=7#photos".to_owned() }
    }
}

/// What `wx.config` takes, in its own names.
#[derive(Debug, Object)]
#[oai(rename = "PageConfig", example)]
struct PageConfigView {
    /// The account.
    #[oai(rename = "appId")]
    app_id: String,
    /// When it was signed, in Unix seconds.
    timestamp: i64,
    /// Drawn for this signature.
    #[oai(rename = "nonceStr")]
    nonce_str: String,
    /// The signature.
    signature: String,
}

impl Example for PageConfigView {
    fn example() -> Self {
        Self {
            app_id: example::AUTHORIZER_APPID.to_owned(),
            timestamp: example::instant().timestamp(),
            nonce_str: "8f14e45fceea167a5a36dedd4bea2543".to_owned(),
            signature: "0f9de62fce790f9a083d5c99e95740ceb90c27ed".to_owned(),
        }
    }
}

impl From<PageConfig> for PageConfigView {
    fn from(config: PageConfig) -> Self {
        let PageConfig { appid, timestamp, nonce, signature } = config;
        Self { app_id: appid.to_string(), timestamp, nonce_str: nonce, signature }
    }
}

/// What of a card (卡券) is to be signed; what is absent is no part of the signature.
#[derive(Object)]
#[oai(rename = "NewCardSignature", skip_serializing_if_is_none, example)]
struct NewCardSignature {
    /// The card.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    card_id: Option<String>,
    /// The code of this one copy of the card, where you draw codes yourself.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    code: Option<String>,
    /// The one fan who may have the card.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    openid: Option<String>,
}

impl Example for NewCardSignature {
    fn example() -> Self {
        Self {
            card_id: Some("pjZ8Yt1XGILfi-FUsewpnnolGgZk".to_owned()),
            code: None,
            openid: Some(example::OPENID.to_owned()),
        }
    }
}

/// What `wx.addCard` and `wx.chooseCard` take beside what was signed.
#[derive(Debug, Object)]
#[oai(rename = "CardSignature", example)]
struct CardSignatureView {
    /// When it was signed, in Unix seconds.
    timestamp: i64,
    /// Drawn for this signature.
    #[oai(rename = "nonceStr")]
    nonce_str: String,
    /// The signature.
    signature: String,
    /// How it was signed: `SHA1`.
    #[oai(rename = "signType")]
    sign_type: String,
}

impl Example for CardSignatureView {
    fn example() -> Self {
        Self {
            timestamp: example::instant().timestamp(),
            nonce_str: "8f14e45fceea167a5a36dedd4bea2543".to_owned(),
            signature: "f137ab68b7f8112d20ee528ab6074564e2796250".to_owned(),
            sign_type: SIGN_TYPE.to_owned(),
        }
    }
}

impl From<CardSignature> for CardSignatureView {
    fn from(signed: CardSignature) -> Self {
        let CardSignature { timestamp, nonce, signature } = signed;
        Self { timestamp, nonce_str: nonce, signature, sign_type: SIGN_TYPE.to_owned() }
    }
}

#[OpenApi(tag = "Group::JsSdk")]
impl JsSdkApi {
    /// Sign a page for the JS-SDK.
    ///
    /// Give the answer to `wx.config`, with a `jsApiList` of your own. The ticket that it is signed with is
    /// kept here and never leaves. Needs the scope `wechat:call`.
    #[oai(path = "/authorizers/:appid/js-sdk-config", method = "post", operation_id = "sign_page")]
    async fn sign_page(
        &self,
        auth: TenantAuth<WechatCall>,
        /// The account's appid.
        appid: Path<AppidText>,
        input: Input<NewPageSignature>,
    ) -> Result<Json<PageConfigView>> {
        let (appid, page) = (authorizer_appid(&appid)?, input.0);
        Ok(Json(self.jssdk.sign_page(auth.scope(), &appid, &page.url).await?.into()))
    }

    /// Sign a card for the JS-SDK.
    ///
    /// For `wx.addCard` and `wx.chooseCard` (卡券), which have a ticket of their own. Needs the scope
    /// `wechat:call`.
    #[oai(path = "/authorizers/:appid/card-signature", method = "post", operation_id = "sign_card")]
    async fn sign_card(
        &self,
        auth: TenantAuth<WechatCall>,
        /// The account's appid.
        appid: Path<AppidText>,
        input: Input<NewCardSignature>,
    ) -> Result<Json<CardSignatureView>> {
        let Input(NewCardSignature { card_id, code, openid }) = input;
        let (appid, card) = (authorizer_appid(&appid)?, CardToSign { card_id, code, openid });
        Ok(Json(self.jssdk.sign_card(auth.scope(), &appid, card).await?.into()))
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::Appid;
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;
    use crate::input;

    #[test]
    fn a_page_gets_what_wx_config_takes_in_its_names_and_nothing_else() {
        let config = PageConfig {
            appid: Appid::parse("wx1").unwrap(),
            timestamp: 7,
            nonce: "n".to_owned(),
            signature: "s".to_owned(),
        };
        let wanted = json!({ "appId": "wx1", "timestamp": 7, "nonceStr": "n", "signature": "s" });
        assert_eq!(PageConfigView::from(config).to_json(), Some(wanted));
    }

    #[test]
    fn a_card_gets_its_signature_and_how_it_was_made() {
        let signed =
            CardSignature { timestamp: 7, nonce: "n".to_owned(), signature: "s".to_owned() };
        let wanted =
            json!({ "timestamp": 7, "nonceStr": "n", "signature": "s", "signType": "SHA1" });
        assert_eq!(CardSignatureView::from(signed).to_json(), Some(wanted));
    }

    #[test]
    fn a_page_has_an_address_of_bounded_length_without_control_characters() {
        let read = |url: &str| {
            let body = json!({ "url": url }).to_string();
            input::read::<NewPageSignature>(body.as_bytes()).map(|page| page.url)
        };
        let page = "https://shop.example/商品?id=7&q=%E4%BB%A4#photos";
        assert_eq!(read(page).unwrap(), page, "nothing is encoded anew");
        let routed = format!("https://shop.example/#/{}", "a".repeat(4000));
        assert!(read(&routed).is_ok(), "what is not signed may be longer");
        let long = format!("https://shop.example/{}", "a".repeat(4096));
        for url in ["", " ", "https://shop.example/\r\nx", &long] {
            assert_eq!(read(url).unwrap_err().field(), Some("url"), "{url:?}");
        }
    }

    #[test]
    fn everything_about_a_card_may_be_absent_and_nothing_blank() {
        let read = |body: &str| input::read::<NewCardSignature>(body.as_bytes());
        assert!(read("{}").is_ok_and(|card| card.card_id.is_none() && card.openid.is_none()));
        let blank = read(r#"{"card_id":" "}"#).err().expect("a card has an id");
        assert_eq!(blank.field(), Some("card_id"));
    }
}
