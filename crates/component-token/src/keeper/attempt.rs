//! One attempt to refresh one token: look again, ask WeChat, store what came of it.

use std::time::Duration;

use lingpai_model::{
    Secret,
    token::{AccessToken, KeptToken, Refresh, TokenFailure, TokenKey},
};
use lingpai_storage::{LeasedToken, TokenLease};

use super::{Hold, Landed, Machine, Obtained, Source, Wanted, Wish};
use crate::{Error, LEASE_TTL, LeasedWork};

/// How long to wait before a token is written again that the database did not take.
const SAVE_AGAIN: Duration = Duration::from_millis(500);

/// How often that is tried: until the lease has ended anyway.
const SAVES: u32 = 50;

/// One attempt to refresh one token.
pub(super) struct Attempt<'a, S: Source> {
    pub(super) machine: &'a Machine<S>,
    pub(super) owner: &'a S::Owner,
    pub(super) wish: &'a Wish,
    /// How often a cure was tried before.
    pub(super) round: u32,
}

impl<S: Source> LeasedWork for Attempt<'_, S> {
    type Lease = LeasedToken;
    type Outcome = Landed;
    type Error = S::Error;

    fn name(&self) -> String {
        self.machine.source.key(self.owner).to_string()
    }

    async fn outcome(&self) -> Result<Option<Landed>, S::Error> {
        let key = self.machine.source.key(self.owner);
        match self.machine.db.tokens().find(&key).await? {
            Some(kept) => Ok(self.judge(&kept).await?.map(Landed::stored)),
            None => Ok(None),
        }
    }

    async fn take(&self) -> Result<Option<LeasedToken>, S::Error> {
        let key = self.machine.source.key(self.owner);
        Ok(self.machine.db.take_token(&key, LEASE_TTL).await?)
    }

    async fn perform(&self, leased: LeasedToken) -> Result<Landed, S::Error> {
        let LeasedToken { kept, lease } = leased;
        let hold = Hold::of(&self.machine.db, &self.machine.ceiling, &lease);
        let judged = self.judge(&kept).await;
        if let Some(outcome) = judged.transpose() {
            if let Err(error) = self.machine.db.release_token(&lease).await {
                tracing::warn!(%error, "the lease of {} runs to its end", kept.key);
            }
            return outcome.map(Landed::stored);
        }
        // A worker comes for the token's age: should WeChat give the same one for longer, all is well.
        let not = self.wish.not.as_ref().filter(|_| !self.wish.is_a_workers);
        let wanted = Wanted { kept: &kept, not };
        match self.machine.source.obtain(self.owner, wanted, &hold).await {
            Ok(obtained) => self.keep(kept, &lease, obtained).await,
            // Callers are told each time; a worker looks at it later.
            Err(error) if self.machine.source.is_ceiling(&error) && !self.wish.is_a_workers => {
                self.machine.db.release_token(&lease).await?;
                Err(error)
            }
            Err(error) => {
                let key = kept.key.clone();
                match self.note(kept, &lease, (&error, hold.salvaged())).await {
                    // What was refused is out of date, and so would be any cure for it.
                    Err(lingpai_storage::Error::Fenced { .. }) => {
                        self.after_fence(&key, None).await
                    }
                    Ok(()) | Err(_) => Err(error),
                }
            }
        }
    }
}

