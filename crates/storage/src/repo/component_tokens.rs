//! The present `component_access_token` of each component.

use lingpai_model::{
    id::ComponentId,
    token::{AccessToken, KeptToken, TokenFailure},
};
use sea_orm::{EntityTrait as _, IntoActiveModel as _, sea_query::OnConflict};

use super::{ComponentTokenRepo, KeptColumns, Reader, Write, reason};
use crate::{
    entity::component_tokens::{self, Column},
    error::Result,
    seal::Place,
};

impl<A> ComponentTokenRepo<'_, A> {
    /// The component's token and how its last refresh went; empty when none was obtained yet.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Unopenable`], [`crate::Error::Inconsistent`].
    pub async fn find(&self, component: &ComponentId) -> Result<KeptToken> {
        let row = component_tokens::Entity::find_by_id(component.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read a component's token"))?;
        let Some(row) = row else {
            return Ok(KeptToken::default());
        };
        let id = [row.component_id.as_str()];
        let sealed = row.access_token_sealed.as_deref();
        let token = sealed.map(|sealed| self.at.keys.open_text(place(&id), sealed)).transpose()?;
        KeptColumns {
            token,
            expires_at: row.expires_at,
            obtained_at: row.obtained_at,
            failed_at: row.failed_at,
            failure_reason: row.failure_reason,
        }
        .read(&Reader { table: "component_tokens", key: &row.component_id })
    }
}

impl ComponentTokenRepo<'_, Write> {
    /// Replaces the token and forgets the failure before it. Fence it with
    /// [`crate::Tx::finish_lease`] in the same transaction.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Query`] for an unknown component.
    pub async fn save(&self, component: &ComponentId, token: &AccessToken) -> Result<()> {
        let id = component.as_str();
        let row = component_tokens::Model {
            component_id: id.to_owned(),
            access_token_sealed: Some(self.at.keys.seal_text(place(&[id]), &token.value)),
            expires_at: Some(token.expires_at.timestamp_millis()),
            obtained_at: Some(token.obtained_at.timestamp_millis()),
            failed_at: None,
            failure_reason: None,
        };
        let columns = [
            Column::AccessTokenSealed,
            Column::ExpiresAt,
            Column::ObtainedAt,
            Column::FailedAt,
            Column::FailureReason,
        ];
        self.upsert("save a component's token", row, &columns).await
    }

    /// Notes that a refresh failed; the token stays.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Query`] for an unknown component.
    pub async fn mark_failed(&self, component: &ComponentId, failure: &TokenFailure) -> Result<()> {
        let row = component_tokens::Model {
            component_id: component.as_str().to_owned(),
            access_token_sealed: None,
            expires_at: None,
            obtained_at: None,
            failed_at: Some(failure.at.timestamp_millis()),
            failure_reason: Some(reason(&failure.reason)),
        };
        let columns = [Column::FailedAt, Column::FailureReason];
        self.upsert("note a failed refresh", row, &columns).await
    }

    async fn upsert(
        &self,
        what: &'static str,
        row: component_tokens::Model,
        columns: &[Column],
    ) -> Result<()> {
        let mut replace = OnConflict::column(Column::ComponentId);
        replace.update_columns(columns.iter().copied());
        component_tokens::Entity::insert(row.into_active_model())
            .on_conflict(replace)
            .exec_without_returning(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        Ok(())
    }
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "component_tokens", column: "access_token_sealed", row }
}
