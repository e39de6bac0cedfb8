//! Exchanges of authorization codes: one row for each code, whoever brought it.
//!
//! What two offers tell is merged by single conditional updates, so that a push and a browser that
//! arrive in the same moment lose nothing of each other.

use std::time::Duration;

use lingpai_model::{
    Appid, Instant,
    digest::Digest,
    exchange::{CodeOffer, CodeSource, Exchange, ExchangeState},
    id::{AuthorizationId, ComponentId},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, UpdateMany, sea_query::Expr,
};

use super::{ExchangeRepo, Reader, Write, reason};
use crate::{
    db::{Handle, millis},
    entity::exchanges::{self, Column, Entity},
    error::{Error, Result},
    seal::Place,
};

impl<A> ExchangeRepo<'_, A> {
    /// The exchange of this code.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn find(&self, key: &Digest) -> Result<Option<Exchange>> {
        let row = Entity::find_by_id(key.to_hex()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read an exchange"))?;
        row.as_ref().map(|row| record(&self.at, row)).transpose()
    }

    /// Exchanges that are not over and whose next attempt is due, the oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn list_open(&self, limit: u64) -> Result<Vec<Exchange>> {
        let open = ExchangeState::ALL.into_iter().filter(|state| !state.is_over());
        let open = open.map(ExchangeState::as_str);
        let rows = Entity::find()
            .filter(Column::State.is_in(open))
            .filter(Expr::col(Column::NextAttemptAt).lte(self.at.now()))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::ExchangeKey)
            .limit(limit)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list exchanges"))?;
        rows.iter().map(|row| record(&self.at, row)).collect()
    }
}

