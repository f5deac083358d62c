//! Requests and answers of any length, each on a connection of its own, which ends with it.

use std::time::Duration;

use bytes::Bytes;
use http::request::Builder;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::http::{Http, HttpError, Refused};

/// Bytes of an error's text.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// An answer whose bytes stay away so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Connecting, and the handshake, may take so long.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// An answer whose body is still to come. The connection ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl Streamed {
    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            match frame.map_err(|_| HttpError::TimedOut)? {
                None => return Ok(None),
                Some(Err(error)) => return Err(HttpError::Body(Box::new(error))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The answer if it is a success, else what the server says instead.
    pub(crate) async fn accepted(self) -> Result<Self, HttpError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let status = self.status.as_u16();
        let read = Limited::new(self.body, ERROR_BYTES_MAX).collect();
        let text = match tokio::time::timeout(SILENCE_MAX, read).await {
            Ok(Ok(text)) => text.to_bytes(),
            Ok(Err(_)) | Err(_) => return Err(HttpError::Foreign(status)),
        };
        match serde_json::from_slice::<Refused>(&text) {
            Ok(refused) => Err(HttpError::Refused(refused.error)),
            Err(_) => Err(HttpError::Foreign(status)),
        }
    }
}

impl Http {
    /// The beginning of a request in the name of the session.
    pub(crate) fn begin(&self, method: Method, path: &str) -> Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.gateway.authority());
        if let Some(token) = self.token() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request
    }

    /// Sends a request and waits for the head of its answer, for as long as the caller likes.
    pub(crate) async fn stream<B>(&self, request: Request<B>) -> Result<Streamed, HttpError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let connect = async {
            let endpoint = self.gateway.endpoint();
            let stream = TcpStream::connect(endpoint).await.map_err(HttpError::Connect)?;
            stream.set_nodelay(true).map_err(HttpError::Connect)?;
            http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Transport)
        };
        let (mut sender, connection) =
            tokio::time::timeout(CONNECT_MAX, connect).await.map_err(|_| HttpError::TimedOut)??;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // What went wrong is told to whoever waits for the answer.
            let _ = connection.await;
        }));
        let answer: Response<Incoming> =
            sender.send_request(request).await.map_err(HttpError::Transport)?;
        let (head, body) = answer.into_parts();
        Ok(Streamed { status: head.status, headers: head.headers, body, _connection: connection })
    }
}
