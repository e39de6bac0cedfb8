use lingpai_component_token::{
    self as component_token, ComponentTokens, Components, TicketWatch, Tickets,
};
use lingpai_model::{
    Appid, Instant, Secret,
    clock::SharedClock,
    component::{Component, ComponentWatch, Ticket},
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};
use url::Url;

use super::{Group, reconciliations::ReconciliationView};
use crate::{
    answer::{Accepted, Created},
    auth::OperatorAuth,
    example,
    input::Input,
    page::PageView,
    parameter::{self, ComponentAppidText, CursorText, Limit},
    problem::{Code, Problem, Result},
    token::TokenHealthView,
};

pub(crate) struct ComponentsApi {
    pub(super) components: Components,
    pub(super) tickets: Tickets,
    pub(super) ticket_watch: TicketWatch,
    pub(super) tokens: ComponentTokens,
    pub(super) clock: SharedClock,
    pub(super) public_url: Url,
}

/// A component to register, as WeChat's console shows it.
#[derive(Object)]
#[oai(rename = "NewComponent", example)]
struct NewComponent {
    /// Its appid.
    #[oai(validator(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    appid: String,
    /// The name people read, also administrators on the authorization page.
    #[oai(validator(min_length = 1, max_length = 64))]
    name: String,
    /// The component secret (AppSecret).
    #[oai(validator(min_length = 1, max_length = 128))]
    appsecret: String,
    /// 消息校验Token.
    #[oai(validator(min_length = 1, max_length = 128))]
    push_token: String,
    /// 消息加解密Key: 43 characters.
    #[oai(validator(min_length = 43, max_length = 43))]
    encoding_aes_key: String,
}

impl Example for NewComponent {
    fn example() -> Self {
        Self {
            appid: example::COMPONENT_APPID.to_owned(),
            name: "Corner Shop Services".to_owned(),
            appsecret: "the AppSecret of the console".to_owned(),
            push_token: "the Token of the console".to_owned(),
            encoding_aes_key: "a".repeat(43),
        }
    }
}

/// What to change of a component; what is absent stays.
#[derive(Object)]
#[oai(rename = "ComponentChange", skip_serializing_if_is_none, example)]
struct ComponentChange {
    /// The name people read, also administrators on the authorization page.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    name: Option<String>,
    /// The component secret (AppSecret).
    #[oai(nullable, validator(min_length = 1, max_length = 128))]
    appsecret: Option<String>,
    /// 消息校验Token.
    #[oai(nullable, validator(min_length = 1, max_length = 128))]
    push_token: Option<String>,
    /// 消息加解密Key: 43 characters.
    #[oai(nullable, validator(min_length = 43, max_length = 43))]
    encoding_aes_key: Option<String>,
    /// Whether WeChat's whole-network publish test (全网发布检测) is answered. Switch it on before you
    /// press the button in WeChat's console, and off once the component is published.
    #[oai(nullable)]
    answers_publish_test: Option<bool>,
}

impl Example for ComponentChange {
    fn example() -> Self {
        let NewComponent { push_token, encoding_aes_key, .. } = NewComponent::example();
        Self {
            name: None,
            appsecret: None,
            push_token: Some(push_token),
            encoding_aes_key: Some(encoding_aes_key),
            answers_publish_test: None,
        }
    }
}

impl From<ComponentChange> for component_token::ComponentChange {
    fn from(input: ComponentChange) -> Self {
        Self {
            name: input.name,
            appsecret: input.appsecret.map(Secret::from),
            push_token: input.push_token.map(Secret::from),
            encoding_aes_key: input.encoding_aes_key.map(Secret::from),
            answers_publish_test: input.answers_publish_test,
        }
    }
}

/// A component: one registered third-party platform (第三方平台).
#[derive(Debug, Object)]
#[oai(rename = "ComponentSummary", example)]
struct ComponentSummary {
    /// Its appid.
    appid: String,
    /// The name people read.
    name: String,
    /// What to enter as 授权事件接收URL in WeChat's console.
    events_url: String,
    /// What to enter as 消息与事件接收URL in WeChat's console, `$APPID$` included.
    messages_url: String,
    /// When it was registered here.
    created_at: Instant,
}

