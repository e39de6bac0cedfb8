//! `authorizer_access_token`: the refresh token of a grant is exchanged for it. When WeChat does not
//! take it, the others of the history are tried, then what account info and account list tell; only
//! then the account has to authorize again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use lingpai_component_token::{
    self as component_token, Cured, Hold, Obtained, PROBE_PAUSE, Reaction, Source as _, Wanted,
};
use lingpai_model::{
    Instant, Secret,
    authorizer::{Authorizer, AuthorizerState, RefreshTokenSource},
    component::Component,
    event::EventKind,
    id::ComponentId,
    token::{AccessToken, RefreshPolicy},
};

use super::AccountSource;
use lingpai_wechat::call::authorizer::AUTHORIZER_TOKEN;

use crate::{Error, Result, history::History, stream::emit};

/// How many refresh tokens of the history one attempt tries.
const TRIED_TOKENS: usize = 5;

/// The components whose quota of `api_authorizer_token` is used up: it is the component's, so that
/// one refusal speaks for all of its authorizers. Each process learns it by itself.
///
/// Source: WeChat docs, "Get authorizer_access_token": 45009 when the quota is used up.
#[derive(Debug, Default)]
pub(super) struct UsedUp {
    until: Mutex<HashMap<ComponentId, Instant>>,
}

impl UsedUp {
    fn refuse(&self, component: &Component, now: Instant) -> Result<()> {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        match until.get(&component.id) {
            Some(until) if now < *until => Err(component_token::Error::Resting {
                what: format!("api_authorizer_token of component {}", component.appid),
                reason: "the quota of the day is used up".to_owned(),
                until: *until,
            }
            .into()),
            Some(_) | None => Ok(()),
        }
    }

    fn note(&self, component: &Component, now: Instant) {
        let day_turns = Reaction::NextDay.next_try_at(now, 1, &RefreshPolicy::default(), 0);
        tracing::error!(
            component.appid = %component.appid,
            "component {} has used up its quota of api_authorizer_token until {day_turns}",
            component.appid
        );
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.insert(component.id.clone(), day_turns);
    }
}

/// An account that granted rights to a component.
pub(super) struct Delegated<'a> {
    pub(super) source: &'a AccountSource,
    pub(super) authorizer: &'a Authorizer,
    pub(super) component_id: &'a ComponentId,
}

