use std::time::Duration;

use poem::http::{Method, StatusCode};

/// Counts requests by `route` (pattern), `method` and `status`.
pub const REQUESTS_TOTAL: &str = "lingpai_http_requests_total";

/// Seconds until the head of the answer, with the same labels.
pub const REQUEST_SECONDS: &str = "lingpai_http_request_duration_seconds";

/// A method as a label: what clients invent must not become labels without end.
pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

pub(super) fn record(route: &str, method: &'static str, status: StatusCode, took: Duration) {
    let labels = [
        ("route", route.to_owned()),
        ("method", method.to_owned()),
        ("status", status.as_u16().to_string()),
    ];
    metrics::counter!(REQUESTS_TOTAL, &labels).increment(1);
    metrics::histogram!(REQUEST_SECONDS, &labels).record(took.as_secs_f64());
}
