//! Stands before a server: lets so many bytes through to it, and then holds what comes, so that a
//! test may do its worst at exactly that byte.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What may go through.
#[derive(Clone, Copy)]
struct Budget {
    /// Bytes to the server that may still pass; `None`: all that come.
    left: Option<u64>,
    /// A connection of an earlier one ends when it is held.
    round: u64,
}

/// The gate; it closes when dropped.
pub(super) struct Gate {
    pub(super) address: SocketAddr,
    budget: Arc<watch::Sender<Budget>>,
    listener: AbortHandle,
}

impl Gate {
    /// Lets everything through to the server.
    pub(super) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let budget = Arc::new(watch::Sender::new(Budget { left: None, round: 0 }));
        let shared = Arc::clone(&budget);
        let accept = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, Arc::clone(&shared)));
            }
        };
        let listener = tokio::spawn(accept).abort_handle();
        Self { address, budget, listener }
    }

    /// Lets so many more bytes through, then none.
    pub(super) fn let_through(&self, bytes: u64) {
        self.budget.send_modify(|budget| budget.left = Some(bytes));
    }

    /// Waits until they have passed.
    pub(super) async fn reached(&self) {
        let mut budget = self.budget.subscribe();
        budget.wait_for(|budget| budget.left == Some(0)).await.unwrap();
    }

    /// Ends the connections that are held, and lets everything through again.
    pub(super) fn open(&self) {
        self.budget.send_modify(|budget| {
            *budget = Budget { left: None, round: budget.round + 1 };
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn relay(client: TcpStream, server: SocketAddr, budget: Arc<watch::Sender<Budget>>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
            let mut sent = 0;
            while sent < read {
                let pass = pass(&budget, read - sent).await?;
                to_server.write_all(&buffer[sent..sent + pass]).await.ok()?;
                sent += pass;
            }
        }
        #[expect(unreachable_code, reason = "it says of what type the end is")]
        Some(())
    };
    let down = async { tokio::io::copy(&mut from_server, &mut to_client).await.ok() };
    // When one side ends, the other does: a held connection is cut.
    tokio::select! {
        _ = up => {}
        _ = down => {}
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
