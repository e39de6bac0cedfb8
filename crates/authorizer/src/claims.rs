//! Who owns an account: given up, given away, or said to be nobody's.
//!
//! An account that granted to a component stays known when its owner gives it up: its refresh token
//! may be the only one there is. It is unclaimed then, answers its old owner like one that was never
//! there, and nobody refreshes its token until it has an owner again: by an authorization of a
//! tenant's, or because the operator assigns it.

use chrono::Duration;
use lingpai_model::{
    Appid,
    audit::{Act, Action, AuditEntry},
    authorizer::{Authorizer, AuthorizerState, Connection},
    caller::{Caller, OperatorCaller},
    clock::{Entropy, SharedClock},
    event::EventKind,
    id::{AuthorizerId, TenantId},
    page::{Page, PageRequest},
    token::RefreshCause,
};
use lingpai_storage::{Db, SystemAuthorizerFilter, Tx};

use crate::{
    Error, Result, jssdk::erase_tickets, mini_programs::erase_sessions_of, stream::emit,
    web_tokens::erase_grants_of,
};

/// Says who owns an account.
#[derive(Debug, Clone)]
pub struct Claims {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

impl Claims {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// Everybody's authorizers that match the filter, oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(
        &self,
        filter: &SystemAuthorizerFilter,
        page: &PageRequest,
    ) -> Result<Page<Authorizer>> {
        Ok(self.db.authorizers().system_page(filter, page).await?)
    }

    /// Gives an unclaimed account to a tenant, also one that was not to be served. Its token is
    /// refreshed at once, and the tenant is told as if it had just been authorized.
    ///
    /// # Errors
    /// [`Error::AuthorizerAbsent`]; [`Error::AuthorizerClaimed`] when it has an owner;
    /// [`Error::Revoked`] when the account has withdrawn its grant, or was connected by a secret
    /// that is erased; [`Error::TenantNotFound`].
    pub async fn assign(
        &self,
        by: &OperatorCaller,
        id: &AuthorizerId,
        tenant: &TenantId,
    ) -> Result<Authorizer> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let mut authorizer = unowned(&tx, id).await?;
        if matches!(authorizer.state, AuthorizerState::Revoked { .. }) {
            return Err(Error::Revoked { appid: authorizer.appid });
        }
        if tx.tenants().find(tenant).await?.is_none() {
            return Err(Error::TenantNotFound { id: tenant.clone() });
        }
        authorizer.tenant_id = Some(tenant.clone());
        authorizer.refused_at = None;
        authorizer.updated_at = now;
        tx.authorizers().system_update(&authorizer).await?;
        tx.tokens().set_due(&authorizer.token_key(), now, Some(RefreshCause::Manual)).await?;
        emit(&tx, &self.entropy, &authorizer, EventKind::Authorized, now).await?;
        if matches!(authorizer.state, AuthorizerState::NeedsReauthorization { .. }) {
            // Events of one millisecond have no order, and this one comes second.
            let then = now + Duration::milliseconds(1);
            emit(&tx, &self.entropy, &authorizer, EventKind::NeedsReauthorization, then).await?;
        }
        let act = by.act().about(tenant);
        self.append(&tx, &act, (Action::AuthorizerAssigned, &authorizer)).await?;
        tx.commit().await?;
        Ok(authorizer)
    }

    /// Says that an unclaimed account is not to be served: it is listed no more among those that
    /// wait for an owner. An authorization of a tenant's still makes it that tenant's.
    ///
    /// # Errors
    /// [`Error::AuthorizerAbsent`]; [`Error::AuthorizerClaimed`] when it has an owner.
    pub async fn refuse(&self, by: &OperatorCaller, id: &AuthorizerId) -> Result<Authorizer> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let mut authorizer = unowned(&tx, id).await?;
        if authorizer.refused_at.is_some() {
            return Ok(authorizer);
        }
        authorizer.refused_at = Some(now);
        authorizer.updated_at = now;
        rest_token(&tx, &mut authorizer).await?;
        tx.authorizers().system_update(&authorizer).await?;
        self.append(&tx, &by.act(), (Action::AuthorizerRefused, &authorizer)).await?;
        tx.commit().await?;
        Ok(authorizer)
    }

    /// Gives up the tenant's account: all of that appid, should it have granted to several
    /// components. One that is connected by its own secret loses it.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] when it is not there or not the tenant's: both look alike.
    pub async fn release(&self, caller: &Caller, appid: &Appid) -> Result<()> {
        let tx = self.db.begin().await?;
        let mut is_released = false;
        loop {
            let owned = match tx.authorizers().get(&caller.scope, appid).await {
                Err(lingpai_storage::Error::NotFound { .. }) => break,
                owned => owned?,
            };
            // It may have changed hands until it was locked.
            let locked = tx.authorizers().system_lock_by_id(&owned.id).await?;
            let still_owned =
                locked.filter(|one| one.tenant_id.as_ref() == Some(caller.scope.tenant_id()));
            let Some(authorizer) = still_owned else { break };
            self.release_one(&tx, &caller.act(), authorizer).await?;
            is_released = true;
        }
        if !is_released {
            return Err(Error::AuthorizerNotFound { appid: appid.clone() });
        }
        Ok(tx.commit().await?)
    }

    /// Takes an account from its owner. One that has none stays as it is.
    ///
    /// # Errors
    /// [`Error::AuthorizerAbsent`].
    pub async fn release_for(&self, by: &OperatorCaller, id: &AuthorizerId) -> Result<Authorizer> {
        let tx = self.db.begin().await?;
        let authorizer = locked(&tx, id).await?;
        let Some(owner) = &authorizer.tenant_id else { return Ok(authorizer) };
        let act = by.act().about(owner);
        let released = self.release_one(&tx, &act, authorizer).await?;
        tx.commit().await?;
        Ok(released)
    }

    /// Of a grant to a component nothing is erased; a secret that was entered is, and so is what fans
    /// left with the account: the next owner has no right to it.
    async fn release_one(
        &self,
        tx: &Tx,
        act: &Act,
        mut authorizer: Authorizer,
    ) -> Result<Authorizer> {
        let now = self.clock.now();
        authorizer.tenant_id = None;
        authorizer.released_at = Some(now);
        authorizer.updated_at = now;
        match authorizer.connection {
            Connection::Component { .. } => rest_token(tx, &mut authorizer).await?,
            Connection::Secret => {
                authorizer.generation += 1;
                authorizer.state = AuthorizerState::Revoked { at: now };
                tx.account_secrets().system_erase(&authorizer.id).await?;
                tx.tokens().erase(&authorizer.token_key()).await?;
            }
        }
        erase_tickets(tx, &authorizer.id).await?;
        erase_grants_of(tx, &authorizer.id).await?;
        erase_sessions_of(tx, &authorizer.id).await?;
        tx.authorizers().system_update(&authorizer).await?;
        self.append(tx, act, (Action::AuthorizerReleased, &authorizer)).await?;
        tracing::info!(authorizer.appid = %authorizer.appid, "{} is released", authorizer.appid);
        Ok(authorizer)
    }

    async fn append(
        &self,
        tx: &Tx,
        act: &Act,
        (action, authorizer): (Action, &Authorizer),
    ) -> Result<()> {
        let (subject, at) = (authorizer.appid.as_str(), (authorizer.updated_at, &self.entropy));
        Ok(tx.audit().append(&AuditEntry::of(act, action, subject, at)).await?)
    }
}