impl Delegated<'_> {
    /// Tries the stored refresh token, then the others of the history, the newest first.
    pub(super) async fn obtain(&self, wanted: Wanted<'_>, hold: &Hold<'_>) -> Result<Obtained> {
        let component = self.source.base.db.components().get(self.component_id).await?;
        let (mut tried, mut refusal) = (Vec::new(), None);
        if let Some(stored) = &wanted.kept.refresh_token {
            match self.ask(&component, stored, hold).await {
                Err(error) if self.is_refused(&error) => refusal = Some(error),
                outcome => return outcome,
            }
            tried.push(stored.clone());
        }
        let mut others = self.history().list().await?;
        others.retain(|token| !tried.contains(token));
        for token in others.into_iter().take(TRIED_TOKENS) {
            // A new grant may have come meanwhile, and this may be its refresh token.
            hold.anew().await?;
            match self.ask(&component, &token, hold).await {
                Err(error) if self.is_refused(&error) => refusal = Some(error),
                outcome => return outcome,
            }
            tried.push(token);
        }
        let appid = self.authorizer.appid.clone();
        Err(match refusal {
            Some(refusal) => Error::RefreshTokensRefused { tried, refusal: Box::new(refusal) },
            None => Error::NoApiPermission { appid },
        })
    }

    /// Sends one refresh token, unless WeChat has said that the component has sent enough today.
    async fn ask(
        &self,
        component: &Component,
        sent: &Secret<String>,
        hold: &Hold<'_>,
    ) -> Result<Obtained> {
        let (used_up, now) = (&self.source.used_up, self.source.base.clock.now());
        used_up.refuse(component, now)?;
        let outcome = self.send(component, sent, hold).await;
        if let Err(error) = &outcome
            && error.is_refusal_of(AUTHORIZER_TOKEN)
            && self.source.reaction(error) == Reaction::NextDay
        {
            used_up.note(component, now);
        }
        outcome
    }

    /// Sends one refresh token. One in the answer is in the history before the answer is judged.
    async fn send(
        &self,
        component: &Component,
        sent: &Secret<String>,
        hold: &Hold<'_>,
    ) -> Result<Obtained> {
        let AccountSource { base, wechat, component_tokens, .. } = self.source;
        let appid = &self.authorizer.appid;
        let obtained_at = base.clock.now();
        let answer = component_tokens
            .call_under(Some(hold), component, |token| async move {
                wechat.authorizer_token(&token, &component.appid, appid, sent).await
            })
            .await?;
        if let Some(value) = answer.refresh_token.as_ref().filter(|value| *value != sent) {
            let source = RefreshTokenSource::AuthorizerToken;
            self.history().remember(value, source, obtained_at).await?;
        }
        let usable = answer.access_token;
        let token = usable.ok_or_else(|| Error::NoAccessToken { appid: appid.clone() })?;
        Ok(Obtained {
            token: AccessToken::obtained(token.value, obtained_at, token.expires_in),
            refresh_token: answer.refresh_token.or_else(|| Some(sent.clone())),
        })
    }

    /// What helps against a refusal, by its kind.
    pub(super) async fn cure(&self, error: &Error, round: u32) -> Result<Cured<Authorizer>> {
        match self.source.reaction(error) {
            Reaction::RefreshToken => self.search(error, round).await,
            Reaction::Withdrawn if round == 0 => self.make_sure().await,
            Reaction::Reauthorize => self.give_up().await,
            _ => Ok(Cured::No),
        }
    }

    /// Looks for a refresh token that was not tried: account info first, then the account list.
    async fn search(&self, error: &Error, round: u32) -> Result<Cured<Authorizer>> {
        let component = self.source.base.db.components().get(self.component_id).await?;
        let tried = match error {
            Error::RefreshTokensRefused { tried, .. } => tried.as_slice(),
            _ => &[],
        };
        let mut unheard = None;
        if round == 0 {
            match self.source.profiles.ask(&component, &self.authorizer.appid).await {
                Err(refusal) if self.source.reaction(&refusal) == Reaction::Withdrawn => {
                    return self.make_sure().await;
                }
                // What the list tells may still help.
                Err(failure) => {
                    tracing::warn!(error = %failure, "account info could not be had");
                    unheard = Some(failure).filter(Error::is_transient);
                }
                Ok(_) => {}
            }
            if self.knows_others_than(tried).await? {
                return Ok(Cured::TryAgain(self.authorizer.clone()));
            }
        }
        // One that was given up is told by the daily comparison.
        let is_given_up =
            matches!(self.authorizer.state, AuthorizerState::NeedsReauthorization { .. });
        if round <= 1 && !is_given_up {
            self.source.reconciliations.look_up(&component).await?;
            if self.knows_others_than(tried).await? {
                return Ok(Cured::TryAgain(self.authorizer.clone()));
            }
        }
        // Who was not heard may still know a refresh token: nothing is given up for a cut line.
        match (unheard, error) {
            (Some(unheard), _) => Err(unheard),
            (None, Error::NoApiPermission { .. }) => self.leave().await,
            (None, _) => self.give_up().await,
        }
    }

    async fn knows_others_than(&self, tried: &[Secret<String>]) -> Result<bool> {
        Ok(self.history().list().await?.iter().any(|token| !tried.contains(token)))
    }

    /// The account says that it does not grant: if WeChat's account info says so too, it has
    /// withdrawn.
    async fn make_sure(&self) -> Result<Cured<Authorizer>> {
        let AccountSource { base, grants, .. } = self.source;
        let component = base.db.components().get(self.component_id).await?;
        let appid = &self.authorizer.appid;
        grants.withdraw(&component, appid, base.clock.now()).await?;
        let stored = base.db.authorizers().system_find(self.component_id, appid).await?;
        match stored {
            Some(stored) if matches!(stored.state, AuthorizerState::Revoked { .. }) => {
                Err(Error::Revoked { appid: appid.clone() })
            }
            Some(stored) => Ok(Cured::TryAgain(stored)),
            None => Ok(Cured::No),
        }
    }

    /// WeChat has no refresh token for the account either: it granted no API permission.
    async fn leave(&self) -> Result<Cured<Authorizer>> {
        let base = &self.source.base;
        let tx = base.db.begin().await?;
        let probe_at = base.clock.now() + PROBE_PAUSE;
        tx.tokens().set_due(&self.authorizer.token_key(), probe_at, None).await?;
        tx.commit().await?;
        Ok(Cured::No)
    }

    /// Nothing helps but a new authorization. The tenant is told once; a worker probes slowly.
    async fn give_up(&self) -> Result<Cured<Authorizer>> {
        let base = &self.source.base;
        let (seen, now) = (self.authorizer, base.clock.now());
        let tx = base.db.begin().await?;
        let locked = tx.authorizers().system_lock(self.component_id, &seen.appid).await?;
        // A new grant may have come while WeChat was asked.
        let Some(mut stored) = locked.filter(|stored| stored.generation == seen.generation) else {
            return Ok(Cured::No);
        };
        tx.tokens().set_due(&seen.token_key(), now + PROBE_PAUSE, None).await?;
        if let Ok(lost) = stored.state.lose(now) {
            stored.state = lost;
            stored.updated_at = now;
            tx.authorizers().system_update(&stored).await?;
            emit(&tx, &base.entropy, &stored, EventKind::NeedsReauthorization, now).await?;
            tracing::error!(
                authorizer.appid = %seen.appid,
                "WeChat takes no refresh token of {} any more: its administrator must authorize again",
                seen.appid
            );
        }
        tx.commit().await?;
        Ok(Cured::No)
    }

    fn is_refused(&self, error: &Error) -> bool {
        self.source.reaction(error) == Reaction::RefreshToken
    }

    fn history(&self) -> History<'_> {
        let (db, appid) = (&self.source.base.db, &self.authorizer.appid);
        History { db, component_id: self.component_id, appid }
    }
}
