//! Domain verification files, as they are entered and told in both APIs.

use lingpai_model::{
    Instant,
    file::{FileContent, FileName, VerificationFile},
};
use poem_openapi::{Object, types::Example};
use url::Url;

use crate::{
    example, parameter,
    problem::{Problem, Result},
};

/// A domain verification file (域名校验文件) to serve at the root of this installation's domain.
#[derive(Debug, Object)]
#[oai(rename = "NewFile", example)]
pub(crate) struct NewFile {
    /// Its name as WeChat gives it, with `.txt` at its end.
    #[oai(validator(min_length = 5, max_length = 68, pattern = "^[A-Za-z0-9_-]{1,64}\\.txt$"))]
    name: String,
    /// What is in it: one line of visible ASCII characters.
    #[oai(validator(min_length = 1, max_length = 512, pattern = "^[!-~]{1,512}$"))]
    content: String,
}

impl Example for NewFile {
    fn example() -> Self {
        Self { name: example::FILE_NAME.to_owned(), content: "0aB1cD2eF3gH4iJ5".to_owned() }
    }
}

impl NewFile {
    /// Its name and its line.
    ///
    /// # Errors
    /// A problem `invalid_field` that names the field.
    pub(crate) fn parsed(&self) -> Result<(FileName, FileContent)> {
        let name = parameter::parsed("name", &self.name, FileName::parse)?;
        Ok((name, parameter::parsed("content", &self.content, FileContent::parse)?))
    }
}

/// A domain verification file (域名校验文件).
#[derive(Debug, Object)]
#[oai(rename = "File", example)]
pub(crate) struct FileView {
    /// Its name.
    name: String,
    /// What is in it.
    content: String,
    /// Where it is served.
    url: String,
    /// When it was uploaded.
    created_at: Instant,
}

impl Example for FileView {
    fn example() -> Self {
        let NewFile { name, content } = NewFile::example();
        let url = format!("https://lingpai.example/{name}");
        Self { name, content, url, created_at: example::instant() }
    }
}

impl FileView {
    /// `file` as it is told by an installation that is reached as `public_url`.
    pub(crate) fn of(file: VerificationFile, public_url: &Url) -> Self {
        let base = public_url.as_str().trim_end_matches('/');
        Self {
            url: format!("{base}/{}", file.name),
            name: file.name.to_string(),
            content: file.content.into(),
            created_at: file.created_at,
        }
    }
}

/// Reads the name in a path; one that cannot be is one of no file.
///
/// # Errors
/// A problem `file_not_found`.
pub(crate) fn file_name(text: &str) -> Result<FileName> {
    FileName::parse(text).map_err(|_| Problem::file_not_found())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{input, problem::Code};

    #[test]
    fn a_file_tells_where_it_is_served() {
        let file = |name| VerificationFile {
            name: FileName::parse(name).unwrap(),
            content: FileContent::parse("x").unwrap(),
            tenant_id: None,
            created_at: example::instant(),
        };
        let base = Url::parse("https://lingpai.example").unwrap();
        assert_eq!(FileView::of(file("a.txt"), &base).url, "https://lingpai.example/a.txt");
    }

    #[test]
    fn a_name_that_speaks_for_the_whole_domain_is_a_fault_of_its_field() {
        for (body, field) in [
            (r#"{"name":"robots.txt","content":"x"}"#, "name"),
            (r#"{"name":"MP_verify_1.html","content":"x"}"#, "name"),
            (r#"{"name":"a.txt","content":"<b> hi"}"#, "content"),
        ] {
            let read = input::read::<NewFile>(body.as_bytes());
            let problem = read.and_then(|file| file.parsed()).unwrap_err();
            assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some(field)));
        }
        let (name, _) = NewFile::example().parsed().unwrap();
        assert_eq!(name.as_str(), example::FILE_NAME);
        assert_eq!(file_name("../etc").unwrap_err().code(), Code::FileNotFound);
    }
}
