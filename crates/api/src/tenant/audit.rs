use lingpai_tenant::AuditTrail;
use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::Group;
use crate::{
    auth::{AuditRead, TenantAuth},
    page::PageView,
    parameter::{self, CursorText, Limit},
    problem::Result,
    view::audit::AuditEntryView,
};

pub(crate) struct AuditApi {
    pub(super) audit: AuditTrail,
}

#[OpenApi(tag = "Group::Audit")]
impl AuditApi {
    /// List what was done.
    ///
    /// Newest first: every act that changed something of yours, by your keys, by the operator or by
    /// lingpai itself. An entry is written together with the change, so there is never one without
    /// the other. Needs the scope `audit:read`.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit")]
    async fn list(
        &self,
        auth: TenantAuth<AuditRead>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<AuditEntryView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let found = self.audit.own(auth.scope(), &page).await?;
        Ok(Json(PageView::of(found, AuditEntryView::for_tenant)))
    }
}
