use lingpai_authorizer::{Claim, Claims, SystemAuthorizerFilter};
use lingpai_model::{
    Appid, Instant,
    authorizer::Authorizer,
    id::{AuthorizerId, TenantId},
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::Group;
use crate::{
    auth::OperatorAuth,
    example,
    input::Input,
    page::PageView,
    parameter::{
        self, AuthorizerIdText, ComponentAppidText, CursorText, Filter, Limit, TenantIdText,
    },
    problem::{Problem, Result},
    view::authorizer::{ConnectionView, ProfileKindView, StateView},
};

pub(crate) struct AuthorizersApi {
    pub(super) claims: Claims,
}

/// Whom an unclaimed authorizer is given to.
#[derive(Debug, Object)]
#[oai(rename = "NewOwner", example)]
struct NewOwner {
    /// The tenant.
    #[oai(validator(
        min_length = 30,
        max_length = 30,
        pattern = "^tnt_[0-7][0-9A-HJKMNP-TV-Z]{25}$"
    ))]
    tenant_id: String,
}

impl Example for NewOwner {
    fn example() -> Self {
        Self { tenant_id: example::TENANT_ID.to_owned() }
    }
}

/// An account that is connected here, as operators see it. What it tells of itself is text of others:
/// escape it.
#[derive(Debug, Object)]
#[oai(rename = "Authorizer", example)]
struct AuthorizerView {
    /// Its id. Its appid alone does not name it: an account may have granted to several components.
    id: String,
    /// Its appid.
    appid: String,
    /// Its owner; null while nobody owns it.
    #[oai(nullable)]
    tenant_id: Option<String>,
    /// How it is connected.
    connection: ConnectionView,
    /// The component it granted to; null if it is connected by its own secret.
    #[oai(nullable)]
    component_appid: Option<String>,
    /// Whether the grant stands.
    state: StateView,
    /// When an operator said that it is not to be served; null if none did.
    #[oai(nullable)]
    refused_at: Option<Instant>,
    /// Which kind of account it is, once its profile was read.
    #[oai(nullable)]
    kind: Option<ProfileKindView>,
    /// Its name.
    #[oai(nullable)]
    nick_name: Option<String>,
    /// The legal entity behind it.
    #[oai(nullable)]
    principal_name: Option<String>,
    /// When the present grant was made; when it was connected, if by its own secret.
    granted_at: Instant,
    /// When it first granted or was first connected.
    created_at: Instant,
    /// When something about it last changed here.
    updated_at: Instant,
}

impl Example for AuthorizerView {
    fn example() -> Self {
        Self {
            id: example::AUTHORIZER_ID.to_owned(),
            appid: example::AUTHORIZER_APPID.to_owned(),
            tenant_id: None,
            connection: ConnectionView::Component,
            component_appid: Some(example::COMPONENT_APPID.to_owned()),
            state: StateView::Active,
            refused_at: None,
            kind: Some(ProfileKindView::OfficialAccount),
            nick_name: Some("街角书店".to_owned()),
            principal_name: Some("街角书店有限公司".to_owned()),
            granted_at: example::instant(),
            created_at: example::instant(),
            updated_at: example::instant(),
        }
    }
}

