//! The OpenAPI documents, printed without building a service.

use std::{collections::HashMap, marker::PhantomData};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    OpenApi, OpenApiService,
    registry::{
        MetaApi, MetaOperation, MetaOperationParam, MetaParamIn, MetaSchema, MetaSchemaRef,
        Registry,
    },
};

use crate::{
    admin::AdminApis,
    middleware::{IDEMPOTENCY_KEY_HEADER, is_made_once},
    tenant::{PROXY_PATH, TenantApis, TenantWebhooks},
};

/// Where the tenant API is mounted.
pub(crate) const TENANT_PATH: &str = "/v1";

/// Where the admin API is mounted.
pub(crate) const ADMIN_PATH: &str = "/admin/v1";

/// The operations of an API without the services they need.
pub(crate) struct SpecOnly<T>(PhantomData<T>);

impl<T: OpenApi> OpenApi for SpecOnly<T> {
    fn meta() -> Vec<MetaApi> {
        T::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// The operations of an API as they are met behind [`crate::middleware::Idempotent`]: each that
/// creates takes an `Idempotency-Key`.
pub(crate) struct Described<T>(T);

impl<T: OpenApi> OpenApi for Described<T> {
    fn meta() -> Vec<MetaApi> {
        let mut apis = T::meta();
        let paths = apis.iter_mut().flat_map(|api| &mut api.paths);
        // What is passed on to WeChat is not ours to make once.
        for path in paths.filter(|it| it.path != PROXY_PATH && is_made_once(&it.path)) {
            for operation in path.operations.iter_mut().filter(|it| it.method == Method::POST) {
                name_once(operation);
            }
        }
        apis
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        registry.schemas.values_mut().for_each(say_once);
    }

    fn add_routes(self, table: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        self.0.add_routes(table);
    }
}

/// What is said of a property beside its type stands around the reference, and poem-openapi puts it
/// behind the reference again. Generators take that for a second type, and some give up.
pub(crate) fn say_once(schema: &mut MetaSchema) {
    for (_, property) in &mut schema.properties {
        if let MetaSchemaRef::Inline(property) = property
            && let [MetaSchemaRef::Reference(_), MetaSchemaRef::Inline(_)] = &*property.all_of
        {
            property.all_of.truncate(1);
        }
    }
}

fn name_once(operation: &mut MetaOperation) {
    let schema = MetaSchema {
        min_length: Some(1),
        max_length: Some(255),
        pattern: Some("^[!-~]+$".to_owned()),
        ..MetaSchema::new("string")
    };
    operation.params.push(MetaOperationParam {
        name: IDEMPOTENCY_KEY_HEADER.to_owned(),
        schema: MetaSchemaRef::Inline(Box::new(schema)),
        in_type: MetaParamIn::Header,
        description: Some(
            "Names this request, so that sending it again within a day does nothing twice and \
             answers the same."
                .to_owned(),
        ),
        required: false,
        deprecated: false,
        explode: true,
        style: None,
    });
}

/// The tenant API as an OpenAPI document: pretty JSON with a newline at its end.
#[must_use]
pub fn tenant_document() -> String {
    let document = tenant(SpecOnly::<TenantApis>(PhantomData)).spec();
    // OpenAPI 3.0 knows webhooks as an extension only; the framework writes their name of 3.1.
    format!("{}\n", document.replacen("\n  \"webhooks\": {", "\n  \"x-webhooks\": {", 1))
}

/// The admin API as an OpenAPI document: pretty JSON with a newline at its end.
#[must_use]
pub fn admin_document() -> String {
    format!("{}\n", admin(SpecOnly::<AdminApis>(PhantomData)).spec())
}

/// The page on which the tenant API can be read and tried.
pub(crate) fn tenant_page() -> String {
    tenant(SpecOnly::<TenantApis>(PhantomData)).swagger_ui_html()
}

/// The page on which the admin API can be read and tried.
pub(crate) fn admin_page() -> String {
    admin(SpecOnly::<AdminApis>(PhantomData)).swagger_ui_html()
}

/// The tenant API with its title and words, to serve or to print.
pub(crate) fn tenant<T: OpenApi>(api: T) -> OpenApiService<Described<T>, TenantWebhooks> {
    OpenApiService::new(Described(api), "lingpai tenant API", env!("CARGO_PKG_VERSION"))
        .webhooks::<TenantWebhooks>()
        .description(include_str!("spec/tenant.md"))
        .server(TENANT_PATH)
}

/// The admin API with its title and words, to serve or to print.
pub(crate) fn admin<T: OpenApi>(api: T) -> OpenApiService<Described<T>, ()> {
    OpenApiService::new(Described(api), "lingpai admin API", env!("CARGO_PKG_VERSION"))
        .description(include_str!("spec/admin.md"))
        .server(ADMIN_PATH)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use serde_json::Value;

    use super::*;
    use crate::tenant::FAN_PATHS;

    #[expect(clippy::disallowed_methods, reason = "the switch of a test, not a setting")]
    fn is_update() -> bool {
        std::env::var_os("UPDATE_OPENAPI").is_some()
    }

    #[test]
    fn openapi_is_current() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi"));
        for (file, document) in
            [("tenant.json", tenant_document()), ("admin.json", admin_document())]
        {
            let path = folder.join(file);
            if is_update() {
                fs::write(&path, &document).expect("the folder openapi is there");
            }
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == document, "openapi/{file} is stale: run `make openapi`");
        }
    }

