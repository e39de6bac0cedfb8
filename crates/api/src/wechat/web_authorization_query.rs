//! The two addresses that a fan's browser brings: the one that a tenant's page sends it out with, as
//! SDKs write it for WeChat, and the one that WeChat sends it back with.

use lingpai_authorizer::{Popup, StartWebAuthorization};
use lingpai_model::{Appid, Secret, authorization::LinkToken, web_authorization::WebScope};

use super::raw_query::{QueryFault, RawQuery};

/// The longest `state` of a tenant's, in bytes. WeChat's own limit is 128; ours goes to WeChat in its
/// place, so that one need not hold here.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), step 1, parameter `state`: at most 128 bytes.
const MAX_STATE_BYTES: usize = 512;

/// The longest redirect URI that a tenant can have registered, in bytes.
const MAX_REDIRECT_URI_BYTES: usize = 512;

/// The longest code that WeChat may send, in bytes.
///
/// Observed: a code has 32 characters; no documentation of WeChat promises a length.
const MAX_CODE_BYTES: usize = 512;

/// What stands in an address that a fan is sent out with.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), step 1; `component_appid`: "Web page
/// authorization on behalf of official accounts" (代公众号发起网页授权).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Appid,
    RedirectUri,
    ResponseType,
    Scope,
    State,
    ComponentAppid,
    ForcePopup,
}

impl Parameter {
    /// As it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Appid => "appid",
            Self::RedirectUri => "redirect_uri",
            Self::ResponseType => "response_type",
            Self::Scope => "scope",
            Self::State => "state",
            Self::ComponentAppid => "component_appid",
            Self::ForcePopup => "forcePopup",
        }
    }
}

/// Why an address sends no fan anywhere, for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadLink {
    /// The query cannot be read.
    Query(QueryFault),
    /// This has to be there, and is not.
    Missing(Parameter),
    /// This is there, and cannot be what it says.
    Wrong(Parameter),
}

/// Reads what a tenant's page asks for. Names that mean nothing here, like SDKs' `connect_redirect`,
/// are passed over.
pub(super) fn read_start(raw: &str) -> Result<StartWebAuthorization, BadLink> {
    let mut query = RawQuery::read(raw).map_err(BadLink::Query)?;
    let mut needed =
        |parameter: Parameter| query.take(parameter.as_str()).ok_or(BadLink::Missing(parameter));
    let appid = appid(&needed(Parameter::Appid)?, Parameter::Appid)?;
    let redirect_uri = needed(Parameter::RedirectUri)?;
    if !could_be_registered(&redirect_uri) {
        return Err(BadLink::Wrong(Parameter::RedirectUri));
    }
    if needed(Parameter::ResponseType)? != "code" {
        return Err(BadLink::Wrong(Parameter::ResponseType));
    }
    let scope = WebScope::parse(&needed(Parameter::Scope)?);
    let scope = scope.ok_or(BadLink::Wrong(Parameter::Scope))?;
    let mut optional = |parameter: Parameter| query.take(parameter.as_str());
    let state = optional(Parameter::State);
    if state.as_ref().is_some_and(|state| state.len() > MAX_STATE_BYTES) {
        return Err(BadLink::Wrong(Parameter::State));
    }
    let component_appid = optional(Parameter::ComponentAppid)
        .map(|text| self::appid(&text, Parameter::ComponentAppid))
        .transpose()?;
    let popup = match optional(Parameter::ForcePopup).as_deref() {
        None | Some("false") => Popup::AsWechatLikes,
        Some("true") => Popup::Forced,
        Some(_) => return Err(BadLink::Wrong(Parameter::ForcePopup)),
    };
    Ok(StartWebAuthorization { appid, component_appid, redirect_uri, scope, state, popup })
}

fn appid(text: &str, parameter: Parameter) -> Result<Appid, BadLink> {
    Appid::parse(text).map_err(|_| BadLink::Wrong(parameter))
}

/// Whether `uri` has the form of what tenants register. Whether one did is not asked here, and nothing
/// is mended: an address that needs it is another one.
fn could_be_registered(uri: &str) -> bool {
    let begins = uri.starts_with("https://") || uri.starts_with("http://");
    let is_visible = |b: u8| b.is_ascii_graphic() && b != b'#';
    begins && uri.len() <= MAX_REDIRECT_URI_BYTES && uri.bytes().all(is_visible)
}

/// What a fan brings back from WeChat.
pub(super) struct Brought {
    /// Ours, which went to WeChat in the place of the tenant's.
    pub(super) state: LinkToken,
    /// WeChat's code; none when the fan did not consent.
    pub(super) code: Option<Secret<String>>,
}

/// Reads the address that WeChat sends a fan back with; `None` when WeChat cannot have written it.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), step 1: back with `code` and `state`, without
/// `code` when the fan declines, and with `appid` when a component asked.
pub(super) fn read_return(raw: &str) -> Option<Brought> {
    let mut query = RawQuery::read(raw).ok()?;
    let state = LinkToken::parse(&query.take("state")?)?;
    let code = query.take("code").filter(|code| !code.is_empty());
    let fits = |code: &String| code.len() <= MAX_CODE_BYTES;
    if code.as_ref().is_some_and(|code| !fits(code)) {
        return None;
    }
    Some(Brought { state, code: code.map(Secret::new) })
}

#[cfg(test)]
mod tests;
