use lingpai_authorizer::{Cleared, Quotas};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::{Group, authorizer_appid};
use crate::{
    auth::{AuthorizerRead, QuotaClear, TenantAuth},
    parameter::{AppidText, WechatPathText},
    problem::Result,
    view::quota::{self, QuotaFiguresView},
};

pub(crate) struct QuotasApi {
    pub(super) quotas: Quotas,
}

/// How many of the month's times are used up in which WeChat counts an account's calls anew.
#[derive(Debug, Object)]
#[oai(rename = "ClearedQuota", example)]
struct ClearedQuotaView {
    /// How many times this month, with this one.
    used_this_month: u64,
    /// How many times WeChat allows in a month.
    allowance: u64,
}

impl Example for ClearedQuotaView {
    fn example() -> Self {
        Self { used_this_month: 1, allowance: 10 }
    }
}

impl From<Cleared> for ClearedQuotaView {
    fn from(cleared: Cleared) -> Self {
        let Cleared { used_this_month, allowance } = cleared;
        Self { used_this_month, allowance }
    }
}

#[OpenApi(tag = "Group::Authorizers")]
impl QuotasApi {
    /// Ask WeChat how often an interface may be called.
    ///
    /// For this account and today. Changes nothing. Needs the scope `authorizer:read`.
    #[oai(path = "/authorizers/:appid/quota", method = "get", operation_id = "get_quota")]
    async fn get(
        &self,
        auth: TenantAuth<AuthorizerRead>,
        /// The account's appid.
        appid: Path<AppidText>,
        /// The interface's path at WeChat.
        path: Query<WechatPathText>,
    ) -> Result<Json<QuotaFiguresView>> {
        let appid = authorizer_appid(&appid)?;
        let figures = self.quotas.get(auth.scope(), &appid, &path).await;
        let figures = figures.map_err(quota::refused)?;
        Ok(Json(QuotaFiguresView::of(&path, figures)))
    }

    /// Have WeChat count an account's calls anew.
    ///
    /// All its daily counts begin at 0 again. WeChat allows this ten times a month for each account,
    /// whoever asks. Needs the scope `quota:clear`.
    #[oai(path = "/authorizers/:appid/quota/clear", method = "post", operation_id = "clear_quota")]
    async fn clear(
        &self,
        auth: TenantAuth<QuotaClear>,
        /// The account's appid.
        appid: Path<AppidText>,
    ) -> Result<Json<ClearedQuotaView>> {
        let appid = authorizer_appid(&appid)?;
        Ok(Json(self.quotas.clear(auth.caller(), &appid).await?.into()))
    }
}
