//! One connection from its first byte to its last.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response, Version,
    body::{Body as AnyBody, Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use poem::{
    Body, Endpoint, Request as PoemRequest,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{net::TcpStream, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    Limits,
    body::{CountedBody, PatientBody},
    phase::{BodyPresence, Framing, Patience, Phase, Reason},
    socket::ObservedSocket,
};

/// The largest request header, and the most that is buffered of an answer.
const BUFFER_BYTES: usize = 64 * 1024;

/// How many requests one HTTP/2 connection may run at a time. Limits on connections are limits on
/// requests and memory only while this is small.
const MAX_STREAMS: u32 = 16;

/// What all connections of a listener share.
pub(super) struct Connections<E> {
    endpoint: Arc<E>,
    builder: auto::Builder<TokioExecutor>,
    patience: Patience,
    body_timeout: Duration,
    /// Finish what runs, take nothing new.
    pub(super) stop: CancellationToken,
    /// End at once.
    pub(super) kill: CancellationToken,
}

impl<E: Endpoint + 'static> Connections<E> {
    pub(super) fn new(endpoint: E, limits: &Limits, stop: CancellationToken) -> Arc<Self> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(limits.max_headers)
            .max_buf_size(BUFFER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(BUFFER_BYTES)
            .max_header_list_size(u32::try_from(BUFFER_BYTES).expect("64 KiB fit"))
            .keep_alive_interval(limits.idle_timeout);
        Arc::new(Self {
            endpoint: Arc::new(endpoint),
            builder,
            patience: Patience { header: limits.header_timeout, idle: limits.idle_timeout },
            body_timeout: limits.body_timeout,
            stop,
            kill: CancellationToken::new(),
        })
    }

    /// Serves `stream` until it ends, its time is up, or the server stops.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        let phase = Phase::new(self.patience);
        let service = service_fn(|request| {
            let (server, phase) = (Arc::clone(&self), Arc::clone(&phase));
            async move { Ok::<_, Infallible>(server.answer(request, local, peer, phase).await) }
        });
        let io = TokioIo::new(ObservedSocket::new(stream, Arc::clone(&phase)));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let mut timer = pin!(sleep_until(tokio::time::Instant::now() + self.patience.header));
        let mut stopping = false;
        loop {
            let judge = tokio::select! {
                biased;
                // How a connection broke is the peer's business; requests that failed were logged.
                _ = connection.as_mut() => return,
                () = self.kill.cancelled() => return,
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                () = phase.nearer() => phase.judge(),
                () = timer.as_mut() => phase.judge(),
            };
            match judge {
                Ok(next) => timer.as_mut().reset(next),
                // HTTP/2 is told first that no further request will be taken.
                Err(Reason::Idle) if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                    timer.as_mut().reset(tokio::time::Instant::now() + self.patience.header);
                }
                Err(reason) => {
                    tracing::debug!(reason = reason.as_str(), "connection of {peer} closed");
                    return;
                }
            }
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        local: SocketAddr,
        peer: SocketAddr,
        phase: Arc<Phase>,
    ) -> Response<CountedBody<impl AnyBody<Data = Bytes, Error = io::Error> + Unpin + use<E>>> {
        let framing = match request.version() {
            Version::HTTP_2 => Framing::Multiplexed,
            _ => Framing::Serial,
        };
        let body = if request.body().is_end_stream() {
            BodyPresence::Absent
        } else {
            BodyPresence::Follows
        };
        let running = phase.begin(framing, body);
        let (local, peer) = (LocalAddr(local.into()), RemoteAddr(peer.into()));
        let mut request = PoemRequest::from((request, local, peer, Scheme::HTTP));
        if body == BodyPresence::Follows {
            let bytes = request.take_body().into_bytes_stream();
            let patient = PatientBody::new(bytes, self.body_timeout, phase);
            request.set_body(Body::from_bytes_stream(patient));
        }
        let response = Response::from(self.endpoint.get_response(request).await);
        response.map(|body| CountedBody::new(body, running))
    }
}
