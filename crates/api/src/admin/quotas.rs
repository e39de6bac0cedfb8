use lingpai_authorizer::Quotas;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};

use super::{Group, components::component_appid};
use crate::{
    auth::OperatorAuth,
    parameter::{ComponentAppidText, WechatPathText},
    problem::Result,
    view::quota::{self, QuotaFiguresView},
};

pub(crate) struct QuotasApi {
    pub(super) quotas: Quotas,
}

#[OpenApi(tag = "Group::Components")]
impl QuotasApi {
    /// Ask WeChat how often a component may call an interface.
    ///
    /// Of the interfaces that the component itself calls, such as
    /// `/cgi-bin/component/api_authorizer_token`. Changes nothing. For operators.
    #[oai(path = "/components/:appid/quota", method = "get", operation_id = "get_component_quota")]
    async fn get(
        &self,
        _auth: OperatorAuth,
        /// The component's appid.
        appid: Path<ComponentAppidText>,
        /// The interface's path.
        path: Query<WechatPathText>,
    ) -> Result<Json<QuotaFiguresView>> {
        let appid = component_appid(&appid)?;
        let figures = self.quotas.of_component(&appid, &path).await;
        let figures = figures.map_err(quota::refused)?;
        Ok(Json(QuotaFiguresView::of(&path, figures)))
    }
}
