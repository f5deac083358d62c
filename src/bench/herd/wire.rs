//! A client's connections: the SDK's own, but for a WebSocket whose buffers are small enough for
//! thousands of them in one process.

use hansard_client::{Gateway, Loss, Refusal};
use hansard_protocol::SUBPROTOCOL;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;

pub(super) type Socket = WebSocketStream<TcpStream>;

/// Why there is no socket, and what the gateway said.
pub(super) type OpenFailure = (Loss, Option<Box<Refusal>>);

pub(super) async fn open(gateway: Gateway) -> Result<Socket, OpenFailure> {
    #[derive(Deserialize)]
    struct Refused {
        error: Refusal,
    }
    handshake(&gateway).await.map_err(|error| match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let refused: Option<Refused> = serde_json::from_slice(body).ok();
            (Loss::Overloaded, refused.map(|refused| Box::new(refused.error)))
        }
        _ => (Loss::Unreachable, None),
    })
}

async fn handshake(gateway: &Gateway) -> Result<Socket, Error> {
    let stream = TcpStream::connect(gateway.authority()).await?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{}/v1/ws", gateway.authority()).into_client_request()?;
    let spoken = HeaderValue::from_static(SUBPROTOCOL);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, spoken);
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0);
    let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    Ok(opened.await?.0)
}
