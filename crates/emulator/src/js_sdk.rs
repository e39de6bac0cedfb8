//! The page's side of the JS-SDK: a small stand-in for the script, and the check of what pages sign.

use std::sync::Arc;

use poem::http::header;
use poem::web::Data;
use poem::{Request, Response, handler};
use serde_json::json;

use crate::open_data;
use crate::state::jssdk::TicketKind;
use crate::world::World;

/// The stand-in: `wx.config` asks [`verify`], then `wx.ready` or `wx.error` is called.
const SCRIPT: &str = include_str!("../templates/jweixin.js");

/// What a page configures the JS-SDK with.
#[derive(Debug, Clone, Copy)]
pub struct PageSignature<'a> {
    /// The page's address. A fragment does not count.
    pub url: &'a str,
    /// `timestamp`, as the page writes it.
    pub timestamp: &'a str,
    /// `nonceStr`.
    pub nonce: &'a str,
    /// `signature`.
    pub signature: &'a str,
}

impl PageSignature<'_> {
    /// Whether it was made with the account's ticket.
    ///
    /// Source: WeChat docs, "JS-SDK" (JS-SDK说明文档), appendix 1: names in lower case and in this order,
    /// values as they are, the URL without what follows `#`.
    pub(crate) fn fits(&self, world: &World, appid: &str) -> bool {
        let ticket = world.platform().ticket_of(appid, TicketKind::Jsapi, world.now());
        let Some(ticket) = ticket else { return false };
        let url = self.url.split('#').next().unwrap_or_default();
        let Self { timestamp, nonce, .. } = self;
        let text =
            format!("jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}");
        open_data::hex(&text) == self.signature
    }
}

/// The script that pages load.
#[handler]
pub(crate) fn script() -> Response {
    Response::builder().content_type("text/javascript; charset=utf-8").body(SCRIPT)
}

/// Answers the script on any page.
#[handler]
pub(crate) fn verify(request: &Request, Data(world): Data<&Arc<World>>) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let value = |wanted: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == wanted)
            .map_or_else(String::new, |(_, value)| value.into_owned())
    };
    let [url, timestamp, nonce, signature] =
        ["url", "timestamp", "nonceStr", "signature"].map(value);
    let page =
        PageSignature { url: &url, timestamp: &timestamp, nonce: &nonce, signature: &signature };
    // Source: WeChat docs, "JS-SDK", appendix 5: the text of `errMsg`.
    let errmsg = match page.fits(world, &value("appId")) {
        true => "config:ok",
        false => "config:invalid signature",
    };
    Response::builder()
        .content_type("application/json")
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .header(header::CACHE_CONTROL, "no-store")
        .body(json!({ "errMsg": errmsg }).to_string())
}
