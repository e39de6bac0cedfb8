//! HTTP/2, spoken frame by frame.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{GET, Limits, Peer, SHORT, Served, limits, served};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// GET and http, as HPACK has them in its table.
const GET_HTTP: [u8; 2] = [0x82, 0x86];
/// An authority of "x".
const AUTHORITY: [u8; 3] = [0x41, 1, b'x'];
/// The path "/", as HPACK has it in its table.
const ROOT: [u8; 1] = [0x84];
/// The path "/gate", spelt out.
const GATE: [u8; 7] = [0x04, 5, b'/', b'g', b'a', b't', b'e'];

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("frames here are short");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// One whole request without a body.
fn request(stream: u8, path: &[u8]) -> Vec<u8> {
    let end_of_headers_and_stream = 5;
    frame(HEADERS, end_of_headers_and_stream, stream, &[&GET_HTTP, path, &AUTHORITY].concat())
}

/// A connection of HTTP/2, its preface sent.
async fn connect(served: &Served) -> Peer {
    let mut peer = Peer::connect(served).await;
    peer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    peer.0.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("it is open");
    peer
}

/// The next frame's type and stream; `None` at the end of the connection.
async fn next_frame(peer: &mut Peer) -> Option<(u8, u8)> {
    let mut head = [0; 9];
    peer.0.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
    peer.0.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[8]))
}

#[tokio::test]
async fn a_request_is_served_and_an_idle_connection_is_told_goodbye() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT, ..limits() };
    let served = served(limits).await;
    let mut peer = connect(&served).await;
    peer.0.write_all(&request(1, &ROOT)).await.expect("it is open");
    let mut kinds = Vec::new();
    while let Some((kind, _)) = next_frame(&mut peer).await {
        kinds.push(kind);
    }
    assert!(kinds.contains(&HEADERS), "{kinds:?}");
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
}

#[tokio::test]
async fn pings_do_not_keep_an_idle_connection_open() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT, ..limits() };
    let served = served(limits).await;
    let mut peer = connect(&served).await;
    peer.0.write_all(&request(1, &ROOT)).await.expect("it is open");
    let pinging_until_closed = async {
        while peer.0.write_all(&frame(PING, 0, 0, &[0; 8])).await.is_ok() {
            loop {
                match next_frame(&mut peer).await {
                    Some((PING, _)) => break,
                    Some(_) => {}
                    None => return,
                }
            }
        }
    };
    let many_idle_times = async {
        for _ in 0..20 {
            let mut idle = Peer::connect(&served).await;
            idle.send(GET).await;
            idle.rest().await;
        }
    };
    tokio::select! {
        () = pinging_until_closed => {}
        () = many_idle_times => panic!("others came and went meanwhile"),
    }
}

#[tokio::test]
async fn one_connection_runs_no_more_than_sixteen_requests() {
    let served = served(limits()).await;
    let mut peer = connect(&served).await;
    let streams = (0..17).map(|number| 2 * number + 1);
    let requests: Vec<u8> = streams.flat_map(|stream| request(stream, &GATE)).collect();
    peer.0.write_all(&requests).await.expect("it is open");
    let refused = loop {
        match next_frame(&mut peer).await.expect("the connection stays open") {
            (RST_STREAM, stream) => break stream,
            (HEADERS, stream) => panic!("stream {stream} was answered before the gate opened"),
            _ => {}
        }
    };
    assert_eq!(refused, 33, "the seventeenth");
}
