//! The control page: what the component has, what was pushed, who granted what, what was called.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use chrono::{DateTime, FixedOffset};
use poem::http::{StatusCode, header};
use poem::web::Data;
use poem::{Body, Request, Response, handler};

use crate::emulator;
use crate::ledger::Call;
use crate::pages::{self, Language};
use crate::pusher::PushRecord;
use crate::state::Kill;
use crate::state::snapshot::{AccountSnapshot, Snapshot};
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

    fn offset_minutes(&self) -> i64 {
        self.state.clock_offset_ms / 60_000
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

fn see_other(location: String) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location).finish()
}
