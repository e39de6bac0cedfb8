//! Files up and down: temporary media, permanent material, QR codes.

use lingpai_emulator::TokenKind;
use poem::http::header::CONTENT_TYPE;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, text};

const BYTES: &[u8] = b"\xff\xd8\r\n--not the end\r\n";

/// A form with a file, and texts beside it.
fn form(bytes: &[u8], texts: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in texts {
        let head = format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
    }
    body.extend_from_slice(
        b"--xyz\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.jpg\"\r\n\
          Content-Type: image/jpeg\r\n\r\n",
    );
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--xyz--\r\n");
    body
}

async fn upload(world: &World, path: &str, body: Vec<u8>) -> Value {
    let request = world.http.post(world.url(path)).body(body);
    let request = request.header(CONTENT_TYPE.as_str(), "multipart/form-data; boundary=xyz");
    let text = request.send().await.expect("an answer").text().await.expect("a whole one");
    serde_json::from_str(&text).expect("JSON")
}

async fn token(world: &World) -> String {
    world.authorize(&[3, 11]).await.expect("a grant").access_token
}

#[tokio::test]
async fn a_video_is_told_by_its_address_and_a_thumb_by_an_id_of_its_own_name() {
    let world = World::start().await.unwrap();
    let token = token(&world).await;
    let path = |kind: &str| format!("/cgi-bin/media/upload?access_token={token}&type={kind}");
    let video = upload(&world, &path("video"), form(BYTES, &[])).await;
    let id = text(&video, "media_id").unwrap();
    let got = format!("/cgi-bin/media/get?access_token={token}&media_id={id}");
    let got = world.get(&got).await.unwrap();
    assert!(text(&got, "video_url").unwrap().contains(&id), "{got}");
    let thumb = upload(&world, &path("thumb"), form(BYTES, &[])).await;
    assert!(text(&thumb, "thumb_media_id").is_ok(), "{thumb}");
    assert_eq!(upload(&world, &path("film"), form(BYTES, &[])).await["errcode"], 40004);
}

#[tokio::test]
async fn a_file_that_is_missing_chunked_or_too_large_is_refused() {
    let world = World::start().await.unwrap();
    let path = format!("/cgi-bin/media/upload?access_token={}&type=image", token(&world).await);
    assert_eq!(upload(&world, &path, b"{}".to_vec()).await["errcode"], 41005);
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(form(BYTES, &[]))]);
    let request = world.http.post(world.url(&path)).body(reqwest::Body::wrap_stream(chunks));
    let request = request.header(CONTENT_TYPE.as_str(), "multipart/form-data; boundary=xyz");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::PRECONDITION_FAILED);
    let large = vec![b'x'; 10 * 1024 * 1024 + 1];
    assert_eq!(upload(&world, &path, form(&large, &[])).await["errcode"], 45001);
    world.wechat.change_switches(|switches| switches.largest_media_bytes = large.len() as u64);
    assert!(text(&upload(&world, &path, form(&large, &[])).await, "media_id").is_ok());
}

#[tokio::test]
async fn material_is_added_counted_read_and_deleted() {
    let world = World::start().await.unwrap();
    let token = token(&world).await;
    let path = |name: &str| format!("/cgi-bin/material/{name}?access_token={token}");
    let image = upload(&world, &(path("add_material") + "&type=image"), form(BYTES, &[])).await;
    assert!(text(&image, "url").is_ok(), "{image}");
    let id = json!({ "media_id": text(&image, "media_id").unwrap() });
    let got = world.http.post(world.url(&path("get_material"))).body(id.to_string());
    let got = got.send().await.unwrap();
    assert_eq!(got.headers()["content-disposition"], "attachment; filename=\"a.jpg\"");
    assert_eq!(&got.bytes().await.unwrap()[..], BYTES);

    let words = json!({ "title": "花", "introduction": "春天" }).to_string();
    let video = form(BYTES, &[("description", &words)]);
    let video = upload(&world, &(path("add_material") + "&type=video"), video).await;
    let video = json!({ "media_id": text(&video, "media_id").unwrap() });
    let told = world.post(&path("get_material"), &video).await.unwrap();
    assert_eq!((&told["title"], &told["description"]), (&json!("花"), &json!("春天")), "{told}");

    let counts = world.get(&path("get_materialcount")).await.unwrap();
    assert_eq!((&counts["image_count"], &counts["video_count"]), (&json!(1), &json!(1)));
    assert_eq!(world.post(&path("del_material"), &id).await.unwrap()["errcode"], 0);
    assert_eq!(world.post(&path("get_material"), &id).await.unwrap()["errcode"], 40007);
    let wordless = upload(&world, &(path("add_material") + "&type=video"), form(BYTES, &[])).await;
    assert_eq!(wordless["errcode"], 47001);
}

#[tokio::test]
async fn the_picture_of_an_article_has_an_address() {
    let world = World::start().await.unwrap();
    let path = format!("/cgi-bin/media/uploadimg?access_token={}", token(&world).await);
    let answer = upload(&world, &path, form(BYTES, &[])).await;
    assert!(text(&answer, "url").unwrap().starts_with("http://mmbiz.qpic.cn/"), "{answer}");
}

#[tokio::test]
async fn a_qr_code_is_shown_without_a_token() {
    let world = World::start().await.unwrap();
    let create = format!("/cgi-bin/qrcode/create?access_token={}", token(&world).await);
    let scene = json!({ "expire_seconds": 600, "action_name": "QR_STR_SCENE",
        "action_info": { "scene": { "scene_str": "门店" } } });
    let answer = world.post(&create, &scene).await.unwrap();
    assert_eq!(answer["expire_seconds"], 600, "{answer}");
    let ticket = text(&answer, "ticket").unwrap();
    let show = async |ticket: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("ticket", ticket)
            .finish();
        let path = format!("/cgi-bin/showqrcode?{query}");
        world.http.get(world.url(&path)).send().await.unwrap()
    };
    let shown = show(&ticket).await;
    assert_eq!(shown.headers()["content-type"], "image/jpg");
    assert!(shown.bytes().await.unwrap().starts_with(b"\xff\xd8"));
    assert_eq!(show("gQnever").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.wechat.calls_to("/cgi-bin/showqrcode")[0].token, TokenKind::None);
    let wrong = json!({ "action_name": "QR_SCENE" });
    assert_eq!(world.post(&create, &wrong).await.unwrap()["errcode"], 47001);
}
