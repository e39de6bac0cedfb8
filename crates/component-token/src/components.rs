use chrono::Duration;
use lingpai_model::{
    Appid, Instant, Secret,
    audit::{Action, AuditEntry},
    caller::OperatorCaller,
    clock::{Entropy, SharedClock},
    component::Component,
    id::ComponentId,
    page::{Page, PageRequest},
    token::{RefreshCause, TokenKey},
};
use lingpai_storage::Db;
use lingpai_wechat::crypt::EncodingAesKey;

use crate::{Error, Result};

/// How long pushes may still be signed with the push token before the present one: it takes a
/// while until the new one is entered in WeChat's console as well.
pub const PUSH_TOKEN_OVERLAP: Duration = Duration::hours(24);

/// How long what proves pushes cannot be changed once more: one value before the present is kept, and
/// WeChat may still use it.
const CHANGES_APART: Duration = PUSH_TOKEN_OVERLAP;

/// Registers components, changes them and reads them back.
#[derive(Debug, Clone)]
pub struct Components {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

/// What an operator enters to register a component.
#[derive(Debug)]
pub struct NewComponent {
    /// Its appid at WeChat.
    pub appid: Appid,
    /// The name people read.
    pub name: String,
    /// The component secret.
    pub appsecret: Secret<String>,
    /// 消息校验Token.
    pub push_token: Secret<String>,
    /// 消息加解密Key.
    pub encoding_aes_key: Secret<String>,
}

/// What an operator changes of a component; what is absent stays as it is.
#[derive(Debug, Default)]
pub struct ComponentChange {
    /// The name people read.
    pub name: Option<String>,
    /// The component secret. It is proved by getting a token with it, at once.
    pub appsecret: Option<Secret<String>>,
    /// 消息校验Token. The one before counts for [`PUSH_TOKEN_OVERLAP`] more, during which only that one
    /// can take its place.
    pub push_token: Option<Secret<String>>,
    /// 消息加解密Key. The one before counts until the next change, which is as far off; but for the way
    /// back.
    pub encoding_aes_key: Option<Secret<String>>,
    /// Whether WeChat's whole-network publish test (全网发布检测) is answered from now on.
    pub answers_publish_test: Option<bool>,
}

impl ComponentChange {
    fn applied_to(self, mut component: Component, now: Instant) -> Result<Component> {
        component.name = self.name.unwrap_or(component.name);
        component.answers_publish_test =
            self.answers_publish_test.unwrap_or(component.answers_publish_test);
        component.appsecret = self.appsecret.unwrap_or(component.appsecret);
        if let Some(token) = self.push_token.filter(|token| *token != component.push_token) {
            if let Some((previous, until)) = &component.previous_push_token {
                admit((&token, previous), (*until, now), &component.appid)?;
            }
            let before = std::mem::replace(&mut component.push_token, token);
            component.previous_push_token = Some((before, now + PUSH_TOKEN_OVERLAP));
        }
        if let Some(key) = self.encoding_aes_key.filter(|key| *key != component.encoding_aes_key) {
            if let Some(previous) = &component.previous_encoding_aes_key
                && let Some(changed_at) = component.encoding_aes_key_changed_at
            {
                admit((&key, previous), (changed_at + CHANGES_APART, now), &component.appid)?;
            }
            let before = std::mem::replace(&mut component.encoding_aes_key, key);
            component.previous_encoding_aes_key = Some(before);
            component.encoding_aes_key_changed_at = Some(now);
        }
        Ok(component)
    }
}

/// Refuses a change that would push out the value before the present one while WeChat may still use
/// it. The way back to that value is open.
fn admit(
    (new, previous): (&Secret<String>, &Secret<String>),
    (until, now): (Instant, Instant),
    appid: &Appid,
) -> Result<()> {
    if now < until && new != previous {
        return Err(Error::ChangeUnderWay { appid: appid.clone(), until });
    }
    Ok(())
}

impl Components {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// Registers a component.
    ///
    /// # Errors
    /// [`Error::BadEncodingAesKey`] when the key cannot be one, [`Error::ComponentExists`] when the
    /// appid is taken.
    pub async fn create(&self, by: &OperatorCaller, new: NewComponent) -> Result<Component> {
        EncodingAesKey::parse(new.encoding_aes_key.expose()).map_err(Error::BadEncodingAesKey)?;
        let now = self.clock.now();
        let component = Component {
            id: ComponentId::new(now, &self.entropy),
            appid: new.appid,
            name: new.name,
            appsecret: new.appsecret,
            push_token: new.push_token,
            previous_push_token: None,
            encoding_aes_key: new.encoding_aes_key,
            previous_encoding_aes_key: None,
            encoding_aes_key_changed_at: None,
            answers_publish_test: false,
            created_at: now,
            updated_at: now,
        };
        let tx = self.db.begin().await?;
        match tx.components().insert(&component).await {
            Err(lingpai_storage::Error::AlreadyExists { .. }) => {
                return Err(Error::ComponentExists { appid: component.appid });
            }
            other => other?,
        }
        tx.audit().append(&self.entry(by, Action::ComponentRegistered, &component)).await?;
        tx.commit().await?;
        Ok(component)
    }

    /// Changes a component. What proves pushes is rotated with an overlap; a new secret makes the
    /// component's token due, so that its health soon tells whether WeChat takes that secret. What is
    /// as it was before changes nothing.
    ///
    /// # Errors
    /// [`Error::BadEncodingAesKey`] when the key cannot be one, [`Error::ComponentNotFound`] when
    /// no such component is registered, [`Error::ChangeUnderWay`] when what proves pushes was changed
    /// within the day before.
    pub async fn change(
        &self,
        by: &OperatorCaller,
        appid: &Appid,
        change: ComponentChange,
    ) -> Result<Component> {
        if let Some(key) = &change.encoding_aes_key {
            EncodingAesKey::parse(key.expose()).map_err(Error::BadEncodingAesKey)?;
        }
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let stored = tx.components().lock(appid).await?;
        let stored = stored.ok_or_else(|| Error::ComponentNotFound { appid: appid.clone() })?;
        let has_new_secret =
            change.appsecret.as_ref().is_some_and(|secret| *secret != stored.appsecret);
        let mut component = change.applied_to(stored.clone(), now)?;
        if component == stored {
            return Ok(stored);
        }
        component.updated_at = now;
        tx.components().update(&component).await?;
        if has_new_secret {
            let key = TokenKey::Component(component.id.clone());
            tx.tokens().refresh_anew(&key, now, RefreshCause::Manual).await?;
        }
        tx.audit().append(&self.entry(by, Action::ComponentChanged, &component)).await?;
        tx.commit().await?;
        Ok(component)
    }

    /// The component of this appid.
    ///
    /// # Errors
    /// [`Error::ComponentNotFound`] when none is registered.
    pub async fn get(&self, appid: &Appid) -> Result<Component> {
        let found = self.db.components().find(appid).await?;
        found.ok_or_else(|| Error::ComponentNotFound { appid: appid.clone() })
    }

    /// The components, oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(&self, page: &PageRequest) -> Result<Page<Component>> {
        Ok(self.db.components().list(page).await?)
    }

    fn entry(&self, by: &OperatorCaller, action: Action, component: &Component) -> AuditEntry {
        let at = (component.updated_at, &self.entropy);
        AuditEntry::of(&by.act(), action, component.appid.as_str(), at)
    }
}
