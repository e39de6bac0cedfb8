//! Control as JSON. What each path takes and gives stands in the README.

pub(super) mod fans;

use std::sync::Arc;
use std::time::Duration;

use poem::http::StatusCode;
use poem::web::{Data, Path};
use poem::{Body, Request, Response, handler};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::AccountConfig;
use crate::emulator;
use crate::fan_messages::FanMessage;
use crate::faults::Fault;
use crate::seal::Seal;
use crate::state::Kill;
use crate::state::quota::Rate;
use crate::state::web::Fan;
use crate::world::World;

/// The largest body that is read.
const BODY_BYTES: usize = 1024 * 1024;

/// A request that control does not understand: HTTP 400 and why.
struct Misunderstood(String);

type Result<T> = std::result::Result<T, Misunderstood>;

impl From<Misunderstood> for poem::Error {
    fn from(Misunderstood(why): Misunderstood) -> Self {
        let body = json!({ "error": why }).to_string();
        let response = Response::builder()
            .status(StatusCode::BAD_REQUEST)
            .content_type("application/json")
            .body(body);
        Self::from_response(response)
    }
}

impl From<anyhow::Error> for Misunderstood {
    fn from(why: anyhow::Error) -> Self {
        Self(format!("{why:#}"))
    }
}

fn json_response(value: &impl Serialize) -> Result<Response> {
    let text = serde_json::to_string(value).map_err(|error| Misunderstood(error.to_string()))?;
    Ok(Response::builder().content_type("application/json").body(text))
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T> {
    let bytes = body.into_bytes_limit(BODY_BYTES).await;
    let bytes = bytes.map_err(|error| Misunderstood(error.to_string()))?;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| Misunderstood(error.to_string()))
}

#[handler]
pub(super) fn get_state(Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&world.snapshot())
}

#[handler]
pub(super) fn list_calls(request: &Request, Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&world.ledger.calls(query_value(request, "path").as_deref()))
}

#[handler]
pub(super) fn list_issues(request: &Request, Data(world): Data<&Arc<World>>) -> Result<Response> {
    let since = query_value(request, "since").map_or(Ok(0), |text| text.parse());
    let since = since.map_err(|_| Misunderstood("since is a number".to_owned()))?;
    json_response(&world.issues_since(since))
}

#[handler]
pub(super) fn list_stats(Data(world): Data<&Arc<World>>) -> Result<Response> {
    let rows = world.ledger.all_stats().into_iter();
    let rows = rows.map(|(path, appid, stats)| {
        json!({
            "path": path,
            "appid": appid,
            "succeeded": stats.succeeded,
            "refused": stats.refused,
            "in_flight": stats.in_flight,
            "max_in_flight": stats.max_in_flight,
        })
    });
    json_response(&rows.collect::<Vec<Value>>())
}

#[handler]
pub(super) fn list_pushes(Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&world.pusher.records())
}

#[handler]
pub(super) async fn push_raw(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        info_xml: String,
    }
    let input: Input = read(body).await?;
    json_response(&world.dispatch(world.raw_push("raw", input.info_xml)).await.outcome)
}

#[handler]
pub(super) async fn flush_pushes(Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&world.flush_pushes().await)
}

#[handler]
pub(super) async fn push_ticket(Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&world.push_ticket().await)
}

#[handler]
pub(super) async fn push_message(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        appid: String,
        xml: String,
    }
    let input: Input = read(body).await?;
    let push = world.message_push(&input.appid, input.xml).ok_or_else(unknown_account)?;
    json_response(&world.dispatch(push).await.outcome)
}

/// A fan writes or does something.
#[handler]
pub(super) async fn fan_message(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    let message: FanMessage = read(body).await?;
    json_response(&world.fan_message(&message).await?)
}

/// Plays WeChat's test of one group, or of all, and gives the verdicts.
#[handler]
pub(super) async fn publish_test(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        group: Option<u8>,
    }
    let input: Input = read(body).await?;
    json_response(&world.publish_test(input.group).await)
}

/// The verdicts of the test that ran last, as far as it got.
#[handler]
pub(super) fn list_verdicts(Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&*world.verdicts())
}

#[handler]
pub(super) async fn add_account(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    let account: AccountConfig = read(body).await?;
    Seal::of_account(&account)?;
    world.platform().add_account(account);
    json_response(&json!({}))
}

