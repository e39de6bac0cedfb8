//! What one page of WeChat's list means for our authorizers.

use std::collections::HashMap;

use chrono::DateTime;
use lingpai_component_token::{LEASE_TTL, Reaction};
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::{Authorizer, AuthorizerState, Connection, Profile, RefreshTokenSource},
    component::{Component, Reconciliation},
    event::EventKind,
    id::AuthorizerId,
    token::{KeptToken, RefreshCause, TokenKey, TokenKind},
};
use lingpai_storage::Lease;
use lingpai_wechat::{call::authorizer::ListedAuthorizer, client::ClientError, errcode::Errcode};

use super::Work;
use crate::{Result, history::History, profiles::profile_of, stream::emit};

/// Of how many unknown accounts one reconciliation reads the profile; the others go without.
const PROFILES: u32 = 500;

impl Work {
    /// Takes in one page of the list.
    pub(super) async fn take_in(
        &self,
        component: &Component,
        listed: Vec<ListedAuthorizer>,
        so_far: &mut Reconciliation,
        lease: &Lease,
    ) -> Result<()> {
        let db = &self.base.db;
        let appids: Vec<&Appid> = listed.iter().map(|account| &account.authorizer_appid).collect();
        let known = db.authorizers().system_list_by_appid(&component.id, &appids).await?;
        let ids: Vec<AuthorizerId> = known.iter().map(|known| known.id.clone()).collect();
        let owner_ids: Vec<&str> = ids.iter().map(AuthorizerId::as_str).collect();
        let kept = db.tokens().list(TokenKind::Authorizer, &owner_ids).await?;
        let mut kept: HashMap<TokenKey, KeptToken> =
            kept.into_iter().map(|kept| (kept.key.clone(), kept)).collect();
        let mut known: HashMap<Appid, Authorizer> =
            known.into_iter().map(|known| (known.appid.clone(), known)).collect();
        for account in listed {
            let taken = match known.remove(&account.authorizer_appid) {
                Some(ours) => {
                    let kept = kept.remove(&ours.token_key());
                    let compared = self.compare_one(component, &ours, kept, &account).await;
                    compared.map(|helped| so_far.recovered += u32::from(helped))
                }
                None => {
                    self.base.db.renew_lease(lease, LEASE_TTL).await?;
                    let found = self.find(component, &account, so_far).await;
                    found.map(|is_new| so_far.found += u32::from(is_new))
                }
            };
            match taken {
                // It says something of this account only.
                Err(error) if error.wechat().is_some_and(is_about_one) => tracing::warn!(
                    authorizer.appid = %account.authorizer_appid,
                    %error,
                    "{} could not be compared",
                    account.authorizer_appid
                ),
                taken => taken?,
            }
        }
        let tx = db.begin().await?;
        tx.authorizers().system_mark_listed(&ids, so_far.at).await?;
        Ok(tx.commit().await?)
    }

    /// Compares one of ours with what the list says. Returns whether it was helped.
    async fn compare_one(
        &self,
        component: &Component,
        ours: &Authorizer,
        kept: Option<KeptToken>,
        listed: &ListedAuthorizer,
    ) -> Result<bool> {
        let Some(refresh_token) = &listed.refresh_token else { return Ok(false) };
        if kept.as_ref().and_then(|kept| kept.refresh_token.as_ref()) != Some(refresh_token) {
            self.remember(component, &ours.appid, refresh_token).await?;
        }
        if let AuthorizerState::Revoked { at } = ours.state {
            return match auth_time(listed).filter(|granted_at| *granted_at > at) {
                Some(granted_at) => {
                    self.reinstate(component, ours, granted_at, refresh_token).await
                }
                None => Ok(false),
            };
        }
        let now = self.base.clock.now();
        let key = ours.token_key();
        let tx = self.base.db.begin().await?;
        let is_helped = match kept {
            None => {
                let mut kept = KeptToken::unknown(key, ours.generation);
                kept.refresh_token = Some(refresh_token.clone());
                kept.due_at = Some(now);
                kept.due_cause = Some(RefreshCause::Reconciliation);
                tx.tokens().insert_if_absent(&kept).await?
            }
            Some(kept) if kept.refresh_token.is_none() => {
                let generation = kept.generation;
                tx.tokens().restore_refresh_token(&key, generation, refresh_token, now).await?
            }
            // Its refresh token is not taken; here is another.
            Some(kept)
                if kept.failure.is_some() && kept.refresh_token.as_ref() != Some(refresh_token) =>
            {
                tx.tokens().set_due(&key, now, Some(RefreshCause::Reconciliation)).await?;
                true
            }
            Some(_) => false,
        };
        tx.commit().await?;
        Ok(is_helped)
    }

