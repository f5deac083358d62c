//! Stands before a server: lets so many bytes through to it, and then holds what comes, so that a
//! test may do its worst at exactly that byte.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What may go through, in one direction.
#[derive(Clone, Copy)]
struct Budget {
    /// Bytes that may still pass; `None`: all that come.
    left: Option<u64>,
    /// A connection of an earlier one ends when it is held.
    round: u64,
}

/// One direction.
#[derive(Clone)]
pub(super) struct Way(Arc<watch::Sender<Budget>>);

impl Way {
    fn open_to_all() -> Self {
        Self(Arc::new(watch::Sender::new(Budget { left: None, round: 0 })))
    }

    /// Lets so many more bytes through, then none.
    pub(super) fn let_through(&self, bytes: u64) {
        self.0.send_modify(|budget| budget.left = Some(bytes));
    }

    /// Waits until they have passed.
    pub(super) async fn reached(&self) {
        let mut budget = self.0.subscribe();
        budget.wait_for(|budget| budget.left == Some(0)).await.unwrap();
    }

    fn open(&self) {
        self.0.send_modify(|budget| {
            *budget = Budget { left: None, round: budget.round + 1 };
        });
    }
}

/// The gate; it closes when dropped.
pub(super) struct Gate {
    pub(super) address: SocketAddr,
    /// From the client to the server.
    pub(super) up: Way,
    /// From the server to the client.
    pub(super) down: Way,
    listener: AbortHandle,
}

impl Gate {
    /// Lets everything through to the server.
    pub(super) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (up, down) = (Way::open_to_all(), Way::open_to_all());
        let ways = (up.clone(), down.clone());
        let accept = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, ways.clone()));
            }
        };
        let listener = tokio::spawn(accept).abort_handle();
        Self { address, up, down, listener }
    }

    /// Ends the connections that are held, and lets everything through again.
    pub(super) fn open(&self) {
        self.up.open();
        self.down.open();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// When one side ends, the other does: a held connection is cut.
async fn relay(client: TcpStream, server: SocketAddr, (up, down): (Way, Way)) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = pump(from_client, to_server, &up.0) => {}
        _ = pump(from_server, to_client, &down.0) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    budget: &watch::Sender<Budget>,
) -> Option<Infallible> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        let mut sent = 0;
        while sent < read {
            let pass = pass(budget, read - sent).await?;
            to.write_all(&buffer[sent..sent + pass]).await.ok()?;
            sent += pass;
        }
    }
}

/// How many of these bytes may pass now; waits while none may; `None` when the connection is cut.
async fn pass(budget: &watch::Sender<Budget>, wanted: usize) -> Option<usize> {
    let mut seen = budget.subscribe();
    let round = seen.borrow().round;
    loop {
        let mut granted = 0;
        budget.send_if_modified(|budget| {
            let most = budget.left.map_or(wanted, |left| usize::try_from(left).unwrap_or(wanted));
            granted = wanted.min(most);
            if let Some(left) = &mut budget.left {
                *left -= granted as u64;
            }
            granted > 0 && budget.left.is_some()
        });
        if granted > 0 {
            return Some(granted);
        }
        seen.changed().await.ok()?;
        if seen.borrow_and_update().round != round {
            return None;
        }
    }
}
