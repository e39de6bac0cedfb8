//! Pushes: prepared before the clock starts, then sent to whoever is measured.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use lingpai_emulator::{Emulator, EmulatorConfig};
use lingpai_tests::world::SHOP;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    load::{Requests, content_length, head_end},
    service::component,
};

/// How many the emulator pushes at a time while they are prepared.
const AT_A_TIME: usize = 16;

type Recorded = Arc<Mutex<Vec<Arc<[u8]>>>>;

/// Has the emulator seal and push `count` texts of fans, no two alike, and gives the requests as they
/// were on the wire.
///
/// # Errors
/// When a push does not come.
pub(crate) async fn prepare(count: usize) -> Result<Requests> {
    let emulator = Arc::new(Emulator::start(EmulatorConfig::for_tests()).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (component, address) = (component().appid, listener.local_addr()?);
    let url = format!("http://{address}/wechat/components/{component}/authorizers/$APPID$/events");
    emulator.set_messages_url(&url);
    let user_name = emulator.account(SHOP).context("the emulator knows the shop")?.user_name;
    let recorded = Recorded::default();
    let mut recorder = JoinSet::new();
    recorder.spawn(record(listener, Arc::clone(&recorded)));
    let mut pushers = JoinSet::new();
    for first in 0..AT_A_TIME {
        let (emulator, user_name) = (Arc::clone(&emulator), user_name.clone());
        pushers.spawn(async move {
            for number in (first..count).step_by(AT_A_TIME) {
                let outcome = emulator.push_message(SHOP, &message(&user_name, number)).await?;
                ensure!(outcome.is_accepted(), "the recorder was not understood: {outcome:?}");
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = pushers.join_next().await {
        ended??;
    }
    let requests = mem::take(&mut *recorded.lock().unwrap_or_else(PoisonError::into_inner));
    ensure!(requests.len() == count, "{} pushes of {count} came", requests.len());
    Ok(Arc::new(requests))
}

fn message(user_name: &str, number: usize) -> String {
    format!(
        "<xml><ToUserName><![CDATA[{user_name}]]></ToUserName>\
         <FromUserName><![CDATA[oLingPai{number:020}]]></FromUserName>\
         <CreateTime>1700000000</CreateTime><MsgType><![CDATA[text]]></MsgType>\
         <Content><![CDATA[请问今天几点打烊?周末也开门吗?]]></Content>\
         <MsgId>{}</MsgId></xml>",
        24_000_000_000_000_000 + number
    )
}

/// Answers pushes as lingpai would, and keeps them.
async fn record(listener: TcpListener, recorded: Recorded) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn(record_connection(stream, Arc::clone(&recorded)));
    }
}

async fn record_connection(mut stream: TcpStream, recorded: Recorded) -> Result<()> {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await? > 0 {
        let Some(end) = head_end(&bytes) else { continue };
        if bytes.len() < end + content_length(&bytes[..end])? {
            continue;
        }
        let request = restated(&mem::take(&mut bytes), end)?;
        recorded.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess").await?;
    }
    Ok(())
}

/// The same request with a short head: whom it was for is not where it goes.
fn restated(request: &[u8], end: usize) -> Result<Arc<[u8]>> {
    let head = std::str::from_utf8(&request[..end])?;
    let target = head.split(' ').nth(1).context("a request has a target")?;
    let body = &request[end..];
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.as_bytes(), body].concat().into())
}
