//! `GET /{name}.txt`: the domain verification files that WeChat looks for at the root.

use lingpai_model::file::FileName;
use lingpai_tenant::Files;
use poem::{Endpoint, Request, Response, error::NotFoundError, http::Method};

use crate::problem::Problem;

/// The files at the root. Whatever else has one segment is not found, by any method.
pub(crate) struct RootFiles(Files);

impl RootFiles {
    pub(crate) fn new(files: Files) -> Self {
        Self(files)
    }
}

impl Endpoint for RootFiles {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let name = name_in(&request).ok_or(NotFoundError)?;
        let Self(files) = self;
        let file = files.find(&name).await.map_err(Problem::from)?.ok_or(NotFoundError)?;
        let answer = Response::builder().content_type("text/plain; charset=utf-8");
        Ok(answer.body(String::from(file.content)))
    }
}

/// The name in the raw path: a name has no character that could be written in two ways.
fn name_in(request: &Request) -> Option<FileName> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let name = request.uri().path().strip_prefix('/').filter(|_| is_read)?;
    FileName::parse(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, path: &'static str) -> Option<String> {
        let uri = poem::http::Uri::from_static(path);
        let request = Request::builder().method(method).uri(uri).finish();
        name_in(&request).map(|name| name.to_string())
    }

    #[test]
    fn a_file_is_asked_for_by_its_raw_name_and_only_read() {
        let name = "/MP_verify_a1B2-x.txt";
        assert_eq!(asked(Method::GET, name).as_deref(), Some("MP_verify_a1B2-x.txt"));
        assert_eq!(asked(Method::HEAD, name).as_deref(), Some("MP_verify_a1B2-x.txt"));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(asked(method, name), None);
        }
    }

    #[test]
    fn nothing_else_at_the_root_is_a_file() {
        for path in [
            "/",
            "/.txt",
            "/a",
            "/a.TXT",
            "/a.html",
            "/a%2Etxt",
            "/%61.txt",
            "/a.b.txt",
            "/a/b.txt",
            "//a.txt",
            "/a.txt/",
            "/robots.txt",
            "/Security.txt",
        ] {
            assert_eq!(asked(Method::GET, path), None, "{path}");
        }
    }
}