    /// The account has granted again since it withdrew, and that push never reached us.
    async fn reinstate(
        &self,
        component: &Component,
        ours: &Authorizer,
        granted_at: Instant,
        refresh_token: &Secret<String>,
    ) -> Result<bool> {
        let now = self.base.clock.now();
        let tx = self.base.db.begin().await?;
        let locked = tx.authorizers().system_lock(&component.id, &ours.appid).await?;
        let Some(mut stored) = locked.filter(|stored| stored.generation == ours.generation) else {
            return Ok(false);
        };
        stored.state = AuthorizerState::Active;
        stored.generation += 1;
        stored.granted_at = granted_at;
        stored.updated_at = now;
        tx.authorizers().system_update(&stored).await?;
        let mut kept = KeptToken::unknown(stored.token_key(), stored.generation);
        kept.refresh_token = Some(refresh_token.clone());
        kept.due_at = Some(now);
        kept.due_cause = Some(RefreshCause::Reconciliation);
        tx.tokens().replace(&kept).await?;
        emit(&tx, &self.base.entropy, &stored, EventKind::Authorized, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// An account that nobody here knows: it is kept without an owner. Returns whether it was new.
    async fn find(
        &self,
        component: &Component,
        listed: &ListedAuthorizer,
        so_far: &Reconciliation,
    ) -> Result<bool> {
        let appid = &listed.authorizer_appid;
        if let Some(refresh_token) = &listed.refresh_token {
            self.remember(component, appid, refresh_token).await?;
        }
        let info = match so_far.found < PROFILES {
            true => Some(self.profiles.ask(component, appid).await?),
            false => None,
        };
        let (profile, func_info) = info.map_or_else(Default::default, |info| {
            (info.info.map(profile_of).unwrap_or_default(), info.func_info.unwrap_or_default())
        });
        self.keep_unclaimed(component, listed, (profile, func_info)).await
    }

    async fn keep_unclaimed(
        &self,
        component: &Component,
        listed: &ListedAuthorizer,
        (profile, func_info): (Profile, Vec<u32>),
    ) -> Result<bool> {
        let now = self.base.clock.now();
        let (id, appid) = (component.id.clone(), component.appid.clone());
        let authorizer = Authorizer {
            id: AuthorizerId::new(now, &self.base.entropy),
            connection: Connection::Component { id, appid },
            tenant_id: None,
            refused_at: None,
            released_at: None,
            appid: listed.authorizer_appid.clone(),
            state: AuthorizerState::Active,
            generation: 1,
            granted_at: auth_time(listed).unwrap_or(now),
            profile,
            func_info,
            created_at: now,
            updated_at: now,
        };
        let tx = self.base.db.begin().await?;
        match tx.authorizers().system_insert(&authorizer).await {
            // Its push was settled meanwhile.
            Err(lingpai_storage::Error::AlreadyExists { .. }) => return Ok(false),
            inserted => inserted?,
        }
        // Nobody can call for it yet, so nobody refreshes it; who asks finds the refresh token.
        let mut kept = KeptToken::unknown(authorizer.token_key(), authorizer.generation);
        kept.refresh_token.clone_from(&listed.refresh_token);
        tx.tokens().replace(&kept).await?;
        tx.commit().await?;
        tracing::info!(
            component.appid = %component.appid,
            authorizer.appid = %authorizer.appid,
            "{} has granted to {} and was not known here; it is unclaimed",
            authorizer.appid,
            component.appid
        );
        Ok(true)
    }

    async fn remember(
        &self,
        component: &Component,
        appid: &Appid,
        refresh_token: &Secret<String>,
    ) -> Result<()> {
        let history = History { db: &self.base.db, component_id: &component.id, appid };
        let source = RefreshTokenSource::AuthorizerList;
        history.remember(refresh_token, source, self.base.clock.now()).await
    }
}

/// Whether a failed call says something of the account that it asked about, and nothing of the next.
fn is_about_one(error: &ClientError) -> bool {
    let is_refused = matches!(error, ClientError::Rejected { .. } | ClientError::Garbled { .. });
    is_refused
        && !matches!(Reaction::to(error), Reaction::NextDay | Reaction::NextMinute)
        && error.errcode() != Some(Errcode::IP_NOT_ON_WHITE_LIST)
}

fn auth_time(listed: &ListedAuthorizer) -> Option<Instant> {
    listed.auth_time.and_then(|secs| DateTime::from_timestamp(secs, 0))
}
