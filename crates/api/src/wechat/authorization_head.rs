//! `HEAD` on the pages of an authorization: what link previews and monitors ask. Nothing is opened
//! and nothing handed in, so that looking at a link does not use it up.

use poem::{Endpoint, Request, Response};

use super::{
    html::CONTENT_TYPE,
    outcome::Outcome,
    pages::{AuthorizationPages, Visit},
};

/// `HEAD /authorize/{link}` and `HEAD /authorize/{link}/return`: whether the link leads anywhere.
pub(crate) struct PageHead(pub(super) AuthorizationPages);

impl Endpoint for PageHead {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Self(pages) = self;
        let visit = Visit::of(&request);
        let mut answer = match &visit.link {
            None => pages.show(&Outcome::UnknownLink, &visit)?,
            Some(link) => match pages.authorizations().page(link).await {
                Ok(_) => Response::builder().content_type(CONTENT_TYPE).finish(),
                Err(error) => pages.show_failure(&error, &visit)?,
            },
        };
        answer.set_body(());
        Ok(answer)
    }
}
