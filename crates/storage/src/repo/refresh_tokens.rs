//! The history of every refresh token ever received. Rows are added, never changed or removed.

use lingpai_model::{
    Appid,
    authorizer::{ReceivedRefreshToken, RefreshTokenSource},
    id::ComponentId,
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::{Reader, RefreshTokenRepo, Write};
use crate::{
    db::Handle,
    entity::refresh_tokens::{self, Column, Entity},
    error::Result,
    seal::Place,
};

/// How many candidates are worth trying.
const LISTED: u64 = 20;

impl<A> RefreshTokenRepo<'_, A> {
    /// The refresh tokens of an account, the newest first: at most twenty.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Unopenable`], [`crate::Error::Inconsistent`].
    pub async fn list(
        &self,
        component: &ComponentId,
        appid: &Appid,
    ) -> Result<Vec<ReceivedRefreshToken>> {
        let rows = Entity::find()
            .filter(Column::ComponentId.eq(component.as_str()))
            .filter(Column::AuthorizerAppid.eq(appid.as_str()))
            .order_by_desc(Column::ReceivedAt)
            .order_by_desc(Column::TokenDigest)
            .limit(LISTED)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list refresh tokens"))?;
        rows.iter().map(|row| record(&self.at, row)).collect()
    }
}

impl RefreshTokenRepo<'_, Write> {
    /// Adds a refresh token to the history. One that was received before changes nothing.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Query`] for an unknown component.
    pub async fn append(&self, token: &ReceivedRefreshToken) -> Result<()> {
        let what = "keep a refresh token";
        let digest = token.digest().to_hex();
        let [component, appid] = [token.component_id.as_str(), token.authorizer_appid.as_str()];
        let key = (component.to_owned(), appid.to_owned(), digest.clone());
        let known = Entity::find_by_id(key).count(&self.at.conn).await;
        if known.map_err(self.at.failed(what))? > 0 {
            return Ok(());
        }
        let sealed = self.at.keys.seal_text(place(&[component, appid, &digest]), &token.value);
        let row = refresh_tokens::Model {
            component_id: component.to_owned(),
            authorizer_appid: appid.to_owned(),
            value_sealed: sealed,
            token_digest: digest,
            source: token.source.as_str().to_owned(),
            received_at: token.received_at.timestamp_millis(),
        };
        self.at.insert_once(what, row).await.map(drop)
    }
}

fn record(at: &Handle<'_>, row: &refresh_tokens::Model) -> Result<ReceivedRefreshToken> {
    let read = Reader { table: "refresh_tokens", key: &row.token_digest };
    let place_row =
        [row.component_id.as_str(), row.authorizer_appid.as_str(), row.token_digest.as_str()];
    let source = RefreshTokenSource::ALL.into_iter().find(|source| source.as_str() == row.source);
    Ok(ReceivedRefreshToken {
        component_id: read.parsed(ComponentId::parse(&row.component_id))?,
        authorizer_appid: read.appid(&row.authorizer_appid)?,
        value: at.keys.open_text(place(&place_row), &row.value_sealed)?,
        source: read.present(source)?,
        received_at: read.instant(row.received_at)?,
    })
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "refresh_tokens", column: "value_sealed", row }
}
