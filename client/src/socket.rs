//! A WebSocket to a gateway.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use hansard_protocol::{ErrorCode, SUBPROTOCOL};
use http::{HeaderValue, header};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::update::Loss;

/// Bytes of a frame from the server; an event is far smaller.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// A write that the server does not take for so long ends the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Saying goodbye may take this long.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) struct Socket(Box<WebSocketStream<TcpStream>>);

/// What came in.
pub(crate) enum Received {
    Text(String),
    /// A ping, or anything else that shows that the server lives.
    Sign,
    Closed(Loss),
}

/// Why there is no socket, and what the server said about it.
pub(crate) struct OpenFailure {
    pub(crate) loss: Loss,
    pub(crate) refusal: Option<Box<Refusal>>,
}

#[derive(serde::Deserialize)]
struct Refused {
    error: Refusal,
}

impl From<Error> for OpenFailure {
    fn from(error: Error) -> Self {
        if let Error::Http(response) = &error
            && matches!(response.status().as_u16(), 429 | 503)
        {
            let body = response.body().as_deref().unwrap_or_default();
            let refused: Option<Refused> = serde_json::from_slice(body).ok();
            let refusal = refused.map(|refused| refused.error);
            // What is between may have taken the body.
            let refusal = refusal.or_else(|| of_headers(response)).map(Box::new);
            return Self { loss: Loss::Overloaded, refusal };
        }
        Self { loss: Loss::Unreachable, refusal: None }
    }
}

fn of_headers<T>(response: &http::Response<T>) -> Option<Refusal> {
    let seconds: u64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    let code = match response.status() {
        http::StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
        _ => ErrorCode::Overloaded,
    };
    Some(Refusal {
        code: code.as_str().to_owned(),
        message: response.status().to_string(),
        stored: code.stored(),
        retry: code.retry(),
        retry_after_ms: Some(seconds.saturating_mul(1_000)),
        server_time: None,
        at: None,
        reconnect: None,
    })
}

pub(crate) async fn open(gateway: Gateway) -> Result<Socket, OpenFailure> {
    let stream = TcpStream::connect(gateway.endpoint()).await.map_err(Error::Io)?;
    stream.set_nodelay(true).map_err(Error::Io)?;
    let mut request = format!("ws://{}/v1/ws", gateway.authority()).into_client_request()?;
    request
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let (stream, _) = client_async_with_config(request, stream, Some(config)).await?;
    Ok(Socket(Box::new(stream)))
}

impl Socket {
    /// Waits for what comes next. May be dropped while it waits: nothing is lost.
    pub(crate) async fn receive(&mut self) -> Received {
        read(self.0.next().await)
    }

    /// What is there already.
    pub(crate) fn receive_now(&mut self) -> Option<Received> {
        self.0.next().now_or_never().map(read)
    }

    /// Writes frames, together.
    pub(crate) async fn transmit(&mut self, frames: Vec<String>) -> Result<(), Loss> {
        let write = async {
            for frame in frames {
                self.0.feed(Message::text(frame)).await?;
            }
            self.0.flush().await
        };
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Loss::Closed(1006)),
            Err(_) => Err(Loss::Silent),
        }
    }

    /// Says goodbye, in the background and bounded.
    pub(crate) async fn close(mut self) {
        // The other side may be gone: that is as good as an answer.
        let _ =
            tokio::time::timeout(CLOSE_TIMEOUT, WebSocketStream::close(&mut self.0, None)).await;
    }
}

fn read(received: Option<Result<Message, Error>>) -> Received {
    match received {
        Some(Ok(Message::Text(text))) => Received::Text(text.as_str().to_owned()),
        Some(Ok(Message::Close(frame))) => {
            Received::Closed(Loss::Closed(frame.map_or(1005, |frame| frame.code.into())))
        }
        Some(Ok(_)) => Received::Sign,
        Some(Err(_)) | None => Received::Closed(Loss::Closed(1006)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_a_body_says_when_to_come_again_all_the_same() {
        let refused = |status: u16, body: Option<&str>| {
            let response = http::Response::builder().status(status).header("retry-after", "7");
            let body = body.map(|body| body.as_bytes().to_vec());
            let response = response.body(body).expect("a response");
            OpenFailure::from(Error::Http(Box::new(response))).refusal.expect("a refusal")
        };
        let after = |refusal: &Refusal| (refusal.known(), refusal.retry_after_ms);
        assert_eq!(after(&refused(503, None)), (Some(ErrorCode::Overloaded), Some(7_000)));
        assert_eq!(after(&refused(429, None)), (Some(ErrorCode::RateLimited), Some(7_000)));
        let body = r#"{"error":{"code":"overloaded","retry_after_ms":6543}}"#;
        assert_eq!(after(&refused(503, Some(body))), (Some(ErrorCode::Overloaded), Some(6_543)));
    }
}
