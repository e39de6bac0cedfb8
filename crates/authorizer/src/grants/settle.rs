//! Steps 3 and 4: the profile is read, then one transaction stores all that the grant means.

use lingpai_model::{
    Appid, Instant, Secret,
    authorization::{Authorization, AuthorizationState},
    authorizer::{Authorizer, AuthorizerState, Connection, Profile},
    component::Component,
    event::EventKind,
    exchange::{Exchange, ExchangeState},
    id::{AuthorizerId, TenantId},
    token::{KeptToken, Refresh, RefreshCause, RefreshPolicy},
};
use lingpai_storage::{Lease, Tx};

use super::{Granted, Work};
use crate::{Result, history::History, profiles::profile_of, stream::emit};

impl Work {
    /// Reads the account's profile and stores the grant; ends the exchange and its lease. Whatever
    /// push or browser told meanwhile takes another round.
    pub(super) async fn settle(
        &self,
        component: &Component,
        exchange: &Exchange,
        granted: Granted,
        lease: &Lease,
    ) -> Result<ExchangeState> {
        let (profile, granted) = self.complete(component, granted).await?;
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let authorizer = self.store_grant(&tx, component, exchange, (profile, granted)).await?;
        self.tell_outcome(&tx, exchange, &authorizer, now).await?;
        let is_settled = tx.exchanges().settle(exchange).await?;
        tx.finish_lease(lease).await?;
        tx.commit().await?;
        tracing::info!(
            component.appid = %component.appid,
            authorizer.appid = %authorizer.appid,
            is_claimed = authorizer.tenant_id.is_some(),
            "grant of {} to {} stored",
            authorizer.appid,
            component.appid
        );
        Ok(if is_settled { ExchangeState::Settled } else { ExchangeState::Exchanged })
    }

    /// Asks `api_get_authorizer_info` for the profile and for what an interrupted exchange lost.
    async fn complete(
        &self,
        component: &Component,
        granted: Granted,
    ) -> Result<(Profile, Granted)> {
        let answer = self.profiles.ask(component, &granted.appid).await?;
        let refresh_token = match granted.refresh_token.clone().or(answer.refresh_token) {
            Some(token) => Some(token),
            None => self.last_refresh_token(component, &granted.appid).await?,
        };
        let func_info = granted.func_info.clone().or(answer.func_info);
        Ok((
            answer.info.map(profile_of).unwrap_or_default(),
            Granted { refresh_token, func_info, ..granted },
        ))
    }

    async fn last_refresh_token(
        &self,
        component: &Component,
        appid: &Appid,
    ) -> Result<Option<Secret<String>>> {
        let history = History { db: &self.db, component_id: &component.id, appid };
        Ok(history.list().await?.into_iter().next())
    }

    /// Stores authorizer and tokens. The tenant is the one the `pre_auth_code` was issued to; an
    /// authorizer that has an owner keeps it, and one that was released since the grant has none.
    async fn store_grant(
        &self,
        tx: &Tx,
        component: &Component,
        exchange: &Exchange,
        (profile, granted): (Profile, Granted),
    ) -> Result<Authorizer> {
        let now = self.clock.now();
        let started_by = match &exchange.pre_auth_code_digest {
            Some(digest) => {
                tx.authorizations().system_find_by_pre_auth_code(&component.id, digest).await?
            }
            None => None,
        };
        let tenant_id = started_by.map(|authorization| authorization.tenant_id);
        let stored = tx.authorizers().system_lock(&component.id, &granted.appid).await?;
        let Some(old) = stored else {
            let authorizer = Authorizer {
                id: AuthorizerId::new(now, &self.entropy),
                connection: Connection::Component {
                    id: component.id.clone(),
                    appid: component.appid.clone(),
                },
                tenant_id,
                refused_at: None,
                released_at: None,
                appid: granted.appid.clone(),
                state: AuthorizerState::Active,
                generation: 1,
                granted_at: granted.at,
                profile,
                func_info: granted.func_info.clone().unwrap_or_default(),
                created_at: now,
                updated_at: now,
            };
            tx.authorizers().system_insert(&authorizer).await?;
            self.store_tokens(tx, &authorizer, granted).await?;
            emit(tx, &self.entropy, &authorizer, EventKind::Authorized, now).await?;
            return Ok(authorizer);
        };
        let tenant_id = tenant_id.filter(|_| !is_older_than_release(exchange, &old));
        self.renew_grant(tx, component, old, (tenant_id, profile, granted)).await
    }

