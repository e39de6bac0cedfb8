//! Control: a page for people and JSON for scripts, both over the same few operations.

mod api;
mod page;

use api::fans;
use poem::{Route, RouteMethod, delete, get, patch, post, put};

/// Everything under `/control`: the page, and below `/api` the JSON.
pub(crate) fn routes() -> Route {
    Route::new()
        .at("/", RouteMethod::new().get(page::show).post(page::act))
        .nest("/api", api_routes())
}

/// The JSON half.
pub(crate) fn api_routes() -> Route {
    Route::new()
        .at("/state", get(api::get_state))
        .at("/calls", get(api::list_calls))
        .at("/stats", get(api::list_stats))
        .at("/issues", get(api::list_issues))
        .at("/pushes", RouteMethod::new().get(api::list_pushes).post(api::push_raw))
        .at("/pushes/flush", post(api::flush_pushes))
        .at("/tickets", post(api::push_ticket))
        .at("/messages", post(api::push_message))
        .at("/fans/message", post(api::fan_message))
        .at("/publish-test", RouteMethod::new().get(api::list_verdicts).post(api::publish_test))
        .at("/accounts", post(api::add_account))
        .at("/accounts/:appid", patch(api::change_account))
        .at("/accounts/:appid/revoke", post(api::revoke_grant))
        .at("/consents", post(api::give_consent))
        .at("/grants", post(api::give_grant))
        .at("/web-tokens", post(api::mint_web_tokens))
        .at("/web-consents", get(fans::list_web_consents).post(fans::web_consent))
        .at("/js-codes", post(fans::mint_js_code))
        .at("/session-keys", post(fans::tell_session_key))
        .at("/encrypted-data", post(fans::encrypt_for_fan))
        .at("/signatures", post(fans::sign_for_fan))
        .at("/page-checks", post(fans::verify_page))
        .at("/faults", get(api::list_faults).post(api::set_fault).delete(api::clear_faults))
        .at("/faults/:id", delete(api::clear_fault))
        .at("/holds/release", post(api::release_held))
        .at("/kills", post(api::kill_tokens))
        .at("/clock", post(api::advance_clock))
        .at("/switches", RouteMethod::new().get(api::get_switches).patch(api::change_switches))
        .at("/quotas", put(api::set_quota))
        .at("/targets", put(api::set_targets))
}
