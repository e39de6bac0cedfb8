use poem::{
    Response,
    http::{HeaderValue, header},
};

/// Headers of every answer that does not bring its own.
const DEFAULTS: [(header::HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// Makes an answer say that it is to be kept nowhere, guessed at nowhere and framed nowhere.
pub(super) fn secure(answer: &mut Response) {
    for (name, value) in DEFAULTS {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}
