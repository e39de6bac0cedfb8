//! What is taken for an address to send a fan out with, or back, and what is not.

use lingpai_model::clock::Entropy;

use super::*;

/// As an SDK writes it.
const HONEST: &str = "appid=wx1234567890abcdef&redirect_uri=https%3A%2F%2Fshop.example%2Fback%3Fx%3D1\
                      &response_type=code&scope=snsapi_base&state=STATE";

/// [`HONEST`] with the value of `parameter` replaced by `raw`.
fn with(parameter: Parameter, raw: &str) -> String {
    let name = parameter.as_str();
    let pairs = HONEST.split('&').map(|pair| match pair.split_once('=') {
        Some((known, _)) if known == name => format!("{name}={raw}"),
        _ => pair.to_owned(),
    });
    let text = pairs.collect::<Vec<_>>().join("&");
    if HONEST.contains(&format!("{name}=")) { text } else { format!("{text}&{name}={raw}") }
}

fn without(parameter: Parameter) -> String {
    let begins = format!("{}=", parameter.as_str());
    HONEST.split('&').filter(|pair| !pair.starts_with(&begins)).collect::<Vec<_>>().join("&")
}

fn refused(raw: &str) -> BadLink {
    match read_start(raw) {
        Ok(read) => panic!("{raw} was taken for {}", read.redirect_uri),
        Err(bad) => bad,
    }
}

#[test]
fn what_sdks_write_is_read() {
    let read = read_start(HONEST).unwrap();
    assert_eq!(read.appid.as_str(), "wx1234567890abcdef");
    assert_eq!(read.redirect_uri, "https://shop.example/back?x=1");
    assert_eq!((read.scope, read.state.as_deref()), (WebScope::Base, Some("STATE")));
    assert!(read.component_appid.is_none() && matches!(read.popup, Popup::AsWechatLikes));
    let both = with(Parameter::Scope, "snsapi_userinfo%2Csnsapi_base");
    let rest = "&component_appid=wxc&forcePopup=true&connect_redirect=1&uin=&key=";
    let read = read_start(&format!("{both}{rest}")).unwrap();
    assert_eq!(read.scope, WebScope::Both);
    assert_eq!(read.component_appid.as_ref().map(Appid::as_str), Some("wxc"));
    assert!(matches!(read.popup, Popup::Forced));
    assert!(read_start(&without(Parameter::State)).unwrap().state.is_none());
    let empty = read_start(&with(Parameter::State, "")).unwrap();
    assert_eq!(empty.state.as_deref(), Some(""), "one that was sent comes back, also an empty one");
}

