use lingpai_authorizer::{AuthorizerFilter, Authorizers, funcscope_name};
use lingpai_model::{
    Appid, Instant,
    authorizer::{Authorizer, AuthorizerState, ProfileKind},
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::Group;
use crate::{
    auth::{AuthorizerRead, TenantAuth},
    example,
    page::{self, PageView},
    problem::{Problem, Result},
    token::TokenHealthView,
};

pub(crate) struct AuthorizersApi {
    pub(super) authorizers: Authorizers,
}

/// How an account is connected.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "Connection", rename_all = "snake_case")]
enum ConnectionView {
    /// It granted rights to a component.
    Component,
}

/// Whether a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "AuthorizerState", rename_all = "snake_case")]
enum StateView {
    /// It stands.
    Active,
    /// WeChat no longer takes its refresh token: its administrator must grant again.
    NeedsReauthorization,
    /// Its administrator withdrew it.
    Revoked,
}

/// Which kind of account it is.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "ProfileKind", rename_all = "snake_case")]
enum ProfileKindView {
    /// An official account (公众号).
    OfficialAccount,
    /// A mini program (小程序).
    MiniProgram,
}

/// A permission set (权限集) that was granted.
#[derive(Debug, Object)]
#[oai(rename = "PermissionSet", example)]
struct PermissionSetView {
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

/// An account that granted rights. What it tells of itself is text of others: escape it.
#[derive(Debug, Object)]
#[oai(rename = "Authorizer", example)]
struct AuthorizerView {
    /// Its appid.
    appid: String,
    /// The component it granted to.
    component_appid: String,
    /// How it is connected.
    connection: ConnectionView,
    /// Whether the grant stands.
    state: StateView,
    /// Which kind of account it is, once its profile was read.
    #[oai(nullable)]
    kind: Option<ProfileKindView>,
    /// Its name.
    #[oai(nullable)]
    nick_name: Option<String>,
    /// Its original id, `gh_…`.
    #[oai(nullable)]
    user_name: Option<String>,
    /// The legal entity behind it.
    #[oai(nullable)]
    principal_name: Option<String>,
    /// The WeChat id of an official account.
    #[oai(nullable)]
    alias: Option<String>,
    /// The introduction of a mini program.
    #[oai(nullable)]
    signature: Option<String>,
    /// Address of its avatar.
    #[oai(nullable)]
    head_img: Option<String>,
    /// Address of its QR code.
    #[oai(nullable)]
    qrcode_url: Option<String>,
    /// What was granted.
    func_info: Vec<PermissionSetView>,
    /// When the present grant was made.
    granted_at: Instant,
    /// How its token stands; only when one authorizer is looked up.
    #[oai(skip_serializing_if_is_none)]
    token: Option<TokenHealthView>,
}

impl Example for AuthorizerView {
    fn example() -> Self {
        Self {
            appid: example::AUTHORIZER_APPID.to_owned(),
            component_appid: example::COMPONENT_APPID.to_owned(),
            connection: ConnectionView::Component,
            state: StateView::Active,
            kind: Some(ProfileKindView::OfficialAccount),
            nick_name: Some("街角书店".to_owned()),
            user_name: Some("gh_eb5e3a772040".to_owned()),
            principal_name: Some("街角书店有限公司".to_owned()),
            alias: Some("corner-books".to_owned()),
            signature: None,
            head_img: Some("https://wx.qlogo.cn/mmopen/0".to_owned()),
            qrcode_url: Some("https://mmbiz.qpic.cn/mmbiz_jpg/0".to_owned()),
            func_info: vec![PermissionSetView::example()],
            granted_at: example::instant(),
            token: Some(TokenHealthView::example()),
        }
    }
}

#[OpenApi(tag = "Group::Authorizers")]
impl AuthorizersApi {
    /// Look up one authorizer.
    ///
    /// Its profile, what it granted and how its token stands. Needs the scope `authorizer:read`.
    #[oai(path = "/authorizers/:appid", method = "get", operation_id = "get_authorizer")]
    async fn get(
        &self,
        auth: TenantAuth<AuthorizerRead>,
        /// The account's appid.
        appid: Path<String>,
    ) -> Result<Json<AuthorizerView>> {
        let appid = Appid::parse(&appid).map_err(|_| Problem::authorizer_not_found())?;
        let (authorizer, health) = self.authorizers.get(auth.scope(), &appid).await?;
        let token = Some(health.into());
        Ok(Json(AuthorizerView { token, ..authorizer.into() }))
    }

    /// List the authorizers.
    ///
    /// Oldest first. Needs the scope `authorizer:read`.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    #[oai(path = "/authorizers", method = "get", operation_id = "list_authorizers")]
    async fn list(
        &self,
        auth: TenantAuth<AuthorizerRead>,
        /// Only those that granted to this component.
        component_appid: Query<Option<String>>,
        /// Only those in this state.
        state: Query<Option<StateView>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<u64>>,
        /// `next` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<PageView<AuthorizerView>>> {
        let page = page::request(*limit, cursor.as_deref())?;
        let component_appid = component_appid
            .as_deref()
            .map(Appid::parse)
            .transpose()
            .map_err(|error| Problem::invalid_field("component_appid", error.to_string()))?;
        let filter = AuthorizerFilter { component_appid, state: state.map(StateView::as_str) };
        let found = self.authorizers.list(auth.scope(), &filter, &page).await?;
        Ok(Json(PageView::of(found, AuthorizerView::from)))
    }
}

impl StateView {
    /// As the model writes it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NeedsReauthorization => "needs_reauthorization",
            Self::Revoked => "revoked",
        }
    }
}

