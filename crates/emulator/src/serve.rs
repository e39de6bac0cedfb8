//! The listening side: one listener for all three hosts.
//!
//! A loop of our own over hyper instead of poem's server, for two reasons: it can cut a connection
//! without answering, and it sends small packets at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint as _, EndpointExt as _, Request, Response, Route, get, post};
use tokio::net::{TcpListener, TcpStream};

use crate::world::World;
use crate::{control, fan_pages, gateway, js_sdk, pages};

/// Marks a response that must not be sent.
#[derive(Clone)]
struct Cut;

/// A response that cuts the connection without an answer.
pub(crate) fn cut() -> Response {
    Response::builder().extension(Cut).finish()
}

/// Opens the listener.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) async fn listen(at: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}"))
}

/// Serves until the world stops. Connections that are still open then are cut.
pub(crate) async fn run(listener: TcpListener, world: Arc<World>) {
    let app: Arc<BoxEndpoint<'static, Response>> = Arc::new(app(&world));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = world.stop.cancelled() => return,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (app, stop) = (Arc::clone(&app), world.stop.clone());
        world.tasks.spawn(async move {
            tokio::select! {
                () = connection(stream, peer, app) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

fn app(world: &Arc<World>) -> BoxEndpoint<'static, Response> {
    Route::new()
        .at("/cgi-bin/componentloginpage", get(pages::pc))
        .at("/wxaopen/safe/bindcomponent", get(pages::mobile))
        .at("/safe/bindcomponent", get(pages::mobile))
        .at("/emulator/consent", post(pages::give_consent))
        .at(fan_pages::PATH, get(fan_pages::show).post(fan_pages::decide))
        .at("/open/js/jweixin-1.6.0.js", get(js_sdk::script))
        .at("/open/js/verify", get(js_sdk::verify))
        .nest("/control", control::routes())
        .nest("/_emulator", control::api_routes())
        .at("/*path", gateway::call)
        .data(Arc::clone(world))
        .map_to_response()
        .boxed()
}

async fn connection(stream: TcpStream, peer: SocketAddr, app: Arc<BoxEndpoint<'static, Response>>) {
    // Only a hint: without it small answers may wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().map(Addr::from).unwrap_or_default();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (app, local) = (Arc::clone(&app), local.clone());
        async move {
            let peer = RemoteAddr(Addr::from(peer));
            let request = Request::from((request, LocalAddr(local), peer, Scheme::HTTP));
            let response = app.get_response(request).await;
            if response.extensions().get::<Cut>().is_some() {
                return Err(std::io::Error::other("cut on purpose"));
            }
            Ok(hyper::Response::from(response))
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // How a connection ends, cut ones included, is of no interest here.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