impl Example for ComponentSummary {
    fn example() -> Self {
        let events = "https://lingpai.example/wechat/components/wx1f0e2d3c4b5a6978";
        Self {
            appid: example::COMPONENT_APPID.to_owned(),
            name: "Corner Shop Services".to_owned(),
            events_url: format!("{events}/events"),
            messages_url: format!("{events}/authorizers/$APPID$/events"),
            created_at: example::instant(),
        }
    }
}

/// A component with its health.
#[derive(Debug, Object)]
#[oai(rename = "Component", example)]
struct ComponentView {
    /// Its appid.
    appid: String,
    /// The name people read.
    name: String,
    /// What to enter as 授权事件接收URL in WeChat's console.
    events_url: String,
    /// What to enter as 消息与事件接收URL in WeChat's console, `$APPID$` included.
    messages_url: String,
    /// When it was registered here.
    created_at: Instant,
    /// The newest ticket that WeChat still honours; null when there is none.
    #[oai(nullable)]
    ticket: Option<TicketView>,
    /// Since when tickets are late; null while they come.
    #[oai(nullable)]
    ticket_late_since: Option<Instant>,
    /// When WeChat was last asked to push tickets, because they were late or it took none; null once
    /// they come again.
    #[oai(nullable)]
    ticket_asked_at: Option<Instant>,
    /// Until when pushes may still be signed with the push token before the present one; null if
    /// none was entered before it.
    #[oai(nullable)]
    previous_push_token_until: Option<Instant>,
    /// Whether WeChat's whole-network publish test (全网发布检测) is answered now.
    answers_publish_test: bool,
    /// How its `component_access_token` stands.
    component_access_token: TokenHealthView,
    /// The last comparison with WeChat's list of accounts; null before the first.
    #[oai(nullable)]
    reconciliation: Option<ReconciliationView>,
}

impl Example for ComponentView {
    fn example() -> Self {
        let health = Health {
            ticket: Some(TicketView::example()),
            watch: ComponentWatch::default(),
            token: TokenHealthView::example(),
            previous_push_token_until: None,
            answers_publish_test: false,
        };
        let reconciliation = Some(ReconciliationView::example());
        Self { reconciliation, ..Self::of(ComponentSummary::example(), health) }
    }
}

/// How a component stands.
struct Health {
    ticket: Option<TicketView>,
    watch: ComponentWatch,
    token: TokenHealthView,
    previous_push_token_until: Option<Instant>,
    answers_publish_test: bool,
}

/// A `component_verify_ticket`, without the ticket.
#[derive(Debug, Object)]
#[oai(rename = "Ticket", example)]
struct TicketView {
    /// When its push reached us.
    received_at: Instant,
    /// When WeChat issued it.
    issued_at: Instant,
    /// Seconds since WeChat issued it. WeChat pushes one every ten minutes.
    age_secs: u64,
}

impl Example for TicketView {
    fn example() -> Self {
        let received_at = example::instant();
        let issued_at = received_at - chrono::Duration::seconds(1);
        Self { received_at, issued_at, age_secs: 240 }
    }
}

#[OpenApi(tag = "Group::Components")]
impl ComponentsApi {
    /// Register a component.
    ///
    /// Enter the two URLs of the answer in WeChat's console; tickets arrive within ten minutes. For
    /// operators.
    #[oai(path = "/components", method = "post", operation_id = "create_component")]
    async fn create(
        &self,
        auth: OperatorAuth,
        input: Input<NewComponent>,
    ) -> Result<Created<ComponentView>> {
        let new = component_token::NewComponent::try_from(input.0)?;
        let component = self.components.create(auth.caller(), new).await?;
        Ok(Created(self.view(component).await?))
    }