impl ExchangeRepo<'_, Write> {
    /// Takes in a code, or what another source tells of one that is here already.
    ///
    /// A push tells the account, the `pre_auth_code` and the time of the grant, whatever a browser
    /// said before; a browser only adds which link it came from. If that news can still bind or
    /// finish something and the exchange was done with, it is opened again (`Exchanged`).
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`]; [`Error::Query`] for an unknown component.
    pub async fn offer(&self, offer: &CodeOffer, now: Instant) -> Result<Exchange> {
        let key = offer.exchange_key();
        let known = self.find(&key).await?.is_some();
        if known || !self.at.insert_once("keep an exchange", row(&self.at, offer, now)).await? {
            match &offer.source {
                CodeSource::Push { authorizer_appid, pre_auth_code_digest, granted_at } => {
                    let digest = pre_auth_code_digest.as_ref();
                    self.merge_push(&key, authorizer_appid, digest, *granted_at).await?;
                }
                CodeSource::Browser { authorization_id, .. } => {
                    self.merge_browser(&key, authorization_id).await?;
                }
            }
        }
        self.find(&key).await?.ok_or_else(|| Error::inconsistent("exchanges", key.to_hex()))
    }

    /// Writes how far an exchange got.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn set_state(&self, key: &Digest, state: ExchangeState) -> Result<()> {
        let update = Entity::update_many().col_expr(Column::State, Expr::val(state.as_str()));
        self.must_update(key, "update an exchange", update).await
    }

    /// Marks an exchange as settled, unless a push or a browser told something new since `exchange`
    /// was read: `false` then, and it stays open for another round.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn settle(&self, exchange: &Exchange) -> Result<bool> {
        let digest = exchange.pre_auth_code_digest.map(Digest::to_hex);
        let returned = exchange.returned_authorization_id.as_ref().map(ToString::to_string);
        let update = Entity::update_many()
            .col_expr(Column::State, Expr::val(ExchangeState::Settled.as_str()))
            .filter(same(Column::PreAuthCodeDigest, digest))
            .filter(same(Column::ReturnedAuthorizationId, returned));
        self.update(&exchange.key, "settle an exchange", update).await
    }

    /// Notes which account a code turned out to be for, unless a push told it already.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn note_appid(&self, key: &Digest, appid: &Appid) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::AuthorizerAppid, Expr::val(appid.as_str()))
            .filter(Column::AuthorizerAppid.is_null());
        self.update(key, "note an exchange's account", update).await.map(drop)
    }

    /// Counts a failed attempt and puts the next one off for `delay`, by the database's clock.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn schedule_retry(&self, key: &Digest, delay: Duration, failure: &str) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1_i64))
            .col_expr(Column::NextAttemptAt, self.at.now().add(millis(delay)))
            .col_expr(Column::LastFailure, Expr::val(reason(failure)));
        self.must_update(key, "put an exchange off", update).await
    }

    async fn merge_push(
        &self,
        key: &Digest,
        appid: &Appid,
        pre_auth_code: Option<&Digest>,
        granted_at: Instant,
    ) -> Result<()> {
        let what = "merge a push into an exchange";
        // Given up because nobody knew whose code it was: now the account can be asked about.
        let nameless = Entity::update_many()
            .col_expr(Column::State, Expr::val(ExchangeState::Offered.as_str()))
            .col_expr(Column::NextAttemptAt, Expr::val(0_i64))
            .filter(Column::State.eq(ExchangeState::Failed.as_str()))
            .filter(Column::AuthorizerAppid.is_null());
        self.update(key, what, nameless).await?;
        let mut update = Entity::update_many()
            .col_expr(Column::AuthorizerAppid, Expr::val(appid.as_str()))
            .col_expr(Column::GrantedAt, Expr::val(granted_at.timestamp_millis()));
        if let Some(digest) = pre_auth_code {
            // First, while it still shows that the code was unknown.
            let unbound = reopen().filter(Column::PreAuthCodeDigest.is_null());
            self.update(key, what, unbound).await?;
            update = update.col_expr(Column::PreAuthCodeDigest, Expr::val(digest.to_hex()));
        }
        self.must_update(key, what, update).await
    }

    async fn merge_browser(&self, key: &Digest, authorization: &AuthorizationId) -> Result<()> {
        let what = "merge a browser's return into an exchange";
        // With a `pre_auth_code` known, the right authorization gets the outcome anyway.
        let unfinished = reopen()
            .filter(Column::ReturnedAuthorizationId.is_null())
            .filter(Column::PreAuthCodeDigest.is_null());
        self.update(key, what, unfinished).await?;
        let update = Entity::update_many()
            .col_expr(Column::ReturnedAuthorizationId, Expr::val(authorization.as_str()))
            .filter(Column::ReturnedAuthorizationId.is_null());
        self.update(key, what, update).await.map(drop)
    }

    async fn must_update(
        &self,
        key: &Digest,
        what: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<()> {
        let updated = self.update(key, what, update).await?;
        if updated { Ok(()) } else { Err(Error::not_found("exchange", key.to_hex())) }
    }

    /// Whether the row was there and its conditions held.
    async fn update(
        &self,
        key: &Digest,
        what: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<bool> {
        let update = update.filter(Column::ExchangeKey.eq(key.to_hex()));
        let updated = update.exec(&self.at.conn).await.map_err(self.at.failed(what))?;
        Ok(updated.rows_affected == 1)
    }
}

/// Opens an exchange whose code WeChat has taken for another round, at once.
fn reopen() -> UpdateMany<Entity> {
    let taken = [ExchangeState::Exchanged.as_str(), ExchangeState::Settled.as_str()];
    Entity::update_many()
        .col_expr(Column::State, Expr::val(ExchangeState::Exchanged.as_str()))
        .col_expr(Column::NextAttemptAt, Expr::val(0_i64))
        .filter(Column::State.is_in(taken))
}

/// The column holds just this, or nothing if this is nothing.
fn same(column: Column, value: Option<String>) -> Expr {
    match value {
        Some(value) => column.eq(value),
        None => column.is_null(),
    }
}

fn row(at: &Handle<'_>, offer: &CodeOffer, now: Instant) -> exchanges::Model {
    let key = offer.exchange_key().to_hex();
    let component = offer.component_id.as_str();
    let sealed = at.keys.seal_text(place(&[component, &key]), &offer.authorization_code);
    let (appid, pre_auth_code, returned, granted_at) = match &offer.source {
        CodeSource::Push { authorizer_appid, pre_auth_code_digest, granted_at } => {
            (Some(authorizer_appid), pre_auth_code_digest.as_ref(), None, granted_at)
        }
        CodeSource::Browser { authorization_id, returned_at } => {
            (None, None, Some(authorization_id), returned_at)
        }
    };
    exchanges::Model {
        exchange_key: key,
        component_id: component.to_owned(),
        authorization_code_sealed: sealed,
        authorizer_appid: appid.map(ToString::to_string),
        pre_auth_code_digest: pre_auth_code.copied().map(Digest::to_hex),
        returned_authorization_id: returned.map(ToString::to_string),
        granted_at: granted_at.timestamp_millis(),
        state: ExchangeState::Offered.as_str().to_owned(),
        attempts: 0,
        next_attempt_at: 0,
        last_failure: None,
        created_at: now.timestamp_millis(),
    }
}

fn record(at: &Handle<'_>, row: &exchanges::Model) -> Result<Exchange> {
    let read = Reader { table: "exchanges", key: &row.exchange_key };
    let place_row = [row.component_id.as_str(), row.exchange_key.as_str()];
    let pre_auth_code = row.pre_auth_code_digest.as_deref();
    let returned = row.returned_authorization_id.as_deref().map(AuthorizationId::parse);
    Ok(Exchange {
        key: read.digest(&row.exchange_key)?,
        component_id: read.parsed(ComponentId::parse(&row.component_id))?,
        authorization_code: at.keys.open_text(place(&place_row), &row.authorization_code_sealed)?,
        authorizer_appid: read.appid_if_any(row.authorizer_appid.as_deref())?,
        pre_auth_code_digest: pre_auth_code.map(|hex| read.digest(hex)).transpose()?,
        returned_authorization_id: read.parsed(returned.transpose())?,
        granted_at: read.instant(row.granted_at)?,
        state: read.present(ExchangeState::parse(&row.state))?,
        attempts: read.count(row.attempts)?,
        created_at: read.instant(row.created_at)?,
    })
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "exchanges", column: "authorization_code_sealed", row }
}
