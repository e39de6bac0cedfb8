//! Accounts that are connected by their own secret.

use std::{fmt, panic::resume_unwind};

use lingpai_component_token::KeeperBase;
use lingpai_model::{
    Appid, Secret,
    audit::{Action, AuditEntry},
    authorizer::{AccountSecret, Authorizer, AuthorizerState, Connection, Profile, TokenApi},
    caller::{Caller, TenantScope},
    event::EventKind,
    id::{AuthorizerId, TenantId},
    token::{AccessToken, KeptToken, Refresh, RefreshCause},
};
use lingpai_storage::Tx;
use lingpai_wechat::{client::Client, crypt::EncodingAesKey};

use crate::{Error, Result, jssdk::erase_tickets, stream::emit, tokens::ordinary};

/// Connects accounts by their own secret.
#[derive(Debug, Clone)]
pub struct Accounts {
    base: KeeperBase,
    wechat: Client,
}

/// An account as a tenant enters it.
#[derive(Debug)]
pub struct NewAccount {
    /// Its appid.
    pub appid: Appid,
    /// Its secret.
    pub appsecret: Secret<String>,
    /// Which interface gives its token.
    pub token_api: TokenApi,
    /// What protects the pushes to it, if it is to get any: its Token (令牌) and its
    /// `EncodingAESKey` (消息加解密密钥).
    pub push_keys: Option<(Secret<String>, Secret<String>)>,
}

/// Who has tried which account, to be counted: nobody uses up what another may try.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Tried {
    tenant_id: TenantId,
    appid: Appid,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the token of {}", self.appid)
    }
}

impl Accounts {
    /// A service that calls `wechat`.
    #[must_use]
    pub fn new(base: KeeperBase, wechat: Client) -> Self {
        Self { base, wechat }
    }

    /// Connects an account, or takes its new secret when the tenant has connected it before. The
    /// secret is proved by getting a token with it first.
    ///
    /// # Errors
    /// [`Error::BadEncodingAesKey`]; [`Error::Component`] when WeChat does not take the secret or the
    /// account was tried too often; [`Error::AccountElsewhere`] when somebody else has connected it.
    pub async fn connect(&self, caller: &Caller, new: NewAccount) -> Result<Authorizer> {
        if let Some((_, key)) = &new.push_keys {
            EncodingAesKey::parse(key.expose()).map_err(Error::BadEncodingAesKey)?;
        }
        let tenant_id = caller.scope.tenant_id().clone();
        let tried = Tried { tenant_id, appid: new.appid.clone() };
        self.base.ceiling.pass(&tried).await?;
        // A caller that hangs up must not lose a token that voids the one before.
        let (accounts, caller) = (self.clone(), caller.clone());
        let connecting = self.base.tasks.spawn(async move { accounts.prove(&caller, new).await });
        match connecting.await {
            Ok(connected) => connected,
            Err(died) => resume_unwind(died.into_panic()),
        }
    }

    /// Gets a token by the secret, and stores both.
    async fn prove(&self, caller: &Caller, new: NewAccount) -> Result<Authorizer> {
        let now = self.base.clock.now();
        let (push_token, encoding_aes_key) = new.push_keys.unzip();
        let mut secret = AccountSecret {
            authorizer_id: AuthorizerId::new(now, &self.base.entropy),
            appid: new.appid,
            appsecret: new.appsecret,
            token_api: new.token_api,
            push_token,
            encoding_aes_key,
            created_at: now,
        };
        let answer = ordinary::ask(&self.wechat, &secret, None).await?;
        let token = AccessToken::obtained(answer.access_token, now, answer.expires_in);

        let (scope, tx) = (&caller.scope, self.base.db.begin().await?);
        let authorizer = match tx.account_secrets().system_find(&secret.appid).await? {
            None => self.add(&tx, scope, &secret).await?,
            Some(stored) => {
                secret.authorizer_id = stored.authorizer_id;
                if secret.push_token.is_none() {
                    secret.push_token = stored.push_token;
                    secret.encoding_aes_key = stored.encoding_aes_key;
                }
                self.renew(&tx, scope, &secret).await?
            }
        };
        let mut kept = KeptToken::unknown(authorizer.token_key(), authorizer.generation);
        let [chance] = self.base.entropy.bytes();
        kept.due_at = Some(ordinary::policy().due_at(&token, chance));
        kept.token = Some(token);
        kept.remember(Refresh { at: now, cause: RefreshCause::Grant, failure: None });
        tx.tokens().replace(&kept).await?;
        let (act, entropy) = (caller.act(), &self.base.entropy);
        let subject = authorizer.appid.as_str();
        let entry = AuditEntry::of(&act, Action::AccountConnected, subject, (now, entropy));
        tx.audit().append(&entry).await?;
        tx.commit().await?;
        tracing::info!(
            authorizer.appid = %authorizer.appid,
            "{} connected by its own secret",
            authorizer.appid
        );
        Ok(authorizer)
    }

    async fn add(
        &self,
        tx: &Tx,
        scope: &TenantScope,
        secret: &AccountSecret,
    ) -> Result<Authorizer> {
        let authorizer = Authorizer {
            id: secret.authorizer_id.clone(),
            connection: Connection::Secret,
            tenant_id: Some(scope.tenant_id().clone()),
            refused_at: None,
            released_at: None,
            appid: secret.appid.clone(),
            state: AuthorizerState::Active,
            generation: 1,
            granted_at: secret.created_at,
            profile: Profile::default(),
            func_info: Vec::new(),
            created_at: secret.created_at,
            updated_at: secret.created_at,
        };
        tx.authorizers().system_insert(&authorizer).await?;
        match tx.account_secrets().system_insert(secret).await {
            Err(lingpai_storage::Error::AlreadyExists { .. }) => {
                return Err(Error::AccountElsewhere { appid: secret.appid.clone() });
            }
            inserted => inserted?,
        }
        let entropy = &self.base.entropy;
        emit(tx, entropy, &authorizer, EventKind::Authorized, secret.created_at).await?;
        Ok(authorizer)
    }

    async fn renew(
        &self,
        tx: &Tx,
        scope: &TenantScope,
        secret: &AccountSecret,
    ) -> Result<Authorizer> {
        let ids = [secret.authorizer_id.clone()];
        let stored = tx.authorizers().system_list(&ids).await?.into_iter().next();
        let owned = stored.filter(|one| one.tenant_id.as_ref() == Some(scope.tenant_id()));
        let Some(mut authorizer) = owned else {
            return Err(Error::AccountElsewhere { appid: secret.appid.clone() });
        };
        authorizer.state = AuthorizerState::Active;
        authorizer.generation += 1;
        authorizer.updated_at = secret.created_at;
        tx.authorizers().system_update(&authorizer).await?;
        tx.account_secrets().system_update(secret).await?;
        erase_tickets(tx, &authorizer.id).await?;
        Ok(authorizer)
    }
}
