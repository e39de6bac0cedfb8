//! Deliveries: how many a second reach endpoints that answer at once, and how late they come.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use lingpai_model::clock::{Clock as _, SystemClock};
use lingpai_tests::{people::Program, processes::eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{Prepared, load, nginx::Nginx, nobody, service::Service};

/// To how many endpoints each event goes.
const ENDPOINTS: usize = 4;

/// How many events wait when delivering begins.
const WAITING: usize = 3000;

/// What came of one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivered {
    /// Deliveries per second while many wait.
    pub(crate) rate: f64,
    /// From the commit of a push to the endpoint's answer at 500 pushes/s, in milliseconds.
    pub(crate) delay_p50_ms: f64,
    pub(crate) delay_p99_ms: f64,
}

/// Measures with nginx for the tenant's programs.
///
/// # Errors
/// When a step fails, or a delivery.
pub(crate) async fn measure(folder: &Path, nginx: &Nginx, pushes: &Prepared) -> Result<Delivered> {
    let service = Service::start(folder, None, &nobody()?).await?;
    let tenant = &service.tenant;
    let mut endpoints = Vec::new();
    for _ in 0..ENDPOINTS {
        let (id, _) = tenant.create_webhook(&format!("http://{}/", nginx.address)).await?;
        set_paused(tenant, &id, true).await?;
        endpoints.push(id);
    }
    let waiting: Vec<_> = pushes.full.iter().take(WAITING).cloned().collect();
    load::keep_pace(service.address(), &Arc::new(waiting)).await?;
    let began = Instant::now();
    for id in &endpoints {
        set_paused(tenant, id, false).await?;
    }
    all_arrive(tenant).await?;
    let rate = (WAITING * ENDPOINTS) as f64 / began.elapsed().as_secs_f64();

    for id in &endpoints[1..] {
        set_paused(tenant, id, true).await?;
    }
    let since = SystemClock.now();
    load::keep_pace(service.address(), &pushes.calm).await?;
    let path = format!("/v1/deliveries?endpoint_id={}&state=", endpoints[0]);
    eventually("every delivery arrives", async || {
        let pending =
            tenant.get(&format!("{path}pending&limit=1")).await?.expect(StatusCode::OK)?;
        Ok(pending.json["items"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })
    .await?;
    let mut delays = Vec::new();
    for delivery in tenant.list_all(&format!("{path}delivered")).await? {
        let (created, ended) = (instant(&delivery["created_at"])?, instant(&delivery["ended_at"])?);
        if created >= since {
            delays.push((ended - created).num_microseconds().unwrap_or_default() as f64 / 1e3);
        }
    }
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).copied();
    let nothing = "no delivery was made";
    Ok(Delivered {
        rate,
        delay_p50_ms: at(0.5).context(nothing)?,
        delay_p99_ms: at(0.99).context(nothing)?,
    })
}

/// An endpoint that wants every event, and to which nothing is sent: deliveries are recorded and wait.
///
/// # Errors
/// When it is refused.
pub(crate) async fn want_all_and_wait(tenant: &Program) -> Result<()> {
    let (id, _) = tenant.create_webhook("http://127.0.0.1:9/").await?;
    set_paused(tenant, &id, true).await
}

async fn set_paused(tenant: &Program, id: &str, paused: bool) -> Result<()> {
    let change = json!({ "paused": paused });
    tenant.patch(&format!("/v1/endpoints/{id}"), &change).await?.expect(StatusCode::OK)?;
    Ok(())
}

async fn all_arrive(tenant: &Program) -> Result<()> {
    eventually("every delivery arrives", async || {
        let pending = tenant.get("/v1/deliveries?state=pending&limit=1").await?;
        let pending = pending.expect(StatusCode::OK)?;
        Ok(pending.json["items"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })
    .await
}

fn instant(value: &Value) -> Result<DateTime<Utc>> {
    Ok(value.as_str().context("a delivery has its times")?.parse()?)
}
