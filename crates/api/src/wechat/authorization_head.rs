//! `HEAD` on the pages of an authorization: what link previews and monitors ask. Nothing is opened,
//! started or handed in, so that looking at a link does not use it up.

use poem::{Endpoint, Request, Response};

use super::{
    html::CONTENT_TYPE,
    outcome::Outcome,
    pages::{AuthorizationPages, Link, Visit},
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
            // Whether it still holds is found out by opening it.
            Some(Link::Renewal(_)) => Response::builder().content_type(CONTENT_TYPE).finish(),
            Some(Link::Authorization(link)) => match pages.authorizations().page(link).await {
                Ok(_) => Response::builder().content_type(CONTENT_TYPE).finish(),
                Err(error) => pages.show_failure(&error, &visit)?,
            },
        };
        answer.set_body(());
        Ok(answer)
    }
}
