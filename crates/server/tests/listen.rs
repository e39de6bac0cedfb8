//! `lingpai listen` against a lingpai that the test plays.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A message as the stream tells it.
const MESSAGE: &str = r#"{"id":"evt_01ARZ3NDEKTSV4RRFFQ69G5FAV","type":"message.text",
    "timestamp":"2026-11-20T00:00:00.000Z","data":{"component_appid":null,
    "authorizer_appid":"wx0000000000000001","message":{"FromUserName":"o1"},
    "raw":"<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>hi</Content><MsgId>1</MsgId></xml>"}}"#;

/// An event of our own.
const OURS: &str = r#"{"id":"evt_01ARZ3NDEKTSV4RRFFQ69G5FAW","type":"authorizer.authorized",
    "timestamp":"2026-11-20T00:00:00.000Z","data":{"component_appid":null,
    "authorizer_appid":"wx0000000000000001","detail":null}}"#;

/// Another lingpai.
struct Server {
    listener: TcpListener,
}

impl Server {
    fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port") }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("an address"))
    }

    /// The next request: its head, its body, and where the answer goes.
    fn next(&self) -> (String, String, TcpStream) {
        let (socket, _) = self.listener.accept().expect("a connection");
        let mut reader = BufReader::new(socket.try_clone().expect("one more handle"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("a line") > 0, "it hung up");
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
        });
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        (head, String::from_utf8(body).expect("text"), socket)
    }

    /// Answers the next request in full, and tells its head.
    fn answer(&self, status: &str, body: &str) -> String {
        let (head, _, mut socket) = self.next();
        let length = body.len();
        write!(
            socket,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .expect("it listens");
        head
    }

    /// Opens the stream that is asked for next with these events on it; tells the request's head.
    fn stream(&self, events: &[&str]) -> (String, TcpStream) {
        let (head, _, mut socket) = self.next();
        let begin = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
        socket.write_all(begin).expect("it listens");
        for event in events {
            let event = event.replace('\n', "");
            let (_, id) = event.split_once("\"id\":\"").expect("an id");
            let id = &id[..30];
            write!(socket, "id: {id}\ndata: {event}\n\n").expect("it listens");
        }
        (head, socket)
    }
}

/// The command, ended also when a test fails.
struct Listening {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Listening {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        Self::start_with(server, arguments, &[])
    }

    fn start_with(server: &Server, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lingpai"))
            .arg("listen")
            .args(arguments)
            .env_clear()
            .env("LINGPAI_LISTEN__SERVER", server.url())
            .env("LINGPAI_LISTEN__KEY", "lpk_key")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line");
        line
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn who_only_looks_on_keeps_nobody_waiting() {
    let server = Server::start();
    let mut listening = Listening::start(&server, &[]);
    let (head, _open) = server.stream(&[MESSAGE]);
    assert!(!head.contains("replying"), "{head}");
    assert!(listening.line().contains("are shown"));
    assert!(listening.line().contains("message.text"));
}

#[test]
fn a_handler_that_fails_keeps_nobody_waiting_either() {
    let server = Server::start();
    // Nobody listens there.
    let mut listening = Listening::start(&server, &["--forward", "http://127.0.0.1:1/"]);
    let (head, _open) = server.stream(&[OURS, MESSAGE]);
    assert!(head.contains("replying=true"), "{head}");
    let manner = listening.line();
    assert!(manner.contains("plain") && manner.contains("\"lingpai\""), "{manner}");
    let (head, body, mut socket) = server.next();
    assert!(head.starts_with("POST /v1/events/evt_01ARZ3NDEKTSV4RRFFQ69G5FAV/reply "), "{head}");
    assert_eq!(body, "{}", "an empty reply, at once");
    let taken = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    socket.write_all(taken).expect("it listens");
    let mut told = [listening.line(), listening.line()];
    told.sort_unstable();
    assert!(told[0].contains("no connection could be made"), "{told:?}");
    assert!(told[1].contains("is not forwarded"), "{told:?}");
}

#[test]
fn a_handlers_own_token_is_not_shown() {
    let server = Server::start();
    let own = [("LINGPAI_LISTEN__TOKEN", "canarytoken")];
    let mut listening = Listening::start_with(&server, &["--forward", "http://127.0.0.1:1/"], &own);
    server.answer("401 Unauthorized", "{}");
    let mut told = String::new();
    listening.out.read_to_string(&mut told).expect("text");
    assert!(told.contains("listen.token") && !told.contains("canarytoken"), "{told}");
}

#[test]
fn it_goes_on_where_the_other_side_is_busy_and_ends_where_the_key_is_wrong() {
    let server = Server::start();
    let mut listening = Listening::start(&server, &[]);
    server.answer("503 Service Unavailable", r#"{"detail":"it restarts"}"#);
    let (_, open) = server.stream(&[MESSAGE]);
    assert!(listening.line().contains("are shown"));
    assert!(listening.line().contains("it restarts"));
    assert!(listening.line().contains("message.text"));
    drop(open);
    let head = server.answer("401 Unauthorized", r#"{"detail":"no valid key"}"#);
    assert!(head.contains("evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"), "it went on behind the last: {head}");
    let ended = listening.child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(1));
    let mut why = String::new();
    let mut errors = listening.child.stderr.take().expect("it is piped");
    errors.read_to_string(&mut why).expect("text");
    assert!(why.contains("no valid key"), "{why}");
}