/// Changes what is named of an account and leaves the rest.
#[handler]
pub(super) async fn change_account(
    Path(appid): Path<String>,
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    let named = read(body).await?;
    let mut platform = world.platform();
    let account = platform.accounts.get(&appid).ok_or_else(unknown_account)?;
    let changed: AccountConfig = changed(&account.config, named)?;
    Seal::of_account(&changed)?;
    if changed.appid != appid {
        return Err(Misunderstood("an account keeps its appid".to_owned()));
    }
    platform.add_account(changed);
    json_response(&json!({}))
}

/// Grants like a consent, without a page and without a push.
#[handler]
pub(super) async fn give_grant(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        appid: String,
        #[serde(default)]
        sets: Vec<u32>,
    }
    let input: Input = read(body).await?;
    emulator::grant(world, &input.appid, &input.sets)?;
    json_response(&json!({}))
}

#[handler]
pub(super) async fn mint_web_tokens(
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        appid: String,
        openid: String,
        scope: String,
    }
    let input: Input = read(body).await?;
    let fan = Fan { appid: &*input.appid, openid: &*input.openid, scope: &*input.scope };
    json_response(&emulator::mint_web_tokens(world, &fan)?)
}

#[handler]
pub(super) async fn revoke_grant(
    Path(appid): Path<String>,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    let outcome = emulator::revoke(world, &appid).await.ok_or_else(unknown_account)?;
    json_response(&outcome)
}

#[handler]
pub(super) async fn give_consent(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        authorize_href: String,
        appid: String,
        #[serde(default)]
        sets: Vec<u32>,
    }
    let input: Input = read(body).await?;
    let location =
        emulator::consent(world, &input.authorize_href, &input.appid, &input.sets).await?;
    json_response(&json!({ "location": location }))
}

#[handler]
pub(super) fn list_faults(Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&world.faults.list())
}

#[handler]
pub(super) async fn set_fault(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    let fault: Fault = read(body).await?;
    json_response(&json!({ "id": world.faults.set(fault) }))
}

#[handler]
pub(super) fn clear_faults(Data(world): Data<&Arc<World>>) -> Result<Response> {
    world.faults.clear(None);
    json_response(&json!({}))
}

#[handler]
pub(super) fn clear_fault(Path(id): Path<u64>, Data(world): Data<&Arc<World>>) -> Result<Response> {
    world.faults.clear(Some(id));
    json_response(&json!({}))
}

#[handler]
pub(super) async fn release_held(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        #[serde(default)]
        path: Option<String>,
    }
    let input: Input = read(body).await?;
    json_response(&json!({ "released": world.faults.release(input.path.as_deref()) }))
}

#[handler]
pub(super) async fn kill_tokens(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    let kill: Kill = read(body).await?;
    world.platform().kill(&kill, world.now());
    json_response(&json!({}))
}

#[handler]
pub(super) async fn advance_clock(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        advance_secs: u64,
    }
    let input: Input = read(body).await?;
    world.clock.advance(Duration::from_secs(input.advance_secs));
    json_response(&json!({ "now_ms": world.now() }))
}

#[handler]
pub(super) fn get_switches(Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&world.switches())
}

/// Changes the switches that are named and leaves the others.
#[handler]
pub(super) async fn change_switches(
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    let named = read(body).await?;
    let changed = changed(&world.switches(), named)?;
    world.change_switches(|switches| *switches = changed);
    json_response(&world.switches())
}

#[handler]
pub(super) async fn set_targets(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        events_url: Option<String>,
        messages_url: Option<String>,
    }
    let input: Input = read(body).await?;
    world.change_targets(|targets| {
        targets.events_url = input.events_url.or(targets.events_url.take());
        targets.messages_url = input.messages_url.or(targets.messages_url.take());
    });
    json_response(&json!({}))
}

/// Sets both limits of a path; one that is not named is lifted.
#[handler]
pub(super) async fn set_quota(body: Body, Data(world): Data<&Arc<World>>) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        path: String,
        daily: Option<u64>,
        rate: Option<Rate>,
    }
    let input: Input = read(body).await?;
    let mut platform = world.platform();
    platform.quota.set_daily(&input.path, input.daily);
    platform.quota.set_rate(&input.path, input.rate);
    json_response(&json!({}))
}

/// `old` with the named fields put in place of its own.
fn changed<T: Serialize + DeserializeOwned>(old: &T, named: Map<String, Value>) -> Result<T> {
    let misunderstood = |error: serde_json::Error| Misunderstood(error.to_string());
    let mut all = serde_json::to_value(old).map_err(misunderstood)?;
    for (name, value) in named {
        all[name] = value;
    }
    serde_json::from_value(all).map_err(misunderstood)
}

fn query_value(request: &Request, wanted: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}

fn unknown_account() -> Misunderstood {
    Misunderstood("there is no such account, or it has granted nothing".to_owned())
}
