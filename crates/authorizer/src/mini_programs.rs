//! Fans of mini programs: logged in with a code of theirs, and what their mini program sends is checked
//! and read with their session key, which never leaves.
//!
//! The alternative, to hand the session key to the tenant, is what WeChat forbids: whoever holds it can
//! forge what the mini program's server believes of a fan, his phone number for instance.

use std::sync::Arc;

use chrono::Duration;
use lingpai_component_token::{ComponentTokens, KeeperBase, patiently};
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::Authorizer,
    caller::{Caller, TenantScope},
    id::{AuthorizerId, MiniProgramSessionId},
    mini_program_session::MiniProgramSession,
};
use lingpai_storage::Tx;
use lingpai_wechat::{
    call::{
        Call,
        mini_program::{CodeSession, LOG_IN_FAN, LOG_IN_FAN_ON_BEHALF},
    },
    client::Client,
    mini_program,
};
use serde_json::{Map, Value};

use crate::{
    Error, Ledger, Result,
    claims::refuse_given_up,
    credentials::Credentials,
    errands::{Errands, persistently},
    error::cached,
    tokens::refuse_revoked,
    web_tokens::CLOCK_TOLERANCE,
};

/// How many sessions are erased in one transaction: those who write wait meanwhile.
const ERASED_AT_ONCE: u64 = 500;

/// How long a session is kept after the fan's last login: WeChat's own is over long before.
const KEPT: Duration = Duration::days(30);

/// Logs fans of mini programs in, and reads what is sealed for the mini program's server.
#[derive(Debug, Clone)]
pub struct MiniPrograms {
    base: KeeperBase,
    wechat: Client,
    component_tokens: ComponentTokens,
    ledger: Ledger,
    errands: Errands,
}

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedInFan {
    /// The fan, as this mini program knows him.
    pub openid: String,
    /// The fan across the accounts of one owner, where WeChat tells it.
    pub unionid: Option<String>,
}

/// What a mini program got signed, as it came.
///
/// Source: WeChat docs, "Signature verification and encryption of open data" (开放数据校验与解密).
#[derive(Debug, Clone, Copy)]
pub struct SignedData<'a> {
    /// `rawData`, letter by letter.
    pub raw_data: &'a str,
    /// `signature`: SHA-1 in hex.
    pub signature: &'a str,
}

/// What a mini program got encrypted, as it came.
///
/// Source: WeChat docs, "Signature verification and encryption of open data" (开放数据校验与解密).
#[derive(Debug, Clone, Copy)]
pub struct EncryptedData<'a> {
    /// `encryptedData`: Base64.
    pub encrypted_data: &'a str,
    /// `iv`: Base64.
    pub iv: &'a str,
}

impl MiniPrograms {
    /// A service that calls `wechat` and counts every login in `ledger`.
    #[must_use]
    pub fn new(
        base: KeeperBase,
        wechat: Client,
        component_tokens: ComponentTokens,
        ledger: Ledger,
    ) -> Self {
        let errands = Errands::new(base.tasks.clone());
        Self { base, wechat, component_tokens, ledger, errands }
    }

    /// Logs in the fan for whom the mini program of the tenant got `js_code`, and keeps his session key
    /// in the place of the one before.
    ///
    /// The code is good once, so from asking to the commit the work goes on when the caller hangs up.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] for an account that is not the tenant's, [`Error::Revoked`] after
    /// it withdrew its grant; [`Error::Busy`] when too many log in at once: nothing is used up;
    /// [`Error::Wechat`] with WeChat's refusal, 40029 for a code that is none or was used;
    /// [`Error::Component`] with the same for an account that granted to a component, or with what
    /// getting the component's token failed with.
    pub async fn log_in(
        &self,
        caller: &Caller,
        appid: &Appid,
        js_code: &Secret<String>,
    ) -> Result<LoggedInFan> {
        let account = cached(&self.base.db, &caller.scope, appid).await?;
        refuse_revoked(&account)?;
        let (logins, caller, js_code) = (self.clone(), caller.clone(), js_code.clone());
        let login = async move { logins.ask_and_keep(&caller, &account, &js_code).await };
        self.errands.run(login).await
    }

    async fn ask_and_keep(
        &self,
        caller: &Caller,
        account: &Arc<Authorizer>,
        js_code: &Secret<String>,
    ) -> Result<LoggedInFan> {
        let asked_at = self.base.clock.now();
        let (call, answered) = self.ask(account, js_code).await?;
        self.ledger.count_outcome(caller, account, call, &answered);
        let CodeSession { openid, session_key, unionid } = answered?;

        let session = MiniProgramSession {
            id: MiniProgramSessionId::new(asked_at, &self.base.entropy),
            authorizer_id: account.id.clone(),
            openid: openid.clone(),
            unionid: unionid.clone(),
            session_key,
            created_at: asked_at,
            updated_at: asked_at,
        };
        persistently("a fan's session", || self.keep(account, &session)).await?;
        Ok(LoggedInFan { openid, unionid })
    }

    async fn keep(&self, account: &Authorizer, session: &MiniProgramSession) -> Result<()> {
        let tx = self.base.db.begin().await?;
        refuse_given_up(&tx, account).await?;
        tx.mini_program_sessions().system_upsert(session).await?;
        Ok(tx.commit().await?)
    }

