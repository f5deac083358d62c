//! Accepting connections: a loop of our own, so that the number of sockets is bounded before
//! anything is read from them, and so that a WebSocket leaves hyper as the bare TCP stream.

mod patience;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hansard_protocol::http::ErrorResponse;
use hansard_protocol::{ErrorBody, ErrorCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use crate::admission::{Admission, Admitted};
use crate::metrics;
use crate::turnstile::{hint_ms, spread};

pub(crate) use self::patience::Patient;

/// How long the head of a request may take, the wait for the next on a kept connection included.
const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// How long the other side of an answer may take nothing of it.
const TAKE_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a request's head; also what one connection may buffer.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// Pause after the system could not accept: it is out of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Refusals that are told at once; more connections are closed without a word.
const REFUSALS_MAX: usize = 128;
/// How long a refusal may take.
const REFUSE_WITHIN: Duration = Duration::from_secs(1);
/// When to try again after a refusal: how long a place takes to be free is not known, so those who
/// were refused are spread over this.
const RETRY_FROM: Duration = Duration::from_secs(2);
const RETRY_TO: Duration = Duration::from_secs(10);

/// One listener: what it serves, and to how many.
pub(crate) struct Door {
    /// The socket.
    pub(crate) listener: TcpListener,
    /// The routes.
    pub(crate) router: Router,
    /// The bounds.
    pub(crate) admission: Arc<Admission>,
    /// The tasks of its connections; upgraded ones are somebody else's.
    pub(crate) connections: TaskTracker,
}

impl Door {
    /// Accepts until `stop`; requests that are under way then are answered, and their connections
    /// closed.
    pub(crate) async fn accept(self, stop: CancellationToken) {
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let mut refused = 0_u64;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if !self.open(stream, peer, &refusals, refused, &stop) {
                refused = refused.wrapping_add(1);
            }
        }
    }

    /// `false`: the connection was refused; `refused` were before it.
    fn open(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        refusals: &Arc<Semaphore>,
        refused: u64,
        stop: &CancellationToken,
    ) -> bool {
        match self.admission.admit(peer.ip()) {
            Ok(admitted) => {
                // Frames are small and must not wait for each other.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "the connection is gone already");
                    return true;
                }
                let connection = serve(stream, admitted, self.router.clone(), stop.clone());
                self.connections.spawn(connection);
                true
            }
            Err(reason) => {
                metrics::connection_refused(reason);
                if let Ok(place) = refusals.clone().try_acquire_owned() {
                    let hint = spread(RETRY_FROM, RETRY_TO, refused);
                    self.connections.spawn(async move {
                        // Who does not take the refusal in time is simply cut off.
                        let _ = tokio::time::timeout(REFUSE_WITHIN, refuse(stream, hint)).await;
                        drop(place);
                    });
                }
                false
            }
        }
    }
}

/// Serves HTTP on a connection until it ends or becomes a WebSocket.
async fn serve(
    stream: TcpStream,
    admitted: Arc<Admitted>,
    router: Router,
    stop: CancellationToken,
) {
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(admitted.clone());
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(BUFFER_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(Patient::new(stream, TAKE_WITHIN)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients leave without a word all the time.
        tracing::debug!(%error, "connection ended");
    }
}

/// Tells a client that there is no place, in HTTP, whatever it asks.
async fn refuse(mut stream: TcpStream, hint: Duration) -> std::io::Result<()> {
    let hint_ms = hint_ms(hint);
    let error = ErrorBody::new(ErrorCode::Overloaded, "too many connections").after_ms(hint_ms);
    let body = serde_json::to_string(&ErrorResponse { error })?;
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nretry-after: {}\r\nconnection: close\r\n\r\n",
        body.len(),
        hint_ms.div_ceil(1_000),
    );
    // The request is read first: closing with unread bytes would reset the connection, and the
    // client would not see the answer.
    let mut discarded = [0; 1024];
    let _ = stream.read(&mut discarded).await?;
    // In one: a client of WebSocket looks for the body in what came with the head, and there alone.
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}
