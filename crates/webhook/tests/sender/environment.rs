//! What the environment says of proxies.

use std::{io, net::TcpListener, process::Command};

use crate::peer::{Peer, answer, post, sender};

/// The name of [`a_peer_is_reached`], by which it is run once more.
const A_PEER_IS_REACHED: &str = "environment::a_peer_is_reached";

#[tokio::test]
async fn a_peer_is_reached() {
    let peer = Peer::start(answer("200 OK", "", b"directly")).await;
    let incoming = post(&sender(), &peer.url()).await.expect("an answer");
    assert_eq!(&*incoming.body, b"directly");
}

#[test]
fn proxies_of_the_environment_are_ignored() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    proxy.set_nonblocking(true).expect("it can wait for nobody");
    let url = format!("http://{}", proxy.local_addr().expect("an address"));
    let mut run = Command::new(std::env::current_exe().expect("this program"));
    run.args(["--exact", A_PEER_IS_REACHED]);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        run.env(name, &url).env(name.to_uppercase(), &url);
    }
    run.env_remove("no_proxy").env_remove("NO_PROXY");
    let output = run.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    let nobody = proxy.accept().expect_err("the proxy was asked");
    assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
}
