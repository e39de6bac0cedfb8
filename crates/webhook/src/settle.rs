//! What came of attempts, written down: how deliveries go on, how their endpoint does, and the end of
//! an endpoint that failed for too long.

use std::time::Duration;

use lingpai_model::{
    delivery::{AttemptOutcome, ClaimedDelivery, DeadReason},
    endpoint::{Endpoint, EndpointHealth, EndpointState},
    event::{Event, EventContent, EventKind},
    id::{EndpointId, EventId},
    late_reply::NewLateReply,
};
use lingpai_storage::Tx;
use serde_json::json;

use crate::{
    Result, WebhookBase,
    attempt::{End, Made},
    breaker::{self, Verdict},
};

/// How many deliveries are buried in one transaction: those who write wait meanwhile.
pub(crate) const BURIED_AT_ONCE: u64 = 1_000;

/// How long writing waits each time when the database failed for now. What is not written down is sent
/// again; together these are shorter than a lease holds.
pub(crate) const WRITE_AGAIN: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// What came of one claimed delivery.
#[derive(Debug)]
pub(crate) struct Landed {
    /// What was claimed.
    pub(crate) claimed: ClaimedDelivery,
    /// The attempt that was made.
    pub(crate) made: Made,
    /// What goes to the fan by it.
    pub(crate) late: Option<Box<NewLateReply>>,
}

/// How an endpoint stands after what came of attempts was written down.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It is sent to. This is how it is now.
    Active(Box<Endpoint>),
    /// Its tenant holds it.
    Paused,
    /// Nothing is sent to it any more: its deliveries are to be buried.
    Ended(DeadReason),
}

/// Writes down what came of attempts at deliveries to one endpoint, as part of `tx`. The first
/// deliveries of an endpoint that ended are buried too; [`bury`] buries the others.
pub(crate) async fn settle(
    tx: &Tx,
    base: &WebhookBase,
    id: &EndpointId,
    landed: &[Landed],
) -> Result<Standing> {
    let now = base.clock.now();
    // The endpoint before its deliveries, as whoever changes or removes one does: nobody waits for
    // anybody who waits. Locked: its health is read, judged and written back, and its tenant may
    // just take it into use again.
    let endpoint = tx.endpoints().system_lock(id).await?;
    let standing = match endpoint {
        Some(endpoint) => stand(tx, base, endpoint, landed).await?,
        None => Standing::Ended(DeadReason::EndpointRemoved),
    };
    record(tx, base, landed).await?;
    if let Standing::Ended(reason) = &standing {
        tx.deliveries().bury(id, *reason, now, BURIED_AT_ONCE).await?;
    }
    Ok(standing)
}

async fn stand(
    tx: &Tx,
    base: &WebhookBase,
    endpoint: Endpoint,
    landed: &[Landed],
) -> Result<Standing> {
    let judged = judge(base, endpoint.health.clone(), landed);
    if judged.health != endpoint.health {
        tx.endpoints().note_health(&endpoint.id, &judged.health).await?;
    }
    if let Some(reason) = judged.end
        && tx.endpoints().disable(&endpoint.id, base.clock.now(), &reason).await?
    {
        tell_disabled(tx, base, &endpoint, &reason).await?;
        return Ok(Standing::Ended(DeadReason::EndpointDisabled));
    }
    Ok(match endpoint.state {
        EndpointState::Active => {
            Standing::Active(Box::new(Endpoint { health: judged.health, ..endpoint }))
        }
        EndpointState::Paused { .. } => Standing::Paused,
        EndpointState::Disabled { .. } => Standing::Ended(DeadReason::EndpointDisabled),
    })
}

/// Writes down how deliveries go on and what goes to fans by them, and nothing else: that counts
/// whoever holds the endpoint.
pub(crate) async fn record(tx: &Tx, base: &WebhookBase, landed: &[Landed]) -> Result<()> {
    if landed.is_empty() {
        return Ok(());
    }
    let outcomes: Vec<AttemptOutcome> = landed.iter().map(|one| one.outcome(base)).collect();
    let counted = tx.deliveries().record(&outcomes).await?;
    let made = u64::try_from(landed.len()).unwrap_or(u64::MAX);
    if counted < made {
        tracing::info!("{} attempts came to an end that others had taken over", made - counted);
    }
    for late in landed.iter().filter_map(|one| one.late.as_deref()) {
        tx.late_replies().insert(late).await?;
    }
    Ok(())
}

/// Buries the deliveries of an endpoint that ended.
pub(crate) async fn bury(base: &WebhookBase, id: &EndpointId, reason: DeadReason) -> Result<()> {
    loop {
        let tx = base.db.begin_patiently().await?;
        let now = base.clock.now();
        let buried = tx.deliveries().bury(id, reason, now, BURIED_AT_ONCE).await?;
        tx.commit().await?;
        if buried < BURIED_AT_ONCE {
            return Ok(());
        }
    }
}

impl Landed {
    fn outcome(&self, base: &WebhookBase) -> AttemptOutcome {
        AttemptOutcome {
            delivery_id: self.claimed.id.clone(),
            attempt: self.made.attempt.clone(),
            next: self.made.next(self.claimed.created_at, base),
        }
    }
}

/// How attempts change an endpoint.
struct Judged {
    health: EndpointHealth,
    /// Why nothing is to be sent to it any more, if so.
    end: Option<String>,
}

fn judge(base: &WebhookBase, health: EndpointHealth, landed: &[Landed]) -> Judged {
    let mut judged = Judged { health, end: None };
    for Landed { made, .. } in landed {
        let now = base.clock.now();
        let why = made.attempt.failure.as_deref().unwrap_or("it failed");
        match made.end {
            End::Taken(_) => {
                judged.health = breaker::after_success(judged.health, now);
                judged.end = None;
            }
            // The event is at fault, not the endpoint.
            End::Unsendable(_) => {}
            End::Failed { .. } => {
                let (health, verdict) =
                    breaker::after_failure(judged.health, now, why, &base.entropy);
                judged.health = health;
                match verdict {
                    Verdict::GoOn => {}
                    Verdict::Disable => {
                        judged.end = Some(format!("every attempt of three days failed: {why}"));
                    }
                }
            }
            End::Gone => {
                judged.health = breaker::after_failure(judged.health, now, why, &base.entropy).0;
                judged.end = Some(why.to_owned());
            }
        }
    }
    judged
}

/// Tells the tenant of an endpoint that it was disabled, in the transaction that disables it.
async fn tell_disabled(
    tx: &Tx,
    base: &WebhookBase,
    endpoint: &Endpoint,
    reason: &str,
) -> Result<()> {
    let now = base.clock.now();
    tracing::warn!(endpoint.id = %endpoint.id, "endpoint {} was disabled: {reason}", endpoint.id);
    // Not its URL: people put secrets into queries.
    let detail =
        json!({ "endpoint_id": endpoint.id.as_str(), "name": endpoint.name, "reason": reason });
    let event = Event {
        id: EventId::new(now, &base.entropy),
        tenant_id: Some(endpoint.tenant_id.clone()),
        component_appid: None,
        authorizer_appid: None,
        event_type: EventKind::EndpointDisabled.into(),
        openid: None,
        occurred_at: now,
        received_at: now,
        content: EventContent::Ours(Some(detail)),
    };
    Ok(tx.events().append(&event).await?)
}
