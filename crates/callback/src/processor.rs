//! What a push sets in motion, after it was answered.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use lingpai_authorizer::Grants;
use lingpai_model::{
    Instant,
    authorization::Authorization,
    clock::SharedClock,
    component::Component,
    exchange::{CodeOffer, CodeSource},
    push::Push,
};
use lingpai_storage::Db;
use lingpai_wechat::push::{
    component::{ComponentPush, Grant, InfoType},
    publish_test,
};

use crate::{Error, Quarantine, recipient::inner_time};

/// How many pushes one turn claims.
const BATCH: u64 = 16;

/// How long a claim holds; a worker that died gives its pushes back after this.
const CLAIM_TTL: Duration = Duration::from_secs(30);

/// How long a push waits after a failed attempt, by number of attempts before; the last one for ever:
/// what WeChat told once it does not tell again.
const RETRY_PAUSES: [Duration; 6] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(1800),
    Duration::from_secs(7200),
];

/// How often is looked whether messages in quarantine may leave it: an account also becomes known by
/// the browser's return, by reconciliation, and by another process.
const LOOK_EVERY: chrono::Duration = chrono::Duration::minutes(1);

/// Acts on recorded pushes.
#[derive(Debug, Clone)]
pub struct Processor {
    db: Db,
    grants: Grants,
    quarantine: Quarantine,
    clock: SharedClock,
    /// When it last looked what may leave quarantine. Clones share it.
    looked_at: Arc<Mutex<Instant>>,
}

impl Processor {
    /// A service on `db`. Once a grant is redeemed, `quarantine` lets go what waited for its account;
    /// within a minute, where an account became known in another way.
    #[must_use]
    pub fn new(db: Db, grants: Grants, quarantine: Quarantine) -> Self {
        let clock = quarantine.clock();
        let looked_at = Arc::new(Mutex::new(Instant::UNIX_EPOCH));
        Self { db, grants, quarantine, clock, looked_at }
    }

    /// Claims some pushes and acts on them; returns how many.
    ///
    /// # Errors
    /// [`Error::Storage`] when the claims could not be made, or what waits in quarantine could not be
    /// looked through. A push that fails is logged
    /// and tried again later; it does not hold up the others.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let tx = self.db.begin().await?;
        let claimed = tx.pushes().claim(BATCH, CLAIM_TTL).await?;
        tx.commit().await?;
        // Side by side: a push that has to wait for WeChat holds up none of the others.
        for recorded in join_all(claimed.iter().map(|push| self.work_on(push))).await {
            if let Err(error) = recorded {
                tracing::warn!(%error, "how a push went could not be recorded; it comes back when its claim ends");
            }
        }
        if self.is_time_to_look() {
            self.quarantine.release_known().await?;
        }
        Ok(claimed.len())
    }

    fn is_time_to_look(&self) -> bool {
        let now = self.clock.now();
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = now - *looked_at >= LOOK_EVERY;
        if is_time {
            *looked_at = now;
        }
        is_time
    }

    async fn work_on(&self, push: &Push) -> Result<(), Error> {
        match self.act_on(push).await {
            Ok(()) => {
                let tx = self.db.begin().await?;
                tx.pushes().mark_done(push).await?;
                Ok(tx.commit().await?)
            }
            Err(error) => self.postpone(push, &error).await,
        }
    }

    async fn act_on(&self, push: &Push) -> Result<(), Error> {
        let component = self.db.components().get(&push.component_id).await?;
        let message = ComponentPush::parse(push.payload.expose())
            .map_err(|source| Error::Unreadable { id: push.id.clone(), source })?;
        let issued_at = inner_time(message.create_time, push.received_at);
        match message.info {
            InfoType::Authorized(grant) | InfoType::UpdateAuthorized(grant) => {
                self.redeem(&component, grant, issued_at).await
            }
            InfoType::Unauthorized { authorizer_appid } => {
                Ok(self.grants.withdraw(&component, &authorizer_appid, issued_at).await?)
            }
            // Recorded by a release that acted on it; this one keeps it.
            _ => Ok(()),
        }
    }

    /// A code that one of WeChat's test accounts grants with is left alone while its test is answered:
    /// the test has another one exchanged, and its token must stay the newest.
    ///
    /// Source: WeChat docs, "Whole-network publishing detection" (全网发布接入检测说明).
    async fn redeem(
        &self,
        component: &Component,
        grant: Grant,
        issued_at: Instant,
    ) -> Result<(), Error> {
        let appid = grant.authorizer_appid.clone();
        if component.answers_publish_test && publish_test::is_test_appid(appid.as_str()) {
            tracing::info!(
                component.appid = %component.appid,
                authorizer.appid = %appid,
                "WeChat's publish test has begun: {appid} granted"
            );
            return Ok(());
        }
        self.grants.redeem(offer(component, grant, issued_at)).await?;
        self.quarantine.release_for(component, &appid).await.map(drop)
    }

    async fn postpone(&self, push: &Push, error: &Error) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        if let Error::Unreadable { .. } = error {
            tracing::error!(push.id = %push.id, %error, "push {} is given up", push.id);
            tx.pushes().mark_failed(push, &error.to_string()).await?;
        } else {
            let attempt = usize::try_from(push.attempts).unwrap_or(usize::MAX);
            let pause = RETRY_PAUSES[attempt.min(RETRY_PAUSES.len() - 1)];
            tracing::warn!(push.id = %push.id, %error, "acting on push {} failed; it will be tried again", push.id);
            tx.pushes().schedule_retry(push, pause, &error.to_string()).await?;
        }
        Ok(tx.commit().await?)
    }
}

fn offer(component: &Component, grant: Grant, granted_at: Instant) -> CodeOffer {
    let digest = grant.pre_auth_code.as_ref().map(Authorization::pre_auth_code_digest);
    CodeOffer {
        component_id: component.id.clone(),
        authorization_code: grant.authorization_code,
        source: CodeSource::Push {
            authorizer_appid: grant.authorizer_appid,
            pre_auth_code_digest: digest,
            granted_at,
        },
    }
}