    /// List the components.
    ///
    /// Oldest first. For operators.
    #[oai(path = "/components", method = "get", operation_id = "list_components")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<ComponentSummary>>> {
        let page = parameter::page(&limit, &cursor)?;
        let found = self.components.list(&page).await?;
        Ok(Json(PageView::of(found, |component| self.summary(component))))
    }

    /// Look up one component.
    ///
    /// With the age of its ticket, the state of its token, and what its last reconciliation brought.
    /// For operators.
    #[oai(path = "/components/:appid", method = "get", operation_id = "get_component")]
    async fn get(
        &self,
        _auth: OperatorAuth,
        /// The component's appid.
        appid: Path<ComponentAppidText>,
    ) -> Result<Json<ComponentView>> {
        let component = self.components.get(&component_appid(&appid)?).await?;
        Ok(Json(self.view(component).await?))
    }

    /// Change a component.
    ///
    /// Its name, its secrets, or whether the publish test is answered; what the body leaves out stays
    /// as it is. Pushes that use the message
    /// key before are still read, and those signed with the push token before for a day, so enter
    /// new ones here first and in WeChat's console then; within that day neither can be changed once
    /// more, but for the way back (`component_change_under_way`). A new AppSecret is proved at once by getting
    /// a token with it: look at `component_access_token` afterwards. For operators.
    #[oai(path = "/components/:appid", method = "patch", operation_id = "change_component")]
    async fn change(
        &self,
        auth: OperatorAuth,
        /// The component's appid.
        appid: Path<ComponentAppidText>,
        input: Input<ComponentChange>,
    ) -> Result<Json<ComponentView>> {
        let (appid, change) = (component_appid(&appid)?, input.0.into());
        let component = self.components.change(auth.caller(), &appid, change).await?;
        Ok(Json(self.view(component).await?))
    }

    /// Ask WeChat to push tickets.
    ///
    /// WeChat then pushes a ticket every ten minutes, to the event URL in its console. Asking twice
    /// does no harm. For operators.
    #[oai(
        path = "/components/:appid/ticket-push",
        method = "post",
        operation_id = "start_ticket_push"
    )]
    async fn start_ticket_push(
        &self,
        auth: OperatorAuth,
        /// The component's appid.
        appid: Path<ComponentAppidText>,
    ) -> Result<Accepted> {
        let component = self.components.get(&component_appid(&appid)?).await?;
        self.ticket_watch.start_push_ticket(auth.caller(), &component).await?;
        Ok(Accepted)
    }

    /// Refresh a component's token now.
    ///
    /// Tells how it stands then. There is no need for this in the normal run of things, and how often
    /// it may be done in an hour is limited. For operators.
    #[oai(
        path = "/components/:appid/token-refresh",
        method = "post",
        operation_id = "refresh_component_token"
    )]
    async fn refresh_token(
        &self,
        auth: OperatorAuth,
        /// The component's appid.
        appid: Path<ComponentAppidText>,
    ) -> Result<Json<TokenHealthView>> {
        let component = self.components.get(&component_appid(&appid)?).await?;
        let health = self.tokens.renew(auth.caller(), &component).await?;
        Ok(Json(TokenHealthView::of(health, self.clock.now())))
    }

    async fn view(&self, component: Component) -> Result<ComponentView> {
        let ticket = match self.tickets.newest(&component).await.map_err(Problem::from) {
            Ok(ticket) => Some(TicketView::of(&ticket, self.clock.now())),
            Err(problem) if problem.code() == Code::TicketMissing => None,
            Err(problem) => return Err(problem),
        };
        let watch = self.ticket_watch.watched(&component).await?;
        let token = self.tokens.health(&component).await?;
        let token = TokenHealthView::of(token, self.clock.now());
        let previous_push_token_until = component.previous_push_token.as_ref().map(|(_, end)| *end);
        let answers_publish_test = component.answers_publish_test;
        let health =
            Health { ticket, watch, token, previous_push_token_until, answers_publish_test };
        Ok(ComponentView::of(self.summary(component), health))
    }

    fn summary(&self, component: Component) -> ComponentSummary {
        let appid = component.appid.to_string();
        let base = self.public_url.as_str().trim_end_matches('/');
        ComponentSummary {
            events_url: format!("{base}/wechat/components/{appid}/events"),
            messages_url: format!("{base}/wechat/components/{appid}/authorizers/$APPID$/events"),
            appid,
            name: component.name,
            created_at: component.created_at,
        }
    }
}

/// Reads the appid of a path; one that cannot be is one of no component.
pub(super) fn component_appid(text: &str) -> Result<Appid> {
    Appid::parse(text).map_err(|_| Problem::component_not_found())
}

impl TryFrom<NewComponent> for component_token::NewComponent {
    type Error = Problem;

