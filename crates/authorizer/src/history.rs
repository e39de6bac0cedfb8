//! The history of refresh tokens: whatever WeChat tells is kept before anything else is done.

use std::time::Duration;

use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::{ReceivedRefreshToken, RefreshTokenSource},
    id::ComponentId,
};
use lingpai_storage::Db;

use crate::Result;

/// How long to wait before a refresh token is written again that the database did not take.
const REMEMBER_AGAIN: Duration = Duration::from_secs(1);

/// The refresh tokens of one account at one component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History<'a> {
    pub(crate) db: &'a Db,
    pub(crate) component_id: &'a ComponentId,
    pub(crate) appid: &'a Appid,
}

impl History<'_> {
    /// All that are known, the newest first: at most twenty.
    pub(crate) async fn list(&self) -> Result<Vec<Secret<String>>> {
        let history = self.db.refresh_tokens().list(self.component_id, self.appid).await?;
        Ok(history.into_iter().map(|received| received.value).collect())
    }

    /// Appends a received refresh token, in a commit of its own: should what follows fail or be
    /// fenced off, the token is still known. As long as the database is away this waits: the answer
    /// of WeChat's that is in hand may be the only one that tells it.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database refuses it for good.
    pub(crate) async fn remember(
        &self,
        value: &Secret<String>,
        source: RefreshTokenSource,
        received_at: Instant,
    ) -> Result<()> {
        let received = ReceivedRefreshToken {
            component_id: self.component_id.clone(),
            authorizer_appid: self.appid.clone(),
            value: value.clone(),
            source,
            received_at,
        };
        loop {
            match self.append(&received).await {
                Err(error) if error.is_transient() => {
                    tracing::error!(
                        authorizer.appid = %self.appid,
                        %error,
                        "a received refresh token could not be stored; it is tried again"
                    );
                    tokio::time::sleep(REMEMBER_AGAIN).await;
                }
                appended => return Ok(appended?),
            }
        }
    }

    async fn append(&self, received: &ReceivedRefreshToken) -> lingpai_storage::Result<()> {
        let tx = self.db.begin().await?;
        tx.refresh_tokens().append(received).await?;
        tx.commit().await
    }
}
