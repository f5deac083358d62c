//! Connections that are used again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::gateway::Gateway;
use crate::http::HttpError;

/// Connections kept for the next request.
const IDLE_MAX: usize = 4;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

type Sender = SendRequest<Full<Bytes>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Idle(Arc<Mutex<Vec<Sender>>>);

impl Idle {
    fn take(&self) -> Option<Sender> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        idle.pop()
    }

    /// Ends those that are kept.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn put(&self, sender: Sender) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(sender);
        }
    }
}

/// Sends a request and reads the whole answer. A kept connection that turns out to be dead is
/// replaced once: every write of this interface carries an id, so repeating it is safe.
pub(super) async fn exchange(
    gateway: &Gateway,
    idle: &Idle,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), HttpError> {
    if let Some(sender) = idle.take() {
        match on(sender, idle, request.clone()).await {
            Err(HttpError::Transport(_)) => {}
            outcome => return outcome,
        }
    }
    let stream = TcpStream::connect(gateway.endpoint()).await.map_err(HttpError::Connect)?;
    stream.set_nodelay(true).map_err(HttpError::Connect)?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Transport)?;
    // It ends with its sender, or with the server's end of it.
    tokio::spawn(connection);
    on(sender, idle, request).await
}

async fn on(
    mut sender: Sender,
    idle: &Idle,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), HttpError> {
    sender.ready().await.map_err(HttpError::Transport)?;
    let response = sender.send_request(request).await.map_err(HttpError::Transport)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let answer = body.collect().await.map_err(HttpError::Body)?.to_bytes();
    idle.put(sender);
    Ok((status, answer))
}