impl<S: Source> Attempt<'_, S> {
    /// The stored token, unless it is due or not wanted. An error while the token rests.
    async fn judge(&self, kept: &KeptToken) -> Result<Option<AccessToken>, S::Error> {
        let machine = self.machine;
        let now = machine.clock.now();
        let is_wanted = |token: &AccessToken| {
            token.is_fresh(now, &machine.source.policy(self.owner))
                && self.wish.not.as_ref() != Some(&token.value)
        };
        if let Some(token) = kept.token.as_ref().filter(|token| is_wanted(token)) {
            return Ok(Some(token.clone()));
        }
        if self.round > 0 || self.wish.is_pressing() {
            return Ok(None);
        }
        let (Some(until), Some(failure)) = (kept.rests_until(now), &kept.failure) else {
            return Ok(None);
        };
        if machine.source.is_reconsidered(self.owner, kept).await? {
            return Ok(None);
        }
        let (what, reason) = (kept.key.to_string(), failure.reason.clone());
        Err(Error::Resting { what, reason, until }.into())
    }

    /// Stores what was obtained, in the transaction that ends the lease. As long as the database is
    /// away, it is tried again.
    async fn keep(
        &self,
        mut kept: KeptToken,
        lease: &TokenLease,
        obtained: Obtained,
    ) -> Result<Landed, S::Error> {
        let machine = self.machine;
        let [chance] = machine.entropy.bytes();
        let now = machine.clock.now();
        kept.due_at = Some(machine.source.policy(self.owner).due_at(&obtained.token, chance));
        kept.due_cause = None;
        kept.token = Some(obtained.token.clone());
        kept.refresh_token = obtained.refresh_token;
        kept.failure = None;
        kept.remember(Refresh { at: now, cause: self.wish.cause, failure: None });
        let mut saves = 0;
        loop {
            saves += 1;
            match self.save(&kept, lease).await {
                Ok(()) => {
                    tracing::info!(cause = self.wish.cause.as_str(), "{} refreshed", kept.key);
                    return Ok(Landed { token: obtained.token, is_new: true });
                }
                // Either somebody else was faster, or an earlier commit has happened after all.
                Err(lingpai_storage::Error::Fenced { .. }) => {
                    return self.after_fence(&kept.key, Some(&obtained.token)).await;
                }
                Err(error) if error.is_transient() && saves < SAVES => {
                    tracing::error!(%error, "{} could not be stored; it is tried again", kept.key);
                    tokio::time::sleep(SAVE_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn save(&self, kept: &KeptToken, lease: &TokenLease) -> lingpai_storage::Result<()> {
        let tx = self.machine.db.begin().await?;
        tx.tokens().save(lease, kept).await?;
        self.machine.source.refreshed(&tx, self.owner).await?;
        tx.commit().await
    }

    /// The token to go on with when the lease was lost: the stored one, whoever stored it.
    async fn after_fence(
        &self,
        key: &TokenKey,
        ours: Option<&AccessToken>,
    ) -> Result<Landed, S::Error> {
        let stored = self.machine.db.tokens().find(key).await?.and_then(|kept| kept.token);
        let now = self.machine.clock.now();
        match stored.filter(|token| token.is_alive(now)) {
            Some(token) if ours.is_some_and(|ours| token.value == ours.value) => {
                Ok(Landed { token, is_new: true })
            }
            Some(token) => {
                tracing::warn!("{key} was refreshed by somebody else meanwhile; ours is dropped");
                Ok(Landed::stored(token))
            }
            None => Err(Error::LeaseBusy { what: key.to_string() }.into()),
        }
    }

    /// Notes that the refresh failed, and when it is tried again; ends the lease. That this could
    /// not be noted is logged here.
    async fn note(
        &self,
        mut kept: KeptToken,
        lease: &TokenLease,
        (error, salvaged): (&S::Error, Option<Secret<String>>),
    ) -> lingpai_storage::Result<()> {
        let machine = self.machine;
        let now = machine.clock.now();
        let in_a_row = kept.failure.as_ref().map_or(0, |failure| failure.in_a_row) + 1;
        let [chance] = machine.entropy.bytes();
        let policy = machine.source.policy(self.owner);
        let reaction = machine.source.reaction(error);
        let reason = machine.source.told(error);
        kept.due_at = Some(reaction.next_try_at(now, in_a_row, &policy, chance));
        kept.due_cause = None;
        kept.remember(Refresh { at: now, cause: self.wish.cause, failure: Some(reason.clone()) });
        tracing::warn!(error = reason, in_a_row, "{} could not be refreshed", kept.key);
        kept.failure = Some(TokenFailure { at: now, reason, in_a_row });
        // Unless the answer brought another, the stored one is not touched.
        kept.refresh_token = salvaged;
        let noted = async {
            let tx = machine.db.begin().await?;
            tx.tokens().save(lease, &kept).await?;
            tx.commit().await
        };
        noted.await.inspect_err(|error| {
            tracing::warn!(%error, "that {} could not be refreshed could not be noted", kept.key);
        })
    }
}
