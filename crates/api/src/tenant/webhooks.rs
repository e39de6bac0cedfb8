//! What we post to tenants, in the document. Nothing is served here.

use poem::http::Method;
use poem_openapi::{
    Tags as _, Webhook,
    registry::{
        MetaMediaType, MetaOperation, MetaOperationParam, MetaParamIn, MetaRequest, MetaResponse,
        MetaResponses, MetaSchema, MetaSchemaRef, MetaWebhook, Registry,
    },
    types::Type as _,
};

use super::Group;
use crate::{spec::say_once, view::event::WebhookEventView};

/// The webhooks that endpoints of the kind `webhook` get.
pub(crate) struct TenantWebhooks;

const DESCRIPTION: &str = "Posted to your endpoints of the kind `webhook`, by the rules of Standard \
    Webhooks: verify `webhook-signature` with the endpoint's secret before you read the body. Any 2xx \
    within 15 seconds takes it, and 410 disables the endpoint; everything else is tried again over \
    three days. An event may come more than once and in any order: `webhook-id` stays the same.";

impl Webhook for TenantWebhooks {
    fn meta() -> Vec<MetaWebhook> {
        let operation = MetaOperation {
            method: Method::POST,
            tags: vec![Group::Endpoints.name()],
            summary: Some("Something happened."),
            description: Some(DESCRIPTION),
            external_docs: None,
            params: vec![
                header("webhook-id", "The event's id: the same on every attempt."),
                header("webhook-timestamp", "When this attempt was made: Unix time in seconds."),
                header(
                    "webhook-signature",
                    "`v1,` and base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`; \
                     two of these with a blank between them while two secrets count.",
                ),
            ],
            request: Some(MetaRequest {
                description: None,
                content: vec![MetaMediaType {
                    content_type: "application/json",
                    schema: WebhookEventView::schema_ref(),
                }],
                required: true,
            }),
            responses: MetaResponses { responses: vec![taken()] },
            deprecated: false,
            security: Vec::new(),
            operation_id: Some("event_happened"),
            code_samples: Vec::new(),
        };
        vec![MetaWebhook { name: "event", operation }]
    }

    fn register(registry: &mut Registry) {
        WebhookEventView::register(registry);
        registry.schemas.values_mut().for_each(say_once);
    }
}

fn taken() -> MetaResponse {
    MetaResponse {
        description: "You have it.",
        status: Some(204),
        status_range: None,
        content: Vec::new(),
        headers: Vec::new(),
    }
}

fn header(name: &str, description: &str) -> MetaOperationParam {
    MetaOperationParam {
        name: name.to_owned(),
        schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
        in_type: MetaParamIn::Header,
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        explode: true,
        style: None,
    }
}
