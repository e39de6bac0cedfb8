//! Endpoints: where a tenant wants its events.

mod input;
mod view;

use std::time::Duration;

use lingpai_model::id::EndpointId;
use lingpai_webhook::Endpoints;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use self::{
    input::{EndpointChange, NewEndpoint},
    view::{EndpointView, TestOutcomeView},
};
use super::Group;
use crate::{
    answer::{Created, NoContent},
    auth::{EndpointWrite, EventRead, TenantAuth},
    example,
    input::Input,
    page::PageView,
    parameter::{self, CursorText, EndpointIdText, Limit},
    problem::{Problem, Result},
};

/// How long the secret before a rotation still signs if the tenant does not say.
const USUAL_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct EndpointsApi {
    pub(super) endpoints: Endpoints,
}

/// How an endpoint gets a new secret.
#[derive(Debug, Object)]
#[oai(rename = "NewEndpointSecret", skip_serializing_if_is_none, example)]
struct NewSecret {
    /// For how many seconds what is sent is signed with the secret before as well: 0 ends it at once,
    /// 604800 (a week) is the most; absent: a day.
    #[oai(nullable, validator(minimum(value = "0"), maximum(value = "604800")))]
    overlap_secs: Option<u32>,
}

impl Example for NewSecret {
    fn example() -> Self {
        Self { overlap_secs: Some(3600) }
    }
}

impl NewSecret {
    fn overlap(&self) -> Duration {
        self.overlap_secs.map_or(USUAL_OVERLAP, |secs| Duration::from_secs(secs.into()))
    }
}

/// A secret that has just been made.
#[derive(Debug, Object)]
#[oai(rename = "EndpointSecret", example)]
struct SecretView {
    /// The endpoint.
    id: String,
    /// What webhooks to it are signed with from now on, shown this once.
    secret: String,
}

impl Example for SecretView {
    fn example() -> Self {
        Self { id: example::ENDPOINT_ID.to_owned(), secret: view::example_secret() }
    }
}

#[OpenApi(tag = "Group::Endpoints")]
impl EndpointsApi {
    /// Create an endpoint.
    ///
    /// A `webhook` gets events as JSON, signed by the rules of Standard Webhooks with the `secret` of
    /// the answer, which is nowhere else. A `wechat` endpoint gets what WeChat pushes as WeChat pushes
    /// it to an account's own server, signed and encrypted with the endpoint's own `token` and
    /// `encoding_aes_key`; if it is `replying`, its passive reply goes back to WeChat, and one endpoint
    /// of an account may be so (`replying_taken`). At most 50 endpoints (`endpoint_limit`). The address
    /// must be a public one (`endpoint_url_refused`). Needs the scope `endpoint:write`.
    #[oai(path = "/endpoints", method = "post", operation_id = "create_endpoint")]
    async fn create(
        &self,
        auth: TenantAuth<EndpointWrite>,
        input: Input<NewEndpoint>,
    ) -> Result<Created<EndpointView>> {
        let new = input.0.try_into()?;
        let (endpoint, secret) = self.endpoints.create(auth.caller(), new).await?;
        Ok(Created(EndpointView::created(endpoint, secret.as_ref())))
    }

    /// List the endpoints.
    ///
    /// Oldest first. Needs the scope `event:read`.
    #[oai(path = "/endpoints", method = "get", operation_id = "list_endpoints")]
    async fn list(
        &self,
        auth: TenantAuth<EventRead>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<EndpointView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let found = self.endpoints.list(auth.scope(), &page).await?;
        Ok(Json(PageView::of(found, EndpointView::from)))
    }

    /// Look up one endpoint.
    ///
    /// With how sending to it went of late. Needs the scope `event:read`.
    #[oai(path = "/endpoints/:id", method = "get", operation_id = "get_endpoint")]
    async fn get(
        &self,
        auth: TenantAuth<EventRead>,
        /// The endpoint.
        id: Path<EndpointIdText>,
    ) -> Result<Json<EndpointView>> {
        let endpoint = self.endpoints.get(auth.scope(), &endpoint_id(&id)?).await?;
        Ok(Json(endpoint.into()))
    }

    /// Change an endpoint.
    ///
    /// What the body leaves out stays as it is; its kind never changes. While it is paused, events wait
    /// for it. One that was disabled takes events again after `"paused": false`; what was given up
    /// meanwhile can be replayed. Needs the scope `endpoint:write`.
    #[oai(path = "/endpoints/:id", method = "patch", operation_id = "change_endpoint")]
    async fn change(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The endpoint.
        id: Path<EndpointIdText>,
        input: Input<EndpointChange>,
    ) -> Result<Json<EndpointView>> {
        let (id, change) = (endpoint_id(&id)?, input.0.try_into()?);
        let changed = self.endpoints.change(auth.caller(), &id, change).await?;
        Ok(Json(changed.into()))
    }

    /// Remove an endpoint.
    ///
    /// Nothing more is sent to it, and what waited for it is given up. Needs the scope `endpoint:write`.
    #[oai(path = "/endpoints/:id", method = "delete", operation_id = "remove_endpoint")]
    async fn remove(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The endpoint.
        id: Path<EndpointIdText>,
    ) -> Result<NoContent> {
        self.endpoints.remove(auth.caller(), &endpoint_id(&id)?).await?;
        Ok(NoContent)
    }

    /// Give an endpoint a new secret.
    ///
    /// For the kind `webhook`. The new secret is in the answer and nowhere else. Until the overlap ends
    /// each webhook carries two signatures, one by the secret before. Needs the scope `endpoint:write`.
    #[oai(path = "/endpoints/:id/secret", method = "post", operation_id = "rotate_endpoint_secret")]
    async fn rotate(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The endpoint.
        id: Path<EndpointIdText>,
        input: Input<NewSecret>,
    ) -> Result<Json<SecretView>> {
        let (id, overlap) = (endpoint_id(&id)?, input.0.overlap());
        let secret = self.endpoints.rotate(auth.caller(), &id, overlap).await?;
        Ok(Json(SecretView { id: id.to_string(), secret: view::shown(&secret) }))
    }

    /// Send a test event to an endpoint.
    ///
    /// Once and now, whatever its filters say, and tells how that went: a `webhook` gets an
    /// `endpoint.test`, a `wechat` endpoint the text of a fan whom there is not. Nothing of it is kept,
    /// and no reply goes anywhere. Needs the scope `endpoint:write`.
    #[oai(path = "/endpoints/:id/test", method = "post", operation_id = "test_endpoint")]
    async fn test(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The endpoint.
        id: Path<EndpointIdText>,
    ) -> Result<Json<TestOutcomeView>> {
        let outcome = self.endpoints.test(auth.caller(), &endpoint_id(&id)?).await?;
        Ok(Json(outcome.into()))
    }
}

/// Reads the id in a path; one that cannot be is one of no endpoint.
pub(super) fn endpoint_id(text: &str) -> Result<EndpointId> {
    EndpointId::parse(text).map_err(|_| Problem::endpoint_not_found())
}
