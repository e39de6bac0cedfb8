use lingpai_tenant::Files;
use poem_openapi::{OpenApi, param::Path, payload::Json};
use url::Url;

use super::Group;
use crate::{
    answer::{Created, NoContent},
    auth::{FileWrite, TenantAuth},
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
    /// WeChat asks for one to see whose a domain is. It is served at the root of this installation's
    /// domain under its name within seconds. One of your own is replaced; a name that somebody else
    /// has is refused, and so is more than 50 files. Only names that WeChat draws are taken:
    /// `MP_verify_….txt`, `WW_verify_….txt`, or ten and more letters and digits. Needs the scope
    /// `file:write`.
    #[oai(path = "/files", method = "post", operation_id = "upload_file")]
    async fn upload(
        &self,
        auth: TenantAuth<FileWrite>,
        input: Input<NewFile>,
    ) -> Result<Created<FileView>> {
        let (name, content) = input.0.parsed()?;
        let file = self.files.upload(auth.caller(), name, content).await?;
        Ok(Created(FileView::of(file, &self.public_url)))
    }

    /// List your domain verification files.
    ///
    /// In alphabetical order, all on one page. Needs the scope `file:write`.
    #[oai(path = "/files", method = "get", operation_id = "list_files")]
    async fn list(&self, auth: TenantAuth<FileWrite>) -> Result<Json<PageView<FileView>>> {
        let files = self.files.list(auth.scope()).await?;
        let items = files.into_iter().map(|file| FileView::of(file, &self.public_url)).collect();
        Ok(Json(PageView { items, next: None }))
    }

    /// Remove a domain verification file.
    ///
    /// It is no longer served. Needs the scope `file:write`.
    #[oai(path = "/files/:name", method = "delete", operation_id = "remove_file")]
    async fn remove(
        &self,
        auth: TenantAuth<FileWrite>,
        /// The file's name.
        name: Path<FileNameText>,
    ) -> Result<NoContent> {
        self.files.remove(auth.caller(), &file_name(&name)?).await?;
        Ok(NoContent)
    }
}