    /// Brings a stored authorizer up to date. The same code may be settled twice, once for the browser
    /// and once for the push: what it brought the first time stays, and is told only once.
    async fn renew_grant(
        &self,
        tx: &Tx,
        component: &Component,
        old: Authorizer,
        (tenant_id, profile, mut granted): (Option<TenantId>, Profile, Granted),
    ) -> Result<Authorizer> {
        let now = self.clock.now();
        let kept = tx.tokens().lock(&old.token_key()).await?;
        if let Some(kept) = &kept
            && self.is_newer(tx, component, &old.appid, (kept, &granted)).await?
        {
            // A refresh ran while WeChat was asked about the account, by what this grant had brought.
            granted.refresh_token.clone_from(&kept.refresh_token);
            granted.access_token.clone_from(&kept.token);
        }
        let same_token = kept.filter(|kept| {
            kept.refresh_token.is_some() && kept.refresh_token == granted.refresh_token
        });
        // The same refresh token is the same grant; the push knows its time better than a browser.
        let is_newer = same_token.is_some() || granted.at >= old.granted_at;
        let is_claimed_now = old.tenant_id.is_none() && tenant_id.is_some();
        let stood = old.state == AuthorizerState::Active;
        let func_info = granted.func_info.take().unwrap_or_else(|| old.func_info.clone());
        let has_changed = same_token.is_none() || func_info != old.func_info;

        let mut authorizer = old;
        authorizer.tenant_id = authorizer.tenant_id.or(tenant_id);
        if is_claimed_now {
            // What is authorized for a tenant is to be served, whatever was said of it before.
            authorizer.refused_at = None;
        }
        authorizer.profile = authorizer.profile.merge(profile);
        authorizer.updated_at = now;
        if is_newer {
            authorizer.state = AuthorizerState::Active;
            authorizer.generation += 1;
            authorizer.granted_at = granted.at;
            authorizer.func_info = func_info;
            granted.access_token = granted.access_token.or(same_token.and_then(|kept| kept.token));
        }
        tx.authorizers().system_update(&authorizer).await?;
        if is_newer {
            self.store_tokens(tx, &authorizer, granted).await?;
        }
        if is_claimed_now || (is_newer && !stood) {
            emit(tx, &self.entropy, &authorizer, EventKind::Authorized, now).await?;
        } else if is_newer && has_changed {
            emit(tx, &self.entropy, &authorizer, EventKind::Updated, now).await?;
        }
        Ok(authorizer)
    }

    /// Whether the stored refresh token was received after the granted one. An older one must never
    /// take the place of a newer.
    async fn is_newer(
        &self,
        tx: &Tx,
        component: &Component,
        appid: &Appid,
        (kept, granted): (&KeptToken, &Granted),
    ) -> Result<bool> {
        let history = tx.refresh_tokens().list(&component.id, appid).await?;
        let received_at = |token: &Option<Secret<String>>| {
            let received = history.iter().find(|received| Some(&received.value) == token.as_ref());
            received.map(|received| received.received_at)
        };
        Ok(match (received_at(&kept.refresh_token), received_at(&granted.refresh_token)) {
            (Some(stored), Some(granted)) => stored > granted,
            _ => false,
        })
    }

    async fn store_tokens(&self, tx: &Tx, authorizer: &Authorizer, granted: Granted) -> Result<()> {
        let now = self.clock.now();
        let mut kept = KeptToken::unknown(authorizer.token_key(), authorizer.generation);
        // An account without API permission has no refresh token, and nothing to be refreshed.
        kept.due_at = granted.refresh_token.is_some().then_some(now);
        if let Some(token) = granted.access_token {
            let [chance] = self.entropy.bytes();
            kept.due_at = Some(RefreshPolicy::default().due_at(&token, chance));
            kept.token = Some(token);
            kept.remember(Refresh { at: now, cause: RefreshCause::Grant, failure: None });
        }
        kept.refresh_token = granted.refresh_token;
        if authorizer.tenant_id.is_none()
            && (authorizer.released_at.is_some() || authorizer.refused_at.is_some())
        {
            // Whoever becomes its owner makes it due.
            kept.due_at = None;
        }
        Ok(tx.tokens().replace(&kept).await?)
    }

    /// Tells the authorization that started it, and the one whose browser came back, how it ended.
    async fn tell_outcome(
        &self,
        tx: &Tx,
        exchange: &Exchange,
        authorizer: &Authorizer,
        at: Instant,
    ) -> Result<()> {
        let authorizer_appid = authorizer.appid.clone();
        if let Some(digest) = &exchange.pre_auth_code_digest {
            let id = &exchange.component_id;
            let pushed = tx.authorizations().system_find_by_pre_auth_code(id, digest).await?;
            // Of an account that was released since, nobody is the owner: that is no outcome.
            if let Some(started) = pushed
                && let Some(owner) = &authorizer.tenant_id
            {
                let state = if started.tenant_id == *owner {
                    AuthorizationState::Finished { authorizer_appid, at }
                } else {
                    AuthorizationState::OwnedElsewhere { authorizer_appid, at }
                };
                tx.authorizations().system_set_state(&started.id, &state).await?;
            }
            return Ok(());
        }
        // Without a push nobody becomes an owner; but who already is one has got what he asked for.
        if let Some(id) = &exchange.returned_authorization_id
            && let Some(started) = tx.authorizations().system_find(id).await?
            && is_owner(&started, authorizer)
        {
            let state = AuthorizationState::Finished { authorizer_appid, at };
            tx.authorizations().system_set_state(&started.id, &state).await?;
        }
        Ok(())
    }
}

fn is_owner(started: &Authorization, authorizer: &Authorizer) -> bool {
    Some(&started.component_id) == authorizer.connection.component_id()
        && Some(&started.tenant_id) == authorizer.tenant_id.as_ref()
}

/// Whether this was granted before the account was last released. Who gave it up must not get it back
/// by a grant that was still under way. WeChat's clock tells whole seconds; ours tells of a code that
/// was here before.
fn is_older_than_release(exchange: &Exchange, authorizer: &Authorizer) -> bool {
    authorizer.released_at.is_some_and(|released_at| {
        exchange.created_at < released_at
            || exchange.granted_at.timestamp() < released_at.timestamp()
    })
}
