//! Accepting connections of gateways.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::lingering::Lingering;

/// Connections at a time: gateways have one for each request under way, and some to spare.
const CONNECTIONS_MAX: usize = 1_024;
/// How long the head of a request may take, and how long a connection may wait for one.
const HEAD_WITHIN: Duration = Duration::from_secs(60);
/// Bytes that a connection reads ahead.
const BUFFER_BYTES_MAX: usize = 128 * 1024;
/// When accepting fails, the reason seldom passes at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers may take to leave after a stop was asked for.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// The connection that a request came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection(CancellationToken);

impl Connection {
    /// Ends it, in the middle of whatever it carries: a reader who takes nothing cannot be told
    /// anything.
    pub(super) fn end(&self) {
        self.0.cancel();
    }

    #[cfg(test)]
    pub(super) fn has_ended(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// Serves until `stop`; requests under way are then answered, for a while.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let connection = connection(stream, router.clone(), stop.clone());
        connections.spawn(async move {
            let _place = place;
            connection.await;
        });
    }
    connections.close();
    if tokio::time::timeout(LEAVE_WITHIN, connections.wait()).await.is_err() {
        tracing::warn!("connections were cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    // It is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone already");
        return;
    }
    let this = Connection::default();
    let ended = this.0.clone();
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(this.clone());
        router.clone().call(request.map(|body| Body::new(Lingering::new(body))))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(BUFFER_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = async {
        tokio::select! {
            served = connection.as_mut() => served,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    tokio::select! {
        served = served => if let Err(error) = served {
            // Clients leave in the middle all the time.
            tracing::debug!(%error, "connection ended");
        },
        () = ended.cancelled() => tracing::debug!("connection cut off"),
    }
}
