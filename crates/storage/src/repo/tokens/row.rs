//! A token as its row keeps it: sealed, with the history of its refreshes as JSON.

use lingpai_model::{
    Secret,
    token::{AccessToken, KeptToken, Refresh, RefreshCause, TokenFailure, TokenKey},
};
use serde::{Deserialize, Serialize};

use crate::{
    db::Handle,
    entity::tokens,
    error::Result,
    repo::{Reader, reason},
    seal::{KeyRing, Place},
};

/// How much of a failure the history of refreshes keeps, in characters.
const REMEMBERED_CHARS: usize = 160;

/// One refresh as the row keeps it.
#[derive(Serialize, Deserialize)]
struct RefreshJson {
    at: i64,
    cause: String,
    failure: Option<String>,
}

fn refreshes_json(refreshes: &[Refresh]) -> String {
    let rows: Vec<RefreshJson> = refreshes
        .iter()
        .map(|refresh| RefreshJson {
            at: refresh.at.timestamp_millis(),
            cause: refresh.cause.as_str().to_owned(),
            failure: refresh
                .failure
                .as_ref()
                .map(|failure| reason(failure).chars().take(REMEMBERED_CHARS).collect()),
        })
        .collect();
    serde_json::to_string(&rows).expect("texts and numbers are always JSON")
}

fn cause_of(text: &str) -> Option<RefreshCause> {
    RefreshCause::ALL.into_iter().find(|cause| cause.as_str() == text)
}

fn refreshes(read: &Reader<'_>, json: &str) -> Result<Vec<Refresh>> {
    let rows: Vec<RefreshJson> = read.json(json)?;
    let refresh = |row: RefreshJson| {
        Ok(Refresh {
            at: read.instant(row.at)?,
            cause: read.present(cause_of(&row.cause))?,
            failure: row.failure,
        })
    };
    rows.into_iter().map(refresh).collect()
}

/// The sealed row of a token.
pub(crate) fn row(keys: &KeyRing, kept: &KeptToken) -> tokens::Model {
    let owner = [kept.key.owner_id(), kept.key.kind().as_str()];
    let token = kept.token.as_ref();
    let failure = kept.failure.as_ref();
    let seal = |column, secret: &Secret<String>| keys.seal_text(place(column, &owner), secret);
    tokens::Model {
        owner_id: owner[0].to_owned(),
        kind: owner[1].to_owned(),
        generation: kept.generation,
        value_sealed: token.map(|token| seal(VALUE, &token.value)),
        expires_at: token.map(|token| token.expires_at.timestamp_millis()),
        obtained_at: token.map(|token| token.obtained_at.timestamp_millis()),
        refresh_token_sealed: kept.refresh_token.as_ref().map(|token| seal(REFRESH, token)),
        failed_at: failure.map(|failure| failure.at.timestamp_millis()),
        failure_reason: failure.map(|failure| reason(&failure.reason)),
        failures: failure.map_or(0, |failure| i64::from(failure.in_a_row)),
        due_at: kept.due_at.map(|due_at| due_at.timestamp_millis()),
        due_cause: kept.due_cause.map(|cause| cause.as_str().to_owned()),
        leased_until: 0,
        lease_epoch: 0,
        refreshes_json: Some(refreshes_json(&kept.refreshes)),
    }
}

/// The token in a row, opened.
pub(super) fn record(at: &Handle<'_>, row: &tokens::Model) -> Result<KeptToken> {
    let read = Reader { table: "tokens", key: &row.owner_id };
    let owner = [row.owner_id.as_str(), row.kind.as_str()];
    let open = |column, sealed: &Option<Vec<u8>>| {
        let sealed = sealed.as_deref();
        sealed.map(|sealed| at.keys.open_text(place(column, &owner), sealed)).transpose()
    };
    let token = match open(VALUE, &row.value_sealed)? {
        None => None,
        Some(value) => Some(AccessToken {
            value,
            expires_at: read.instant(read.present(row.expires_at)?)?,
            obtained_at: read.instant(read.present(row.obtained_at)?)?,
        }),
    };
    let failure = match row.failed_at {
        None => None,
        Some(failed_at) => Some(TokenFailure {
            at: read.instant(failed_at)?,
            reason: read.present(row.failure_reason.clone())?,
            in_a_row: read.count(row.failures)?,
        }),
    };
    Ok(KeptToken {
        key: read.present(TokenKey::parse(&row.kind, &row.owner_id))?,
        generation: row.generation,
        token,
        refresh_token: open(REFRESH, &row.refresh_token_sealed)?,
        failure,
        due_at: read.instant_if_any(row.due_at)?,
        due_cause: row
            .due_cause
            .as_deref()
            .map(|cause| read.present(cause_of(cause)))
            .transpose()?,
        refreshes: refreshes(&read, row.refreshes_json.as_deref().unwrap_or("[]"))?,
    })
}

const VALUE: &str = "value_sealed";
pub(super) const REFRESH: &str = "refresh_token_sealed";

pub(super) fn place<'a>(column: &'static str, row: &'a [&'a str]) -> Place<'a> {
    Place { table: "tokens", column, row }
}
