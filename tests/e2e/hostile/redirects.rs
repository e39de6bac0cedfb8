//! Redirect URIs that somebody might read as a registered one, or as one beside it. A fan is sent to
//! none of them.

use anyhow::Result;
use lingpai_tests::{
    raw::{self, RawAnswer},
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::json;

/// What the tenant has registered.
const REGISTERED: &str = "https://shop.example/back?from=wechat";

/// What another tenant has registered.
const FOREIGN: &str = "https://books.example/back";

/// Redirect URIs as they stand in the query, percent-encoded once where they are honest.
const HOSTILE: &[&str] = &[
    // Other places.
    "https%3A%2F%2Fevil.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fbooks.example%2Fback",
    "http%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%3A8443%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%3A443%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fwww.shop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example.evil.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example.%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fevilshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.examplf%2Fback%3Ffrom%3Dwechat",
    // Users, and what looks like the host but is none.
    "https%3A%2F%2Fshop.example%40evil.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fuser%40shop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2F%40shop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fevil.example%2Fhttps%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fevil.example%3Fhttps%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fevil.example%23https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fevil.example%5C%40shop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%5C%5Cshop.example%5Cback%3Ffrom%3Dwechat",
    "https%3A%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3Ashop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "%2Fback%3Ffrom%3Dwechat",
    "shop.example%2Fback%3Ffrom%3Dwechat",
    "back%3Ffrom%3Dwechat",
    // Other schemes.
    "javascript%3Aalert%281%29",
    "javascript%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "data%3Atext%2Fhtml%2C%3Cscript%3E",
    "file%3A%2F%2F%2Fetc%2Fpasswd",
    "ftp%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "weixin%3A%2F%2Fdl%2Fbusiness",
    "HTTPS%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "hTTps%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    // Letters.
    "https%3A%2F%2FSHOP.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2FBack%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3FFrom%3Dwechat",
    "https%3A%2F%2Fsh%D0%BEp.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop%E3%80%82example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%EF%BC%8Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fb%61ck%3Ffrom%3Dwechat%20",
    // Paths that mean the same, or nearly.
    "https%3A%2F%2Fshop.example%2F.%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fx%2F..%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2F%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%2F%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%2F..%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%2F..%2F..%2Fevil%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Bx%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2F%2562ack%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%2500%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fbackward%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fbac%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2F",
    "https%3A%2F%2Fshop.example",
    // Queries and fragments.
    "https%3A%2F%2Fshop.example%2Fback",
    "https%3A%2F%2Fshop.example%2Fback%3F",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%26next%3Dhttps%3A%2F%2Fevil.example",
    "https%3A%2F%2Fshop.example%2Fback%3Fnext%3D1%26from%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%26",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwecha%2574",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%23",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%23https%3A%2F%2Fevil.example",
    "https%3A%2F%2Fshop.example%2Fback%23%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%3Fcode%3D1",
    // What is cut off, added, or hidden by readers of text.
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%00",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%00.evil.example",
    "%00https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%0D%0ALocation%3A%20https%3A%2F%2Fevil.example",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%0A",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%09",
    "ht%09tps%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "%20https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat+",
    "%EF%BB%BFhttps%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%E2%80%8B",
    "https%3A%2F%2Fshop.example%E2%80%AE%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%FF",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%C0%AF",
    // Encoded twice, or not at all where it matters, or broken.
    "https%253A%252F%252Fshop.example%252Fback%253Ffrom%253Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%2",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat%zz",
    "",
    "%20",
    // Twice: one reader takes the first, another the last.
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat&redirect_uri=https%3A%2F%2Fevil.example%2F",
    "https%3A%2F%2Fevil.example%2F&redirect_uri=https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat&redirect%5Furi=https%3A%2F%2Fevil.example%2F",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat&redirect_uri",
    "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat;redirect_uri=https%3A%2F%2Fevil.example%2F",
];

/// A fan's browser asks to be sent on to this address.
async fn ask(address: &str, redirect_uri: &str) -> Result<RawAnswer> {
    let line = format!(
        "GET /gateway/connect/oauth2/authorize?appid={SHOP}&redirect_uri={redirect_uri}\
         &response_type=code&scope=snsapi_base&state=abc HTTP/1.1"
    );
    raw::exchange(address, &raw::head(line.as_bytes(), address, &[])).await
}

fn leads_on(answer: &RawAnswer) -> bool {
    answer.text.to_ascii_lowercase().contains("\nlocation:")
}

#[tokio::test]
async fn no_hostile_spelling_of_a_redirect_uri_goes_through() -> Result<()> {
    assert!(HOSTILE.len() >= 80, "{}", HOSTILE.len());
    let (world, tenant) = World::with_authorizer().await?;
    let (_, other) = world.operator.create_tenant("书店").await?;
    for (program, uri) in [(&tenant, REGISTERED), (&other, FOREIGN)] {
        let uri = json!({ "uri": uri });
        program.post("/v1/redirect-uris", &uri).await?.expect(StatusCode::CREATED)?;
    }
    let address = world.base.authority().to_owned();
    let mut through = Vec::new();
    for hostile in HOSTILE {
        let answer = ask(&address, hostile).await?;
        if answer.status != 400 || leads_on(&answer) {
            through.push((*hostile, answer.status));
        }
    }
    assert!(through.is_empty(), "{through:#?}");
    let answer = ask(&address, "https%3A%2F%2Fshop.example%2Fback%3Ffrom%3Dwechat").await?;
    assert!(
        answer.status == 302 && leads_on(&answer),
        "and the registered one does: {}",
        answer.text
    );
    world.end().await
}