#[OpenApi(tag = "Group::Authorizers")]
impl AuthorizersApi {
    /// List the authorizers of all tenants and of none.
    ///
    /// Oldest first. For operators.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    #[oai(path = "/authorizers", method = "get", operation_id = "list_authorizers")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// Only those of this tenant.
        tenant_id: Query<Option<Filter<TenantIdText>>>,
        /// `true`: only those that wait for an owner; `false`: only those that have one.
        unclaimed: Query<Option<bool>>,
        /// `true`: only those that an operator said are not to be served, whatever `unclaimed` says.
        refused: Query<Option<bool>>,
        /// Only those that granted to this component.
        component_appid: Query<Option<Filter<ComponentAppidText>>>,
        /// Only those in this state.
        state: Query<Option<StateView>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<AuthorizerView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let filter = SystemAuthorizerFilter {
            tenant_id: tenant_id
                .as_deref()
                .map(|text| parameter::parsed("tenant_id", text, TenantId::parse))
                .transpose()?,
            claim: claim(*unclaimed, *refused),
            component_appid: component_appid
                .as_deref()
                .map(|text| parameter::parsed("component_appid", text, Appid::parse))
                .transpose()?,
            state: state.map(StateView::as_str),
        };
        let found = self.claims.list(&filter, &page).await?;
        Ok(Json(PageView::of(found, AuthorizerView::from)))
    }

    /// Give an unclaimed authorizer to a tenant.
    ///
    /// It appears among the tenant's authorizers as if its administrator had followed a link of the
    /// tenant's, and the tenant gets the event `authorizer.authorized`. One that has an owner must be
    /// released first. For operators.
    #[oai(path = "/authorizers/:id/assign", method = "post", operation_id = "assign_authorizer")]
    async fn assign(
        &self,
        auth: OperatorAuth,
        /// The authorizer.
        id: Path<AuthorizerIdText>,
        input: Input<NewOwner>,
    ) -> Result<Json<AuthorizerView>> {
        let id = authorizer_id(&id)?;
        let tenant = parameter::parsed("tenant_id", &input.0.tenant_id, TenantId::parse)?;
        Ok(Json(self.claims.assign(auth.caller(), &id, &tenant).await?.into()))
    }

    /// Say that an unclaimed authorizer is not to be served.
    ///
    /// It no longer waits for an owner; nothing is erased, and it can still be assigned. One that has
    /// an owner must be released first. For operators.
    #[oai(path = "/authorizers/:id/refuse", method = "post", operation_id = "refuse_authorizer")]
    async fn refuse(
        &self,
        auth: OperatorAuth,
        /// The authorizer.
        id: Path<AuthorizerIdText>,
    ) -> Result<Json<AuthorizerView>> {
        let refused = self.claims.refuse(auth.caller(), &authorizer_id(&id)?).await?;
        Ok(Json(refused.into()))
    }

    /// Take an authorizer from its owner.
    ///
    /// For its owner it is as if it had never been there. One that granted to a component waits for
    /// an owner again, and its grant stands; the secret of one that was connected by it is erased.
    /// For operators.
    #[oai(path = "/authorizers/:id/release", method = "post", operation_id = "release_authorizer")]
    async fn release(
        &self,
        auth: OperatorAuth,
        /// The authorizer.
        id: Path<AuthorizerIdText>,
    ) -> Result<Json<AuthorizerView>> {
        let released = self.claims.release_for(auth.caller(), &authorizer_id(&id)?).await?;
        Ok(Json(released.into()))
    }
}

/// Reads the id in a path; one that cannot be is one of no authorizer.
fn authorizer_id(text: &str) -> Result<AuthorizerId> {
    AuthorizerId::parse(text).map_err(|_| Problem::authorizer_absent())
}

fn claim(unclaimed: Option<bool>, refused: Option<bool>) -> Option<Claim> {
    match (refused, unclaimed) {
        (Some(true), _) => Some(Claim::Refused),
        (_, Some(true)) => Some(Claim::Unclaimed),
        (_, Some(false)) => Some(Claim::Owned),
        (_, None) => None,
    }
}

impl From<Authorizer> for AuthorizerView {
    fn from(authorizer: Authorizer) -> Self {
        Self {
            id: authorizer.id.to_string(),
            appid: authorizer.appid.to_string(),
            tenant_id: authorizer.tenant_id.map(|tenant| tenant.to_string()),
            connection: ConnectionView::from(&authorizer.connection),
            component_appid: authorizer.connection.component_appid().map(ToString::to_string),
            state: StateView::from(&authorizer.state),
            refused_at: authorizer.refused_at,
            kind: authorizer.profile.kind.map(ProfileKindView::from),
            nick_name: authorizer.profile.nick_name,
            principal_name: authorizer.profile.principal_name,
            granted_at: authorizer.granted_at,
            created_at: authorizer.created_at,
            updated_at: authorizer.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;
    use crate::{problem::Code, sample};

    #[test]
    fn an_unclaimed_account_says_that_nobody_owns_it() {
        let refused = Authorizer {
            tenant_id: None,
            refused_at: Some(example::instant()),
            ..sample::authorizer()
        };
        let told = AuthorizerView::from(refused).to_json().unwrap();
        assert_eq!(told.get("tenant_id"), Some(&json!(null)));
        assert_eq!(told["refused_at"], example::instant().to_json().unwrap());
        assert_eq!((&told["connection"], &told["state"]), (&json!("component"), &json!("active")));
        assert_eq!(told["component_appid"], example::COMPONENT_APPID);
    }

    #[test]
    fn an_owner_is_named_by_the_id_of_its_tenant() {
        let owned = sample::authorizer();
        let owner = owned.tenant_id.clone().unwrap();
        assert_eq!(AuthorizerView::from(owned).to_json().unwrap()["tenant_id"], owner.as_str());
    }

    #[test]
    fn a_list_shows_all_unless_it_is_asked_for_some() {
        assert_eq!(claim(None, None), None);
        assert_eq!(claim(None, Some(false)), None);
        assert_eq!(claim(Some(true), None), Some(Claim::Unclaimed));
        assert_eq!(claim(Some(false), Some(false)), Some(Claim::Owned));
        assert_eq!(claim(Some(true), Some(true)), Some(Claim::Refused));
    }

    #[test]
    fn an_impossible_id_is_one_of_no_authorizer() {
        assert_eq!(authorizer_id("wx1").unwrap_err().code(), Code::AuthorizerNotFound);
    }
}