impl From<Authorizer> for AuthorizerView {
    fn from(authorizer: Authorizer) -> Self {
        let profile = authorizer.profile;
        Self {
            appid: authorizer.appid.to_string(),
            component_appid: authorizer.component_appid.to_string(),
            connection: ConnectionView::Component,
            state: match authorizer.state {
                AuthorizerState::Active => StateView::Active,
                AuthorizerState::NeedsReauthorization { .. } => StateView::NeedsReauthorization,
                AuthorizerState::Revoked { .. } => StateView::Revoked,
            },
            kind: profile.kind.map(|kind| match kind {
                ProfileKind::OfficialAccount => ProfileKindView::OfficialAccount,
                ProfileKind::MiniProgram => ProfileKindView::MiniProgram,
            }),
            nick_name: profile.nick_name,
            user_name: profile.user_name,
            principal_name: profile.principal_name,
            alias: profile.alias,
            signature: profile.signature,
            head_img: profile.head_img,
            qrcode_url: profile.qrcode_url,
            func_info: authorizer.func_info.into_iter().map(permission_set).collect(),
            granted_at: authorizer.granted_at,
            token: None,
        }
    }
}

fn permission_set(id: u32) -> PermissionSetView {
    let name = funcscope_name(id);
    PermissionSetView {
        id,
        name: name.map(|name| name.zh.clone()),
        name_en: name.map(|name| name.en.clone()),
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::*;

    #[test]
    fn states_are_written_as_the_model_writes_them() {
        let since = chrono::DateTime::UNIX_EPOCH;
        for (view, state) in [
            (StateView::Active, AuthorizerState::Active),
            (StateView::NeedsReauthorization, AuthorizerState::NeedsReauthorization { since }),
            (StateView::Revoked, AuthorizerState::Revoked { at: since }),
        ] {
            assert_eq!(view.as_str(), state.as_str());
            assert_eq!(view.to_json(), Some(state.as_str().into()));
        }
    }

    #[test]
    fn a_list_leaves_the_token_out_and_says_null_where_nothing_is_known() {
        let view = AuthorizerView { token: None, nick_name: None, ..AuthorizerView::example() };
        let json = view.to_json().unwrap();
        assert!(json.get("token").is_none());
        assert_eq!(json.get("nick_name"), Some(&serde_json::Value::Null));
        assert_eq!(json["func_info"][0]["name"], "消息管理");
        assert_eq!(json["connection"], "component");
    }
}