    fn operations(document: &str) -> Vec<(String, Value)> {
        let document: Value = serde_json::from_str(document).unwrap();
        let paths = document["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().iter();
                methods.map(move |(method, of)| (format!("{method} {path}"), of.clone()))
            })
            .collect()
    }

    #[test]
    fn every_operation_is_named_described_guarded_and_tells_its_problems() {
        for document in [tenant_document(), admin_document()] {
            let operations = operations(&document);
            let ids: BTreeSet<_> =
                operations.iter().map(|(_, of)| &of["operationId"]).map(Value::to_string).collect();
            assert_eq!(ids.len(), operations.len(), "operation ids are there and unique");
            for (name, of) in &operations {
                assert!(of["summary"].is_string(), "{name} has a summary");
                assert!(of["description"].is_string(), "{name} says who may call it");
                assert_eq!(
                    of["security"].as_array().map(Vec::len),
                    Some(1),
                    "{name} asks for a key"
                );
                assert!(of["responses"]["401"].is_object(), "{name} tells its problems");
            }
        }
    }

    #[test]
    fn every_parameter_is_described_and_every_body_is_of_something_new_or_a_change_or_a_change() {
        for document in [tenant_document(), admin_document()] {
            for (name, of) in operations(&document) {
                for parameter in of["parameters"].as_array().into_iter().flatten() {
                    assert!(parameter["description"].is_string(), "{name}: {parameter}");
                }
                let json = &of["requestBody"]["content"]["application/json; charset=utf-8"];
                if let Some(input) = json["schema"]["$ref"].as_str() {
                    let input = input.trim_start_matches("#/components/schemas/");
                    let is_named = if name.starts_with("patch ") {
                        input.ends_with("Change")
                    } else {
                        input.starts_with("New")
                    };
                    assert!(is_named, "{name}: {input}");
                }
            }
        }
    }

    #[test]
    fn a_property_is_of_one_type() {
        for document in [tenant_document(), admin_document()] {
            let document: Value = serde_json::from_str(&document).unwrap();
            for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
                for (property, of) in schema["properties"].as_object().into_iter().flatten() {
                    let types = of["allOf"].as_array().map_or(1, Vec::len);
                    assert_eq!(types, 1, "{name}.{property}: generators stumble over it");
                }
            }
        }
    }

    #[test]
    fn schemas_are_named_after_what_they_hold_and_show_an_example() {
        for document in [tenant_document(), admin_document()] {
            let document: Value = serde_json::from_str(&document).unwrap();
            for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
                assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
                assert!(!name.contains("View"), "{name}");
                // A page shows its items' example, and an enum lists all there is.
                let is_shown = schema["example"].is_object() || schema["enum"].is_array();
                assert!(is_shown || name.ends_with("Page"), "{name} shows an example");
            }
        }
    }

    #[test]
    fn every_creating_operation_of_ours_takes_an_idempotency_key() {
        for document in [tenant_document(), admin_document()] {
            for (name, of) in operations(&document) {
                let parameters = of["parameters"].as_array().cloned().unwrap_or_default();
                let takes = parameters.iter().any(|it| it["name"] == IDEMPOTENCY_KEY_HEADER);
                let is_anew = [PROXY_PATH, "/access-token", "/profile-refresh", "/events/search"];
                let mut is_anew = is_anew.into_iter().chain(FAN_PATHS);
                let is_once = !is_anew.any(|end| name.ends_with(end));
                assert_eq!(takes, name.starts_with("post ") && is_once, "{name}");
            }
        }
    }

    #[test]
    fn whatever_is_about_a_fan_stands_in_a_body_and_is_known_as_such() {
        let told = operations(&tenant_document());
        let of_fans = |of: &Value| ["fans", "js-sdk"].iter().any(|tag| of["tags"][0] == *tag);
        let (fans, others): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, of)| of_fans(of));
        assert_eq!(fans.len(), FAN_PATHS.len());
        for (name, of) in &fans {
            assert!(name.starts_with("post ") && crate::tenant::is_for_fan(name), "{name}");
            for parameter in of["parameters"].as_array().into_iter().flatten() {
                assert_eq!(parameter["name"], "appid", "{name}");
            }
        }
        for (name, _) in &others {
            assert!(!crate::tenant::is_for_fan(name), "{name}");
        }
    }

    /// What scripts of tenants rely on.
    const TENANTS: [&str; 51] = [
        "post /authorizations",
        "get /authorizations",
        "get /authorizations/{id}",
        "post /authorizers",
        "get /authorizers",
        "get /authorizers/{appid}",
        "get /authorizers/{appid}/access-token",
        "post /authorizers/{appid}/access-token",
        "post /redirect-uris",
        "get /redirect-uris",
        "delete /authorizers/{appid}",
        "post /authorizers/{appid}/profile-refresh",
        "get /authorizers/{appid}/quota",
        "post /authorizers/{appid}/quota/clear",
        "delete /redirect-uris",
        "post /files",
        "get /files",
        "delete /files/{name}",
        "get /usage",
        "get /audit",
        "get /key",
        "get /authorizers/{appid}/proxy/{path}",
        "post /authorizers/{appid}/proxy/{path}",
        "post /endpoints",
        "get /endpoints",
        "get /endpoints/{id}",
        "patch /endpoints/{id}",
        "delete /endpoints/{id}",
        "post /endpoints/{id}/secret",
        "post /endpoints/{id}/test",
        "get /events",
        "post /events/search",
        "get /events/{id}",
        "post /events/{id}/replay",
        "post /events/replay",
        "get /events/stream",
        "post /events/{id}/reply",
        "get /deliveries",
        "get /deliveries/{id}",
        "post /deliveries/{id}/replay",
        "put /authorizers/{appid}/auto-replies",
        "get /authorizers/{appid}/auto-replies",
        "delete /authorizers/{appid}/auto-replies",
        "post /authorizers/{appid}/erasures",
        "post /oauth/exchange",
        "post /authorizers/{appid}/user-info",
        "post /authorizers/{appid}/js-sdk-config",
        "post /authorizers/{appid}/card-signature",
        "post /authorizers/{appid}/mini-program-sessions",
        "post /authorizers/{appid}/mini-program-sessions/signature-check",
        "post /authorizers/{appid}/mini-program-sessions/decryption",
    ];

    /// What scripts of operators rely on.
    const OPERATORS: [&str; 37] = [
        "post /components",
        "get /components",
        "get /components/{appid}",
        "post /components/{appid}/ticket-push",
        "post /components/{appid}/reconciliation",
        "post /components/{appid}/token-refresh",
        "post /tenants",
        "get /tenants",
        "post /tenants/{id}/api-keys",
        "get /tenants/{id}/api-keys",
        "delete /tenants/{id}/api-keys/{key_id}",
        "patch /components/{appid}",
        "get /components/{appid}/quota",
        "get /tenants/{id}",
        "patch /tenants/{id}",
        "get /tenants/{id}/api-keys/{key_id}",
        "patch /tenants/{id}/api-keys/{key_id}",
        "post /tenants/{id}/api-keys/{key_id}/rotate",
        "post /operators",
        "get /operators",
        "delete /operators/{id}",
        "get /authorizers",
        "post /authorizers/{id}/assign",
        "post /authorizers/{id}/refuse",
        "post /authorizers/{id}/release",
        "post /files",
        "get /files",
        "delete /files/{name}",
        "get /audit",
        "get /health",
        "get /quarantine",
        "get /quarantine/{id}",
        "post /quarantine/{id}/release",
        "get /deliveries",
        "post /deliveries/{id}/replay",
        "get /components/{appid}/publish-test",
        "post /components/{appid}/rehearsal",
    ];

    #[test]
    fn what_is_posted_to_tenants_stands_where_openapi_3_0_has_a_place_for_it() {
        let document: Value = serde_json::from_str(&tenant_document()).unwrap();
        assert_eq!((&document["openapi"], document.get("webhooks")), (&"3.0.0".into(), None));
        let webhook = &document["x-webhooks"]["event"]["post"];
        let body = &webhook["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(body, "#/components/schemas/WebhookEvent");
        assert!(document["components"]["schemas"]["WebhookEvent"]["example"].is_object());
    }

    #[test]
    fn the_documents_agree_with_what_scripts_rely_on() {
        let told = |document: String| -> BTreeSet<String> {
            operations(&document).into_iter().map(|(name, _)| name).collect()
        };
        let (tenant, admin) = (told(tenant_document()), told(admin_document()));
        for name in TENANTS {
            assert!(tenant.contains(name), "{name}");
        }
        for name in OPERATORS {
            assert!(admin.contains(name), "{name}");
        }
    }
}
