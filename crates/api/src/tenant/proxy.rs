//! WeChat's API by REST: same path, query, body and answer; the token is put in.
//!
//! A plain handler, because OpenAPI cannot describe a catch-all path; its operations are written
//! into the document by hand. The raw path is cut here, never a decoded parameter.

use std::collections::HashMap;

use lingpai_authorizer::Proxy;
use lingpai_model::Appid;
use poem::{Endpoint, Request, Response, endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    ApiExtractor as _, ApiResponse as _, OpenApi, Tags as _,
    registry::{
        MetaApi, MetaMediaType, MetaOperation, MetaOperationParam, MetaParamIn, MetaPath,
        MetaRequest, MetaResponse, MetaSchema, MetaSchemaRef, Registry,
    },
};

use super::Group;
use crate::{
    auth::{TenantAuth, WechatCall},
    forward,
    problem::Problem,
    spec::TENANT_PATH,
};

/// Where the proxy stands in the document.
pub(crate) const PROXY_PATH: &str = "/authorizers/{appid}/proxy/{path}";

/// `ANY /v1/authorizers/{appid}/proxy/{path…}`.
pub(crate) struct ProxyCalls(Proxy);

impl ProxyCalls {
    pub(crate) fn new(proxy: Proxy) -> Self {
        Self(proxy)
    }
}

impl Endpoint for ProxyCalls {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let auth = TenantAuth::<WechatCall>::of(&request)?;
        let (appid, raw_path) =
            split(request.uri().path()).ok_or_else(Problem::authorizer_not_found)?;
        let appid = Appid::parse(appid).map_err(|_| Problem::authorizer_not_found())?;
        let raw_path = raw_path.to_owned();
        let call = forward::call_of(request, raw_path);
        let Self(proxy) = self;
        let answered = proxy.call(auth.caller(), &appid, call).await.map_err(Problem::from)?;
        Ok(forward::answer_of(answered))
    }
}

/// Cuts the raw path of a request into the account's appid and the raw path to call at WeChat,
/// which begins with `/`. Nothing is decoded.
fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(TENANT_PATH)?.strip_prefix("/authorizers/")?;
    let (appid, rest) = rest.split_once('/')?;
    let raw_path = rest.strip_prefix("proxy")?;
    raw_path.starts_with('/').then_some((appid, raw_path))
}

/// The proxy in the document; it adds no routes.
pub(crate) struct ProxyOperations;

impl OpenApi for ProxyOperations {
    fn meta() -> Vec<MetaApi> {
        let read = operation(
            Method::GET,
            "call_wechat_get",
            "Call one of WeChat's interfaces with GET.",
            None,
        );
        let body = MetaRequest {
            description: Some("As WeChat's documentation says; sent on byte for byte."),
            content: any_content(MetaSchema::new_with_format("string", "binary")),
            required: false,
        };
        let write = operation(
            Method::POST,
            "call_wechat_post",
            "Call one of WeChat's interfaces with POST.",
            Some(body),
        );
        let path = PROXY_PATH.to_owned();
        vec![MetaApi { paths: vec![MetaPath { path, operations: vec![read, write] }] }]
    }

