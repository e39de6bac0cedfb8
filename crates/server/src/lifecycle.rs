//! Serving: from an accepted socket to a drained shutdown.
//!
//! poem's endpoints run under hyper-util here instead of under poem's own server, which sets no
//! header deadline, leaves Nagle's algorithm on, spins when `accept` fails and limits nothing.
//!
//! Stopping goes in this order: no new connections, running requests finish, idle ones close, and
//! what is left after the grace period is cut. Tasks that outlive a request (token refreshes, code
//! exchanges) run on a [`TaskTracker`] that [`crate::app::App`] drains afterwards.
//!
//! [`TaskTracker`]: tokio_util::task::TaskTracker

mod body;
mod connection;
mod notice;
mod phase;
mod seats;
mod socket;

use std::{io, sync::Arc, time::Duration};

use poem::Endpoint;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    connection::Connections,
    notice::Notice,
    seats::{Full, Seats},
};
use crate::{settings::Server, telemetry};

/// How long accepting pauses after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a peer may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte of a header to its end, and from the start to the first byte.
    pub header_timeout: Duration,
    /// From an answer to the next request, and without progress in writing an answer.
    pub idle_timeout: Duration,
    /// Without a byte in the middle of a request body.
    pub body_timeout: Duration,
    /// Headers of one request; more are answered 431.
    pub max_headers: usize,
    /// Open connections; one more is closed at once.
    pub max_connections: usize,
    /// Open connections of one peer; `None`: as many as there are.
    pub max_connections_per_peer: Option<usize>,
    /// How long running requests may go on after the signal to stop.
    pub shutdown_grace: Duration,
}

impl From<&Server> for Limits {
    fn from(server: &Server) -> Self {
        Self {
            header_timeout: server.header_timeout,
            idle_timeout: server.idle_timeout,
            body_timeout: server.body_timeout,
            max_headers: server.max_headers,
            max_connections: server.max_connections,
            max_connections_per_peer: server.max_connections_per_peer,
            shutdown_grace: server.shutdown_grace,
        }
    }
}

/// Serves `endpoint` on `listener` until `stop`, then drains.
///
/// Returns when the last connection is closed, at most [`Limits::shutdown_grace`] after `stop`.
pub async fn serve<E: Endpoint + 'static>(
    listener: TcpListener,
    endpoint: E,
    limits: &Limits,
    stop: CancellationToken,
) {
    let seats = Seats::new(limits.max_connections, limits.max_connections_per_peer);
    let connections = Connections::new(endpoint, limits, stop);
    let tasks = TaskTracker::new();
    accept(listener, &connections, &seats, &tasks).await;
    tasks.close();
    if tokio::time::timeout(limits.shutdown_grace, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "connections are cut: the grace period is over");
        connections.kill.cancel();
        tasks.wait().await;
    }
}

/// Accepts connections until the stop; the listener is closed when this returns.
async fn accept<E: Endpoint + 'static>(
    listener: TcpListener,
    connections: &Arc<Connections<E>>,
    seats: &Arc<Seats>,
    tasks: &TaskTracker,
) {
    let [mut failed, mut house_full, mut peer_full] = <[Notice; 3]>::default();
    loop {
        let accepted = tokio::select! {
            () = connections.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(unsaid) = failed.happened(Instant::now()) {
                    tracing::warn!(%error, unsaid, "cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match seats.take(peer.ip()) {
            Ok(seat) => {
                // A socket that is already broken says so at its first read.
                let _ = stream.set_nodelay(true);
                let connections = Arc::clone(connections);
                tasks.spawn(async move {
                    let _seat = seat;
                    connections.serve(stream, peer).await;
                });
            }
            Err(full) => {
                telemetry::connection_refused(full.as_str());
                let notice = match full {
                    Full::House => &mut house_full,
                    Full::Peer => &mut peer_full,
                };
                if let Some(unsaid) = notice.happened(Instant::now()) {
                    let limit = full.as_str();
                    tracing::warn!(limit, unsaid, "no more connections are taken");
                }
            }
        }
    }
}

/// Cancels `stop` at the first SIGTERM or SIGINT and returns at the second.
///
/// # Errors
/// The signals cannot be listened to.
pub async fn signals(stop: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    for round in 0..2 {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        if round == 0 {
            tracing::info!(signal = name, "stopping: running requests and jobs may finish");
            stop.cancel();
        }
    }
    Ok(())
}
