//! Tokens, codes and the calls made with them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{
    AUTHORIZER_LIST, COMPONENT, COMPONENT_TOKEN, ECHO, QUERY_AUTH, SHOP, World,
    component_token_body, refresh_body, text,
};

#[tokio::test]
async fn ticket_to_component_token_to_pre_auth_code() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    assert!(token.contains("CANARY"));
    let path = "/cgi-bin/component/api_create_preauthcode";
    for name in ["component_access_token", "access_token"] {
        let url = format!("{path}?{name}={token}");
        let answer = world.post(&url, &json!({ "component_appid": COMPONENT })).await.unwrap();
        assert_eq!(answer["expires_in"], 1800, "{answer}");
        assert!(answer.get("errcode").is_none());
    }
}

#[tokio::test]
async fn a_refusal_comes_under_http_200_with_a_rid() {
    let world = World::start().await.unwrap();
    let mut body = component_token_body("ticket@@@wrong");
    let answer = world.post(COMPONENT_TOKEN, &body).await.unwrap();
    assert_eq!(answer["errcode"], 61006);
    assert!(text(&answer, "errmsg").unwrap().contains("rid: "));
    body["component_appsecret"] = "wrong".into();
    assert_eq!(world.post(COMPONENT_TOKEN, &body).await.unwrap()["errcode"], 40125);
    body["component_appid"] = SHOP.into();
    assert_eq!(world.post(COMPONENT_TOKEN, &body).await.unwrap()["errcode"], 40013);
    assert_eq!(world.post(COMPONENT_TOKEN, &json!([])).await.unwrap()["errcode"], 47001);
}

#[tokio::test]
async fn a_component_token_runs_out_and_outlives_its_successor_by_five_minutes() {
    let world = World::start().await.unwrap();
    let errcode = async |token: &str| {
        let answer = world.component(AUTHORIZER_LIST, token, json!({ "offset": 0, "count": 1 }));
        answer.await.unwrap().get("errcode").and_then(Value::as_i64)
    };
    let first = world.component_token().await.unwrap();
    let second = world.component_token().await.unwrap();
    assert_eq!(errcode(&first).await, None);
    world.wechat.advance_clock(Duration::from_secs(300));
    assert_eq!(errcode(&first).await, Some(40001));
    assert_eq!(errcode(&second).await, None);
    world.wechat.advance_clock(Duration::from_secs(7200));
    assert_eq!(errcode(&second).await, Some(42001));
}

#[tokio::test]
async fn an_authorization_code_is_exchanged_once() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let code = world.consent(&token, &[2, 1]).await.unwrap();
    let body = json!({ "authorization_code": code });
    let answer = world.component(QUERY_AUTH, &token, body.clone()).await.unwrap();
    let info = &answer["authorization_info"];
    assert_eq!(info["authorizer_appid"], SHOP);
    assert_eq!(info["expires_in"], 7200);
    assert_eq!(info["func_info"][1]["funcscope_category"]["id"], 2);
    assert_eq!(world.component(QUERY_AUTH, &token, body).await.unwrap()["errcode"], 61009);
}

#[tokio::test]
async fn an_authorization_code_runs_out() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let code = world.consent(&token, &[1]).await.unwrap();
    world.wechat.advance_clock(Duration::from_secs(3600));
    let body = json!({ "authorization_code": code });
    assert_eq!(world.component(QUERY_AUTH, &token, body).await.unwrap()["errcode"], 61010);
}

#[tokio::test]
async fn a_new_consent_voids_the_old_refresh_token_and_the_list_has_the_new_one() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    assert_eq!(world.refresh(&shop).await.unwrap()["authorizer_refresh_token"], shop.refresh_token);
    world.consent(&shop.component_token, &[1]).await.unwrap();
    assert_eq!(world.refresh(&shop).await.unwrap()["errcode"], 61023);
    let page = json!({ "offset": 0, "count": 500 });
    let list = world.component(AUTHORIZER_LIST, &shop.component_token, page).await.unwrap();
    assert_eq!(list["total_count"], 1);
    let listed = text(&list["list"][0], "refresh_token").unwrap();
    let path = crate::world::AUTHORIZER_TOKEN;
    let answer = world.component(path, &shop.component_token, refresh_body(&listed)).await.unwrap();
    assert!(answer.get("errcode").is_none(), "{answer}");
}

#[tokio::test]
async fn the_list_is_paged_and_bounded() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    let list = async |offset: u32, count: u32| {
        let page = json!({ "offset": offset, "count": count });
        world.component(AUTHORIZER_LIST, &shop.component_token, page).await.unwrap()
    };
    assert_eq!(list(1, 500).await["list"], json!([]));
    assert_eq!(list(0, 501).await["errcode"], 40170);
}