    fn register(registry: &mut Registry) {
        Group::Proxy.register(registry);
        TenantAuth::<WechatCall>::register(registry);
        Problem::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

const DESCRIPTION: &str = "`path` is WeChat's own path with all its slashes, for example \
    `cgi-bin/user/info`; it may hold letters, digits, `_`, `-` and `.` between them. Query and body \
    are WeChat's too, without any access token: the authorizer's is put in. The answer comes back \
    as WeChat gave it, so an error of WeChat's is mostly status 200 with an `errcode`. A token that \
    WeChat calls stale is refreshed and the call made once more. The component's own interfaces and \
    those that tell a token are refused. Where WeChat refuses, the header `Lingpai-Hint` says what \
    to do about it. Other methods are passed on as well, save TRACE and CONNECT. Needs the scope \
    `wechat:call`, and `quota:clear` beside it for what clears quotas.";

fn operation(
    method: Method,
    operation_id: &'static str,
    summary: &'static str,
    request: Option<MetaRequest>,
) -> MetaOperation {
    let mut responses = Problem::meta();
    let answer = MetaResponse {
        description: "WeChat's answer, whatever it is.",
        status: Some(200),
        status_range: None,
        // Mostly JSON, at times bytes: a schema would be untrue of one of them.
        content: any_content(MetaSchema::ANY),
        headers: Vec::new(),
    };
    responses.responses.insert(0, answer);
    let schemes = TenantAuth::<WechatCall>::security_schemes();
    MetaOperation {
        method,
        tags: vec![Group::Proxy.name()],
        summary: Some(summary),
        description: Some(DESCRIPTION),
        external_docs: None,
        params: vec![
            path_parameter("appid", "The authorizer to call for."),
            path_parameter("path", "WeChat's path, without its first slash."),
        ],
        request,
        responses,
        deprecated: false,
        security: vec![schemes.into_iter().map(|name| (name, Vec::new())).collect()],
        operation_id: Some(operation_id),
        code_samples: Vec::new(),
    }
}

fn path_parameter(name: &str, description: &str) -> MetaOperationParam {
    MetaOperationParam {
        name: name.to_owned(),
        schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
        in_type: MetaParamIn::Path,
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        explode: true,
        style: None,
    }
}

fn any_content(schema: MetaSchema) -> Vec<MetaMediaType> {
    let schema = MetaSchemaRef::Inline(Box::new(schema));
    vec![MetaMediaType { content_type: "*/*", schema }]
}

#[cfg(test)]
mod tests {
    use poem::{Route, endpoint::make_sync, get, test::TestClient};

    use super::*;

    #[test]
    fn the_path_is_cut_raw() {
        for (path, cut) in [
            ("/v1/authorizers/wx1/proxy/cgi-bin/user/info", Some(("wx1", "/cgi-bin/user/info"))),
            ("/v1/authorizers/wx1/proxy/a%2Fb", Some(("wx1", "/a%2Fb"))),
            ("/v1/authorizers/wx1/proxy//a", Some(("wx1", "//a"))),
            ("/v1/authorizers/wx1/proxy/../x", Some(("wx1", "/../x"))),
            ("/v1/authorizers/wx1/proxy/a/proxy/b", Some(("wx1", "/a/proxy/b"))),
            ("/v1/authorizers/wx%31/proxy/a", Some(("wx%31", "/a"))),
            ("/v1/authorizers//proxy/a", Some(("", "/a"))),
            ("/v1/authorizers/wx1/proxy/", Some(("wx1", "/"))),
            ("/v1/authorizers/wx1/proxy", None),
            ("/v1/authorizers/wx1/proxyx/a", None),
            ("/v1/authorizers/wx1%2Fproxy/a", None),
            ("/v2/authorizers/wx1/proxy/a", None),
        ] {
            assert_eq!(split(path), cut, "{path}");
        }
    }

    #[tokio::test]
    async fn the_catch_all_leaves_its_neighbours_alone() {
        let route = Route::new()
            .at("/v1/authorizers/:appid/proxy/*path", make_sync(|req| req.uri().path().to_owned()))
            .nest(
                "/v1",
                Route::new()
                    .at("/authorizers/:appid", get(make_sync(|_| "one")))
                    .at("/authorizers/:appid/access-token", get(make_sync(|_| "token"))),
            );
        let client = TestClient::new(route);
        client.get("/v1/authorizers/wx1").send().await.assert_text("one").await;
        client.get("/v1/authorizers/wx1/access-token").send().await.assert_text("token").await;
        for path in ["/v1/authorizers/wx1/proxy/a%2F%2e%2e/b", "/v1/authorizers/wx1/proxy/"] {
            client.put(path).send().await.assert_text(path).await;
        }
        let unknown = client.get("/v1/authorizers/wx1/other").send().await.0;
        assert_eq!(unknown.status(), 404);
    }
}
