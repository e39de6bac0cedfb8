use lingpai_model::{Instant, id::OperatorId, operator::Operator};
use lingpai_tenant::Operators;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::Group;
use crate::{
    answer::{Created, NoContent},
    auth::OperatorAuth,
    example,
    input::Input,
    page::PageView,
    parameter::{self, CursorText, Limit, OperatorIdText},
    problem::{Problem, Result},
};

pub(crate) struct OperatorsApi {
    pub(super) operators: Operators,
}

/// An operator key to create.
#[derive(Debug, Object)]
#[oai(rename = "NewOperator", example)]
struct NewOperator {
    /// What it is called: who holds it.
    #[oai(validator(min_length = 1, max_length = 64))]
    name: String,
}

impl Example for NewOperator {
    fn example() -> Self {
        Self { name: "night shift".to_owned() }
    }
}

/// An operator key that has just been created.
#[derive(Debug, Object)]
#[oai(rename = "CreatedOperator", example)]
struct CreatedOperatorView {
    /// Its id.
    id: String,
    /// The key itself, shown this once.
    key: String,
    /// What it is called.
    name: String,
    /// When it was created.
    created_at: Instant,
}

impl Example for CreatedOperatorView {
    fn example() -> Self {
        let OperatorView { id, name, created_at, .. } = OperatorView::example();
        let (_, ulid) = example::OPERATOR_ID.split_at(OperatorId::PREFIX.len());
        let key = format!("lpo_{ulid}{}_5f0c3a9e", "5f0c3a9e".repeat(8));
        Self { id, key, name, created_at }
    }
}

/// An operator key, without its text.
#[derive(Debug, Object)]
#[oai(rename = "Operator", example)]
struct OperatorView {
    /// Its id.
    id: String,
    /// What it is called.
    name: String,
    /// When it was created.
    created_at: Instant,
    /// When it was revoked; null if it was not.
    #[oai(nullable)]
    revoked_at: Option<Instant>,
}

impl Example for OperatorView {
    fn example() -> Self {
        Self {
            id: example::OPERATOR_ID.to_owned(),
            name: "night shift".to_owned(),
            created_at: example::instant(),
            revoked_at: None,
        }
    }
}

#[OpenApi(tag = "Group::Operators")]
impl OperatorsApi {
    /// Create an operator key.
    ///
    /// The key is in the answer and nowhere else; whoever has it may do everything here. For
    /// operators.
    #[oai(path = "/operators", method = "post", operation_id = "create_operator")]
    async fn create(
        &self,
        auth: OperatorAuth,
        input: Input<NewOperator>,
    ) -> Result<Created<CreatedOperatorView>> {
        let act = auth.caller().act();
        let (operator, text) = self.operators.create(&act, input.0.name).await?;
        Ok(Created(CreatedOperatorView {
            id: operator.id.to_string(),
            key: text.into_text().expose().clone(),
            name: operator.name,
            created_at: operator.created_at,
        }))
    }

    /// List the operator keys.
    ///
    /// Oldest first, revoked ones too. For operators.
    #[oai(path = "/operators", method = "get", operation_id = "list_operators")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<OperatorView>>> {
        let page = parameter::page(&limit, &cursor)?;
        Ok(Json(PageView::of(self.operators.list(&page).await?, OperatorView::from)))
    }

    /// Revoke an operator key.
    ///
    /// It is refused at once, also your own; the last one that works stays. One that was revoked
    /// before stays as it was. For operators.
    #[oai(path = "/operators/:id", method = "delete", operation_id = "revoke_operator")]
    async fn revoke(
        &self,
        auth: OperatorAuth,
        /// The operator key.
        id: Path<OperatorIdText>,
    ) -> Result<NoContent> {
        let id = OperatorId::parse(&id).map_err(|_| Problem::operator_not_found())?;
        self.operators.revoke(auth.caller(), &id).await?;
        Ok(NoContent)
    }
}

impl From<Operator> for OperatorView {
    fn from(operator: Operator) -> Self {
        Self {
            id: operator.id.to_string(),
            name: operator.name,
            created_at: operator.created_at,
            revoked_at: operator.revoked_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{clock::Entropy, digest::Digest};
    use poem_openapi::types::ToJSON as _;

    use super::*;

    #[test]
    fn a_listed_operator_tells_everything_but_its_text() {
        let at = example::instant();
        let operator = Operator {
            id: OperatorId::new(at, &Entropy::seeded(1)),
            name: "a".to_owned(),
            key_digest: Digest::of(&[b"text"]),
            created_at: at,
            revoked_at: Some(at),
        };
        let told = OperatorView::from(operator).to_json().unwrap();
        assert_eq!(told["revoked_at"], at.to_json().unwrap());
        let fields: Vec<_> = told.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["created_at", "id", "name", "revoked_at"]);
    }
}
