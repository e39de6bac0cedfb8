//! Replies that come too late to be WeChat's answer go to the fan as customer-service messages.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use lingpai_authorizer::CustomerService;
use lingpai_model::{authorizer::Authorizer, late_reply::LateReply};
use lingpai_storage::Db;
use serde_json::Value;

use crate::{Error, reply::read};

/// How many late replies one turn claims.
const BATCH: u64 = 16;

/// How long a claim holds; a worker that died gives back after this what it was not sending.
const CLAIM_TTL: Duration = Duration::from_secs(30);

/// How long a late reply waits after a failed attempt, by number of attempts before; then it is given
/// up: who asked has long gone on.
const RETRY_PAUSES: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(300),
];

/// Why a late reply was not sent, in words, and whether it can be sent later.
enum Unsent {
    Later(String),
    Never(String),
}

/// Sends late replies.
#[derive(Debug, Clone)]
pub struct LateReplyWorker {
    db: Db,
    customer_service: CustomerService,
}

impl LateReplyWorker {
    /// A worker on `db`.
    #[must_use]
    pub fn new(db: Db, customer_service: CustomerService) -> Self {
        Self { db, customer_service }
    }

    /// Claims some late replies and sends them; returns how many.
    ///
    /// # Errors
    /// [`Error::Storage`] when the claims could not be made. One that fails is logged and, if WeChat
    /// may take it later, tried again; it does not hold up the others.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let tx = self.db.begin().await?;
        let claimed = tx.late_replies().claim(BATCH, CLAIM_TTL).await?;
        tx.commit().await?;
        for recorded in join_all(claimed.iter().map(|reply| self.work_on(reply))).await {
            if let Err(error) = recorded {
                tracing::warn!(%error, "how a late reply went could not be recorded; it comes back when its claim ends, unless it was sent");
            }
        }
        Ok(claimed.len())
    }

    /// That it is being sent is noted first: what is claimed and not noted so has not been sent.
    async fn work_on(&self, reply: &LateReply) -> Result<(), Error> {
        let sent = match self.message(reply).await {
            Ok((account, message)) => {
                let tx = self.db.begin().await?;
                tx.late_replies().mark_sending(reply).await?;
                tx.commit().await?;
                let sent = self.customer_service.send(&account, &message).await;
                sent.map_err(|error| unsent(&error))
            }
            Err(unsent) => Err(unsent),
        };
        let tx = self.db.begin().await?;
        match sent {
            Ok(()) => tx.late_replies().mark_sent(reply).await?,
            Err(unsent) => match (unsent, pause_after(reply.attempts)) {
                (Unsent::Later(why), Some(pause)) => {
                    tx.late_replies().schedule_retry(reply, pause, &why).await?;
                }
                (Unsent::Later(why) | Unsent::Never(why), _) => {
                    tracing::warn!(late_reply.id = %reply.id, why, "late reply {} is given up", reply.id);
                    tx.late_replies().mark_failed(reply, &why).await?;
                }
            },
        }
        Ok(tx.commit().await?)
    }

    /// What is sent, and by which account.
    async fn message(&self, late: &LateReply) -> Result<(Arc<Authorizer>, Value), Unsent> {
        let never = |why: &str| Unsent::Never(why.to_owned());
        let parsed = read(&late.reply).ok_or_else(|| never("it is no reply"))?;
        let message = parsed.reply.to_customer_message(&late.openid);
        let message = message.ok_or_else(|| never("it cannot be sent as a message"))?;
        let account = self.db.cached_authorizer_by_id(&late.authorizer_id).await;
        let account = account.map_err(|error| Unsent::Later(error.to_string()))?;
        let account = account.ok_or_else(|| never("the account is gone"))?;
        Ok((account, message))
    }
}

/// What may have reached the fan already is not sent again: he is not to read it twice.
fn unsent(error: &lingpai_authorizer::Error) -> Unsent {
    if error.is_transient() && !error.leaves_effect_open() {
        Unsent::Later(error.to_string())
    } else {
        Unsent::Never(error.to_string())
    }
}

fn pause_after(attempts: u32) -> Option<Duration> {
    RETRY_PAUSES.get(usize::try_from(attempts).unwrap_or(usize::MAX)).copied()
}

#[cfg(test)]
mod tests {
    use lingpai_wechat::{client::ClientError, errcode::Errcode};

    use super::*;

    fn rejected(errcode: i64) -> ClientError {
        let errmsg = "no".to_owned();
        ClientError::Rejected { call: "custom/send", errcode: Errcode(errcode), errmsg }
    }

    #[test]
    fn only_what_has_not_reached_the_fan_and_may_still_be_taken_is_sent_again() {
        let is_sent_again = |error: ClientError| matches!(unsent(&error.into()), Unsent::Later(_));
        assert!(is_sent_again(rejected(-1)), "busy: nothing was done");
        assert!(is_sent_again(rejected(45009)), "the quota of the day");
        assert!(!is_sent_again(rejected(45015)), "the fan did nothing for two days");
        assert!(!is_sent_again(ClientError::Timeout { call: "custom/send" }), "it may be there");
    }

    #[test]
    fn a_late_reply_is_given_up_when_nobody_waits_for_it_any_more() {
        assert!((0..4).all(|attempts| pause_after(attempts).is_some()));
        assert_eq!(pause_after(4), None);
        let whole: Duration = RETRY_PAUSES.iter().sum();
        assert!(whole < Duration::from_secs(600));
    }
}
