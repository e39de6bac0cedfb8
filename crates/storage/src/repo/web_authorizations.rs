//! Attempts of fans, from a tenant's page by way of WeChat's and back. Each step locks its row, so
//! that a code is used once.

use lingpai_model::{
    Instant, Secret,
    caller::TenantScope,
    digest::Digest,
    id::{AuthorizerId, TenantId, WebAuthorizationId},
    web_authorization::{WebAuthorization, WebAuthorizationState, WebScope},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, Select, sea_query::Expr,
};

use super::{Reader, WebAuthorizationRepo, Write, sweep};
use crate::{
    db::Handle,
    entity::web_authorizations::{self, Column, Entity},
    error::{Error, Result},
    seal::{KeyRing, Place},
};

const AWAY: &str = "away";
const DECLINED: &str = "declined";
const RETURNED: &str = "returned";
const EXCHANGED: &str = "exchanged";

impl WebAuthorizationRepo<'_, Write> {
    /// Adds the attempt of a fan, who has no tenant's key.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when its id or state is taken; [`Error::Unavailable`].
    pub async fn system_insert(&self, attempt: &WebAuthorization) -> Result<()> {
        let row = row(self.at.keys, attempt);
        self.at.insert_new("add a web authorization", "web authorization", row).await
    }

    /// The attempt whose state has this digest, whoever's it is, which nobody else changes until this
    /// transaction ends. SQLite has one writer anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_lock_by_state(&self, state: &Digest) -> Result<Option<WebAuthorization>> {
        self.locked(Entity::find().filter(Column::StateDigest.eq(state.to_hex()))).await
    }

    /// The tenant's attempt with this id, which nobody else changes until this transaction ends.
    /// `None` alike for a missing one and another tenant's.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn lock(
        &self,
        scope: &TenantScope,
        id: &WebAuthorizationId,
    ) -> Result<Option<WebAuthorization>> {
        let of_tenant = Column::TenantId.eq(scope.tenant_id().as_str());
        self.locked(Entity::find_by_id(id.as_str()).filter(of_tenant)).await
    }

    /// Writes how far an attempt got; nothing else of it ever changes. What was kept of WeChat's code
    /// goes with the state that has none.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn system_update(&self, attempt: &WebAuthorization) -> Result<()> {
        let row = row(self.at.keys, attempt);
        let updated = Entity::update_many()
            .col_expr(Column::State, Expr::val(row.state))
            .col_expr(Column::StateAt, Expr::val(row.state_at))
            .col_expr(Column::WechatCodeSealed, Expr::val(row.wechat_code_sealed))
            .filter(Column::Id.eq(row.id))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("update a web authorization"))?;
        match updated.rows_affected {
            1 => Ok(()),
            _ => Err(Error::not_found("web authorization", &attempt.id)),
        }
    }

    /// Erases attempts that expired before `before`, the oldest first and not all at once; returns
    /// how many, 0 when none is left.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn sweep(&self, before: Instant) -> Result<u64> {
        sweep::<Entity>(&self.at, "erase old web authorizations", Column::ExpiresAt, before).await
    }

    async fn locked(&self, rows: Select<Entity>) -> Result<Option<WebAuthorization>> {
        let row = rows.lock_exclusive().one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("lock a web authorization"))?;
        row.map(|row| record(&self.at, row)).transpose()
    }
}

/// An attempt's state, spread over its columns.
fn state_columns(
    state: &WebAuthorizationState,
) -> (&'static str, Option<&Instant>, Option<&Secret<String>>) {
    match state {
        WebAuthorizationState::Away => (AWAY, None, None),
        WebAuthorizationState::Declined { at } => (DECLINED, Some(at), None),
        WebAuthorizationState::Returned { wechat_code, at } => {
            (RETURNED, Some(at), Some(wechat_code))
        }
        WebAuthorizationState::Exchanged { at } => (EXCHANGED, Some(at), None),
    }
}

fn row(keys: &KeyRing, attempt: &WebAuthorization) -> web_authorizations::Model {
    let WebAuthorization { tenant_id, authorizer_id, id, .. } = attempt;
    let place_row = [authorizer_id.as_str(), tenant_id.as_str(), id.as_str()];
    let (state, state_at, code) = state_columns(&attempt.state);
    web_authorizations::Model {
        id: id.as_str().to_owned(),
        tenant_id: tenant_id.as_str().to_owned(),
        authorizer_id: authorizer_id.as_str().to_owned(),
        redirect_uri: attempt.redirect_uri.clone(),
        scope: attempt.scope.as_str().to_owned(),
        tenant_state: attempt.tenant_state.clone(),
        state_digest: attempt.state_digest.to_hex(),
        browser_digest: attempt.browser_digest.to_hex(),
        state: state.to_owned(),
        state_at: state_at.map(Instant::timestamp_millis),
        wechat_code_sealed: code.map(|code| keys.seal_text(place(&place_row), code)),
        created_at: attempt.created_at.timestamp_millis(),
        expires_at: attempt.expires_at.timestamp_millis(),
    }
}

fn record(at: &Handle<'_>, row: web_authorizations::Model) -> Result<WebAuthorization> {
    let read = Reader { table: "web_authorizations", key: &row.id };
    Ok(WebAuthorization {
        id: read.parsed(WebAuthorizationId::parse(&row.id))?,
        tenant_id: read.parsed(TenantId::parse(&row.tenant_id))?,
        authorizer_id: read.parsed(AuthorizerId::parse(&row.authorizer_id))?,
        scope: read.present(WebScope::parse(&row.scope))?,
        state_digest: read.digest(&row.state_digest)?,
        browser_digest: read.digest(&row.browser_digest)?,
        state: state(at, &read, &row)?,
        created_at: read.instant(row.created_at)?,
        expires_at: read.instant(row.expires_at)?,
        redirect_uri: row.redirect_uri,
        tenant_state: row.tenant_state,
    })
}

fn state(
    at: &Handle<'_>,
    read: &Reader<'_>,
    row: &web_authorizations::Model,
) -> Result<WebAuthorizationState> {
    let state_at = read.instant_if_any(row.state_at)?;
    let place_row = [row.authorizer_id.as_str(), row.tenant_id.as_str(), row.id.as_str()];
    match (row.state.as_str(), state_at, &row.wechat_code_sealed) {
        (AWAY, None, None) => Ok(WebAuthorizationState::Away),
        (DECLINED, Some(at), None) => Ok(WebAuthorizationState::Declined { at }),
        (RETURNED, Some(since), Some(sealed)) => {
            let wechat_code = at.keys.open_text(place(&place_row), sealed)?;
            Ok(WebAuthorizationState::Returned { wechat_code, at: since })
        }
        (EXCHANGED, Some(at), None) => Ok(WebAuthorizationState::Exchanged { at }),
        _ => Err(read.fault()),
    }
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "web_authorizations", column: "wechat_code_sealed", row }
}
