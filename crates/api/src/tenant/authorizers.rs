use lingpai_authorizer::{
    self as authorizer, Accounts, AuthorizerFilter, Authorizers, Claims, Errcode,
};
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::{Authorizer, Connection, ProfileKind, TokenApi},
    caller::TenantScope,
    clock::SharedClock,
    token::TokenHealth,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};
use url::Url;

use super::{Group, authorizer_appid};
use crate::{
    answer::{Created, NoContent},
    auth::{AuthorizerRead, AuthorizerWrite, TenantAuth},
    example,
    input::Input,
    page::PageView,
    parameter::{self, AppidText, ComponentAppidText, CursorText, Filter, Limit},
    problem::{Problem, Result},
    token::TokenHealthView,
    view::authorizer::{
        ConnectionView, PermissionSetView, ProfileKindView, StateView, permission_set,
    },
};

pub(crate) struct AuthorizersApi {
    pub(super) authorizers: Authorizers,
    pub(super) accounts: Accounts,
    pub(super) claims: Claims,
    pub(super) clock: SharedClock,
    pub(super) public_url: Url,
}

/// Which of WeChat's two interfaces gives an account's ordinary `access_token`.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "TokenApi", rename_all = "snake_case", remote = "TokenApi")]
enum TokenApiView {
    /// `cgi-bin/stable_token`: others who fetch one there get the same.
    StableToken,
    /// `cgi-bin/token`: each fetch ends the token before, so nobody else may fetch one there.
    Token,
}

/// Which field WeChat blames when it gives no token for an account.
///
/// Source: WeChat docs, "Global return codes": 40013 no such appid, 40125 wrong secret; 40001 on a token
/// call is a wrong secret as well.
const BLAMED: [(Errcode, &str); 3] = [
    (Errcode::INVALID_APPID, "appid"),
    (Errcode::INVALID_APPSECRET, "appsecret"),
    (Errcode::INVALID_CREDENTIAL, "appsecret"),
];

/// An account to connect by its own secret, as WeChat's console shows it.
#[derive(Object)]
#[oai(rename = "NewAuthorizer", skip_serializing_if_is_none, example)]
struct NewAuthorizer {
    /// `secret`: to connect an account to a component, start an authorization instead.
    connection: ConnectionView,
    /// The account's appid.
    #[oai(validator(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    appid: String,
    /// Its secret (AppSecret).
    #[oai(validator(min_length = 1, max_length = 128))]
    appsecret: String,
    /// Which interface gives its token; absent: `stable_token`.
    #[oai(nullable)]
    token_api: Option<TokenApiView>,
    /// 令牌 (Token) of its message push; only together with `encoding_aes_key`.
    #[oai(nullable, validator(min_length = 1, max_length = 128))]
    push_token: Option<String>,
    /// 消息加解密密钥 (EncodingAESKey) of its message push: 43 characters.
    #[oai(nullable, validator(min_length = 43, max_length = 43))]
    encoding_aes_key: Option<String>,
}

impl Example for NewAuthorizer {
    fn example() -> Self {
        Self {
            connection: ConnectionView::Secret,
            appid: example::AUTHORIZER_APPID.to_owned(),
            appsecret: "the AppSecret of the console".to_owned(),
            token_api: Some(TokenApiView::StableToken),
            push_token: Some("the Token of the console".to_owned()),
            encoding_aes_key: Some("a".repeat(43)),
        }
    }
}

/// An account that granted rights or is connected by its own secret. What it tells of itself is text
/// of others: escape it.
#[derive(Debug, Object)]
#[oai(rename = "Authorizer", example)]
struct AuthorizerView {
    /// Its appid.
    appid: String,
    /// The component it granted to; null if it is connected by its own secret.
    #[oai(nullable)]
    component_appid: Option<String>,
    /// How it is connected.
    connection: ConnectionView,
    /// What to enter as 服务器地址(URL) of its message push in WeChat's console, with encryption
    /// (安全模式) and as XML; it refuses everything as long as no `push_token` is entered here. Null if
    /// the account granted to a component, whose URL serves all its accounts.
    #[oai(nullable)]
    events_url: Option<String>,
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
    /// When the present grant was made; when it was connected, if by its own secret.
    granted_at: Instant,
    /// How its token stands; only when one authorizer is looked up.
    #[oai(skip_serializing_if_is_none)]
    token: Option<TokenHealthView>,
}