#[test]
fn a_state_is_kept_as_it_is() {
    for (raw, state) in [
        ("%E4%BB%A4%E7%89%8C%20%26%3D%23", "令牌 &=#".to_owned()),
        ("%2525", "%25".to_owned()),
        ("%F0%9F%8C%B8", "🌸".to_owned()),
        ("%3Cscript%3E", "<script>".to_owned()),
        (&"s".repeat(512), "s".repeat(512)),
    ] {
        let read = read_start(&with(Parameter::State, raw)).unwrap();
        assert_eq!(read.state, Some(state), "{raw}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for parameter in
        [Parameter::Appid, Parameter::RedirectUri, Parameter::ResponseType, Parameter::Scope]
    {
        assert_eq!(refused(&without(parameter)), BadLink::Missing(parameter));
    }
    assert_eq!(refused(""), BadLink::Missing(Parameter::Appid));
}

#[test]
fn a_redirect_uri_that_nobody_can_have_registered_is_refused_by_its_form() {
    let long = format!("https%3A%2F%2Fshop.example%2F{}", "a".repeat(512));
    for raw in [
        "",
        "%2F",
        "%2F%2Fshop.example%2Fback",
        "shop.example%2Fback",
        "%2Fback",
        "https%253A%252F%252Fshop.example%252Fback",
        "HTTPS%3A%2F%2Fshop.example%2Fback",
        "https%3Ashop.example%2Fback",
        "https%3A%5C%5Cshop.example%2Fback",
        "+https%3A%2F%2Fshop.example%2Fback",
        "https%3A%2F%2Fshop.example%2Fback%20",
        "https%3A%2F%2Fshop.example%2Fa+b",
        "https%3A%2F%2Fshop.example%2Fback%23top",
        "https%3A%2F%2Fshop.example%2F%E4%BB%A4",
        "https%3A%2F%2Fshop%E3%80%82example%2F",
        "javascript%3Aalert(1)",
        "javascript%3A%2F%2Fshop.example%2F%250aalert(1)",
        "data%3Atext%2Fhtml%2Cx",
        "weixin%3A%2F%2Fshop.example%2F",
        "ftp%3A%2F%2Fshop.example%2F",
        &long,
    ] {
        let bad = refused(&with(Parameter::RedirectUri, raw));
        assert_eq!(bad, BadLink::Wrong(Parameter::RedirectUri), "{raw}");
    }
}

/// The form alone lets these pass; no letter of them is mended on the way to the comparison.
#[test]
fn a_redirect_uri_goes_to_the_comparison_letter_by_letter() {
    for (raw, read) in [
        ("https://shop.example/back", "https://shop.example/back"),
        ("https%3A%2F%2Fshop.example%2F..%2Fback", "https://shop.example/../back"),
        ("https%3A%2F%2FSHOP.example%2Fback", "https://SHOP.example/back"),
        ("https%3A%2F%2Fshop.example%3A443%2Fback", "https://shop.example:443/back"),
        ("https%3A%2F%2Fshop.example%2F%2562ack", "https://shop.example/%62ack"),
        ("https%3A%2F%2Fshop.example%40evil.example%2F", "https://shop.example@evil.example/"),
        ("https%3A%2F%2Fshop.example%5C.evil.example%2F", "https://shop.example\\.evil.example/"),
    ] {
        let query = with(Parameter::RedirectUri, raw);
        assert_eq!(read_start(&query).unwrap().redirect_uri, read, "{raw}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table, a line for each spelling")]
fn hostile_spellings_of_the_query_are_refused() {
    let value =
        |parameter: Parameter| BadLink::Query(QueryFault::Value(parameter.as_str().to_owned()));
    let repeated = |name: &str| BadLink::Query(QueryFault::Repeated(name.to_owned()));
    let name = || BadLink::Query(QueryFault::Name);
    let too_long = || BadLink::Query(QueryFault::TooLong);
    let wrong = BadLink::Wrong;
    let also = |more: &str| format!("{HONEST}&{more}");
    let first = |more: &str| format!("{more}&{HONEST}");
    use Parameter as P;
    let evil = "redirect_uri=https%3A%2F%2Fevil.example%2F";
    let many = (0..40).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    for (raw, bad) in [
        // Names that stand there twice.
        (also(evil), repeated("redirect_uri")),
        (first(evil), repeated("redirect_uri")),
        (also("appid=wx1234567890abcdef"), repeated("appid")),
        (also("response_type=token"), repeated("response_type")),
        (also("scope=snsapi_userinfo"), repeated("scope")),
        (also("state="), repeated("state")),
        (also("State=x"), repeated("State")),
        (also("Redirect_URI=https%3A%2F%2Fevil.example%2F"), repeated("Redirect_URI")),
        (also("forcePopup=true&forcePopup=true"), repeated("forcePopup")),
        (also("component_appid=wxc&component_appid="), repeated("component_appid")),
        (also("x=1&x=1"), repeated("x")),
        // Names that are spelled otherwise.
        (also("redirect%5Furi=https%3A%2F%2Fevil.example%2F"), name()),
        (also("%72edirect_uri=https%3A%2F%2Fevil.example%2F"), name()),
        (also("redirect_uri%00=x"), name()),
        (also("redirect_uri%20=x"), name()),
        (also("+redirect_uri=x"), name()),
        (also("redirect_uri[]=x"), name()),
        (also("redirect_uri;x=1"), name()),
        (also("=x"), name()),
        (also("state%5b%5d=x"), name()),
        (also("forcePopup"), name()),
        (also("\u{ff52}edirect_uri=x"), name()),
        // Values that are badly encoded.
        (with(P::State, "%"), value(P::State)),
        (with(P::State, "%e"), value(P::State)),
        (with(P::State, "%zz"), value(P::State)),
        (with(P::State, "%u4ee4"), value(P::State)),
        (with(P::State, "%ff%fe"), value(P::State)),
        (with(P::State, "%c0%80"), value(P::State)),
        (with(P::State, "%e0%80%af"), value(P::State)),
        (with(P::State, "%ed%a0%bd%ed%b8%80"), value(P::State)),
        (with(P::State, "%f4%90%80%80"), value(P::State)),
        (with(P::State, "\u{4ee4}"), value(P::State)),
        (with(P::RedirectUri, "https%3A%2F%2Fshop.example%2Fback%3Fx%3D1%"), value(P::RedirectUri)),
        (with(P::RedirectUri, "https%3A%c0%af%c0%afshop.example"), value(P::RedirectUri)),
        // Control characters.
        (with(P::State, "a%00b"), value(P::State)),
        (with(P::State, "a%0d%0aSet-Cookie%3Ax=1"), value(P::State)),
        (with(P::State, "%09"), value(P::State)),
        (with(P::State, "%7f"), value(P::State)),
        (with(P::State, "%c2%9b"), value(P::State)),
        (with(P::RedirectUri, "https%3A%2F%2Fshop.example%2Fback%00"), value(P::RedirectUri)),
        (with(P::RedirectUri, "https%3A%2F%2Fshop.example%09%2Fback"), value(P::RedirectUri)),
        (with(P::RedirectUri, "https%3A%2F%2Fshop.example%2F%0d%0a"), value(P::RedirectUri)),
        (with(P::Appid, "wx1%00"), value(P::Appid)),
        (also("x=%0a"), BadLink::Query(QueryFault::Value("x".to_owned()))),
        // Too much.
        (with(P::State, &"s".repeat(513)), wrong(P::State)),
        (with(P::State, &"%E4%BB%A4".repeat(171)), wrong(P::State)),
        (with(P::State, &"s".repeat(9_000)), too_long()),
        (also(&many), too_long()),
        (also(&format!("{}=1", "n".repeat(65))), name()),
        // What is no code flow of WeChat's.
        (with(P::ResponseType, ""), wrong(P::ResponseType)),
        (with(P::ResponseType, "token"), wrong(P::ResponseType)),
        (with(P::ResponseType, "Code"), wrong(P::ResponseType)),
        (with(P::ResponseType, "code%20"), wrong(P::ResponseType)),
        (with(P::ResponseType, "code+token"), wrong(P::ResponseType)),
        (with(P::ResponseType, "id_token"), wrong(P::ResponseType)),
        (with(P::Scope, ""), wrong(P::Scope)),
        (with(P::Scope, "snsapi_login"), wrong(P::Scope)),
        (with(P::Scope, "snsapi_privateinfo"), wrong(P::Scope)),
        (with(P::Scope, "SNSAPI_BASE"), wrong(P::Scope)),
        (with(P::Scope, "snsapi_base+snsapi_userinfo"), wrong(P::Scope)),
        (with(P::Scope, "snsapi_base%2Csnsapi_base"), wrong(P::Scope)),
        (with(P::Scope, "snsapi_base%2C"), wrong(P::Scope)),
        (with(P::Scope, "snsapi_base%20"), wrong(P::Scope)),
        (with(P::Appid, ""), wrong(P::Appid)),
        (with(P::Appid, "wx1%2Fwx2"), wrong(P::Appid)),
        (with(P::Appid, &"w".repeat(65)), wrong(P::Appid)),
        (with(P::Appid, "wx1%27--"), wrong(P::Appid)),
        (with(P::ComponentAppid, ""), wrong(P::ComponentAppid)),
        (with(P::ComponentAppid, "wx.1"), wrong(P::ComponentAppid)),
        (with(P::ForcePopup, ""), wrong(P::ForcePopup)),
        (with(P::ForcePopup, "1"), wrong(P::ForcePopup)),
        (with(P::ForcePopup, "TRUE"), wrong(P::ForcePopup)),
        // Pairs that are joined otherwise.
        (HONEST.replace('&', ";"), wrong(P::Appid)),
        (HONEST.replace('&', "%26"), wrong(P::Appid)),
        (HONEST.replace("&scope", "&amp;scope"), name()),
    ] {
        assert_eq!(refused(&raw), bad, "{raw}");
    }
}

#[test]
fn a_return_is_read_with_and_without_a_code() {
    let state = LinkToken::draw(&Entropy::seeded(1));
    let state = state.expose_text();
    for (query, code) in [
        (format!("code=0a1b&state={state}"), Some("0a1b")),
        (format!("code=0a1b&state={state}&appid=wx1"), Some("0a1b")),
        (format!("state={state}"), None),
        (format!("code=&state={state}"), None),
        (format!("state={state}&appid=wx1"), None),
    ] {
        let brought = read_return(&query).unwrap();
        assert_eq!(brought.state.expose_text(), state);
        assert_eq!(brought.code, code.map(Secret::from), "{query}");
    }
}

#[test]
fn what_wechat_cannot_have_written_is_no_return() {
    let state = LinkToken::draw(&Entropy::seeded(1));
    let state = state.expose_text();
    for query in [
        String::new(),
        "code=0a1b".to_owned(),
        "code=0a1b&state=".to_owned(),
        format!("code=0a1b&state={}", &state[1..]),
        format!("code=0a1b&state={state}0"),
        format!("code=0a1b&state=%20{}", &state[1..]),
        format!("code=0a1b&state={state}&state={state}"),
        format!("code=0a1b&code=0a1c&state={state}"),
        format!("code=0a1b&Code=0a1c&state={state}"),
        format!("code=%00&state={state}"),
        format!("code=%0d%0a&state={state}"),
        format!("code=%ff&state={state}"),
        format!("code={}&state={state}", "c".repeat(513)),
        format!("code={}&state={state}", "c".repeat(9_000)),
        format!("code&state={state}"),
        format!("code=0a1b;state={state}"),
    ] {
        assert!(read_return(&query).is_none(), "{query}");
    }
}
