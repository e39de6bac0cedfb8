//! Paths that must not reach WeChat, written in every way that somebody might read otherwise, as
//! bytes on a socket.

mod forbidden;
mod redirects;
mod spellings;

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Result;
use lingpai_emulator::{EmulatorConfig, TokenKind};
use lingpai_tests::{
    people::Program,
    raw::{self, RawAnswer},
    world::{SHOP, World},
};
use serde_json::Value;
use tokio::task::JoinSet;

/// How many requests are under way at a time.
const AT_A_TIME: usize = 8;

/// Here it is about paths, not about how many there are.
const NO_LIMIT: [(&str, &str); 1] = [("LINGPAI_LIMITS__REQUESTS_PER_SECOND", "0")];

/// The APIs that SDKs call most.
const MOST_USED: [(&str, &str); 10] = [
    ("GET", "/cgi-bin/user/info?openid=oLingPai000000000000000fan01&lang=zh_CN"),
    ("GET", "/cgi-bin/user/get"),
    ("POST", "/cgi-bin/message/custom/send"),
    ("POST", "/cgi-bin/message/template/send"),
    ("POST", "/cgi-bin/menu/create"),
    ("GET", "/cgi-bin/menu/get"),
    ("POST", "/cgi-bin/media/upload?type=image"),
    ("GET", "/cgi-bin/media/get?media_id=x"),
    ("POST", "/cgi-bin/qrcode/create"),
    ("POST", "/wxa/getwxacodeunlimit"),
];

/// A way in, with the right key for it.
#[derive(Debug, Clone)]
struct Entrance {
    address: String,
    prefix: String,
    /// Behind the path.
    query: String,
    headers: Vec<String>,
}

impl Entrance {
    fn proxy(world: &World, tenant: &Program) -> Self {
        Self {
            address: world.base.authority().to_owned(),
            prefix: format!("/v1/authorizers/{SHOP}/proxy"),
            query: String::new(),
            headers: vec![format!("Authorization: Bearer {}", tenant.key())],
        }
    }

    async fn gateway(world: &World, tenant: &Program) -> Result<Self> {
        let token = world.sdk(SHOP, tenant).token().await?;
        Ok(Self {
            address: world.base.authority().to_owned(),
            prefix: "/gateway".to_owned(),
            query: format!("access_token={token}"),
            headers: Vec::new(),
        })
    }

    async fn both(world: &World, tenant: &Program) -> Result<[Self; 2]> {
        Ok([Self::proxy(world, tenant), Self::gateway(world, tenant).await?])
    }

    /// The request target for `path`, which may have a query.
    fn target(&self, path: &[u8]) -> Vec<u8> {
        let mut target = [self.prefix.as_bytes(), path].concat();
        if !self.query.is_empty() {
            target.push(if path.contains(&b'?') { b'&' } else { b'?' });
            target.extend_from_slice(self.query.as_bytes());
        }
        target
    }

    async fn call(&self, method: &str, target: &[u8], extra: &[&str]) -> Result<RawAnswer> {
        let line = [method.as_bytes(), b" ", target, b" HTTP/1.1"].concat();
        let own = self.headers.iter().map(String::as_str);
        let headers: Vec<&str> = own.chain(extra.iter().copied()).collect();
        raw::exchange(&self.address, &raw::head(&line, &self.address, &headers)).await
    }
}

/// Why a call was refused has to be its path, or that nothing is served there at all: anything else
/// would prove nothing. Gives whether it was its path.
fn assert_refused(answer: &RawAnswer, target: &[u8]) -> bool {
    let what = format!("{}: {}", String::from_utf8_lossy(target), answer.text);
    let json = answer.json();
    match answer.status {
        // The gateway speaks to SDKs, which read nothing but the errcode.
        200 => {
            let errcode = json["errcode"].as_i64().unwrap_or_default();
            assert!(![0, -1, 40001, 45011].contains(&errcode), "{what}");
            let errmsg = json["errmsg"].as_str().unwrap_or_default();
            assert!(errmsg.starts_with("lingpai: "), "{what}");
            errcode == 48001
        }
        // What is no HTTP is refused before there is a problem to tell.
        400 | 404 | 405 | 414 | 431 => false,
        403 => {
            assert_eq!(json["code"], "path_refused", "{what}");
            true
        }
        _ => panic!("{what}"),
    }
}

