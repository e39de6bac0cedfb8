use lingpai_model::{
    Instant,
    audit::{Act, Action},
    caller::{Caller, OperatorCaller, TenantScope},
    clock::{Entropy, SharedClock},
    file::{FileContent, FileName, VerificationFile},
};
use lingpai_storage::{Db, Tx};

use crate::{Error, Result, audit};

/// How many files a tenant can keep, and the operator.
const MAX_COUNT: usize = 50;

/// Keeps the domain verification files that WeChat looks for at the root of our domain. A name
/// belongs to whoever took it first.
#[derive(Debug, Clone)]
pub struct Files {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

impl Files {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// Keeps a file of the tenant; one of the same name that it kept before is replaced.
    ///
    /// # Errors
    /// [`Error::FileTaken`] when somebody else keeps one of this name; [`Error::BadField`] for a name
    /// that is none of WeChat's, or when the tenant keeps as many as it can.
    pub async fn upload(
        &self,
        caller: &Caller,
        name: FileName,
        content: FileContent,
    ) -> Result<VerificationFile> {
        if !name.is_wechats() {
            // At the root of the domain it would speak for all tenants, to whoever looks for it.
            let reason = "only names that WeChat draws are taken from tenants: MP_verify_….txt, \
                          WW_verify_….txt, or ten and more letters and digits; ask the operator for \
                          another";
            return Err(Error::BadField { field: "name", reason });
        }
        let tx = self.db.begin().await?;
        let kept = tx.files().list(&caller.scope).await?;
        let tenant_id = Some(caller.scope.tenant_id().clone());
        let created_at = self.clock.now();
        let file = VerificationFile { name, content, tenant_id, created_at };
        self.keep(tx, &caller.act(), &kept, file).await
    }

    /// Keeps a file of the operator's; one of the same name that he kept before is replaced.
    ///
    /// # Errors
    /// As [`Files::upload`], but for names: the operator may use any.
    pub async fn upload_for_operator(
        &self,
        by: &OperatorCaller,
        name: FileName,
        content: FileContent,
    ) -> Result<VerificationFile> {
        let tx = self.db.begin().await?;
        let kept = tx.files().system_list(None).await?;
        let created_at = self.clock.now();
        let file = VerificationFile { name, content, tenant_id: None, created_at };
        self.keep(tx, &by.act(), &kept, file).await
    }

    /// The file of this name, whosoever it is: everybody may read it.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn find(&self, name: &FileName) -> Result<Option<VerificationFile>> {
        Ok(self.db.files().system_find(name).await?)
    }

    /// The tenant's files.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(&self, scope: &TenantScope) -> Result<Vec<VerificationFile>> {
        Ok(self.db.files().list(scope).await?)
    }

    /// The operator's files, which are no tenant's.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list_of_operator(&self) -> Result<Vec<VerificationFile>> {
        Ok(self.db.files().system_list(None).await?)
    }

    /// Removes a file of the tenant.
    ///
    /// # Errors
    /// [`Error::FileNotFound`] when the tenant keeps none of this name.
    pub async fn remove(&self, caller: &Caller, name: &FileName) -> Result<()> {
        let tx = self.db.begin().await?;
        if !tx.files().delete(&caller.scope, name).await? {
            return Err(Error::FileNotFound { name: name.clone() });
        }
        self.record(&tx, &caller.act(), (Action::FileRemoved, name), self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Removes a file of the operator's.
    ///
    /// # Errors
    /// [`Error::FileNotFound`] when the operator keeps none of this name.
    pub async fn remove_for_operator(&self, by: &OperatorCaller, name: &FileName) -> Result<()> {
        let tx = self.db.begin().await?;
        if !tx.files().system_delete(None, name).await? {
            return Err(Error::FileNotFound { name: name.clone() });
        }
        self.record(&tx, &by.act(), (Action::FileRemoved, name), self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    async fn keep(
        &self,
        tx: Tx,
        act: &Act,
        kept: &[VerificationFile],
        file: VerificationFile,
    ) -> Result<VerificationFile> {
        let replaces = kept.iter().any(|other| other.name == file.name);
        if !replaces && kept.len() >= MAX_COUNT {
            let reason = "at most 50 files are kept: remove one that WeChat has seen";
            return Err(Error::BadField { field: "name", reason });
        }
        if !tx.files().insert(&file).await? {
            return Err(Error::FileTaken { name: file.name });
        }
        self.record(&tx, act, (Action::FileUploaded, &file.name), file.created_at).await?;
        tx.commit().await?;
        Ok(file)
    }

    async fn record(
        &self,
        tx: &Tx,
        act: &Act,
        (action, name): (Action, &FileName),
        at: Instant,
    ) -> Result<()> {
        audit::append(tx, act, (action, name.as_str()), (at, &self.entropy)).await
    }
}
