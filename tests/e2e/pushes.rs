//! Pushes that do not verify, and pushes that nobody knows.

use anyhow::Result;
use lingpai_tests::{people::Answer, recorder::RawPush, world::World};
use reqwest::StatusCode;

async fn ticket_is_stored(world: &World) -> Result<bool> {
    let path = format!("/admin/v1/components/{}", world.component.appid);
    Ok(!world.operator.get(&path).await?.json["ticket"].is_null())
}

fn what_was_said(answer: &Answer) -> (StatusCode, String) {
    (answer.status, answer.text.clone())
}

#[tokio::test]
async fn whatever_does_not_verify_gets_one_and_the_same_answer() -> Result<()> {
    let world = World::start().await?;
    let url = world.events_url();
    let genuine = RawPush::record(&world.emulator, &url, &world.ticket_xml("ticket@@@x")).await?;
    let signature = genuine.parameter("msg_signature");
    let flipped = if signature.starts_with('0') { "1" } else { "0" };

    let mut answers = Vec::new();
    let bent = [
        genuine.clone().with_query(&signature, &format!("{flipped}{}", &signature[1..])),
        genuine.clone().with_query("timestamp=", "timestamp=1"),
        genuine.clone().with_query("msg_signature=", "signature2="),
        genuine.clone().with_query("encrypt_type=aes", "encrypt_type=raw"),
        genuine.clone().with_query("nonce=", "nonce=1&nonce="),
        RawPush { body: genuine.body.replace("<Encrypt>", "<Encrypt>A"), ..genuine.clone() },
        RawPush { body: "<xml><Encrypt>".to_owned(), ..genuine.clone() },
        RawPush { body: "not xml".to_owned(), ..genuine.clone() },
        RawPush { body: String::new(), ..genuine.clone() },
        RawPush { body: "x".repeat(300 * 1024), ..genuine.clone() },
        RawPush { query: String::new(), ..genuine.clone() },
    ];
    for push in bent {
        answers.push(what_was_said(&push.send(&url).await?));
    }
    for foreign in ["wx0000000000000000", "wx%00", "%E5%BE%AE"] {
        let url = format!("{}wechat/components/{foreign}/events", world.base);
        answers.push(what_was_said(&genuine.send(&url).await?));
    }
    assert_eq!(answers[0].0, StatusCode::FORBIDDEN);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    assert!(!ticket_is_stored(&world).await?);

    let accepted = genuine.send(&url).await?.expect(StatusCode::OK)?;
    assert_eq!(accepted.text, "success");
    assert!(ticket_is_stored(&world).await?);
    world.end().await
}

#[tokio::test]
async fn what_nobody_knows_is_answered_with_success() -> Result<()> {
    let world = World::start().await?;
    for xml in [
        format!(
            "<xml><AppId>{}</AppId><CreateTime>1700000000</CreateTime>\
             <InfoType>of_next_year</InfoType><New><Deep>1</Deep></New></xml>",
            world.component.appid
        ),
        // Authentic, but beyond the bounds of our parser: quarantine, and still `success`.
        format!("<xml><AppId>{}</AppId>{}</xml>", world.component.appid, "<a>".repeat(40)),
        "no xml at all, yet encrypted with the right key".to_owned(),
    ] {
        let outcome = world.emulator.push(&xml).await;
        assert!(outcome.is_accepted(), "{xml}: {outcome:?}");
    }
    world.end().await
}

#[tokio::test]
async fn the_url_check_is_answered_with_its_echo_only_when_signed() -> Result<()> {
    let world = World::start().await?;
    let url = world.events_url();
    let genuine = RawPush::record(&world.emulator, &url, &world.ticket_xml("t")).await?;
    let (signature, timestamp, nonce) = (
        genuine.parameter("signature"),
        genuine.parameter("timestamp"),
        genuine.parameter("nonce"),
    );
    let get = async |signature: &str| -> Result<Answer> {
        let query =
            format!("signature={signature}&timestamp={timestamp}&nonce={nonce}&echostr=e%2B1");
        let request = lingpai_tests::people::http_client().get(format!("{url}?{query}"));
        Answer::read(request.send().await?).await
    };
    let answer = get(&signature).await?.expect(StatusCode::OK)?;
    assert_eq!(answer.text, "e+1");
    assert_eq!(get(&"0".repeat(40)).await?.status, StatusCode::FORBIDDEN);
    world.end().await
}
