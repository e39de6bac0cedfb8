//! The admin API: one file per resource.

mod api_keys;
mod audit;
mod authorizers;
mod components;
mod deliveries;
mod events;
mod files;
mod health;
mod operators;
mod publish_tests;
mod quarantine;
mod quotas;
mod reconciliations;
mod tenants;

use api_keys::ApiKeysApi;
use audit::AuditApi;
use authorizers::AuthorizersApi;
use components::ComponentsApi;
use deliveries::DeliveriesApi;
use events::EventsApi;
use files::FilesApi;
use health::HealthApi;
use operators::OperatorsApi;
use poem_openapi::{Tags, types::MaybeUndefined};
use publish_tests::PublishTestsApi;
use quarantine::QuarantineApi;
use quotas::QuotasApi;
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
    /// Who runs this installation. A key's text is shown once, when it is made.
    Operators,
    /// The accounts (公众号, 小程序) of all tenants, and those that wait for an owner.
    Authorizers,
    /// Domain verification files (域名校验文件) of the operator's own.
    Files,
    /// Authentic pushes that could not be taken the usual way.
    Quarantine,
    /// What happened: to all tenants, and to the installation.
    Events,
    /// Events that reached no endpoint.
    Deliveries,
    /// Who did what.
    Audit,
    /// How the installation stands.
    Health,
}

/// The operations of the admin API.
pub(crate) type AdminApis = (
    ComponentsApi,
    ReconciliationsApi,
    PublishTestsApi,
    QuotasApi,
    TenantsApi,
    ApiKeysApi,
    OperatorsApi,
    AuthorizersApi,
    QuarantineApi,
    EventsApi,
    DeliveriesApi,
    FilesApi,
    AuditApi,
    HealthApi,
);

/// The admin API on its services.
pub(crate) fn apis(services: &Services, public_url: Url) -> AdminApis {
    (
        ComponentsApi {
            components: services.components.clone(),
            tickets: services.tickets.clone(),
            ticket_watch: services.ticket_watch.clone(),
            tokens: services.component_tokens.clone(),
            clock: services.clock.clone(),
            public_url: public_url.clone(),
        },
        ReconciliationsApi {
            components: services.components.clone(),
            reconciliations: services.reconciliations.clone(),
        },
        PublishTestsApi {
            publish_checks: services.publish_checks.clone(),
            rehearsals: services.rehearsals.clone(),
        },
        QuotasApi { quotas: services.quotas.clone() },
        TenantsApi { tenants: services.tenants.clone() },
        ApiKeysApi { api_keys: services.api_keys.clone() },
        OperatorsApi { operators: services.operators.clone() },
        AuthorizersApi { claims: services.claims.clone() },
        QuarantineApi { quarantine: services.quarantine.clone() },
        EventsApi { events: services.events.clone() },
        DeliveriesApi { deliveries: services.deliveries.clone() },
        FilesApi { files: services.files.clone(), public_url },
        AuditApi { audit: services.audit.clone() },
        HealthApi { health: services.system_health.clone() },
    )
}

/// A field of a change that can be taken away: `None` when it stays, `Some(None)` when it goes.
fn given<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}
