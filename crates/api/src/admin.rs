//! The admin API: one file per resource.

mod api_keys;
mod components;
mod reconciliations;
mod tenants;

use api_keys::ApiKeysApi;
use components::ComponentsApi;
use poem_openapi::Tags;
use reconciliations::ReconciliationsApi;
use tenants::TenantsApi;
use url::Url;

use crate::routes::Services;

/// How the operations of the admin API are grouped.
#[derive(Tags)]
#[oai(rename_all = "kebab-case")]
enum Group {
    /// The registered third-party platforms (第三方平台) of this installation.
    Components,
    /// Whom this installation serves.
    Tenants,
    /// Keys of tenants. A key's text is shown once, when it is made.
    ApiKeys,
}

/// The operations of the admin API.
pub(crate) type AdminApis = (ComponentsApi, ReconciliationsApi, TenantsApi, ApiKeysApi);

/// The admin API on its services.
pub(crate) fn apis(services: &Services, public_url: Url) -> AdminApis {
    (
        ComponentsApi {
            components: services.components.clone(),
            tickets: services.tickets.clone(),
            ticket_watch: services.ticket_watch.clone(),
            tokens: services.component_tokens.clone(),
            clock: services.clock.clone(),
            public_url,
        },
        ReconciliationsApi {
            components: services.components.clone(),
            reconciliations: services.reconciliations.clone(),
        },
        TenantsApi { tenants: services.tenants.clone() },
        ApiKeysApi { api_keys: services.api_keys.clone() },
    )
}
