use lingpai_authorizer::Reconciliations;
use lingpai_component_token::Components;
use lingpai_model::{Instant, component::Reconciliation};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::Example};

use super::{Group, components::component_appid};
use crate::{auth::OperatorAuth, example, parameter::ComponentAppidText, problem::Result};

pub(crate) struct ReconciliationsApi {
    pub(super) components: Components,
    pub(super) reconciliations: Reconciliations,
}

/// What a comparison of our authorizers with WeChat's own list brought.
#[derive(Debug, Object)]
#[oai(rename = "Reconciliation", example)]
pub(super) struct ReconciliationView {
    /// When it began.
    at: Instant,
    /// How many accounts WeChat listed.
    listed: u32,
    /// How many of ours got back a refresh token that was missing, or stand again.
    recovered: u32,
    /// How many nobody here knew: they are unclaimed now.
    found: u32,
    /// How many of ours have withdrawn, as WeChat confirmed.
    withdrawn: u32,
}

impl Example for ReconciliationView {
    fn example() -> Self {
        Self { at: example::instant(), listed: 212, recovered: 1, found: 0, withdrawn: 2 }
    }
}

#[OpenApi(tag = "Group::Components")]
impl ReconciliationsApi {
    /// Compare a component's authorizers with WeChat's list.
    ///
    /// Recovers lost refresh tokens, finds accounts that nobody here knows and those that withdrew;
    /// deletes nothing. It answers at the end, which takes minutes for many accounts, and goes on if
    /// you do not wait. By itself it runs once a day. For operators.
    #[oai(
        path = "/components/:appid/reconciliation",
        method = "post",
        operation_id = "reconcile_component"
    )]
    async fn run(
        &self,
        auth: OperatorAuth,
        /// The component's appid.
        appid: Path<ComponentAppidText>,
    ) -> Result<Json<ReconciliationView>> {
        let component = self.components.get(&component_appid(&appid)?).await?;
        Ok(Json(self.reconciliations.run(auth.caller(), &component).await?.into()))
    }
}

impl From<Reconciliation> for ReconciliationView {
    fn from(reconciliation: Reconciliation) -> Self {
        let Reconciliation { at, listed, recovered, found, withdrawn } = reconciliation;
        Self { at, listed, recovered, found, withdrawn }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn each_number_is_told_under_its_own_name() {
        let at = example::instant();
        let brought = Reconciliation { at, listed: 4, recovered: 3, found: 2, withdrawn: 1 };
        let told =
            json!({ "at": at.to_json(), "listed": 4, "recovered": 3, "found": 2, "withdrawn": 1 });
        assert_eq!(ReconciliationView::from(brought).to_json(), Some(told));
    }
}