/// Sends a GET for each target and holds the answer to be a refusal. Gives how many were refused for
/// their path.
async fn all_refused(entrance: &Entrance, targets: Vec<Vec<u8>>) -> Result<usize> {
    let (entrance, targets) = (Arc::new(entrance.clone()), Arc::new(targets));
    let mut callers = JoinSet::new();
    for number in 0..AT_A_TIME {
        let (entrance, targets) = (Arc::clone(&entrance), Arc::clone(&targets));
        callers.spawn(async move {
            let mut judged = 0;
            for target in targets.iter().skip(number).step_by(AT_A_TIME) {
                let answer = entrance.call("GET", target, &[]).await?;
                judged += usize::from(assert_refused(&answer, target));
            }
            anyhow::Ok(judged)
        });
    }
    let mut judged = 0;
    while let Some(done) = callers.join_next().await {
        judged += done??;
    }
    Ok(judged)
}

async fn world() -> Result<(World, Program)> {
    let world = World::start_set(EmulatorConfig::for_tests(), None, &NO_LIMIT).await?;
    world.push_ticket().await?;
    let (_, tenant) = world.authorized().await?;
    Ok((world, tenant))
}

fn paths_called(world: &World, since: usize) -> Vec<String> {
    world.emulator.calls().into_iter().skip(since).map(|call| call.path).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_a_forbidden_path_reaches_wechat() -> Result<()> {
    let (world, tenant) = world().await?;
    let mut paths: BTreeSet<Vec<u8>> = BTreeSet::new();
    paths.extend(forbidden::OF_EACH_KIND.into_iter().flat_map(spellings::all_of));
    paths.extend(forbidden::catalogued().into_iter().flat_map(spellings::few_of));
    for entrance in Entrance::both(&world, &tenant).await? {
        let before = world.emulator.calls().len();
        let targets = paths.iter().map(|path| entrance.target(path)).collect();
        let judged = all_refused(&entrance, targets).await?;
        assert!(judged >= 2_000, "{judged} of {} spellings reached the judge", paths.len());
        assert_eq!(paths_called(&world, before), [""; 0], "WeChat was called");
    }
    the_most_used_pass(&world, &tenant).await?;
    world.end().await
}

/// The same, past our own routes: another authority in the first line, a way out of our prefix, and
/// our prefix written otherwise.
#[tokio::test]
async fn no_first_line_reaches_past_our_routes() -> Result<()> {
    let (world, tenant) = world().await?;
    let before = world.emulator.calls().len();
    for entrance in Entrance::both(&world, &tenant).await? {
        let Entrance { address, prefix, query, .. } = &entrance;
        let mut targets = Vec::new();
        for path in forbidden::OF_EACH_KIND {
            let encoded = path.replace('/', "%2f");
            for (target, joint) in [
                (format!("http://api.weixin.qq.com{path}"), '?'),
                (format!("https://api.weixin.qq.com:443{path}"), '?'),
                (format!("http://{address}{prefix}{path}"), '?'),
                (format!("http://user@{address}{prefix}{path}"), '?'),
                (format!("http://{address}{prefix}/../..{prefix}{path}"), '?'),
                (format!("{prefix}/..{path}"), '?'),
                (format!("{prefix}/../../../..{path}"), '?'),
                (format!("{prefix}/../../../../{}{path}", &prefix[1..]), '?'),
                (format!("/.{prefix}{path}"), '?'),
                (format!("/{prefix}{path}"), '?'),
                (format!("/%2e%2e{prefix}{path}"), '?'),
                (format!("{prefix}{encoded}"), '?'),
                (format!("{prefix};x=1{path}"), '?'),
                (format!("{prefix}%2f{}", &path[1..]), '?'),
                (format!("{}{path}", prefix.to_uppercase()), '?'),
                (path.to_owned(), '?'),
                (path.to_owned(), '#'),
                (format!("{prefix}{path}/../../user/get"), '?'),
                (format!("{prefix}/../../../admin/v1/components"), '?'),
                (prefix.clone(), '?'),
                (format!("{prefix}/"), '?'),
                ("*".to_owned(), '?'),
            ] {
                targets.push(format!("{target}{joint}{query}").into_bytes());
            }
        }
        all_refused(&entrance, targets).await?;
    }
    assert_eq!(paths_called(&world, before), [""; 0], "WeChat was called");
    world.end().await
}

#[tokio::test]
async fn no_method_and_no_header_opens_a_forbidden_path() -> Result<()> {
    let (world, tenant) = world().await?;
    for entrance in Entrance::both(&world, &tenant).await? {
        let before = world.emulator.calls().len();
        for path in forbidden::OF_EACH_KIND {
            let target = entrance.target(path.as_bytes());
            for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "PROPFIND"] {
                assert_refused(&entrance.call(method, &target, &[]).await?, &target);
            }
            for method in ["HEAD", "TRACE", "CONNECT"] {
                let answer = entrance.call(method, &target, &[]).await?;
                assert!(!answer.text.contains("Bearer"), "{method} {path}: {}", answer.text);
            }
        }
        assert_eq!(paths_called(&world, before), [""; 0], "WeChat was called");
        // Headers by which a server behind a proxy would be told another path, method or host.
        let target = entrance.target(b"/cgi-bin/user/get");
        for header in [
            "X-Original-URL: /cgi-bin/component/api_query_auth",
            "X-Rewrite-URL: /cgi-bin/component/api_query_auth",
            "X-Forwarded-Prefix: /cgi-bin/component",
            "X-HTTP-Method-Override: POST",
            "X-Forwarded-Host: evil.example",
            "Forwarded: host=evil.example",
            "Upgrade: h2c",
        ] {
            let answer = entrance.call("GET", &target, &[header]).await?;
            assert_eq!(answer.json()["total"], 2, "{header}: {}", answer.text);
        }
        let calls = world.emulator.calls().split_off(before);
        assert!(calls.iter().all(|it| it.path == "/cgi-bin/user/get" && it.method == "GET"));
        let echoed = entrance.target(b"/wxa/emulator/echo");
        let smuggled = ["X-Original-URL: /x", "Forwarded: for=::1", "X-Forwarded-For: ::1"];
        let echo = entrance.call("GET", &echoed, &smuggled).await?.json();
        let headers = echo["headers"].as_object().expect("the echo tells the headers");
        for kept_here in ["x-original-url", "forwarded", "x-forwarded-for", "authorization"] {
            assert!(!headers.contains_key(kept_here), "{kept_here}: {echo}");
        }
    }
    world.end().await
}

