//! The control page: what the component has, what was pushed, who granted what, what was called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use chrono::{DateTime, FixedOffset};
use poem::http::{StatusCode, header};
use poem::web::Data;
use poem::{Body, Request, Response, handler};

use crate::emulator;
use crate::fan_messages::FanMessage;
use crate::ledger::Call;
use crate::pages::{self, Language};
use crate::publish_test::{StepVerdict, TestStep};
use crate::pusher::PushRecord;
use crate::state::Kill;
use crate::state::snapshot::{AccountSnapshot, Snapshot};
use crate::state::web_codes::{ConsentOutcome, WebConsent};
use crate::talk::{self, Line, Speaker};
use crate::world::World;

/// How many pushes and calls the page shows.
const ROWS: usize = 15;

/// The largest form that is read.
const FORM_BYTES: usize = 4096;

#[derive(Template)]
#[template(path = "control.html")]
struct ControlPage {
    language: Language,
    state: Snapshot,
    /// How many accounts there are beyond those shown.
    accounts_not_shown: usize,
    pushes: Vec<PushRecord>,
    calls: Vec<Call>,
    /// What was said, by account.
    talks: BTreeMap<String, Vec<Line>>,
    verdicts: Vec<StepVerdict>,
    /// What fans allowed and refused, the last first.
    consents: Vec<WebConsent>,
}

impl ControlPage {
    /// An instant as people in Beijing read it.
    fn clock(&self, at_ms: &i64) -> String {
        const BEIJING_SECS: i32 = 8 * 3600;
        let beijing = FixedOffset::east_opt(BEIJING_SECS).expect("eight hours are an offset");
        DateTime::from_timestamp_millis(*at_ms)
            .map(|at| at.with_timezone(&beijing).format("%m-%d %H:%M:%S").to_string())
            .unwrap_or_default()
    }

    /// Enough of a secret to tell two apart.
    fn short(&self, value: &str) -> String {
        let tail = value.len().saturating_sub(6);
        let head = value.len().min(16);
        format!(
            "{}…{}",
            value.get(..head).unwrap_or_default(),
            value.get(tail..).unwrap_or_default()
        )
    }

    fn sets(&self, account: &AccountSnapshot) -> String {
        let sets = account.grant.as_ref().map(|grant| grant.sets.as_slice()).unwrap_or_default();
        sets.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
    }

    fn talk(&self, appid: &str) -> &[Line] {
        self.talks.get(appid).map(Vec::as_slice).unwrap_or_default()
    }

    fn offset_minutes(&self) -> i64 {
        self.state.clock_offset_ms / 60_000
    }
}

impl TestStep {
    /// What the page calls it.
    fn label(self, language: Language) -> &'static str {
        match self {
            Self::Ticket => language.say("推送 Ticket", "Ticket"),
            Self::Authorized => language.say("授权", "Authorization"),
            Self::Text => language.say("普通文本消息", "Text"),
            Self::ApiReply => language.say("API 文本消息", "Reply by the API"),
            Self::Event => language.say("事件消息", "Event"),
        }
    }
}

impl ConsentOutcome {
    /// What the page calls it.
    fn label(self, language: Language) -> &'static str {
        match self {
            Self::Silent => language.say("静默", "silent"),
            Self::Allowed => language.say("允许", "allowed"),
            Self::Refused => language.say("拒绝", "refused"),
        }
    }
}

impl Speaker {
    /// Which way the arrow points: fans stand on the left.
    fn arrow(self) -> &'static str {
        match self {
            Self::Fan => "→",
            Self::Reply => "←",
            Self::CustomerService => "⇐",
        }
    }
}

/// The page.
#[handler]
pub(super) fn show(request: &Request, Data(world): Data<&Arc<World>>) -> Response {
    let mut state = world.snapshot();
    let accounts_not_shown = state.accounts.len().saturating_sub(pages::ACCOUNTS_SHOWN);
    state.accounts.truncate(pages::ACCOUNTS_SHOWN);
    pages::html(&ControlPage {
        language: Language::of(request),
        state,
        accounts_not_shown,
        pushes: world.pusher.latest(ROWS),
        calls: world.ledger.latest(ROWS),
        talks: talk::talks(world),
        verdicts: world.verdicts().clone(),
        consents: world.platform().web_codes.consents().into_iter().rev().take(ROWS).collect(),
    })
}

/// A button of the page: does its work and leads back.
#[handler]
pub(super) async fn act(request: &Request, body: Body, Data(world): Data<&Arc<World>>) -> Response {
    let Ok(form) = body.into_bytes_limit(FORM_BYTES).await else {
        return Response::from(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let value = |wanted: &str| {
        url::form_urlencoded::parse(&form)
            .find(|(name, _)| name == wanted)
            .map_or_else(String::new, |(_, value)| value.into_owned())
    };
    let appid = value("appid");
    let kill = |kill: Kill| world.platform().kill(&kill, world.now());
    match value("act").as_str() {
        "push_ticket" => drop(world.push_ticket().await),
        "flush_pushes" => drop(world.flush_pushes().await),
        "fan_text" => fan_does(world, FanMessage::text(&appid, &value("text"))).await,
        "fan_follows" => fan_does(world, FanMessage::event(&appid, "subscribe")).await,
        "fan_leaves" => fan_does(world, FanMessage::event(&appid, "unsubscribe")).await,
        "publish_test" => {
            // It may take a minute: the page shows how far it got.
            let testing = Arc::clone(world);
            world.tasks.spawn(async move { testing.publish_test(None).await });
        }
        "revoke" => drop(emulator::revoke(world, &appid).await),
        "advance_hour" => world.clock.advance(Duration::from_secs(3600)),
        "advance_half_day" => world.clock.advance(Duration::from_secs(12 * 3600)),
        "kill_tickets" => kill(Kill::Tickets),
        "kill_component_tokens" => kill(Kill::ComponentTokens),
        "kill_authorizer_tokens" => kill(Kill::AuthorizerTokens { appid }),
        "kill_ordinary_tokens" => kill(Kill::OrdinaryTokens { appid }),
        "kill_refresh_token" => kill(Kill::RefreshToken { appid }),
        "release" => {
            world.faults.release(None);
        }
        _ => return Response::from(StatusCode::BAD_REQUEST),
    }
    see_other(format!("/control/?lang={}", Language::of(request).say("zh", "en")))
}

/// The page shows what comes of it.
async fn fan_does(world: &Arc<World>, message: FanMessage) {
    if let Err(error) = world.fan_message(&message).await {
        tracing::warn!(%error, "a fan's message was not sent");
    }
}

fn see_other(location: String) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location).finish()
}
