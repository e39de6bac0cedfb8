//! The stream in the document; it adds no routes.

use std::collections::HashMap;

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    ApiExtractor as _, ApiResponse as _, OpenApi, Tags as _,
    registry::{
        MetaApi, MetaMediaType, MetaOperation, MetaOperationParam, MetaParamIn, MetaPath,
        MetaResponse, MetaSchema, MetaSchemaRef, Registry,
    },
    types::Type as _,
};

use super::{
    super::Group,
    wish::{LAST_EVENT_ID, MAX_SECS},
};
use crate::{
    auth::{EventRead, TenantAuth},
    parameter::{EventIdText, Filter},
    problem::Problem,
};

/// Where the stream stands in the document.
const STREAM_PATH: &str = "/events/stream";

const DESCRIPTION: &str = "Server-sent events: each has the `id` to go on behind, the type as its \
    `event`, and as `data` the body that a webhook has (`WebhookEvent`). It begins with what comes \
    from now on, or behind the event that `Last-Event-ID` names, at most 10,000 back. Every ten \
    seconds a comment shows that it is alive. It ends when its key does, when lingpai stops, and after \
    a day: begin anew behind the last event. At most 8 at the same time (`too_many_streams`). With \
    `replying=true` you are asked for a reply to each message of these accounts: `POST \
    /v1/events/{id}/reply`. Needs the scope `event:read`, and to reply `endpoint:write` beside it.";

/// The description of the stream, which is routed apart.
pub(crate) struct StreamOperations;

impl OpenApi for StreamOperations {
    fn meta() -> Vec<MetaApi> {
        let path = STREAM_PATH.to_owned();
        vec![MetaApi { paths: vec![MetaPath { path, operations: vec![operation()] }] }]
    }

    fn register(registry: &mut Registry) {
        Group::Events.register(registry);
        TenantAuth::<EventRead>::register(registry);
        Problem::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

fn operation() -> MetaOperation {
    let mut responses = Problem::meta();
    let schema = MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
    let stream = MetaResponse {
        description: "The events as they come, without end.",
        status: Some(200),
        status_range: None,
        content: vec![MetaMediaType { content_type: "text/event-stream", schema }],
        headers: Vec::new(),
    };
    responses.responses.insert(0, stream);
    let schemes = TenantAuth::<EventRead>::security_schemes();
    MetaOperation {
        method: Method::GET,
        tags: vec![Group::Events.name()],
        summary: Some("Follow the events as they come."),
        description: Some(DESCRIPTION),
        external_docs: None,
        params: parameters(),
        request: None,
        responses,
        deprecated: false,
        security: vec![schemes.into_iter().map(|name| (name, Vec::new())).collect()],
        operation_id: Some("stream_events"),
        code_samples: Vec::new(),
    }
}

fn parameters() -> Vec<MetaOperationParam> {
    let query =
        |name, description, schema| parameter(MetaParamIn::Query, name, description, schema);
    // Bounds in the documents are floating point numbers.
    let most = u32::try_from(MAX_SECS).ok().map(f64::from);
    let seconds = MetaSchema {
        minimum: Some(1.0),
        maximum: most,
        ..MetaSchema::new_with_format("integer", "int32")
    };
    vec![
        query(
            "types",
            "Only events of these types or families, with commas between them: \
             `message.*,event.subscribe`.",
            MetaSchema::new("string"),
        ),
        query(
            "authorizers",
            "Only events about these accounts, by appid, with commas between them.",
            MetaSchema::new("string"),
        ),
        query(
            "replying",
            "Whether you reply to messages; false if absent. While you are there you are asked before \
             any endpoint, but after the rules of auto-replies.",
            MetaSchema::new("boolean"),
        ),
        query("for_secs", "How many seconds the stream lasts; a day if absent.", seconds),
        parameter(
            MetaParamIn::Header,
            LAST_EVENT_ID.as_str(),
            "The `id` of the last event that you have seen; from now on if absent.",
            Filter::<EventIdText>::schema_ref().unwrap_inline().clone(),
        ),
    ]
}

fn parameter(
    in_type: MetaParamIn,
    name: &str,
    description: &str,
    schema: MetaSchema,
) -> MetaOperationParam {
    MetaOperationParam {
        name: name.to_owned(),
        schema: MetaSchemaRef::Inline(Box::new(schema)),
        in_type,
        description: Some(description.to_owned()),
        required: false,
        deprecated: false,
        explode: true,
        style: None,
    }
}
