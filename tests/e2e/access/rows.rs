//! The rows: every operation of both documents, what it needs, and what it is about.
//!
//! They are gone through from first to last with the right key; what destroys an object stands
//! behind what needs it.

use lingpai_tests::fans::FAN;
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
    .with(|_| json!({ "touser": FAN, "msgtype": "text", "text": { "content": "你好" } }))
    .on(|it| &it.appid),
    Row::new("exchange_one_time_code", |_| "/oauth/exchange".to_owned())
        .needs("wechat:call")
        .with(|it| json!({ "code": it.code })),
    Row::new("look_up_fan", |it| format!("/authorizers/{}/user-info", it.appid))
        .needs("wechat:call")
        .with(|_| json!({ "openid": FAN }))
        .on(|it| &it.appid),
    Row::new("sign_page", |it| format!("/authorizers/{}/js-sdk-config", it.appid))
        .needs("wechat:call")
        .with(|_| json!({ "url": "https://shop.example/goods?id=7#photos" }))
        .on(|it| &it.appid),
    Row::new("sign_card", |it| format!("/authorizers/{}/card-signature", it.appid))
        .needs("wechat:call")
        .with(|_| json!({ "card_id": "pjZ8Yt1XGILfi-FUsewpnnolGgZk" }))
        .on(|it| &it.appid),
    Row::new("log_in_fan", |it| format!("/authorizers/{}/mini-program-sessions", it.orders))
        .needs("wechat:call")
        .with(|it| json!({ "js_code": it.js_code }))
        .on(|it| &it.orders),
    Row::new("check_fan_signature", |it| {
        format!("/authorizers/{}/mini-program-sessions/signature-check", it.orders)
    })
    .needs("wechat:call")
    .with(|_| json!({ "openid": FAN, "raw_data": "{}", "signature": "0".repeat(40) }))
    .on(|it| &it.orders),
    Row::new("decrypt_fan_data", |it| {
        format!("/authorizers/{}/mini-program-sessions/decryption", it.orders)
    })
    .needs("wechat:call")
    .with(|it| {
        let (encrypted_data, iv) = &it.encrypted;
        json!({ "openid": FAN, "encrypted_data": encrypted_data, "iv": iv })
    })
    .on(|it| &it.orders),
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
    Row::new("create_endpoint", |_| "/endpoints".to_owned())
        .needs("endpoint:write")
        .with(|_| json!({ "kind": "webhook", "url": "https://shop.example/another" })),
    Row::new("list_endpoints", |_| "/endpoints".to_owned()).needs("event:read"),
    Row::new("get_endpoint", |it| format!("/endpoints/{}", it.endpoint))
        .needs("event:read")
        .on(|it| &it.endpoint),
    Row::new("change_endpoint", |it| format!("/endpoints/{}", it.endpoint))
        .needs("endpoint:write")
        .with(|_| json!({ "name": "renamed" }))
        .on(|it| &it.endpoint),
    Row::new("rotate_endpoint_secret", |it| format!("/endpoints/{}/secret", it.endpoint))
        .needs("endpoint:write")
        .with(|_| json!({ "overlap_secs": 60 }))
        .on(|it| &it.endpoint),
    Row::new("test_endpoint", |it| format!("/endpoints/{}/test", it.endpoint))
        .needs("endpoint:write")
        .on(|it| &it.endpoint),
    Row::new("list_events", |_| "/events".to_owned()).needs("event:read"),
    Row::new("search_events", |_| "/events/search".to_owned())
        .needs("event:read")
        .with(|_| json!({ "type": "message.*" })),
    Row::new("get_event", |it| format!("/events/{}", it.event))
        .needs("event:read")
        .on(|it| &it.event),
    Row::new("stream_events", |_| "/events/stream?for_secs=1".to_owned()).needs("event:read"),
    Row::new("reply_to_event", |it| format!("/events/{}/reply", it.event))
        .needs("endpoint:write")
        .with(|_| json!({}))
        .on(|it| &it.event),
    Row::new("replay_event", |it| format!("/events/{}/replay", it.event))
        .needs("endpoint:write")
        .with(|it| json!({ "endpoint_id": it.endpoint }))
        .on(|it| &it.event),
    Row::new("replay_events", |_| "/events/replay".to_owned()).needs("endpoint:write").with(|it| {
        let (from, to) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        json!({ "from": from, "to": to, "endpoint_id": it.endpoint })
    }),
    Row::new("list_deliveries", |_| "/deliveries".to_owned()).needs("event:read"),
    Row::new("get_delivery", |it| format!("/deliveries/{}", it.delivery))
        .needs("event:read")
        .on(|it| &it.delivery),
    Row::new("replay_delivery", |it| format!("/deliveries/{}/replay", it.delivery))
        .needs("endpoint:write")
        .on(|it| &it.delivery),
    Row::new("set_auto_replies", |it| format!("/authorizers/{}/auto-replies", it.appid))
        .needs("endpoint:write")
        .with(|_| {
            let reply = json!({ "type": "text", "content": "欢迎" });
            json!({ "rules": [{ "on": "subscribe", "reply": reply }] })
        })
        .on(|it| &it.appid),
    Row::new("get_auto_replies", |it| format!("/authorizers/{}/auto-replies", it.appid))
        .needs("event:read")
        .on(|it| &it.appid),
    Row::new("remove_auto_replies", |it| format!("/authorizers/{}/auto-replies", it.appid))
        .needs("endpoint:write")
        .on(|it| &it.appid),
    Row::new("erase_fans", |it| format!("/authorizers/{}/erasures", it.appid))
        .needs("event:erase")
        .with(|_| json!({ "openid": FAN }))
        .on(|it| &it.appid),
    Row::new("remove_endpoint", |it| format!("/endpoints/{}", it.endpoint))
        .needs("endpoint:write")
        .on(|it| &it.endpoint),
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
    Row::new("list_publish_checks", |it| format!("/components/{}/publish-test", it.component)),
    Row::new("rehearse_publish_test", |it| format!("/components/{}/rehearsal", it.component)),
    Row::new("list_events", |_| "/events".to_owned()),
    Row::new("list_quarantine", |_| "/quarantine".to_owned()),
    Row::new("read_quarantine", |it| format!("/quarantine/{}", it.quarantined)),
    Row::new("release_quarantine", |it| format!("/quarantine/{}/release", it.quarantined)),
    Row::new("list_deliveries", |it| format!("/deliveries?state=dead&tenant_id={}", it.tenant)),
    Row::new("replay_delivery", |it| format!("/deliveries/{}/replay", it.delivery)),
    Row::new("list_audit", |_| "/audit".to_owned()),
    Row::new("upload_file", |_| "/files".to_owned())
        .with(|_| json!({ "name": "WW_verify_platform.txt", "content": "0123456789abcdef" })),
    Row::new("list_files", |_| "/files".to_owned()),
    Row::new("remove_file", |it| format!("/files/{}", it.operators_file)),
];
