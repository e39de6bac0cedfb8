//! Mints tickets, tokens and codes. Each contains `CANARY`, so that a leak can be searched for.

use crate::state::tokens::Holder;

/// What every minted secret contains.
pub(crate) const CANARY: &str = "CANARY";

/// A `component_verify_ticket`.
pub(crate) fn ticket() -> String {
    format!("ticket@@@{CANARY}{}", alphanumeric::<64>())
}

/// An access token for this kind of holder.
pub(crate) fn access_token(holder: &Holder) -> String {
    let kind = match holder {
        Holder::Component => "component",
        Holder::Account(_) => "authorizer",
        Holder::Ordinary(_) => "ordinary",
        Holder::Stable(_) => "stable",
    };
    format!("61_{CANARY}{kind}{}", alphanumeric::<120>())
}

/// A fan's access token.
pub(crate) fn web_access_token() -> String {
    format!("61_{CANARY}web{}", alphanumeric::<120>())
}

/// A fan's refresh token.
pub(crate) fn web_refresh_token() -> String {
    format!("61_{CANARY}webrefresh{}", alphanumeric::<120>())
}

/// A code of web authorization.
pub(crate) fn web_code() -> String {
    format!("011{CANARY}web{}", alphanumeric::<20>())
}

/// A code that a mini program's server logs a fan in with.
pub(crate) fn js_code() -> String {
    format!("0a1{CANARY}js{}", alphanumeric::<21>())
}

/// A ticket of the JS-SDK.
pub(crate) fn jssdk_ticket() -> String {
    format!("{CANARY}jssdk{}", alphanumeric::<75>())
}

/// A session key of a mini program: Base64 of 16 bytes.
pub(crate) fn session_key() -> String {
    // Of the last digit two bits count; the others have to be zero.
    let [last] = random::<1>().map(|byte| char::from(b"AQgw"[usize::from(byte % 4)]));
    format!("{CANARY}session{}{last}==", alphanumeric::<8>())
}

/// An `authorizer_refresh_token`.
pub(crate) fn refresh_token() -> String {
    format!("refreshtoken@@@{CANARY}{}", alphanumeric::<36>())
}

/// A `pre_auth_code`.
pub(crate) fn pre_auth_code() -> String {
    format!("preauthcode@@@{CANARY}{}", alphanumeric::<48>())
}

/// An `authorization_code`.
pub(crate) fn authorization_code() -> String {
    format!("queryauthcode@@@{CANARY}{}", alphanumeric::<48>())
}

/// A `media_id`; not a secret.
pub(crate) fn media_id() -> String {
    alphanumeric::<64>()
}

/// The ticket of a QR code; not a secret. Its end has to be escaped in a query, as with WeChat's.
pub(crate) fn qr_ticket() -> String {
    format!("gQ{}==", alphanumeric::<90>())
}

/// The id of a call, as it stands at the end of an `errmsg`.
pub(crate) fn rid() -> String {
    let [a, b, c] = [(); 3].map(|()| u32::from_be_bytes(random()));
    format!("{a:08x}-{b:08x}-{c:08x}")
}

/// A nonce of a push: decimal digits.
pub(crate) fn nonce() -> String {
    u32::from_be_bytes(random()).to_string()
}

/// Random bytes.
#[expect(
    clippy::disallowed_methods,
    reason = "WeChat does not share the service's Entropy; this is the one place that draws"
)]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    rand::random()
}

fn alphanumeric<const N: usize>() -> String {
    const CHARS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    // The slight preference for the first letters does not matter: nothing real is guarded.
    random::<N>().iter().map(|byte| char::from(CHARS[usize::from(*byte) % CHARS.len()])).collect()
}
