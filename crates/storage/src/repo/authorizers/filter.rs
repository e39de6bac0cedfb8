//! Which authorizers a list shows.

use lingpai_model::{Appid, authorizer::ProfileKind, id::TenantId};
use sea_orm::{ColumnTrait as _, Condition, sea_query::LikeExpr};

use crate::entity::authorizers::Column;

/// Which authorizers a tenant's list shows: those that match everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizerFilter {
    /// Those that granted to this component.
    pub component_appid: Option<Appid>,
    /// Those in this state, as [`lingpai_model::authorizer::AuthorizerState::as_str`] writes it.
    pub state: Option<&'static str>,
    /// Those that are connected in this way, as
    /// [`lingpai_model::authorizer::Connection::as_str`] writes it.
    pub connection: Option<&'static str>,
    /// Accounts of this kind, of those whose profile was read.
    pub kind: Option<ProfileKind>,
    /// Accounts whose name has this text in it.
    pub name: Option<String>,
}

impl AuthorizerFilter {
    pub(super) fn condition(&self) -> Condition {
        let component = self.component_appid.as_ref();
        let name = self.name.as_deref().map(containing);
        Condition::all()
            .add_option(component.map(|appid| Column::ComponentAppid.eq(appid.as_str())))
            .add_option(self.state.map(|state| Column::State.eq(state)))
            .add_option(self.connection.map(|connection| Column::Connection.eq(connection)))
            .add_option(self.kind.map(|kind| Column::Kind.eq(kind.as_str())))
            .add_option(name.map(|name| Column::NickName.like(name)))
    }
}

/// Which authorizers the operator's list shows: those that match everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemAuthorizerFilter {
    /// Those of this tenant.
    pub tenant_id: Option<TenantId>,
    /// Those that are claimed in this way.
    pub claim: Option<Claim>,
    /// Those that granted to this component.
    pub component_appid: Option<Appid>,
    /// Those in this state, as [`lingpai_model::authorizer::AuthorizerState::as_str`] writes it.
    pub state: Option<&'static str>,
}

/// Whether an authorizer has an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A tenant owns it.
    Owned,
    /// It grants to a component, nobody owns it, and the operator has not said anything.
    Unclaimed,
    /// Nobody owns it, and the operator said that it is not to be served.
    Refused,
}

impl Claim {
    fn condition(self) -> Condition {
        match self {
            Self::Owned => Condition::all().add(Column::TenantId.is_not_null()),
            Self::Unclaimed => Condition::all()
                .add(Column::TenantId.is_null())
                .add(Column::RefusedAt.is_null())
                .add(Column::Connection.eq("component"))
                // Who has withdrawn its grant cannot be assigned.
                .add(Column::State.ne("revoked")),
            Self::Refused => Condition::all()
                .add(Column::TenantId.is_null())
                .add(Column::RefusedAt.is_not_null()),
        }
    }
}

impl SystemAuthorizerFilter {
    pub(super) fn condition(&self) -> Condition {
        let tenant = self.tenant_id.as_ref();
        let component = self.component_appid.as_ref();
        Condition::all()
            .add_option(tenant.map(|tenant| Column::TenantId.eq(tenant.as_str())))
            .add_option(self.claim.map(Claim::condition))
            .add_option(component.map(|appid| Column::ComponentAppid.eq(appid.as_str())))
            .add_option(self.state.map(|state| Column::State.eq(state)))
    }
}

/// What takes the special meaning from a character of a pattern. A backslash would have one itself
/// in the text of a statement for MySQL.
const ESCAPE: char = '!';

/// The pattern of all texts that have `part` in them, taken literally.
fn containing(part: &str) -> LikeExpr {
    let mut pattern = String::from("%");
    for letter in part.chars() {
        if matches!(letter, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(letter);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape(ESCAPE)
}
