//! What may be done a few times a month only: having an account's calls counted anew.
//!
//! WeChat counts it as well, and takes what is done in its own console into account; but it tells
//! nobody how much is left. So we count, before the call, and give back what certainly did nothing.

use lingpai_model::{
    api_key::Scope,
    audit::{Action, AuditEntry},
    authorizer::Authorizer,
    caller::Caller,
    clock::{Entropy, SharedClock},
    id::AuthorizerId,
    quota::beijing_month,
};
use lingpai_storage::Db;
use lingpai_wechat::{
    call::quota::{CLEAR_API_QUOTA, CLEAR_API_QUOTA_A_MONTH, CLEAR_QUOTA, CLEAR_QUOTA_A_MONTH},
    errcode::Errcode,
};

use crate::{Error, JudgedPath, Result};

/// One of the calls that WeChat allows a few times a month for each account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// All of an account's calls are counted anew.
    ClearQuota,
    /// Those of one path are.
    ClearApiQuota,
}

impl Allowance {
    /// The allowance that a call of `path` uses up, if it does.
    pub(crate) fn of(path: &JudgedPath) -> Option<Self> {
        [Self::ClearQuota, Self::ClearApiQuota]
            .into_iter()
            .find(|allowance| allowance.path() == path.counted_as())
    }

    /// How often a month allows it.
    pub(crate) fn a_month(self) -> u64 {
        match self {
            Self::ClearQuota => CLEAR_QUOTA_A_MONTH,
            Self::ClearApiQuota => CLEAR_API_QUOTA_A_MONTH,
        }
    }

    /// The path that uses it up, under which it is also counted.
    fn path(self) -> &'static str {
        match self {
            Self::ClearQuota => CLEAR_QUOTA.path,
            Self::ClearApiQuota => CLEAR_API_QUOTA.path,
        }
    }
}

/// Counts what was used up of allowances.
#[derive(Debug, Clone)]
pub(crate) struct Allowances {
    pub(crate) db: Db,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: Entropy,
}

/// One time that was counted in advance.
#[derive(Debug)]
pub(crate) struct Spent<'a> {
    allowances: &'a Allowances,
    authorizer_id: AuthorizerId,
    allowance: Allowance,
    month: String,
    /// How many times of the month are used up now.
    pub(crate) used: u64,
}

impl Allowances {
    /// Counts one time for `authorizer`, and notes in the trail who asked for it.
    ///
    /// # Errors
    /// [`Error::ScopeMissing`], [`Error::AllowanceUsedUp`], [`Error::Storage`].
    pub(crate) async fn spend(
        &self,
        caller: &Caller,
        authorizer: &Authorizer,
        allowance: Allowance,
    ) -> Result<Spent<'_>> {
        if !caller.may(Scope::QuotaClear) {
            return Err(Error::ScopeMissing { scope: Scope::QuotaClear });
        }
        let now = self.clock.now();
        let month = beijing_month(now);
        let tx = self.db.begin().await?;
        let used = tx.quotas().mark(&authorizer.id, allowance.path(), &month, now).await?;
        if used > allowance.a_month() {
            return Err(Error::AllowanceUsedUp { allowance: allowance.a_month(), month });
        }
        let (act, subject) = (caller.act(), authorizer.appid.as_str());
        let entry = AuditEntry::of(&act, Action::QuotaClearAsked, subject, (now, &self.entropy));
        tx.audit().append(&entry).await?;
        tx.commit().await?;
        let authorizer_id = authorizer.id.clone();
        Ok(Spent { allowances: self, authorizer_id, allowance, month, used })
    }
}

impl Spent<'_> {
    /// Takes the count back if the call certainly did nothing: WeChat refused it, or it was never
    /// made. `outcome` has the number of a refusal that came back as an answer.
    pub(crate) async fn settle(self, outcome: Result<Option<Errcode>, &Error>) {
        let did_nothing = match outcome {
            Ok(refusal) => refusal.is_some(),
            Err(error) => !error.leaves_effect_open(),
        };
        if did_nothing {
            self.give_back().await;
        }
    }

    /// Takes the count back, because the call did nothing. If that fails, the account has one time
    /// less this month, which is told in the log.
    async fn give_back(self) {
        let Self { allowances, authorizer_id, allowance, month, .. } = self;
        let given_back = async {
            let tx = allowances.db.begin().await?;
            tx.quotas().unmark(&authorizer_id, allowance.path(), &month).await?;
            tx.commit().await
        };
        if let Err(error) = given_back.await {
            let path = allowance.path();
            tracing::warn!(%error, "one {path} of {authorizer_id} that did nothing stays counted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_use_up_an_allowance_in_whatever_case_they_are_written() {
        let of = |path| Allowance::of(&JudgedPath::judge(path).expect("it passes"));
        assert_eq!(of("/cgi-bin/clear_quota"), Some(Allowance::ClearQuota));
        assert_eq!(of("/CGI-BIN/Clear_Quota"), Some(Allowance::ClearQuota));
        assert_eq!(of("/cgi-bin/openapi/quota/clear"), Some(Allowance::ClearApiQuota));
        assert_eq!(of("/cgi-bin/openapi/quota/get"), None);
        assert_eq!(of("/cgi-bin/clear_quotas"), None);
    }
}