/// Makes sure that the account is in the hands in which it was read, and stays so until the transaction
/// ends: what is kept for its owner would be the next one's.
///
/// # Errors
/// [`Error::AuthorizerNotFound`] when it was released since.
pub(crate) async fn refuse_given_up(tx: &Tx, account: &Authorizer) -> Result<()> {
    let stored = tx.authorizers().system_share_by_id(&account.id).await?;
    let is_same = |stored: &Authorizer| {
        (&stored.tenant_id, stored.released_at) == (&account.tenant_id, account.released_at)
    };
    let absent = || Error::AuthorizerNotFound { appid: account.appid.clone() };
    stored.filter(is_same).map(drop).ok_or_else(absent)
}

async fn locked(tx: &Tx, id: &AuthorizerId) -> Result<Authorizer> {
    let found = tx.authorizers().system_lock_by_id(id).await?;
    found.ok_or_else(|| Error::AuthorizerAbsent { id: id.clone() })
}

async fn unowned(tx: &Tx, id: &AuthorizerId) -> Result<Authorizer> {
    let authorizer = locked(tx, id).await?;
    match authorizer.tenant_id {
        None => Ok(authorizer),
        Some(_) => Err(Error::AuthorizerClaimed { id: id.clone() }),
    }
}

/// Lets the account's token rest: it stays, and no worker looks at it. Whoever is refreshing it is
/// fenced off, or it would be due again; a refresh token that comes with that is in the history.
async fn rest_token(tx: &Tx, authorizer: &mut Authorizer) -> Result<()> {
    let Some(mut kept) = tx.tokens().lock(&authorizer.token_key()).await? else { return Ok(()) };
    authorizer.generation += 1;
    kept.generation = authorizer.generation;
    kept.due_at = None;
    kept.due_cause = None;
    Ok(tx.tokens().replace(&kept).await?)
}
