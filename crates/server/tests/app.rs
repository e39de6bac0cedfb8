//! The whole service in one process, over HTTP.

use std::{ffi::OsString, sync::Arc};

use lingpai_model::clock::{Entropy, SharedClock, SystemClock};
use lingpai_server::{
    app::App,
    settings::{Settings, Sources},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

#[tokio::test]
async fn the_service_starts_on_an_empty_folder_answers_and_stops() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/lingpai.db", folder.path().display());
    let environment = vec![("LINGPAI_DATABASE__URL".into(), OsString::from(url))];
    let settings = Settings::load(&Sources { file: None, environment }).expect("they are fine");
    let clock: SharedClock = Arc::new(SystemClock);
    let app = App::build(settings, clock, Entropy::system()).await.expect("it can be built");
    let crank = app.crank();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let stop = CancellationToken::new();
    let serving = TaskTracker::new().spawn(app.serve(listener, stop.clone()));

    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/v1/authorizers").await.starts_with("HTTP/1.1 401"));
    assert!(get(address, "/metrics").await.contains("lingpai_http_requests_total"));
    assert_eq!(crank.turn().await.expect("the database is there"), 0);

    stop.cancel();
    serving.await.expect("serving ends by itself");
    assert!(TcpStream::connect(address).await.is_err());
}
