//! The rows: every operation of both documents, what it needs, and what it is about.
//!
//! They are gone through from first to last with the right key; what destroys an object stands
//! behind what needs it.

use serde_json::json;

use super::row::Row;

/// The operations of `openapi/tenant.json`.
pub(super) const TENANT: &[Row] = &[
    Row::new("get_key", |_| "/key".to_owned()),
    Row::new("start_authorization", |_| "/authorizations".to_owned())
        .needs("authorizer:write")
        .with(|it| json!({ "component_appid": it.component, "account_kind": "any" })),
    Row::new("list_authorizations", |_| "/authorizations".to_owned()).needs("authorizer:read"),
    Row::new("get_authorization", |it| format!("/authorizations/{}", it.authorization))
        .needs("authorizer:read")
        .on(|it| &it.authorization),
    Row::new("connect_account", |_| "/authorizers".to_owned()).needs("authorizer:write").with(
        |it| json!({ "connection": "secret", "appid": it.account.0, "appsecret": it.account.1 }),
    ),
    Row::new("list_authorizers", |_| "/authorizers".to_owned()).needs("authorizer:read"),
    Row::new("get_authorizer", |it| format!("/authorizers/{}", it.appid))
        .needs("authorizer:read")
        .on(|it| &it.appid),
    Row::new("refresh_profile", |it| format!("/authorizers/{}/profile-refresh", it.appid))
        .needs("authorizer:write")
        .on(|it| &it.appid),
    Row::new("get_access_token", |it| format!("/authorizers/{}/access-token", it.appid))
        .needs("token:read")
        .on(|it| &it.appid),
    Row::new("renew_access_token", |it| format!("/authorizers/{}/access-token", it.appid))
        .needs("token:read")
        .on(|it| &it.appid),
    Row::new("get_quota", |it| {
        format!("/authorizers/{}/quota?path=/cgi-bin/message/custom/send", it.appid)
    })
    .needs("authorizer:read")
    .on(|it| &it.appid),
    Row::new("clear_quota", |it| format!("/authorizers/{}/quota/clear", it.appid))
        .needs("quota:clear")
        .on(|it| &it.appid),
    Row::new("call_wechat_get", |it| format!("/authorizers/{}/proxy/cgi-bin/user/get", it.appid))
        .needs("wechat:call")
        .on(|it| &it.appid),
    Row::new("call_wechat_post", |it| {
        format!("/authorizers/{}/proxy/cgi-bin/message/custom/send", it.appid)
    })
    .needs("wechat:call")
    .with(|_| {
        let touser = "oLingPai000000000000000fan01";
        json!({ "touser": touser, "msgtype": "text", "text": { "content": "你好" } })
    })
    .on(|it| &it.appid),
    Row::new("register_redirect_uri", |_| "/redirect-uris".to_owned())
        .needs("authorizer:write")
        .with(|_| json!({ "uri": "https://shop.example/another" })),
    Row::new("list_redirect_uris", |_| "/redirect-uris".to_owned()).needs("authorizer:read"),
    Row::new("remove_redirect_uri", |it| format!("/redirect-uris?uri={}", it.uri))
        .needs("authorizer:write")
        .on(|it| &it.uri),
    Row::new("upload_file", |_| "/files".to_owned())
        .needs("file:write")
        .with(|_| json!({ "name": "WW_verify_another.txt", "content": "0123456789abcdef" })),
    Row::new("list_files", |_| "/files".to_owned()).needs("file:write"),
    Row::new("remove_file", |it| format!("/files/{}", it.file))
        .needs("file:write")
        .on(|it| &it.file),
    Row::new("list_usage", |_| "/usage?granularity=hour".to_owned()).needs("usage:read"),
    Row::new("list_audit", |_| "/audit".to_owned()).needs("audit:read"),
    Row::new("release_authorizer", |it| format!("/authorizers/{}", it.appid))
        .needs("authorizer:write")
        .on(|it| &it.appid),
];

/// The operations of `openapi/admin.json`. The objects are those that belong to a tenant: under
/// another tenant's id they answer like missing ones.
pub(super) const ADMIN: &[Row] = &[
    Row::new("get_system_health", |_| "/health".to_owned()),
    Row::new("create_component", |_| "/components".to_owned()).with(|_| {
        json!({
            "appid": "wx9999999999999999",
            "name": "another",
            "appsecret": "its secret",
            "push_token": "its token",
            "encoding_aes_key": "a".repeat(43),
        })
    }),
    Row::new("list_components", |_| "/components".to_owned()),
    Row::new("get_component", |it| format!("/components/{}", it.component)),
    Row::new("change_component", |it| format!("/components/{}", it.component))
        .with(|_| json!({ "name": "renamed" })),
    Row::new("start_ticket_push", |it| format!("/components/{}/ticket-push", it.component)),
    Row::new("refresh_component_token", |it| format!("/components/{}/token-refresh", it.component)),
    Row::new("reconcile_component", |it| format!("/components/{}/reconciliation", it.component)),
    Row::new("get_component_quota", |it| {
        format!("/components/{}/quota?path=/cgi-bin/component/api_create_preauthcode", it.component)
    }),
    Row::new("create_tenant", |_| "/tenants".to_owned()).with(|_| json!({ "name": "another" })),
    Row::new("list_tenants", |_| "/tenants".to_owned()),
    Row::new("get_tenant", |it| format!("/tenants/{}", it.tenant)),
    Row::new("change_tenant", |it| format!("/tenants/{}", it.tenant))
        .with(|_| json!({ "name": "花店二号" })),
    Row::new("create_api_key", |it| format!("/tenants/{}/api-keys", it.tenant))
        .with(|_| json!({ "name": "one more" })),
    Row::new("list_api_keys", |it| format!("/tenants/{}/api-keys", it.tenant)),
    Row::new("get_api_key", |it| format!("/tenants/{}/api-keys/{}", it.tenant, it.key))
        .on(|it| &it.key),
    Row::new("change_api_key", |it| format!("/tenants/{}/api-keys/{}", it.tenant, it.key))
        .with(|_| json!({ "name": "renamed" }))
        .on(|it| &it.key),
    Row::new("rotate_api_key", |it| format!("/tenants/{}/api-keys/{}/rotate", it.tenant, it.key))
        .with(|_| json!({ "overlap_secs": 60 }))
        .on(|it| &it.key),
    Row::new("revoke_api_key", |it| format!("/tenants/{}/api-keys/{}", it.tenant, it.key))
        .on(|it| &it.key),
    Row::new("create_operator", |_| "/operators".to_owned())
        .with(|_| json!({ "name": "a colleague" })),
    Row::new("list_operators", |_| "/operators".to_owned()),
    Row::new("revoke_operator", |it| format!("/operators/{}", it.operator)),
    Row::new("list_authorizers", |_| "/authorizers?unclaimed=true".to_owned()),
    Row::new("assign_authorizer", |it| format!("/authorizers/{}/assign", it.waiting[0]))
        .with(|it| json!({ "tenant_id": it.tenant })),
    Row::new("refuse_authorizer", |it| format!("/authorizers/{}/refuse", it.waiting[1])),
    Row::new("release_authorizer", |it| format!("/authorizers/{}/release", it.owned)),
    Row::new("list_audit", |_| "/audit".to_owned()),
    Row::new("upload_file", |_| "/files".to_owned())
        .with(|_| json!({ "name": "WW_verify_platform.txt", "content": "0123456789abcdef" })),
    Row::new("list_files", |_| "/files".to_owned()),
    Row::new("remove_file", |it| format!("/files/{}", it.operators_file)),
];