    fn try_from(input: NewComponent) -> Result<Self> {
        let appid = parameter::parsed("appid", &input.appid, Appid::parse)?;
        Ok(Self {
            appid,
            name: input.name,
            appsecret: Secret::from(input.appsecret),
            push_token: Secret::from(input.push_token),
            encoding_aes_key: Secret::from(input.encoding_aes_key),
        })
    }
}

impl ComponentView {
    fn of(summary: ComponentSummary, health: Health) -> Self {
        let ComponentSummary { appid, name, events_url, messages_url, created_at } = summary;
        let Health { ticket, watch, token, previous_push_token_until, answers_publish_test } =
            health;
        Self {
            appid,
            name,
            events_url,
            messages_url,
            created_at,
            ticket,
            ticket_late_since: watch.ticket_late_since,
            ticket_asked_at: watch.ticket_asked_at,
            previous_push_token_until,
            answers_publish_test,
            component_access_token: token,
            reconciliation: watch.reconciliation.map(ReconciliationView::from),
        }
    }
}

impl TicketView {
    fn of(ticket: &Ticket, now: Instant) -> Self {
        let age = (now - ticket.issued_at).num_seconds();
        Self {
            received_at: ticket.received_at,
            issued_at: ticket.issued_at,
            age_secs: u64::try_from(age).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{clock::Entropy, component::Reconciliation, id::ComponentId};
    use poem_openapi::types::ToJSON as _;

    use super::*;
    use crate::input;

    #[test]
    fn a_ticket_from_a_clock_ahead_of_ours_is_of_age_zero() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let ticket = |issued_at| Ticket {
            component_id: ComponentId::new(at, &Entropy::seeded(1)),
            value: Secret::from("canary"),
            issued_at,
            received_at: at,
        };
        let minute = chrono::Duration::minutes(1);
        assert_eq!(TicketView::of(&ticket(at - minute), at).age_secs, 60);
        assert_eq!(TicketView::of(&ticket(at + minute), at).age_secs, 0);
    }

    #[test]
    fn a_component_tells_since_when_it_waits_for_tickets_and_whether_it_was_ever_compared() {
        let at = example::instant();
        let told = |watch| {
            let health = Health {
                ticket: None,
                watch,
                token: TokenHealthView::example(),
                previous_push_token_until: None,
                answers_publish_test: true,
            };
            ComponentView::of(ComponentSummary::example(), health).to_json().unwrap()
        };
        let calm = told(ComponentWatch::default());
        assert_eq!(calm["answers_publish_test"], true);
        for field in [
            "ticket",
            "ticket_late_since",
            "ticket_asked_at",
            "reconciliation",
            "previous_push_token_until",
        ] {
            assert_eq!(calm.get(field), Some(&serde_json::Value::Null), "{field}");
        }
        let late = told(ComponentWatch {
            ticket_asked_at: Some(at),
            ticket_late_since: Some(at - chrono::Duration::minutes(9)),
            reconciliation: Some(Reconciliation {
                at,
                listed: 2,
                recovered: 0,
                found: 0,
                withdrawn: 0,
            }),
        });
        assert_eq!(late["ticket_asked_at"], at.to_json().unwrap());
        assert_ne!(late["ticket_late_since"], late["ticket_asked_at"]);
        assert_eq!(late["reconciliation"]["listed"], 2);
    }

    #[test]
    fn an_impossible_appid_is_a_fault_of_its_field() {
        let input = NewComponent { appid: "wx/1".to_owned(), ..NewComponent::example() };
        let problem = component_token::NewComponent::try_from(input).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidField);
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let read = |body: &str| -> component_token::ComponentChange {
            input::read::<ComponentChange>(body.as_bytes()).unwrap().into()
        };
        let change = read(r#"{"push_token":"canary"}"#);
        assert!(change.name.is_none() && change.appsecret.is_none());
        assert!(change.push_token.is_some() && change.encoding_aes_key.is_none());
        assert!(!format!("{:?}", change.push_token).contains("canary"));
        assert_eq!(change.answers_publish_test, None);
        assert_eq!(read(r#"{"answers_publish_test":true}"#).answers_publish_test, Some(true));
    }
}