#[tokio::test]
async fn account_info_tells_a_mini_program_by_its_block() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    let orders = "wxb1c2d3e4f5061728";
    let link = world.link(&token).await.unwrap();
    world.wechat.consent(&link, orders, &[]).await.unwrap();
    world.consent(&token, &[1]).await.unwrap();
    let info = async |appid: &str| {
        let path = "/cgi-bin/component/api_get_authorizer_info";
        let body = json!({ "authorizer_appid": appid });
        world.component(path, &token, body).await.unwrap()
    };
    assert_eq!(info(orders).await["authorizer_info"]["MiniProgramInfo"]["visit_status"], 0);
    let shop = info(SHOP).await;
    assert!(shop["authorizer_info"].get("MiniProgramInfo").is_none());
    assert_eq!(shop["authorizer_info"]["nick_name"], "令牌小店");
    assert!(text(&shop["authorization_info"], "authorizer_refresh_token").is_ok());
    assert_eq!(info("wxc2d3e4f506172839").await["errcode"], 61003);
}

#[tokio::test]
async fn fans_messages_and_menus_come_from_state() {
    let world = World::start().await.unwrap();
    let token = world.authorize(&[1, 2, 15]).await.unwrap().access_token;
    let list = world.get(&format!("/cgi-bin/user/get?access_token={token}")).await.unwrap();
    let fan = text(&list["data"]["openid"], "0").unwrap_or_else(|_| {
        list["data"]["openid"][0].as_str().expect("the shop has fans").to_owned()
    });
    let path = format!("/cgi-bin/user/info?access_token={token}&openid={fan}");
    assert_eq!(world.get(&path).await.unwrap()["nickname"], "小林");

    let send = format!("/cgi-bin/message/custom/send?access_token={token}");
    let message = json!({ "touser": fan, "msgtype": "text", "text": { "content": "你好" } });
    assert_eq!(world.post(&send, &message).await.unwrap()["errcode"], 0);
    let shop = world.wechat.snapshot().accounts.remove(0);
    assert_eq!(shop.messages[0].body, message.to_string());
    assert_eq!(world.post(&send, &json!({ "touser": "o" })).await.unwrap()["errcode"], 40003);

    let batch = format!("/cgi-bin/user/info/batchget?access_token={token}");
    let both = json!({ "user_list": [{ "openid": fan, "lang": "zh_CN" }] });
    let batch_of = async |body: &Value| world.post(&batch, body).await.unwrap();
    assert_eq!(batch_of(&both).await["user_info_list"][0]["nickname"], "小林");
    assert_eq!(batch_of(&json!({ "user_list": [{ "openid": "o" }] })).await["errcode"], 40003);
    let many = json!({ "user_list": vec![json!({ "openid": fan }); 101] });
    assert_eq!(batch_of(&many).await["errcode"], 40170);
    assert_eq!(batch_of(&json!({})).await["errcode"], 47001);

    let menu = format!("/cgi-bin/menu/get?access_token={token}");
    assert_eq!(world.get(&menu).await.unwrap()["errcode"], 46003);
    let create = format!("/cgi-bin/menu/create?access_token={token}");
    let button = json!({ "button": [{ "type": "click", "name": "点单", "key": "K" }] });
    assert_eq!(world.post(&create, &button).await.unwrap()["errcode"], 0);
    assert_eq!(world.get(&menu).await.unwrap()["menu"], button);
    let delete = format!("/cgi-bin/menu/delete?access_token={token}");
    assert_eq!(world.get(&delete).await.unwrap()["errcode"], 0);
    assert_eq!(world.get(&menu).await.unwrap()["errcode"], 46003);
}

#[tokio::test]
async fn a_template_message_has_an_id_that_no_double_holds() {
    let world = World::start().await.unwrap();
    let token = world.authorize(&[7]).await.unwrap().access_token;
    let send = format!("/cgi-bin/message/template/send?access_token={token}");
    let message = json!({ "touser": "oLingPai000000000000000fan01", "template_id": "t" });
    let ids = [
        world.post(&send, &message).await.unwrap()["msgid"].as_u64().unwrap(),
        world.post(&send, &message).await.unwrap()["msgid"].as_u64().unwrap(),
    ];
    assert!(ids[0] > 1 << 53 && ids[1] == ids[0] + 1, "{ids:?}");
    let nameless = json!({ "touser": "oLingPai000000000000000fan01" });
    assert_eq!(world.post(&send, &nameless).await.unwrap()["errcode"], 40037);
}

#[tokio::test]
async fn the_headers_of_a_signed_call_come_back() {
    let world = World::start().await.unwrap();
    let token = world.authorize(&[1]).await.unwrap().access_token;
    let url = world.url(&format!("{ECHO}?access_token={token}"));
    let signed = world.http.post(&url).header("Wechatmp-Appid", SHOP).body("{}");
    let headers = signed.send().await.unwrap().headers().clone();
    assert_eq!(headers["wechatmp-appid"], SHOP);
    assert_eq!(headers["wechatmp-serial"], "emulated");
    let plain = world.http.post(&url).body("{}").send().await.unwrap();
    assert!(!plain.headers().contains_key("wechatmp-serial"));
}

