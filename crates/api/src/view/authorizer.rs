//! What is told of an authorizer in both APIs: its state, its kind, how it is connected, what it
//! granted.

use lingpai_authorizer::funcscope_name;
use lingpai_model::authorizer::{AuthorizerState, Connection, ProfileKind};
use poem_openapi::{Enum, Object, types::Example};

/// How an account is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "Connection", rename_all = "snake_case")]
pub(crate) enum ConnectionView {
    /// It granted rights to a component.
    Component,
    /// Its own secret was entered.
    Secret,
}

impl ConnectionView {
    /// As the model writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Secret => "secret",
        }
    }
}

impl From<&Connection> for ConnectionView {
    fn from(connection: &Connection) -> Self {
        match connection {
            Connection::Component { .. } => Self::Component,
            Connection::Secret => Self::Secret,
        }
    }
}

/// Whether a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "AuthorizerState", rename_all = "snake_case")]
pub(crate) enum StateView {
    /// It stands.
    Active,
    /// WeChat no longer takes its refresh token: its administrator must grant again.
    NeedsReauthorization,
    /// Its administrator withdrew it.
    Revoked,
}

impl StateView {
    /// As the model writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NeedsReauthorization => "needs_reauthorization",
            Self::Revoked => "revoked",
        }
    }
}

impl From<&AuthorizerState> for StateView {
    fn from(state: &AuthorizerState) -> Self {
        match state {
            AuthorizerState::Active => Self::Active,
            AuthorizerState::NeedsReauthorization { .. } => Self::NeedsReauthorization,
            AuthorizerState::Revoked { .. } => Self::Revoked,
        }
    }
}

/// Which kind of account it is.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "ProfileKind", rename_all = "snake_case", remote = "ProfileKind")]
pub(crate) enum ProfileKindView {
    /// An official account (公众号).
    OfficialAccount,
    /// A mini program (小程序).
    MiniProgram,
}

/// A permission set (权限集) that was granted.
#[derive(Debug, Object)]
#[oai(rename = "PermissionSet", example)]
pub(crate) struct PermissionSetView {
    /// Its number, as in WeChat's `func_info`.
    id: u32,
    /// Its name as WeChat writes it; null if WeChat has published none.
    #[oai(nullable)]
    name: Option<String>,
    /// Its name in English; null if WeChat has published none.
    #[oai(nullable)]
    name_en: Option<String>,
}

impl Example for PermissionSetView {
    fn example() -> Self {
        permission_set(1)
    }
}

/// A permission set by its number.
pub(crate) fn permission_set(id: u32) -> PermissionSetView {
    let name = funcscope_name(id);
    PermissionSetView {
        id,
        name: name.map(|name| name.zh.clone()),
        name_en: name.map(|name| name.en.clone()),
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{Appid, clock::Entropy, id::ComponentId};
    use poem_openapi::types::ToJSON as _;

    use super::*;
    use crate::example;

    #[test]
    fn states_are_written_as_the_model_writes_them() {
        let since = example::instant();
        for state in [
            AuthorizerState::Active,
            AuthorizerState::NeedsReauthorization { since },
            AuthorizerState::Revoked { at: since },
        ] {
            let view = StateView::from(&state);
            assert_eq!(view.as_str(), state.as_str());
            assert_eq!(view.to_json(), Some(state.as_str().into()));
        }
    }

    #[test]
    fn connections_and_kinds_are_written_as_the_model_writes_them() {
        let id = ComponentId::new(example::instant(), &Entropy::seeded(1));
        let appid = Appid::parse(example::COMPONENT_APPID).unwrap();
        for connection in [Connection::Component { id, appid }, Connection::Secret] {
            let view = ConnectionView::from(&connection);
            assert_eq!(view.as_str(), connection.as_str());
            assert_eq!(view.to_json(), Some(connection.as_str().into()));
        }
        for kind in [ProfileKind::OfficialAccount, ProfileKind::MiniProgram] {
            assert_eq!(ProfileKindView::from(kind).to_json(), Some(kind.as_str().into()));
        }
    }
}
