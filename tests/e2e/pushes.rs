//! Pushes that do not verify, and pushes that nobody knows.

use anyhow::Result;
use lingpai_tests::{
    people::Answer,
    recorder::RawPush,
    seals::Seals,
    world::{ORDERS, SHOP, World},
};
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

fn messages_url(world: &World, appid: &str) -> String {
    format!("{}wechat/components/{}/authorizers/{appid}/events", world.base, world.component.appid)
}

/// A genuine message to 令牌小店.
fn message(world: &World, content: &str) -> Result<RawPush> {
    let xml = world.text(content).to("gh_0a1b2c3d4e5f");
    let sealed = Seals::of(&world.component)?.push("gh_0a1b2c3d4e5f", &xml, world.wechat_secs());
    Ok(RawPush { query: sealed.query, body: sealed.body })
}

#[tokio::test]
async fn a_message_that_does_not_verify_gets_the_same_answer_wherever_it_goes() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.authorize(&tenant, ORDERS).await?;
    let url = messages_url(&world, SHOP);
    let genuine = message(&world, "genuine")?;
    let signature = genuine.parameter("msg_signature");
    let flipped = if signature.starts_with('0') { "1" } else { "0" };
    let own = message(&world, "in clear")?;
    let mut answers = Vec::new();
    for push in [
        genuine.clone().with_query(&signature, &format!("{flipped}{}", &signature[1..])),
        genuine.clone().with_query("timestamp=", "timestamp=1"),
        genuine.clone().with_query("encrypt_type=aes", "encrypt_type=raw"),
        RawPush { body: genuine.body.replace("<Encrypt>", "<Encrypt>A"), ..genuine.clone() },
        RawPush { body: world.text("x").to("gh_0a1b2c3d4e5f"), ..own.clone() },
        RawPush { body: own.body, ..genuine.clone() },
        RawPush { body: "x".repeat(300 * 1024), ..genuine.clone() },
        RawPush { body: String::new(), query: String::new() },
    ] {
        answers.push(what_was_said(&push.send(&url).await?));
    }
    // Genuine, but not at this address.
    answers.push(what_was_said(&genuine.send(&messages_url(&world, ORDERS)).await?));
    let elsewhere = url.replace(&world.component.appid, "wx0000000000000000");
    answers.push(what_was_said(&genuine.send(&elsewhere).await?));
    answers.push(what_was_said(&genuine.send(&messages_url(&world, "wx%00")).await?));
    let own_route = format!("{}wechat/authorizers/{SHOP}/events", world.base);
    answers.push(what_was_said(&genuine.send(&own_route).await?));
    assert_eq!(answers[0].0, StatusCode::FORBIDDEN);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    assert!(tenant.list_all("/v1/events?type=message.*").await?.is_empty());
    let accepted = genuine.send(&url).await?.expect(StatusCode::OK)?;
    assert_eq!(accepted.text, "success");
    // WeChat sends the same again, sealed or not sealed anew.
    genuine.send(&url).await?.expect(StatusCode::OK)?;
    assert_eq!(tenant.list_all("/v1/events?type=message.*").await?.len(), 1);
    world.end().await
}

#[tokio::test]
async fn the_url_check_is_answered_for_messages_too() -> Result<()> {
    let (world, _) = World::with_authorizer().await?;
    let genuine = message(&world, "x")?;
    let get = async |signature: &str| -> Result<Answer> {
        let (timestamp, nonce) = (genuine.parameter("timestamp"), genuine.parameter("nonce"));
        let query = format!("signature={signature}&timestamp={timestamp}&nonce={nonce}&echostr=e1");
        let url = format!("{}?{query}", messages_url(&world, SHOP));
        Answer::read(lingpai_tests::people::http_client().get(url).send().await?).await
    };
    let answer = get(&genuine.parameter("signature")).await?.expect(StatusCode::OK)?;
    assert_eq!(answer.text, "e1");
    assert_eq!(get(&"0".repeat(40)).await?.status, StatusCode::FORBIDDEN);
    world.end().await
}
