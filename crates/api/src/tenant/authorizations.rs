use lingpai_authorizer::{AuthorizationFilter, Authorizations, Progress, StartAuthorization};
use lingpai_model::{
    Appid, Instant,
    authorization::{AccountKind, Authorization, AuthorizationState},
    id::AuthorizationId,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::Group;
use crate::{
    answer::Created,
    auth::{AuthorizerRead, AuthorizerWrite, TenantAuth},
    example,
    input::Input,
    page::PageView,
    parameter::{self, AuthorizationIdText, CursorText, Limit},
    problem::{Problem, Result},
};

pub(crate) struct AuthorizationsApi {
    pub(super) authorizations: Authorizations,
}

/// Which accounts WeChat's page offers.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "AccountKind", rename_all = "snake_case", remote = "AccountKind")]
enum AccountKindView {
    /// Official accounts (公众号) only.
    OfficialAccount,
    /// Mini programs (小程序) only.
    MiniProgram,
    /// Both.
    Any,
}

/// How far an authorization got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "AuthorizationState", rename_all = "snake_case", remote = "Progress")]
enum StateView {
    /// Waiting for the administrator and for WeChat's word.
    Pending,
    /// The authorizer is stored and yours.
    Finished,
    /// The account granted, but it belongs to another customer of the same component.
    OwnedElsewhere,
    /// The link ended before anybody granted.
    Expired,
    /// The account granted, and WeChat refused for good to tell us what; `errcode` says why.
    Refused,
}

/// What to ask an administrator for.
#[derive(Debug, Object)]
#[oai(rename = "NewAuthorization", skip_serializing_if_is_none, example)]
struct NewAuthorization {
    /// The component that is to be granted.
    #[oai(validator(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    component_appid: String,
    /// Which accounts to offer.
    account_kind: AccountKindView,
    /// The only account that may grant; wins over `account_kind`.
    #[oai(nullable, validator(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    appid: Option<String>,
    /// The permission sets (权限集) to ask for, by number; absent: those that the component
    /// publishes.
    #[oai(nullable, validator(max_items = 100))]
    category_ids: Option<Vec<u32>>,
    /// Where the administrator's browser goes at the end, with `authorization_id`,
    /// `authorization_state` and `reference` in its query. Registered before, with
    /// `POST /redirect-uris`.
    #[oai(nullable, validator(min_length = 1, max_length = 512))]
    return_url: Option<String>,
    /// Your own words for this attempt; they come back to you.
    #[oai(nullable, validator(min_length = 1, max_length = 128))]
    reference: Option<String>,
    /// What the administrator is told the rights are for.
    #[oai(nullable, validator(min_length = 1, max_length = 200))]
    purpose: Option<String>,
}

impl Example for NewAuthorization {
    fn example() -> Self {
        Self {
            component_appid: example::COMPONENT_APPID.to_owned(),
            account_kind: AccountKindView::OfficialAccount,
            appid: None,
            category_ids: Some(vec![1, 11]),
            return_url: Some("https://shop.example/wechat/done".to_owned()),
            reference: Some("customer-42".to_owned()),
            purpose: Some("Answer the shop's customers".to_owned()),
        }
    }
}

/// An authorization that has just been started.
#[derive(Debug, Object)]
#[oai(rename = "StartedAuthorization", example)]
struct StartedView {
    /// Its id.
    id: String,
    /// The link for the account's administrator, shown this once. Whoever has it can grant.
    url: String,
    /// When the link ends.
    expires_at: Instant,
    /// How far it got.
    state: StateView,
}

impl Example for StartedView {
    fn example() -> Self {
        let url = format!("https://lingpai.example/authorize/{}", "5f0c3a9e".repeat(8));
        Self {
            id: example::AUTHORIZATION_ID.to_owned(),
            url,
            expires_at: example::instant(),
            state: StateView::Pending,
        }
    }
}

/// One attempt of an account's administrator.
#[derive(Debug, Object)]
#[oai(rename = "Authorization", skip_serializing_if_is_none, example)]
struct AuthorizationView {
    /// Its id.
    id: String,
    /// How far it got.
    state: StateView,
    /// The account that granted, once it is yours.
    authorizer_appid: Option<String>,
    /// The number with which WeChat refused, once it did. 61028: the platform is not published yet, so
    /// only the accounts on its list of test accounts (授权测试公众号/小程序列表) can grant.
    errcode: Option<i64>,
    /// Which accounts were offered.
    account_kind: AccountKindView,
    /// The only account that may grant.
    appid: Option<String>,
    /// The permission sets asked for; empty: those that the component publishes.
    category_ids: Vec<u32>,
    /// Where the administrator's browser goes at the end.
    return_url: Option<String>,
    /// Your own words for this attempt.
    reference: Option<String>,
    /// What the administrator is told the rights are for.
    purpose: Option<String>,
    /// When it was started.
    created_at: Instant,
    /// When its link ends.
    expires_at: Instant,
}

impl Example for AuthorizationView {
    fn example() -> Self {
        Self {
            id: example::AUTHORIZATION_ID.to_owned(),
            state: StateView::Finished,
            authorizer_appid: Some(example::AUTHORIZER_APPID.to_owned()),
            errcode: None,
            account_kind: AccountKindView::OfficialAccount,
            appid: None,
            category_ids: vec![1, 11],
            return_url: Some("https://shop.example/wechat/done".to_owned()),
            reference: Some("customer-42".to_owned()),
            purpose: Some("Answer the shop's customers".to_owned()),
            created_at: example::instant(),
            expires_at: example::instant() + chrono::Duration::minutes(30),
        }
    }
}

#[OpenApi(tag = "Group::Authorizations")]
impl AuthorizationsApi {
    /// Start an authorization.
    ///
    /// Makes a link for the account's administrator. What is granted through it becomes yours.
    /// Needs the scope `authorizer:write`.
    #[oai(path = "/authorizations", method = "post", operation_id = "start_authorization")]
    async fn start(
        &self,
        auth: TenantAuth<AuthorizerWrite>,
        input: Input<NewAuthorization>,
    ) -> Result<Created<StartedView>> {
        let input = StartAuthorization::try_from(input.0)?;
        let started = self.authorizations.start(auth.caller(), input).await?;
        Ok(Created(StartedView {
            id: started.authorization.id.to_string(),
            url: started.url.to_string(),
            expires_at: started.authorization.expires_at,
            state: StateView::Pending,
        }))
    }

    /// Look up one authorization.
    ///
    /// Tells how far it got. Needs the scope `authorizer:read`.
    #[oai(path = "/authorizations/:id", method = "get", operation_id = "get_authorization")]
    async fn get(
        &self,
        auth: TenantAuth<AuthorizerRead>,
        /// The authorization.
        id: Path<AuthorizationIdText>,
    ) -> Result<Json<AuthorizationView>> {
        let id = AuthorizationId::parse(&id).map_err(|_| Problem::authorization_not_found())?;
        let authorization = self.authorizations.get(auth.scope(), &id).await?;
        Ok(Json(self.view(authorization)))
    }

    /// List the authorizations.
    ///
    /// Oldest first. Needs the scope `authorizer:read`.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    #[oai(path = "/authorizations", method = "get", operation_id = "list_authorizations")]
    async fn list(
        &self,
        auth: TenantAuth<AuthorizerRead>,
        /// Only those in this state.
        state: Query<Option<StateView>>,
        /// Only those with this reference of yours, letter by letter.
        #[oai(validator(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f]+$"))]
        reference: Query<Option<String>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<AuthorizationView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let filter =
            AuthorizationFilter { reference: reference.0, progress: state.map(Progress::from) };
        let found = self.authorizations.list(auth.scope(), &filter, &page).await?;
        Ok(Json(PageView::of(found, |authorization| self.view(authorization))))
    }

    fn view(&self, authorization: Authorization) -> AuthorizationView {
        let is_expired = self.authorizations.is_expired(&authorization);
        AuthorizationView::of(authorization, is_expired)
    }
}

impl TryFrom<NewAuthorization> for StartAuthorization {
    type Error = Problem;

    fn try_from(input: NewAuthorization) -> Result<Self> {
        let appid = |field, text: &str| parameter::parsed(field, text, Appid::parse);
        Ok(Self {
            component_appid: appid("component_appid", &input.component_appid)?,
            account_kind: input.account_kind.into(),
            appid: input.appid.as_deref().map(|text| appid("appid", text)).transpose()?,
            category_ids: input.category_ids.unwrap_or_default(),
            return_url: input.return_url,
            reference: input.reference,
            purpose: input.purpose,
        })
    }
}

impl AuthorizationView {
    fn of(authorization: Authorization, is_expired: bool) -> Self {
        let mut errcode = None;
        let (state, authorizer_appid) = match authorization.state {
            AuthorizationState::Pending if is_expired => (StateView::Expired, None),
            AuthorizationState::Pending => (StateView::Pending, None),
            AuthorizationState::Finished { authorizer_appid, .. } => {
                (StateView::Finished, Some(authorizer_appid.to_string()))
            }
            // Which account it was is the other customer's business.
            AuthorizationState::OwnedElsewhere { .. } => (StateView::OwnedElsewhere, None),
            AuthorizationState::Refused { errcode: refused_with, .. } => {
                errcode = Some(refused_with);
                (StateView::Refused, None)
            }
        };
        Self {
            id: authorization.id.to_string(),
            state,
            authorizer_appid,
            errcode,
            account_kind: authorization.account_kind.into(),
            appid: authorization.appid.map(|appid| appid.to_string()),
            category_ids: authorization.category_ids,
            return_url: authorization.return_url,
            reference: authorization.reference,
            purpose: authorization.purpose,
            created_at: authorization.created_at,
            expires_at: authorization.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::*;
    use crate::sample;

    fn viewed(state: AuthorizationState, is_expired: bool) -> AuthorizationView {
        let authorization = Authorization { state, ..sample::authorization() };
        AuthorizationView::of(authorization, is_expired)
    }

    #[test]
    fn the_account_is_told_only_to_its_owner() {
        let appid = Appid::parse("wx1").unwrap();
        let at = example::instant();
        let finished = AuthorizationState::Finished { authorizer_appid: appid.clone(), at };
        let view = viewed(finished, false);
        assert_eq!(
            (view.state, view.authorizer_appid.as_deref()),
            (StateView::Finished, Some("wx1"))
        );
        let elsewhere = AuthorizationState::OwnedElsewhere { authorizer_appid: appid, at };
        let view = viewed(elsewhere, false);
        assert_eq!((view.state, view.authorizer_appid), (StateView::OwnedElsewhere, None));
    }

    #[test]
    fn a_refusal_of_wechats_is_told_with_its_number() {
        let refused = AuthorizationState::Refused { errcode: 61_028, at: example::instant() };
        let view = viewed(refused, true);
        assert_eq!((view.state, view.errcode), (StateView::Refused, Some(61_028)));
        assert_eq!(view.authorizer_appid, None);
    }

    #[test]
    fn what_is_absent_is_left_out_and_secrets_never_come_out() {
        let view = viewed(AuthorizationState::Pending, true);
        let json = view.to_json_string();
        assert!(json.contains("\"state\":\"expired\""));
        assert!(!json.contains("authorizer_appid") && !json.contains("canary"), "{json}");
    }

    #[test]
    fn appids_are_read_at_the_door() {
        let mut input = NewAuthorization::example();
        input.appid = Some("wx 1".to_owned());
        let problem = StartAuthorization::try_from(input).unwrap_err();
        assert!(problem.to_string().contains("a-z A-Z 0-9"));
    }
}
