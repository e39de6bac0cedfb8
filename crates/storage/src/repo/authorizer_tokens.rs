//! The present tokens of each authorizer. What a grant or a refresh brings is fenced by the grant's
//! generation.

use lingpai_model::{
    Secret,
    authorizer::GrantTokens,
    id::AuthorizerId,
    token::{AccessToken, TokenFailure},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, UpdateMany, sea_query::Expr,
};

use super::{AuthorizerTokenRepo, KeptColumns, Reader, Write, reason};
use crate::{
    cache::Changed,
    db::Handle,
    entity::authorizer_tokens::{self, Column, Entity},
    error::{Error, Result},
    seal::{KeyRing, Place},
};

impl<A> AuthorizerTokenRepo<'_, A> {
    /// The authorizer's tokens, if it ever had any.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_find(&self, id: &AuthorizerId) -> Result<Option<GrantTokens>> {
        let row = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read an authorizer's tokens"))?;
        row.map(|row| record(&self.at, row)).transpose()
    }
}

impl AuthorizerTokenRepo<'_, Write> {
    /// Stores the tokens of a new grant in the place of an older one's.
    ///
    /// # Errors
    /// [`Error::Fenced`] when a newer grant's tokens are there; [`Error::Unavailable`].
    pub async fn system_replace(&self, id: &AuthorizerId, tokens: &GrantTokens) -> Result<()> {
        let row = row(self.at.keys, id, tokens);
        let mut changed = row.clone().into_active_model().reset_all();
        changed.not_set(Column::AuthorizerId);
        let update =
            Entity::update_many().set(changed).filter(Column::Generation.lte(tokens.generation));
        let replaced = self.update(id, "replace an authorizer's tokens", update).await?;
        if replaced || self.at.insert_once("store an authorizer's tokens", row).await? {
            Ok(())
        } else {
            Err(fenced(id))
        }
    }

    /// Stores what a refresh brought. Without a new refresh token the stored one stays.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the grant of this `generation` was replaced meanwhile;
    /// [`Error::Unavailable`].
    pub async fn system_save_refreshed(
        &self,
        id: &AuthorizerId,
        generation: i64,
        access: &AccessToken,
        refresh_token: Option<&Secret<String>>,
    ) -> Result<()> {
        let seal = |column, secret| self.at.keys.seal_text(place(column, &[id.as_str()]), secret);
        let mut update = Entity::update_many()
            .col_expr(Column::AccessTokenSealed, Expr::val(seal(ACCESS, &access.value)))
            .col_expr(Column::ExpiresAt, Expr::val(access.expires_at.timestamp_millis()))
            .col_expr(Column::ObtainedAt, Expr::val(access.obtained_at.timestamp_millis()))
            .col_expr(Column::FailedAt, Expr::val(None::<i64>))
            .col_expr(Column::FailureReason, Expr::val(None::<String>))
            .filter(Column::Generation.eq(generation));
        if let Some(refresh_token) = refresh_token {
            let sealed = seal(REFRESH, refresh_token);
            update = update.col_expr(Column::RefreshTokenSealed, Expr::val(sealed));
        }
        let saved = self.update(id, "save refreshed tokens", update).await?;
        if saved { Ok(()) } else { Err(fenced(id)) }
    }

    /// Notes that a refresh failed; the tokens stay.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there are no tokens; [`Error::Unavailable`].
    pub async fn system_mark_failed(
        &self,
        id: &AuthorizerId,
        failure: &TokenFailure,
    ) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::FailedAt, Expr::val(failure.at.timestamp_millis()))
            .col_expr(Column::FailureReason, Expr::val(reason(&failure.reason)));
        self.must_update(id, "note a failed refresh", update).await
    }

    /// Drops the access token of a withdrawn grant. The refresh token stays, and so does the history.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there are no tokens; [`Error::Unavailable`].
    pub async fn system_clear_access(&self, id: &AuthorizerId) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::AccessTokenSealed, Expr::val(None::<Vec<u8>>))
            .col_expr(Column::ExpiresAt, Expr::val(None::<i64>))
            .col_expr(Column::ObtainedAt, Expr::val(None::<i64>));
        self.must_update(id, "drop an access token", update).await
    }

    async fn must_update(
        &self,
        id: &AuthorizerId,
        what: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<()> {
        let updated = self.update(id, what, update).await?;
        if updated { Ok(()) } else { Err(Error::not_found("tokens of authorizer", id)) }
    }

    /// Whether the row was there and its conditions held.
    async fn update(
        &self,
        id: &AuthorizerId,
        what: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<bool> {
        self.at.changed(Changed::AuthorizerTokens(id.clone()));
        let update = update.filter(Column::AuthorizerId.eq(id.as_str()));
        let updated = update.exec(&self.at.conn).await.map_err(self.at.failed(what))?;
        Ok(updated.rows_affected == 1)
    }
}

fn fenced(id: &AuthorizerId) -> Error {
    Error::Fenced { key: format!("tokens of {id}") }
}

fn row(keys: &KeyRing, id: &AuthorizerId, tokens: &GrantTokens) -> authorizer_tokens::Model {
    let seal = |column, secret| keys.seal_text(place(column, &[id.as_str()]), secret);
    let access = tokens.access.token.as_ref();
    let failure = tokens.access.failure.as_ref();
    authorizer_tokens::Model {
        authorizer_id: id.as_str().to_owned(),
        generation: tokens.generation,
        access_token_sealed: access.map(|token| seal(ACCESS, &token.value)),
        expires_at: access.map(|token| token.expires_at.timestamp_millis()),
        obtained_at: access.map(|token| token.obtained_at.timestamp_millis()),
        failed_at: failure.map(|failure| failure.at.timestamp_millis()),
        failure_reason: failure.map(|failure| reason(&failure.reason)),
        refresh_token_sealed: tokens.refresh_token.as_ref().map(|token| seal(REFRESH, token)),
    }
}

fn record(at: &Handle<'_>, row: authorizer_tokens::Model) -> Result<GrantTokens> {
    let id = [row.authorizer_id.as_str()];
    let open = |column, sealed: Option<&[u8]>| {
        sealed.map(|sealed| at.keys.open_text(place(column, &id), sealed)).transpose()
    };
    let refresh_token = open(REFRESH, row.refresh_token_sealed.as_deref())?;
    let columns = KeptColumns {
        token: open(ACCESS, row.access_token_sealed.as_deref())?,
        expires_at: row.expires_at,
        obtained_at: row.obtained_at,
        failed_at: row.failed_at,
        failure_reason: row.failure_reason,
    };
    let access = columns.read(&Reader { table: "authorizer_tokens", key: &row.authorizer_id })?;
    Ok(GrantTokens { generation: row.generation, access, refresh_token })
}

const ACCESS: &str = "access_token_sealed";
const REFRESH: &str = "refresh_token_sealed";

fn place<'a>(column: &'static str, row: &'a [&'a str]) -> Place<'a> {
    Place { table: "authorizer_tokens", column, row }
}
