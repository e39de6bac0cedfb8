//! Fans of a mini program: their login on its behalf, and what they sign and encrypt for its server.

use anyhow::Result;
use lingpai_tests::{
    people::{Answer, Program},
    world::{ORDERS, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const FAN: &str = "oOrders00000000000000000fan1";

/// A world in which the mini program's fan has logged in, component or not.
async fn world(is_delegated: bool) -> Result<(World, Program)> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("餐厅").await?;
    if is_delegated {
        world.authorize(&tenant, ORDERS).await?;
    } else {
        world.connect_by_secret(&tenant, ORDERS).await?;
    }
    Ok((world, tenant))
}

async fn call(tenant: &Program, what: &str, body: &Value) -> Result<Answer> {
    let path = format!("/v1/authorizers/{ORDERS}/mini-program-sessions{what}");
    tenant.post(&path, body).await
}

async fn log_in(world: &World, tenant: &Program) -> Result<Answer> {
    let code = world.emulator.mint_js_code(ORDERS, FAN);
    call(tenant, "", &json!({ "js_code": code })).await?.expect(StatusCode::OK)
}

#[tokio::test]
async fn a_login_tells_the_openid_and_keeps_the_session_key() -> Result<()> {
    for is_delegated in [true, false] {
        let (world, tenant) = world(is_delegated).await?;
        let told = log_in(&world, &tenant).await?;
        assert_eq!(told.field("openid")?, FAN);
        let key = world.emulator.session_key(ORDERS, FAN);
        assert!(!told.text.contains(&key) && !told.text.contains("session_key"), "{}", told.text);
        world.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_the_fan_signed_and_encrypted_is_checked_and_read() -> Result<()> {
    let (world, tenant) = world(true).await?;
    log_in(&world, &tenant).await?;
    let data = json!({ "phoneNumber": "13800138000", "big": 9_007_199_254_740_993_i64 });
    let (encrypted_data, iv) = world.emulator.encrypt_for_fan(ORDERS, FAN, &data);
    let sealed = json!({ "openid": FAN, "encrypted_data": encrypted_data, "iv": iv });
    let read = call(&tenant, "/decryption", &sealed).await?.expect(StatusCode::OK)?;
    assert_eq!(read.field("data.phoneNumber")?, "13800138000");
    assert_eq!(read.json["data"]["big"], data["big"], "numbers stay whole");

    let raw_data = r#"{"nickName":"小林"}"#;
    let signature = world.emulator.sign_for_fan(ORDERS, FAN, raw_data);
    let signed = json!({ "openid": FAN, "raw_data": raw_data, "signature": signature });
    let checked = call(&tenant, "/signature-check", &signed).await?.expect(StatusCode::OK)?;
    assert_eq!(checked.json, json!({ "is_valid": true }));
    let changed = json!({ "openid": FAN, "raw_data": "{}", "signature": signature });
    let checked = call(&tenant, "/signature-check", &changed).await?.expect(StatusCode::OK)?;
    assert_eq!(checked.json, json!({ "is_valid": false }));
    world.end().await
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_the_field_that_is_to_blame() -> Result<()> {
    let (world, tenant) = world(true).await?;
    log_in(&world, &tenant).await?;
    let (data, iv) = world.emulator.encrypt_for_fan(ORDERS, FAN, &json!({ "a": 1 }));
    let mut cut = data.clone();
    cut.truncate(24);
    // In the meantime the fan has opened the mini program again, and has another session key.
    let _unused = world.emulator.mint_js_code(ORDERS, FAN);
    let (newer, newer_iv) = world.emulator.encrypt_for_fan(ORDERS, FAN, &json!({ "a": 1 }));
    for (encrypted_data, iv, blamed) in [
        (cut.as_str(), iv.as_str(), json!("encrypted_data")),
        ("AAAA", &iv, json!("encrypted_data")),
        ("not base64!", &iv, json!("encrypted_data")),
        (&data, "AAAA", json!("iv")),
        (&newer, &newer_iv, Value::Null),
    ] {
        let sealed = json!({ "openid": FAN, "encrypted_data": encrypted_data, "iv": iv });
        let refused = call(&tenant, "/decryption", &sealed).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert_eq!(refused.field("code")?, "mini_program_data_unreadable");
        assert_eq!(refused.json["field"], blamed, "{}", refused.text);
    }
    let stranger = json!({ "openid": "oNobody", "encrypted_data": data, "iv": iv });
    let absent = call(&tenant, "/decryption", &stranger).await?.expect(StatusCode::NOT_FOUND)?;
    assert_eq!(absent.field("code")?, "mini_program_session_not_found");
    let (_, other) = world.operator.create_tenant("书店").await?;
    call(&other, "/decryption", &stranger).await?.expect(StatusCode::NOT_FOUND)?;
    world.end().await
}

#[tokio::test]
async fn wechats_refusal_of_a_code_is_told_and_a_code_is_good_once() -> Result<()> {
    let (world, tenant) = world(true).await?;
    let code = world.emulator.mint_js_code(ORDERS, FAN);
    let body = json!({ "js_code": code });
    call(&tenant, "", &body).await?.expect(StatusCode::OK)?;
    let again = call(&tenant, "", &body).await?.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
    assert_eq!(again.field("field")?, "js_code");
    assert!(!again.text.contains(&code), "the code is not repeated: {}", again.text);
    world.end().await
}

#[tokio::test]
async fn an_erased_fan_has_no_session_any_more() -> Result<()> {
    let (world, tenant) = world(true).await?;
    log_in(&world, &tenant).await?;
    let path = format!("/v1/authorizers/{ORDERS}/erasures");
    tenant.post(&path, &json!({ "openid": FAN })).await?.expect(StatusCode::OK)?;
    let signed = json!({ "openid": FAN, "raw_data": "{}", "signature": "0".repeat(40) });
    call(&tenant, "/signature-check", &signed).await?.expect(StatusCode::NOT_FOUND)?;
    world.end().await
}
