use lingpai_tenant::Files;
use poem_openapi::{OpenApi, param::Path, payload::Json};
use url::Url;

use super::Group;
use crate::{
    answer::{Created, NoContent},
    auth::OperatorAuth,
    input::Input,
    page::PageView,
    parameter::FileNameText,
    problem::Result,
    view::file::{FileView, NewFile, file_name},
};

pub(crate) struct FilesApi {
    pub(super) files: Files,
    pub(super) public_url: Url,
}

#[OpenApi(tag = "Group::Files")]
impl FilesApi {
    /// Upload a domain verification file.
    ///
    /// WeChat asks for one to see whose a domain is. It is served at the root under its name within
    /// seconds. One of the operator's own is replaced; a name that a tenant has is refused. For
    /// operators.
    #[oai(path = "/files", method = "post", operation_id = "upload_file")]
    async fn upload(&self, auth: OperatorAuth, input: Input<NewFile>) -> Result<Created<FileView>> {
        let (name, content) = input.0.parsed()?;
        let file = self.files.upload_for_operator(auth.caller(), name, content).await?;
        Ok(Created(FileView::of(file, &self.public_url)))
    }

    /// List the operator's domain verification files.
    ///
    /// In alphabetical order, all on one page; those of tenants are theirs to list. For operators.
    #[oai(path = "/files", method = "get", operation_id = "list_files")]
    async fn list(&self, _auth: OperatorAuth) -> Result<Json<PageView<FileView>>> {
        let files = self.files.list_of_operator().await?;
        let items = files.into_iter().map(|file| FileView::of(file, &self.public_url)).collect();
        Ok(Json(PageView { items, next: None }))
    }

    /// Remove a domain verification file of the operator's.
    ///
    /// It is no longer served. For operators.
    #[oai(path = "/files/:name", method = "delete", operation_id = "remove_file")]
    async fn remove(
        &self,
        auth: OperatorAuth,
        /// The file's name.
        name: Path<FileNameText>,
    ) -> Result<NoContent> {
        self.files.remove_for_operator(auth.caller(), &file_name(&name)?).await?;
        Ok(NoContent)
    }
}
