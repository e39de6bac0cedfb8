//! Control: a page for people and JSON for scripts, both over the same few operations.

mod api;
mod page;

use poem::{Route, RouteMethod, delete, get, patch, post, put};

/// Everything under `/control`.
pub(crate) fn routes() -> Route {
    Route::new()
        .at("/", RouteMethod::new().get(page::show).post(page::act))
        .at("/api/state", get(api::get_state))
        .at("/api/calls", get(api::list_calls))
        .at("/api/stats", get(api::list_stats))
        .at("/api/issues", get(api::list_issues))
        .at("/api/pushes", RouteMethod::new().get(api::list_pushes).post(api::push_raw))
        .at("/api/pushes/flush", post(api::flush_pushes))
        .at("/api/tickets", post(api::push_ticket))
        .at("/api/messages", post(api::push_message))
        .at("/api/accounts", post(api::add_account))
        .at("/api/accounts/:appid", patch(api::change_account))
        .at("/api/accounts/:appid/revoke", post(api::revoke_grant))
        .at("/api/consents", post(api::give_consent))
        .at("/api/grants", post(api::give_grant))
        .at("/api/web-tokens", post(api::mint_web_tokens))
        .at("/api/faults", get(api::list_faults).post(api::set_fault).delete(api::clear_faults))
        .at("/api/faults/:id", delete(api::clear_fault))
        .at("/api/holds/release", post(api::release_held))
        .at("/api/kills", post(api::kill_tokens))
        .at("/api/clock", post(api::advance_clock))
        .at("/api/switches", RouteMethod::new().get(api::get_switches).patch(api::change_switches))
        .at("/api/quotas", put(api::set_quota))
        .at("/api/targets", put(api::set_targets))
}
