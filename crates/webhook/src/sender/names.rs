//! How names become addresses, and which of them are handed to the transport.
//!
//! The transport resolves a name once for each connection, through [`Guard`], and connects to nothing
//! but what the guard lets through: a name that answers differently the next time gains nothing.
//! Hosts that are addresses never get here; they are judged with their URL.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::reach::Reach;

/// How many names the operating system is asked for at once. Asking cannot be broken off, and takes a
/// thread of those that everybody shares, for as long as a name server is silent.
const LOOKUPS: usize = 64;

/// Resolves names. In production this is [`SystemNames`]; tests bring names of their own.
pub trait Names: fmt::Debug + Send + Sync + 'static {
    /// All addresses of `host`.
    fn lookup<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The names that the operating system knows. Clones share how many are asked for at once.
#[derive(Debug, Clone)]
pub struct SystemNames {
    lookups: Arc<Semaphore>,
}

impl Default for SystemNames {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Names for SystemNames {
    fn lookup<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(apart(&self.lookups, move || {
            let found = (host.as_str(), 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        }))
    }
}

/// Does `work` on a thread that may stand still. Its seat is taken until the work is done, also when
/// nobody waits for it any more.
async fn apart<T: Send + 'static>(
    seats: &Arc<Semaphore>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(io::Error::other)?;
    let done = spawn_blocking(move || {
        let done = work();
        drop(seat);
        done
    });
    done.await.map_err(io::Error::other)?
}

/// The name has no address.
#[derive(Debug, thiserror::Error)]
#[error("the host's name does not resolve: {cause}")]
pub(super) struct Unresolved {
    cause: String,
}

/// Hands on the addresses of a name if every single one of them may be reached.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) names: Arc<dyn Names>,
    pub(super) reach: Reach,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, reach) = (self.names.clone(), self.reach.clone());
        Box::pin(async move { admitted(&*names, &reach, name.as_str()).await })
    }
}

/// Security invariant: one address that may not be reached refuses the name. Otherwise whoever owns
/// the name would choose, by the order of his answers, which of them is tried.
async fn admitted(
    names: &dyn Names,
    reach: &Reach,
    host: &str,
) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let found = names.lookup(host).await;
    let found = found.map_err(|error| Unresolved { cause: error.to_string() })?;
    if found.is_empty() {
        return Err(Unresolved { cause: "it has no address".to_owned() }.into());
    }
    for address in &found {
        reach.judge(*address)?;
    }
    Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_name_server_that_is_silent_keeps_its_seat_though_nobody_waits() {
        let seats = Arc::new(Semaphore::new(1));
        let (answer, answered) = mpsc::channel::<()>();
        let mut stuck = Box::pin(apart(&seats, move || answered.recv().map_err(io::Error::other)));
        assert!((&mut stuck).now_or_never().is_none(), "it waits for the answer");
        drop(stuck);
        let mut next = Box::pin(apart(&seats, || Ok(7)));
        assert!((&mut next).now_or_never().is_none(), "the only seat is taken");
        answer.send(()).expect("the thread still waits");
        assert_eq!(next.await.expect("the seat is free"), 7);
    }
}