/// Whatever a query brings along, the call is made with the account's token and with no other.
#[tokio::test]
async fn no_query_brings_a_token_of_its_own() -> Result<()> {
    let (world, tenant) = world().await?;
    let smuggled = [
        "access_token=EVIL",
        "Access_Token=EVIL",
        "ACCESS_TOKEN=EVIL",
        "access%5ftoken=EVIL",
        "%61ccess_token=EVIL",
        "acc%65ss%5Ftoken=EVIL",
        "access_token%00=EVIL",
        "%00access_token=EVIL",
        "access_token%20=EVIL",
        "+access_token=EVIL",
        "access_token[]=EVIL",
        "access_token%5b%5d=EVIL",
        "x[access_token]=EVIL",
        "component_access_token=EVIL",
        "Component%5FAccess%5FToken=EVIL",
        "authorizer_access_token=EVIL",
        "component_appid=wx1111111111111111",
        "COMPONENT_APPID=wx1111111111111111",
        "access_token",
        "access_token=",
        "&&access_token=EVIL&&",
        "access_token=EVIL&access_token=EVIL2",
        "a=1&access_token=EVIL&b=2",
    ];
    for entrance in Entrance::both(&world, &tenant).await? {
        for query in smuggled {
            // In front of a token of the gateway's, and behind one.
            let path = format!("/wxa/emulator/echo?{query}&last=1");
            let behind = [entrance.target(b"/wxa/emulator/echo?"), query.as_bytes().to_vec()];
            for target in [entrance.target(path.as_bytes()), behind.join(&b'&')] {
                let what = String::from_utf8_lossy(&target).into_owned();
                let answer = entrance.call("GET", &target, &[]).await?;
                let echo = answer.json();
                if entrance.prefix == "/gateway" && echo["errcode"].is_number() {
                    // Of two tokens the gateway may take neither.
                    assert!(!answer.text.contains("EVIL"), "{what}: {}", answer.text);
                    continue;
                }
                assert_eq!(echo["appid"], SHOP, "{what}: {}", answer.text);
                let arrived = echo["query"].as_str().unwrap_or_default().to_lowercase();
                assert_eq!(arrived.matches("token").count(), 1, "{what}: {arrived}");
                assert!(!arrived.contains("evil") && !arrived.contains("lpv_"), "{arrived}");
                assert!(!arrived.contains("component_appid"), "{what}: {arrived}");
            }
        }
    }
    let calls = world.emulator.calls_to("/wxa/emulator/echo");
    assert!(calls.iter().all(|call| call.token == TokenKind::Authorizer && call.errcode == 0));
    world.end().await
}

