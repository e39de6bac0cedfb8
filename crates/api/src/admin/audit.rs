use lingpai_model::{
    audit::{Action, Actor},
    id::{ApiKeyId, OperatorId, TenantId},
};
use lingpai_tenant::{AuditFilter, AuditTrail};
use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::Group;
use crate::{
    auth::OperatorAuth,
    page::PageView,
    parameter::{self, ActionText, ActorText, CursorText, Filter, Limit, TenantIdText},
    problem::{Problem, Result},
    view::audit::AuditEntryView,
};

pub(crate) struct AuditApi {
    pub(super) audit: AuditTrail,
}

#[OpenApi(tag = "Group::Audit")]
impl AuditApi {
    /// List what was done.
    ///
    /// Newest first: every act that changed something, whoever did it. An entry is written together
    /// with the change, so there is never one without the other. For operators.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    #[oai(path = "/audit", method = "get", operation_id = "list_audit")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// Only what was done to this tenant's things.
        tenant_id: Query<Option<Filter<TenantIdText>>>,
        /// Only what this actor did: the id of an API key or of an operator, or `lingpai`.
        actor: Query<Option<Filter<ActorText>>>,
        /// Only acts of this kind, as in `tenant.created`.
        action: Query<Option<Filter<ActionText>>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<AuditEntryView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let filter = AuditFilter {
            tenant_id: tenant_id
                .as_deref()
                .map(|text| parameter::parsed("tenant_id", text, TenantId::parse))
                .transpose()?,
            actor: actor.as_deref().map(parsed_actor).transpose()?,
            action: action.as_deref().map(parsed_action).transpose()?,
        };
        let found = self.audit.all(&filter, &page).await?;
        Ok(Json(PageView::of(found, AuditEntryView::for_operator)))
    }
}

fn parsed_actor(text: &str) -> Result<Actor> {
    if text == "lingpai" {
        return Ok(Actor::Lingpai);
    }
    let operator = OperatorId::parse(text).map(Actor::Operator);
    operator.or_else(|_| ApiKeyId::parse(text).map(Actor::ApiKey)).map_err(|_| {
        Problem::invalid_field(
            "actor",
            "this is the id of an API key or of an operator, or lingpai",
        )
    })
}

fn parsed_action(text: &str) -> Result<Action> {
    Action::parse(text).ok_or_else(|| {
        let all = Action::ALL;
        let known: Vec<_> = all.iter().map(Action::as_str).collect();
        Problem::invalid_field("action", format!("this is one of {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{example, problem::Code};

    #[test]
    fn an_actor_is_told_by_the_id_of_its_key() {
        let key = ApiKeyId::parse(example::API_KEY_ID).unwrap();
        assert_eq!(parsed_actor(example::API_KEY_ID).unwrap(), Actor::ApiKey(key));
        let operator = OperatorId::parse(example::OPERATOR_ID).unwrap();
        assert_eq!(parsed_actor(example::OPERATOR_ID).unwrap(), Actor::Operator(operator));
        assert_eq!(parsed_actor("lingpai").unwrap(), Actor::Lingpai);
        for nobody in ["", "tnt_01KAEXAMP1E000000000000000", "root"] {
            assert_eq!(parsed_actor(nobody).unwrap_err().field(), Some("actor"), "{nobody}");
        }
    }

    #[test]
    fn every_action_can_be_asked_for_and_nothing_else() {
        for action in Action::ALL {
            assert_eq!(parsed_action(action.as_str()).unwrap(), action);
        }
        let problem = parsed_action("access_token.read").unwrap_err();
        assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some("action")));
        assert!(problem.to_string().contains("quota.clear_asked"), "{problem}");
    }
}