impl Example for AuthorizerView {
    fn example() -> Self {
        Self {
            appid: example::AUTHORIZER_APPID.to_owned(),
            component_appid: Some(example::COMPONENT_APPID.to_owned()),
            connection: ConnectionView::Component,
            events_url: None,
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
    /// Connect an account by its own secret.
    ///
    /// The secret is proved by getting a token with it, which may end the token before. Connecting an
    /// account of yours again replaces its secret and keys. Needs the scope `authorizer:write`.
    #[oai(path = "/authorizers", method = "post", operation_id = "connect_account")]
    async fn connect(
        &self,
        auth: TenantAuth<AuthorizerWrite>,
        input: Input<NewAuthorizer>,
    ) -> Result<Created<AuthorizerView>> {
        let account = authorizer::NewAccount::try_from(input.0)?;
        let connected = self.accounts.connect(auth.caller(), account).await;
        let connected = connected.map_err(|error| Problem::from(error).blaming(&BLAMED))?;
        let appid = connected.appid;
        Ok(Created(self.looked_up(auth.scope(), &appid).await?))
    }

    /// Look up one authorizer.
    ///
    /// Its profile, what it granted and how its token stands. Needs the scope `authorizer:read`.
    #[oai(path = "/authorizers/:appid", method = "get", operation_id = "get_authorizer")]
    async fn get(
        &self,
        auth: TenantAuth<AuthorizerRead>,
        /// The account's appid.
        appid: Path<AppidText>,
    ) -> Result<Json<AuthorizerView>> {
        Ok(Json(self.looked_up(auth.scope(), &authorizer_appid(&appid)?).await?))
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
        component_appid: Query<Option<Filter<ComponentAppidText>>>,
        /// Only those that are connected so.
        connection: Query<Option<ConnectionView>>,
        /// Only accounts of this kind; one whose profile was not read yet is of none.
        kind: Query<Option<ProfileKindView>>,
        /// Only those in this state.
        state: Query<Option<StateView>>,
        /// Only those whose name has this in it, letter by letter.
        #[oai(validator(min_length = 1, max_length = 64, pattern = "^[^\\x00-\\x1f\\x7f]+$"))]
        name: Query<Option<String>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<AuthorizerView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let filter = AuthorizerFilter {
            component_appid: component_appid
                .as_deref()
                .map(|text| parameter::parsed("component_appid", text, Appid::parse))
                .transpose()?,
            state: state.map(StateView::as_str),
            connection: connection.map(ConnectionView::as_str),
            kind: kind.map(ProfileKind::from),
            name: name.0,
        };
        let found = self.authorizers.list(auth.scope(), &filter, &page).await?;
        Ok(Json(PageView::of(found, |authorizer| self.view(authorizer))))
    }

    /// Release an authorizer.
    ///
    /// It is no longer yours: its token and its profile are out of reach, and nobody else gets them
    /// by that. What its administrator granted to the component stands until it is withdrawn in
    /// WeChat; of an account that was connected by its own secret the secret is erased. Needs the
    /// scope `authorizer:write`.
    #[oai(path = "/authorizers/:appid", method = "delete", operation_id = "release_authorizer")]
    async fn release(
        &self,
        auth: TenantAuth<AuthorizerWrite>,
        /// The account's appid.
        appid: Path<AppidText>,
    ) -> Result<NoContent> {
        self.claims.release(auth.caller(), &authorizer_appid(&appid)?).await?;
        Ok(NoContent)
    }

    /// Read an authorizer's profile from WeChat now.
    ///
    /// Its name, its pictures and what it granted. By itself it is read when the account grants. WeChat
    /// tells nothing of an account that is connected by its own secret. Needs the scope
    /// `authorizer:write`.
    #[oai(
        path = "/authorizers/:appid/profile-refresh",
        method = "post",
        operation_id = "refresh_profile"
    )]
    async fn refresh_profile(
        &self,
        auth: TenantAuth<AuthorizerWrite>,
        /// The account's appid.
        appid: Path<AppidText>,
    ) -> Result<Json<AuthorizerView>> {
        let appid = authorizer_appid(&appid)?;
        let refreshed = self.authorizers.refresh_profile(auth.caller(), &appid).await?;
        Ok(Json(self.with_health(refreshed)))
    }

    /// One authorizer with the health of its token.
    async fn looked_up(&self, scope: &TenantScope, appid: &Appid) -> Result<AuthorizerView> {
        Ok(self.with_health(self.authorizers.get(scope, appid).await?))
    }

    fn with_health(&self, (authorizer, health): (Authorizer, TokenHealth)) -> AuthorizerView {
        let token = Some(TokenHealthView::of(health, self.clock.now()));
        AuthorizerView { token, ..self.view(authorizer) }
    }

    fn view(&self, authorizer: Authorizer) -> AuthorizerView {
        AuthorizerView::of(authorizer, &self.public_url)
    }
}

impl TryFrom<NewAuthorizer> for authorizer::NewAccount {
    type Error = Problem;