/// What looks like another path behind an allowed one is a query, a fragment, or nothing at all.
#[tokio::test]
async fn an_allowed_path_stays_the_path_that_is_called() -> Result<()> {
    let (world, tenant) = world().await?;
    for entrance in Entrance::both(&world, &tenant).await? {
        let before = world.emulator.calls().len();
        for tail in [
            "?/../component/api_query_auth",
            "?x=/cgi-bin/token",
            "?x=%2fcgi-bin%2ftoken",
            "?x=%0d%0aGET%20/cgi-bin/token",
            "?x=1;/cgi-bin/token",
            "?%2e%2e%2ftoken",
            "?x?y",
        ] {
            let target = entrance.target(format!("/cgi-bin/user/get{tail}").as_bytes());
            let answer = entrance.call("GET", &target, &[]).await?;
            assert_eq!(answer.json()["total"], 2, "{tail}: {}", answer.text);
        }
        for tail in ["#/../component/api_query_auth", "#", "#?access_token=EVIL"] {
            let mut target = entrance.target(b"/cgi-bin/user/get");
            target.extend_from_slice(tail.as_bytes());
            let answer = entrance.call("GET", &target, &[]).await?;
            assert!(answer.status == 400 || answer.json()["total"] == 2, "{tail}: {}", answer.text);
        }
        let called = paths_called(&world, before);
        assert!(called.iter().all(|path| path == "/cgi-bin/user/get"), "{called:?}");
    }
    world.end().await
}

async fn the_most_used_pass(world: &World, tenant: &Program) -> Result<()> {
    for entrance in Entrance::both(world, tenant).await? {
        let before = world.emulator.calls().len();
        for (method, path) in MOST_USED {
            let target = entrance.target(path.as_bytes());
            let answer = entrance.call(method, &target, &["Content-Length: 0"]).await?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert_ours_is_silent(&answer.json(), path);
        }
        let wanted = MOST_USED.map(|(_, path)| path.split('?').next().unwrap_or_default());
        assert_eq!(paths_called(world, before), wanted);
        let calls = world.emulator.calls().split_off(before);
        assert!(calls.iter().all(|call| call.token == TokenKind::Authorizer), "{calls:?}");
    }
    Ok(())
}

/// WeChat may refuse a call without a body, but it is WeChat who does.
fn assert_ours_is_silent(answer: &Value, path: &str) {
    let errmsg = answer["errmsg"].as_str().unwrap_or_default();
    assert!(!errmsg.starts_with("lingpai: "), "{path}: {answer}");
}