    /// What WeChat says, and which of its interfaces was asked.
    async fn ask(
        &self,
        account: &Authorizer,
        js_code: &Secret<String>,
    ) -> Result<(Call, Result<CodeSession>)> {
        let (wechat, appid) = (&self.wechat, &account.appid);
        Ok(match Credentials::of(&self.base.db, account).await? {
            Credentials::Secret(secret) => {
                let ask = || wechat.log_in_fan(appid, &secret, js_code);
                (LOG_IN_FAN, patiently(None, ask).await.map_err(Error::from))
            }
            Credentials::Component(component) => {
                let component_appid = &component.appid;
                let ask = |token| async move {
                    wechat.log_in_fan_on_behalf(&token, component_appid, appid, js_code).await
                };
                let answered = self.component_tokens.call(&component, ask).await;
                (LOG_IN_FAN_ON_BEHALF, answered.map_err(Error::from))
            }
        })
    }

    /// Whether the fan's session key signed this.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] for an account that is not the tenant's;
    /// [`Error::MiniProgramSessionNotFound`] when nobody with this openid has logged in through here.
    pub async fn check_signature(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        openid: &str,
        data: SignedData<'_>,
    ) -> Result<bool> {
        let session = self.session(scope, appid, openid).await?;
        Ok(mini_program::check_signature(&session.session_key, data.raw_data, data.signature))
    }

    /// Reads what the mini program got encrypted with the fan's session key.
    ///
    /// # Errors
    /// As [`MiniPrograms::check_signature`], and [`Error::MiniProgramData`] when it cannot be read with
    /// that key or is not for this mini program: the fan may have logged in again since, elsewhere.
    pub async fn decrypt(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        openid: &str,
        data: EncryptedData<'_>,
    ) -> Result<Map<String, Value>> {
        let session = self.session(scope, appid, openid).await?;
        let EncryptedData { encrypted_data, iv } = data;
        Ok(mini_program::decrypt(&session.session_key, iv, encrypted_data, appid)?)
    }

    /// Erases the session of one fan of the tenant's account; returns how many there were.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] for an account that is not the tenant's; [`Error::Storage`].
    pub async fn erase_fan(&self, scope: &TenantScope, appid: &Appid, openid: &str) -> Result<u64> {
        let account = cached(&self.base.db, scope, appid).await?;
        let tx = self.base.db.begin().await?;
        let erased = tx.mini_program_sessions().system_erase(&account.id, openid).await?;
        tx.commit().await?;
        Ok(erased)
    }

    /// Erases the session that the fan had with the account when he withdrew his consent; one of a
    /// later login stays.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn erase_withdrawn(
        &self,
        account: &AuthorizerId,
        openid: &str,
        withdrawn_at: Instant,
    ) -> Result<()> {
        let until = withdrawn_at + CLOCK_TOLERANCE;
        let tx = self.base.db.begin().await?;
        tx.mini_program_sessions().system_erase_until(account, openid, until).await?;
        Ok(tx.commit().await?)
    }

    /// Erases the sessions of all fans of the tenant's account; returns how many there were.
    ///
    /// # Errors
    /// As [`MiniPrograms::erase_fan`].
    pub async fn erase_authorizer(&self, scope: &TenantScope, appid: &Appid) -> Result<u64> {
        let account = cached(&self.base.db, scope, appid).await?;
        let mut erased = 0;
        loop {
            let tx = self.base.db.begin().await?;
            let sessions = tx.mini_program_sessions();
            let batch = sessions.system_erase_some(&account.id, ERASED_AT_ONCE).await?;
            tx.commit().await?;
            erased += batch;
            if batch < ERASED_AT_ONCE {
                return Ok(erased);
            }
        }
    }

    /// Erases sessions of fans who have not logged in for a month, and of before their account was
    /// released; returns how many there were.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn sweep(&self) -> Result<u64> {
        let db = &self.base.db;
        let before = self.base.clock.now() - KEPT;
        let mut swept = 0;
        loop {
            let tx = db.begin_patiently().await?;
            let old = tx.mini_program_sessions().sweep(before).await?;
            tx.commit().await?;
            swept += old;
            if old == 0 {
                break;
            }
        }
        loop {
            // Outside of the transaction: nothing that is written waits while they are looked for.
            let given_up = db.mini_program_sessions().system_list_given_up(ERASED_AT_ONCE).await?;
            if given_up.is_empty() {
                return Ok(swept);
            }
            let mut erased = 0;
            let tx = db.begin_patiently().await?;
            for mark in &given_up {
                erased += u64::from(tx.mini_program_sessions().system_erase_if(mark).await?);
            }
            tx.commit().await?;
            swept += erased;
            if erased == 0 {
                return Ok(swept);
            }
        }
    }

    /// The fan's session with the account, since the tenant has it.
    ///
    /// Security invariant: who logged in for an owner before is unknown to the next one, also while his
    /// session is still there.
    async fn session(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        openid: &str,
    ) -> Result<MiniProgramSession> {
        let db = &self.base.db;
        let account = cached(db, scope, appid).await?;
        let session = db.mini_program_sessions().system_find(&account.id, openid).await?;
        let released_at = account.released_at;
        session
            .filter(|session| released_at.is_none_or(|released| session.updated_at > released))
            .ok_or_else(|| Error::MiniProgramSessionNotFound { appid: appid.clone() })
    }
}

/// Erases the sessions of an account that is being released, as many as one transaction may. The rest
/// is out of everybody's reach by the time of the release, until a sweep has erased it.
pub(crate) async fn erase_sessions_of(tx: &Tx, account: &AuthorizerId) -> Result<()> {
    tx.mini_program_sessions().system_erase_some(account, ERASED_AT_ONCE).await?;
    Ok(())
}
