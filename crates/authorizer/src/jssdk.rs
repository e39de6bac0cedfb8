//! Signatures for WeChat's JS-SDK: of an account's pages, and of its cards and coupons (卡券).
//!
//! The tickets that go into them stay here. Who holds an account's `jsapi_ticket` can sign any page of
//! any of its domains; a tenant only ever gets the signature of the one page or card that it names.

mod tickets;

use lingpai_component_token::{Keeper, KeeperBase};
use lingpai_model::{
    Appid, Secret,
    caller::TenantScope,
    clock::{Entropy, SharedClock},
};
use lingpai_storage::Db;
use lingpai_wechat::{
    call::jssdk::JssdkTicketKind,
    client::Client,
    jssdk::{PageUrl, sign_card, sign_page},
};

pub(crate) use self::tickets::erase_tickets;
use self::tickets::{Signer, TicketSource};
use crate::{AuthorizerTokens, Result, error::cached, tokens::refuse_revoked};

/// Signs pages and cards for the JS-SDK.
#[derive(Debug, Clone)]
pub struct JsSdk {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
    tokens: AuthorizerTokens,
    tickets: Keeper<TicketSource>,
}

/// What a page hands to `wx.config`.
///
/// Source: WeChat docs, "JS-SDK", step 3 (通过config接口注入权限验证配置).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageConfig {
    /// The account whose page it is.
    pub appid: Appid,
    /// When it was signed, in seconds since 1970.
    pub timestamp: i64,
    /// Signed beside it, so that no two signatures are the same.
    pub nonce: String,
    /// SHA-1 in lower-case hex.
    pub signature: String,
}

/// The parts of a card that are signed, beside the time and a nonce. What the page will not hand to
/// the JS-SDK is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CardToSign {
    /// Which card.
    pub card_id: Option<String>,
    /// Its code, for a card with codes of the account's own.
    pub code: Option<String>,
    /// Who may take it, for a card that only one fan may.
    pub openid: Option<String>,
}

/// What a page hands to `wx.addCard`, beside the card itself.
///
/// Source: WeChat docs, "JS-SDK", appendix 4 (卡券扩展字段及签名生成算法).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSignature {
    /// When it was signed, in seconds since 1970.
    pub timestamp: i64,
    /// Signed beside it, so that no two signatures are the same.
    pub nonce: String,
    /// SHA-1 in lower-case hex.
    pub signature: String,
}

impl JsSdk {
    /// A service that gets tickets from `wechat` with the accounts' `tokens`.
    #[must_use]
    pub fn new(base: KeeperBase, wechat: Client, tokens: AuthorizerTokens) -> Self {
        let KeeperBase { db, clock, entropy, .. } = base.clone();
        let source =
            TicketSource { clock: SharedClock::clone(&clock), wechat, tokens: tokens.clone() };
        Self { db, clock, entropy, tokens, tickets: Keeper::new(source, base) }
    }

    /// Signs one page of the tenant's account; what stands behind `#` in its address is left out.
    ///
    /// # Errors
    /// [`crate::Error::BadPageUrl`] for what cannot be a page's address;
    /// [`crate::Error::AuthorizerNotFound`] for an account that is not the tenant's; without a living
    /// ticket what [`AuthorizerTokens::get`] or getting the ticket failed with.
    pub async fn sign_page(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        url: &str,
    ) -> Result<PageConfig> {
        let url = PageUrl::parse(url)?;
        let ticket = self.ticket(scope, appid, JssdkTicketKind::Jsapi).await?;
        let (timestamp, nonce) = (self.clock.now().timestamp(), self.nonce());
        let signature = sign_page(&ticket, &nonce, timestamp, &url);
        Ok(PageConfig { appid: appid.clone(), timestamp, nonce, signature })
    }

    /// Signs one card of the tenant's account.
    ///
    /// # Errors
    /// As [`JsSdk::sign_page`].
    pub async fn sign_card(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        card: CardToSign,
    ) -> Result<CardSignature> {
        let ticket = self.ticket(scope, appid, JssdkTicketKind::WxCard).await?;
        let (timestamp, nonce) = (self.clock.now().timestamp(), self.nonce());
        let signed_at = timestamp.to_string();
        let parts = [&card.card_id, &card.code, &card.openid].into_iter().flatten();
        let values: Vec<&str> =
            [signed_at.as_str(), &nonce].into_iter().chain(parts.map(String::as_str)).collect();
        let signature = sign_card(&ticket, &values);
        Ok(CardSignature { timestamp, nonce, signature })
    }

    /// Waits until no ticket is being got in this process.
    pub async fn settled(&self) {
        self.tickets.settled().await;
    }

    /// A ticket of the tenant's account that lives.
    async fn ticket(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        kind: JssdkTicketKind,
    ) -> Result<Secret<String>> {
        let authorizer = cached(&self.db, scope, appid).await?;
        // A ticket that still lives must not outlast the grant that it was got with.
        refuse_revoked(&authorizer)?;
        let signer = Signer { authorizer, kind };
        let kept = self.db.cached_token(&signer.key()).await?;
        let now = self.clock.now();
        if !kept.is_some_and(|kept| kept.token.as_ref().is_some_and(|one| one.is_alive(now))) {
            // What is wrong with the account's token is told in its own words, and no ticket has to
            // rest for it.
            self.tokens.get(&signer.authorizer).await?;
        }
        Ok(self.tickets.get(&signer).await?.value)
    }

    /// 32 hex digits.
    fn nonce(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.entropy.bytes()))
    }
}
