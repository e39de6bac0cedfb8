//! Where secrets are taken out of their wrapping, and where a tenant's rights are made.

use crate::house::{SOURCES, hold};

/// Files, or folders by a final `/`, that may call `Secret::expose`.
const EXPOSED: &[(&str, &str)] = &[
    ("crates/wechat/src/secret.rs", "defines it"),
    ("crates/wechat/src/crypt.rs", "the push token goes into the signature"),
    ("crates/wechat/src/call.rs", "a token is judged, and taken out of an error's text"),
    ("crates/wechat/src/jssdk.rs", "the ticket goes into the signature"),
    ("crates/wechat/src/mini_program.rs", "the session key goes into signature and cipher"),
    ("crates/wechat/src/client.rs", "the request that needs it"),
    ("crates/wechat/src/client/", "the request that needs it"),
    ("crates/model/src/", "digests, and the text of a new key"),
    ("crates/storage/src/seal.rs", "sealing"),
    ("crates/storage/src/repo/quarantine.rs", "what a fan sent is looked for, to be erased"),
    (
        "crates/component-token/src/components.rs",
        "a message key is refused at the door if it is none",
    ),
    (
        "crates/authorizer/src/authorizations.rs",
        "WeChat's consent page wants the pre_auth_code in its query",
    ),
    ("crates/authorizer/src/web_authorizations.rs", "WeChat's page wants our state in its query"),
    ("crates/authorizer/src/accounts.rs", "a message key is refused at the door if it is none"),
    ("crates/authorizer/src/scrub.rs", "looks for our token in answers, to take it out"),
    ("crates/webhook/src/sender/remote.rs", "the key goes into the request to another lingpai"),
    ("crates/webhook/src/signature.rs", "the secret goes into the signature"),
    (
        "crates/webhook/src/endpoints/change.rs",
        "a handler's token and message key are refused at the door if they are none",
    ),
    ("crates/webhook/src/listeners.rs", "what a listener replies is judged"),
    ("crates/webhook/src/form.rs", "what WeChat pushed goes into the body of a delivery"),
    (
        "crates/webhook/src/form/wechat.rs",
        "the message key goes into the cipher; what a handler answered is read",
    ),
    ("crates/callback/src/recipient.rs", "the message key goes into the cipher"),
    ("crates/callback/src/processor.rs", "a push that was kept is parsed"),
    ("crates/callback/src/quarantine.rs", "a push that was kept is parsed once more"),
    ("crates/callback/src/reply.rs", "a reply is read, and sealed with the push's key"),
    (
        "crates/callback/src/rehearsal/stage.rs",
        "the newest ticket and the message key go into a push to ourselves",
    ),
    ("crates/api/src/admin/api_keys.rs", "a new API key is handed out, once"),
    ("crates/api/src/admin/operators.rs", "a new operator key is handed out, once"),
    ("crates/api/src/admin/quarantine.rs", "a push in quarantine is shown to who looks at it"),
    ("crates/api/src/gateway/fans.rs", "a fan's virtual tokens are handed out"),
    ("crates/api/src/gateway/token.rs", "a virtual token is handed out"),
    ("crates/api/src/middleware/idempotent.rs", "an answer that was kept is given again"),
    ("crates/api/src/tenant/access_tokens.rs", "a token is handed out to who may read it"),
    ("crates/api/src/tenant/endpoints/view.rs", "a new webhook secret is handed out, once"),
    ("crates/api/src/tenant/stream/beat.rs", "the key of an open stream is looked at again"),
    ("crates/api/src/wechat/authorization_return.rs", "the browser goes on within its own link"),
    (
        "crates/api/src/wechat/pages.rs",
        "the page leads on within its own link, also by its QR code",
    ),
    ("crates/api/src/wechat/return_cookie.rs", "the state goes into the browser's cookie"),
    ("crates/server/src/cli.rs", "a new operator key is printed, once"),
    ("crates/server/src/database.rs", "the URL goes into the connection"),
    (
        "crates/server/src/settings/database.rs",
        "the URL is checked, and shown without its password",
    ),
    ("crates/server/src/listen.rs", "a handler's reply is carried back"),
    ("crates/server/src/settings/listen.rs", "a message key is refused if it is none"),
    ("crates/server/src/master_key.rs", "a new master key is written to its file"),
];

/// Files that may make a `TenantScope`.
const SCOPES: &[(&str, &str)] = &[
    ("crates/model/src/caller.rs", "defines it"),
    ("crates/tenant/", "only a verified key opens a tenant's rows"),
    ("crates/api/src/sample.rs", "compiled for unit tests only"),
];

fn outside(list: &[(&str, &str)], piece: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in SOURCES.iter() {
        if list.iter().any(|(path, _)| is_at(&source.path, path)) {
            continue;
        }
        for (number, line) in source.shipped() {
            let tight: String = line.split_whitespace().collect();
            if tight.contains(piece) {
                breaches.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    breaches
}

fn is_at(path: &str, listed: &str) -> bool {
    if listed.ends_with('/') { path.starts_with(listed) } else { path == listed }
}

#[test]
fn secrets_are_exposed_in_few_files_only() {
    hold(
        "A secret is taken out of its wrapping in a file that is not on the list.",
        "Hand the Secret on to storage::seal or wechat::client, or let the noun in model compute \
         what is needed (a digest). A new file on EXPOSED is a decision.",
        &[outside(EXPOSED, "expose()"), outside(EXPOSED, "expose_text()")].concat(),
    );
}

#[test]
fn only_authentication_makes_a_tenant_scope() {
    hold(
        "A TenantScope is made outside lingpai-tenant.",
        "Take the scope of the Caller that authentication returned; workers use the system_ methods.",
        &outside(SCOPES, "TenantScope::authenticated"),
    );
}

#[test]
fn no_row_is_left_over() {
    let unused = |list: &[(&str, &str)], piece: &str| {
        list.iter()
            .filter(|(path, _)| {
                !SOURCES
                    .iter()
                    .filter(|source| is_at(&source.path, path))
                    .any(|source| source.text.contains(piece))
            })
            .map(|(path, _)| format!("{path} ({piece})"))
            .collect::<Vec<_>>()
    };
    let mut rows = unused(EXPOSED, "expose");
    rows.extend(unused(SCOPES, "authenticated"));
    hold("A row permits what nobody does.", "Take it out of the list.", &rows);
}