#[tokio::test]
async fn media_comes_back_byte_for_byte() {
    let world = World::start().await.unwrap();
    let token = world.authorize(&[11]).await.unwrap().access_token;
    let bytes = b"\xff\xd8\r\n--not the end\r\n";
    let mut body = b"--xyz\r\nContent-Disposition: form-data; name=\"media\"; \
        filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
        .to_vec();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--xyz--\r\n");
    let upload = world
        .http
        .post(world.url(&format!("/cgi-bin/media/upload?access_token={token}&type=image")))
        .header("content-type", "multipart/form-data; boundary=xyz")
        .body(body);
    let answer: Value =
        serde_json::from_str(&upload.send().await.unwrap().text().await.unwrap()).unwrap();
    let id = text(&answer, "media_id").unwrap();
    let path = format!("/cgi-bin/media/get?access_token={token}&media_id={id}");
    let file = world.http.get(world.url(&path)).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "image/jpeg");
    assert_eq!(file.headers()["content-disposition"], "attachment; filename=\"a.jpg\"");
    assert_eq!(&file.bytes().await.unwrap()[..], bytes);
    world.wechat.advance_clock(Duration::from_secs(7100));
    let other = format!("/cgi-bin/media/get?access_token={token}&media_id=other");
    assert_eq!(world.get(&other).await.unwrap()["errcode"], 40007);
}

#[tokio::test]
async fn the_echo_tells_what_arrived_and_hides_the_token() {
    let world = World::start().await.unwrap();
    let token = world.authorize(&[1]).await.unwrap().access_token;
    let url = world.url(&format!("{ECHO}?a=%E4%B8%AD&access_token={token}"));
    let request = world.http.post(url).header("x-seen", "yes").body("abc");
    let echo = request.send().await.unwrap().text().await.unwrap();
    assert!(!echo.contains("CANARY"));
    let echo: Value = serde_json::from_str(&echo).unwrap();
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["query"], "a=%E4%B8%AD&access_token=");
    assert_eq!(echo["headers"]["x-seen"], json!(["yes"]));
    assert_eq!(echo["body_bytes"], 3);
    let leak = world.get(&format!("{ECHO}?leak=1&access_token={token}")).await.unwrap();
    assert_eq!(leak["leaked_token"], token);
}

#[tokio::test]
async fn many_bytes_are_streamed() {
    let world = World::start().await.unwrap();
    let token = world.authorize(&[1]).await.unwrap().access_token;
    let path = format!("/wxa/emulator/bytes?size=3000000&access_token={token}");
    let bytes = world.http.get(world.url(&path)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len(), 3_000_000);
}

#[tokio::test]
async fn chunked_bodies_are_answered_412() {
    let world = World::start().await.unwrap();
    let token = world.authorize(&[1]).await.unwrap().access_token;
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("{}")]);
    let url = world.url(&format!("/cgi-bin/menu/create?access_token={token}"));
    let request = world.http.post(url).body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(request.send().await.unwrap().status(), 412);
}

#[tokio::test]
async fn wrong_ways_to_call_have_their_numbers() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    let (account, component) = (&shop.access_token, &shop.component_token);
    let get = async |path: String| world.get(&path).await.unwrap()["errcode"].clone();
    let post = async |path: String| world.post(&path, &json!({})).await.unwrap()["errcode"].clone();
    assert_eq!(get("/cgi-bin/nonsense".to_owned()).await, 40066);
    assert_eq!(get("/cgi-bin/user/get".to_owned()).await, 41001);
    assert_eq!(get("/cgi-bin/user/get?access_token=x".to_owned()).await, 40001);
    assert_eq!(get(format!("/cgi-bin/user/get?access_token={account}")).await, 61007);
    assert_eq!(get(format!("/cgi-bin/user/get?access_token={component}")).await, 61015);
    assert_eq!(post(format!("/cgi-bin/user/get?access_token={account}")).await, 43001);
    assert_eq!(get(format!("{QUERY_AUTH}?access_token={component}")).await, 43002);
    assert_eq!(post(format!("{QUERY_AUTH}?access_token={account}")).await, 48001);
    let empty = world.http.post(world.url(COMPONENT_TOKEN)).send().await.unwrap();
    assert!(empty.text().await.unwrap().contains("44002"));
}

#[tokio::test]
async fn a_quota_ends_in_45009() {
    let mut config = lingpai_emulator::EmulatorConfig::for_tests();
    config.quotas.insert(COMPONENT_TOKEN.to_owned(), 1);
    let world = World::start_with(config).await.unwrap();
    world.component_token().await.unwrap();
    let answer = world.post(COMPONENT_TOKEN, &component_token_body("t")).await.unwrap();
    assert_eq!(answer["errcode"], 45009);
}
