use lingpai_model::{
    Appid, Secret,
    clock::{Entropy, SharedClock},
    component::Component,
    id::ComponentId,
    page::{Page, PageRequest},
};
use lingpai_storage::Db;
use lingpai_wechat::crypt::EncodingAesKey;

use crate::{Error, Result};

/// Registers components and reads them back.
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
    pub async fn create(&self, new: NewComponent) -> Result<Component> {
        EncodingAesKey::parse(new.encoding_aes_key.expose()).map_err(Error::BadEncodingAesKey)?;
        let now = self.clock.now();
        let component = Component {
            id: ComponentId::new(now, &self.entropy),
            appid: new.appid,
            name: new.name,
            appsecret: new.appsecret,
            push_token: new.push_token,
            encoding_aes_key: new.encoding_aes_key,
            previous_encoding_aes_key: None,
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
}
