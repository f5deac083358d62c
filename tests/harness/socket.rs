//! A WebSocket client that knows only the wire, and remembers all that it got.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::people::told;
use super::{DEADLINE, Patience, as_told, mint, seq_of};

/// A connection.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// Every frame so far, in order.
    pub(crate) seen: Vec<Value>,
    refs: u64,
}

/// The connection is over: the close code, or 1006 when there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed(pub(crate) u16);

impl Socket {
    /// Shakes hands, and says nothing yet.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let patience = Patience::of(DEADLINE);
        loop {
            match Self::try_upgrade(address).await {
                Ok(socket) => return socket,
                // In a crowd: it is told when to come again.
                Err(Error::Http(response)) if response.status() == 503 => {
                    let body = response.body().as_deref().unwrap_or_default();
                    let answer: Value = serde_json::from_slice(body).unwrap();
                    as_told(answer["error"]["retry_after_ms"].as_u64().unwrap()).await;
                    patience.look_again("a place").await;
                }
                Err(error) => panic!("no WebSocket at {address}: {error}"),
            }
        }
    }

    /// The same, where perhaps nobody is; `None`: nobody is.
    pub(crate) async fn try_open(address: SocketAddr) -> Option<Self> {
        Self::try_upgrade(address).await.ok()
    }

    /// Shakes hands where the gateway may refuse; `Err`: the body of its answer.
    pub(crate) async fn try_in(address: SocketAddr) -> Result<Self, Value> {
        Self::try_upgrade(address).await.map_err(|error| match error {
            Error::Http(response) => {
                let body = response.body().as_deref().unwrap_or_default();
                serde_json::from_slice(body).unwrap()
            }
            other => panic!("neither in nor refused: {other}"),
        })
    }

    async fn try_upgrade(address: SocketAddr) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/v1/ws").into_client_request().unwrap();
        let protocol = HeaderValue::from_static("hansard.v1");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (stream, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self { stream, seen: Vec::new(), refs: 0 })
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string()).await;
    }

    /// Sends any text. Whether it arrives, the next read tells.
    pub(crate) async fn send_text(&mut self, text: String) {
        let _ = self.stream.send(Message::text(text)).await;
    }

    /// Sends any message.
    pub(crate) async fn send_message(&mut self, message: Message) {
        let _ = self.stream.send(message).await;
    }

    /// The next frame. Safe to drop while it waits.
    pub(crate) async fn next(&mut self) -> Result<Value, Closed> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(text.as_str()).unwrap();
                    self.seen.push(frame.clone());
                    return Ok(frame);
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("not a text frame: {other:?}"),
                Some(Err(_)) | None => return Err(Closed(1006)),
            }
        }
    }

    /// The first frame, already seen or yet to come, of which `is_it` holds.
    pub(crate) async fn frame(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.frame_within(DEADLINE, what, is_it).await
    }

    /// The same, within a time of its own.
    pub(crate) async fn frame_within(
        &mut self,
        within: Duration,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        if let Some(frame) = self.seen.iter().find(|frame| is_it(frame)) {
            return frame.clone();
        }
        let deadline = Instant::now() + within;
        loop {
            match timeout_at(deadline, self.next()).await {
                Ok(Ok(frame)) if is_it(&frame) => return frame,
                Ok(Ok(_)) => {}
                Ok(Err(closed)) => panic!("{closed:?} while waiting for {what}"),
                Err(_) => panic!("no {what} within {within:?}; seen: {:#?}", self.seen),
            }
        }
    }

    /// Reads until the connection is over.
    pub(crate) async fn closed(&mut self) -> Closed {
        self.closed_within(DEADLINE).await
    }

    /// The same, within a time of its own.
    pub(crate) async fn closed_within(&mut self, within: Duration) -> Closed {
        let deadline = Instant::now() + within;
        loop {
            match timeout_at(deadline, self.next()).await {
                Ok(Ok(_)) => {}
                Ok(Err(closed)) => return closed,
                Err(_) => panic!("still open after {within:?}"),
            }
        }
    }

    /// Sends an event under a new id, without waiting; the `ref` and the id.
    pub(crate) async fn put(&mut self, conversation: &str, event: &Value) -> (u64, String) {
        let id = mint();
        (self.put_as(conversation, &id, event).await, id)
    }

    /// Sends an event under an id, without waiting; the `ref`.
    pub(crate) async fn put_as(&mut self, conversation: &str, id: &str, event: &Value) -> u64 {
        self.refs += 1;
        let frame = json!({
            "type": "send", "ref": self.refs, "conversation": conversation, "id": id, "event": event
        });
        self.send(&frame).await;
        self.refs
    }

    /// The answer to a `ref`: an ack, which later reads include, or an error.
    pub(crate) async fn answer(&mut self, reference: u64) -> Value {
        let answer = self.frame("answer", |frame| frame["ref"] == reference).await;
        if answer["type"] == "ack" {
            told(answer["conversation"].as_str().unwrap(), seq_of(&answer));
        }
        answer
    }

    /// Sends an event under an id and waits for the answer.
    pub(crate) async fn ask_as(&mut self, conversation: &str, id: &str, event: &Value) -> Value {
        let reference = self.put_as(conversation, id, event).await;
        self.answer(reference).await
    }

    /// Sends an event, which must be stored; the ack.
    pub(crate) async fn store(&mut self, conversation: &str, event: &Value) -> Value {
        let ack = self.ask_as(conversation, &mint(), event).await;
        assert_eq!(ack["type"], "ack", "{event} is refused: {ack}");
        ack
    }

    /// Sends an event, which must be refused; the code.
    pub(crate) async fn refused(&mut self, conversation: &str, event: &Value) -> String {
        let error = self.ask_as(conversation, &mint(), event).await;
        assert_eq!(error["type"], "error", "{event} is not refused: {error}");
        error["code"].as_str().unwrap().to_owned()
    }

    /// The event with this seq, seen or to come.
    pub(crate) async fn event(&mut self, conversation: &str, seq: u64) -> Value {
        let is_it = |frame: &Value| {
            frame["type"] == "event" && frame["conversation"] == conversation && frame["seq"] == seq
        };
        self.frame(&format!("event {seq} of {conversation}"), is_it).await
    }

    /// The events of a conversation so far.
    pub(crate) fn events(&self, conversation: &str) -> Vec<Value> {
        let is_one =
            |frame: &&Value| frame["type"] == "event" && frame["conversation"] == conversation;
        self.seen.iter().filter(is_one).cloned().collect()
    }

    /// Frames of a type so far.
    pub(crate) fn of_type(&self, kind: &str) -> Vec<Value> {
        self.seen.iter().filter(|frame| frame["type"] == kind).cloned().collect()
    }

    /// Where this connection is now.
    pub(crate) async fn cursor(&mut self) -> String {
        self.refs += 1;
        let reference = self.refs;
        self.send(&json!({"type": "ping", "ref": reference})).await;
        let pong = self.answer(reference).await;
        pong["cursor"].as_str().unwrap_or_else(|| panic!("no cursor in {pong}")).to_owned()
    }
}
