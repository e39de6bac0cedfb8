//! Pushes: prepared before the clock starts, then sent to whoever is measured.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use lingpai_emulator::{Emulator, EmulatorConfig};
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

/// Has the emulator seal and push `count` messages, no two alike, and gives the requests as they
/// were on the wire.
///
/// Their InfoType is unknown, so that lingpai verifies, decrypts, parses, seals and stores each of
/// them and does no more: what it does later with the ones it knows is not part of the answer.
///
/// # Errors
/// When a push does not come.
pub(crate) async fn prepare(count: usize) -> Result<Requests> {
    let emulator = Arc::new(Emulator::start(EmulatorConfig::for_tests()).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let appid = component().appid;
    let address = listener.local_addr()?;
    emulator.set_events_url(&format!("http://{address}/wechat/components/{appid}/events"));
    let recorded = Recorded::default();
    let mut recorder = JoinSet::new();
    recorder.spawn(record(listener, Arc::clone(&recorded)));
    let mut pushers = JoinSet::new();
    for first in 0..AT_A_TIME {
        let (emulator, appid) = (Arc::clone(&emulator), appid.clone());
        pushers.spawn(async move {
            for number in (first..count).step_by(AT_A_TIME) {
                let outcome = emulator.push(&message(&appid, number)).await;
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

fn message(appid: &str, number: usize) -> String {
    format!(
        "<xml><AppId><![CDATA[{appid}]]></AppId><CreateTime>1700000000</CreateTime>\
         <InfoType><![CDATA[benchmark_sample]]></InfoType>\
         <AuthorizerAppid><![CDATA[wx{number:016x}]]></AuthorizerAppid>\
         <Note><![CDATA[as long as a verify ticket, which is some eighty characters of text]]></Note>\
         </xml>"
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