    fn try_from(input: NewAuthorizer) -> Result<Self> {
        if input.connection == ConnectionView::Component {
            return Err(Problem::invalid_field(
                "connection",
                "an account is connected to a component by its administrator: start an \
                 authorization with POST /v1/authorizations; here it is `secret`",
            ));
        }
        let appid = parameter::parsed("appid", &input.appid, Appid::parse)?;
        let lone = |field| {
            Problem::invalid_field(field, "pushes need both push_token and encoding_aes_key")
        };
        let push_keys = match (input.push_token, input.encoding_aes_key) {
            (Some(push_token), Some(key)) => Some((Secret::from(push_token), Secret::from(key))),
            (None, None) => None,
            (None, Some(_)) => return Err(lone("push_token")),
            (Some(_), None) => return Err(lone("encoding_aes_key")),
        };
        Ok(Self {
            appid,
            appsecret: Secret::from(input.appsecret),
            token_api: input.token_api.map_or(TokenApi::StableToken, TokenApi::from),
            push_keys,
        })
    }
}

impl AuthorizerView {
    fn of(authorizer: Authorizer, public_url: &Url) -> Self {
        let (appid, profile) = (authorizer.appid.to_string(), authorizer.profile);
        let base = public_url.as_str().trim_end_matches('/');
        let connection = ConnectionView::from(&authorizer.connection);
        let (component_appid, events_url) = match authorizer.connection {
            Connection::Component { appid, .. } => (Some(appid.to_string()), None),
            Connection::Secret => (None, Some(format!("{base}/wechat/authorizers/{appid}/events"))),
        };
        Self {
            appid,
            component_appid,
            connection,
            events_url,
            state: StateView::from(&authorizer.state),
            kind: profile.kind.map(ProfileKindView::from),
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

#[cfg(test)]
mod tests {
    use lingpai_model::{clock::Entropy, id::ComponentId};
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;
    use crate::{problem::Code, sample};

    #[test]
    fn a_list_leaves_the_token_out_and_says_null_where_nothing_is_known() {
        let view = AuthorizerView { token: None, nick_name: None, ..AuthorizerView::example() };
        let json = view.to_json().unwrap();
        assert!(json.get("token").is_none());
        assert_eq!(json.get("nick_name"), Some(&serde_json::Value::Null));
        assert_eq!(json["func_info"][0]["name"], "消息管理");
        assert_eq!(json["connection"], "component");
    }

    fn connected(connection: Connection) -> serde_json::Value {
        let appid = Appid::parse("wx1").unwrap();
        let authorizer = Authorizer { connection, appid, ..sample::authorizer() };
        let public_url = Url::parse("https://lingpai.example").unwrap();
        AuthorizerView::of(authorizer, &public_url).to_json().unwrap()
    }

    #[test]
    fn an_account_shows_its_component_or_where_its_own_pushes_go() {
        let secret = connected(Connection::Secret);
        assert_eq!(secret["connection"], Connection::Secret.as_str());
        assert_eq!(secret.get("component_appid"), Some(&json!(null)));
        assert_eq!(secret["events_url"], "https://lingpai.example/wechat/authorizers/wx1/events");

        let id = ComponentId::new(example::instant(), &Entropy::seeded(1));
        let granted = Connection::Component { id, appid: Appid::parse("wx2").unwrap() };
        let word = granted.as_str();
        let component = connected(granted);
        assert_eq!(
            (&component["connection"], &component["component_appid"]),
            (&json!(word), &json!("wx2"))
        );
        assert_eq!(component.get("events_url"), Some(&json!(null)));
    }

    #[test]
    fn an_account_gets_its_token_from_the_stable_interface_unless_asked_otherwise() {
        let chosen = |token_api| {
            let input = NewAuthorizer { token_api, ..NewAuthorizer::example() };
            authorizer::NewAccount::try_from(input).unwrap().token_api
        };
        assert_eq!(chosen(None), TokenApi::StableToken);
        assert_eq!(chosen(Some(TokenApiView::Token)), TokenApi::Token);
        for api in TokenApi::ALL {
            assert_eq!(TokenApiView::from(api).to_json(), Some(api.as_str().into()));
        }
    }

    #[test]
    fn what_cannot_be_connected_is_a_fault_of_its_field_and_nothing_is_repeated() {
        let good = NewAuthorizer::example;
        let mute = NewAuthorizer { push_token: None, encoding_aes_key: None, ..good() };
        assert!(authorizer::NewAccount::try_from(mute).unwrap().push_keys.is_none());
        for (field, input) in [
            ("connection", NewAuthorizer { connection: ConnectionView::Component, ..good() }),
            ("appid", NewAuthorizer { appid: "wx/1".to_owned(), ..good() }),
            ("push_token", NewAuthorizer { push_token: None, ..good() }),
            ("encoding_aes_key", NewAuthorizer { encoding_aes_key: None, ..good() }),
        ] {
            let problem = authorizer::NewAccount::try_from(input).unwrap_err();
            assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some(field)));
            assert!(!problem.to_string().contains("the Token of the console"), "{problem}");
        }
    }
}
