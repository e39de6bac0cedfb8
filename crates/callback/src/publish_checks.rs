use lingpai_model::{
    Appid,
    page::{Page, PageRequest},
    publish_test::PublishCheck,
};
use lingpai_storage::Db;

use crate::Error;

/// Tells what became of the steps of WeChat's whole-network publish test.
#[derive(Debug, Clone)]
pub struct PublishChecks {
    db: Db,
}

impl PublishChecks {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// The steps that WeChat, or a rehearsal, has asked of this component, the newest first.
    ///
    /// # Errors
    /// [`Error::ComponentNotFound`] when no such component is registered; [`Error::Storage`].
    pub async fn list(
        &self,
        component_appid: &Appid,
        page: &PageRequest,
    ) -> Result<Page<PublishCheck>, Error> {
        let component = self.db.components().find(component_appid).await?;
        let component =
            component.ok_or_else(|| Error::ComponentNotFound { appid: component_appid.clone() })?;
        Ok(self.db.publish_checks().list(&component.id, page).await?)
    }
}
