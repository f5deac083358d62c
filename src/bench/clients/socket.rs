//! One WebSocket client: as little as the contract asks for.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::{FutureExt, SinkExt, StreamExt};
use hansard_model::{ConversationId, MessageId, UserId};
use hansard_protocol::server::ServerFrame;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

use super::round::Round;
use crate::bench::dice::Dice;
use crate::bench::payload;
use crate::bench::people::{Person, random};

/// How long the handshake, `welcome` and `synced` may take.
const OPEN_WITHIN: Duration = Duration::from_secs(60);
/// A client that was told to come again does so after this: the hint is made for many strangers.
const COME_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Bytes read at once: thousands of clients live in one process.
const READ_BYTES: usize = 8 * 1024;
/// A moment that does not come.
const NEVER: Duration = Duration::from_hours(24);

/// The users of all connections, by index; clones share it.
#[derive(Clone, Default)]
pub(super) struct Everybody(Arc<RwLock<Vec<UserId>>>);

impl Everybody {
    pub(super) fn extend(&self, users: impl Iterator<Item = UserId>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(users);
    }

    pub(super) fn truncate(&self, count: usize) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).truncate(count);
    }

    pub(super) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn get(&self, index: usize) -> Option<UserId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(index).copied()
    }
}

pub(super) struct Socket {
    stream: WebSocketStream<TcpStream>,
    user: UserId,
    index: usize,
    /// Server time less this process's, in milliseconds.
    clock_offset_ms: i64,
    dice: Dice,
}

fn is_busy(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(WebSocketError::Http(refused)) => refused.status() == StatusCode::SERVICE_UNAVAILABLE,
        Some(_) | None => false,
    }
}

#[expect(clippy::disallowed_methods, reason = "ids are in server time: this is what is corrected")]
fn local_ms() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}

impl Socket {
    pub(super) async fn open(
        address: SocketAddr,
        person: &Person,
        index: usize,
    ) -> anyhow::Result<Self> {
        Self::open_as(address, person, index, false).await
    }

    /// The same, perhaps in the background.
    pub(super) async fn open_as(
        address: SocketAddr,
        person: &Person,
        index: usize,
        background: bool,
    ) -> anyhow::Result<Self> {
        // A gateway that is busy tells newcomers to come again.
        let admitted = async {
            loop {
                match Self::open_now(address, person, index, background).await {
                    Err(error) if is_busy(&error) => tokio::time::sleep(COME_AGAIN_AFTER).await,
                    opened => return opened,
                }
            }
        };
        tokio::time::timeout(OPEN_WITHIN, admitted)
            .await
            .context("the gateway does not let a client in")?
    }

    async fn open_now(
        address: SocketAddr,
        person: &Person,
        index: usize,
        background: bool,
    ) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let mut request = format!("ws://{address}/v1/ws").into_client_request()?;
        request
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("hansard.v1"));
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0);
        let (mut stream, _) =
            tokio_tungstenite::client_async_with_config(request, tcp, Some(config)).await?;
        let hello = serde_json::json!({
            "type": "hello", "token": person.token, "catch_up": 0, "background": background
        });
        stream.send(Message::text(hello.to_string())).await?;
        let mut clock_offset_ms = 0;
        loop {
            let message = stream.next().await.context("closed at hello")??;
            let Message::Text(text) = message else { continue };
            match serde_json::from_str(&text)? {
                ServerFrame::Welcome(welcome) => {
                    clock_offset_ms = welcome.server_time.as_millis() as i64 - local_ms();
                }
                ServerFrame::Synced(_) => break,
                ServerFrame::Error(error) => bail!("hello: {} {}", error.code, error.message),
                _ => {}
            }
        }
        let seed = u64::from_le_bytes(random()?);
        Ok(Self { stream, user: person.user, index, clock_offset_ms, dice: Dice::new(seed) })
    }

    /// Watches these people.
    pub(super) async fn watch(&mut self, users: &[UserId]) -> anyhow::Result<()> {
        let watch = serde_json::json!({"type": "watch", "users": users, "batch": true});
        Ok(self.stream.send(Message::text(watch.to_string())).await?)
    }

    /// Reads, and forgets what it reads, until the connection ends.
    pub(super) async fn read_on(&mut self) -> anyhow::Result<()> {
        while let Some(message) = self.stream.next().await {
            message?;
        }
        Ok(())
    }

    /// Takes part in rounds until the connection ends.
    pub(super) async fn serve(
        mut self,
        mut rounds: watch::Receiver<Option<Arc<Round>>>,
    ) -> anyhow::Result<()> {
        loop {
            let round = rounds.borrow_and_update().clone();
            match round {
                Some(round) => self.take_part(&round, &mut rounds).await?,
                None => {
                    tokio::select! {
                        message = self.stream.next() => drop(message.context("closed")??),
                        changed = rounds.changed() => changed?,
                    }
                }
            }
        }
    }

    /// Until the round is replaced.
    async fn take_part(
        &mut self,
        round: &Round,
        rounds: &mut watch::Receiver<Option<Arc<Round>>>,
    ) -> anyhow::Result<()> {
        let load = &round.load;
        let is_sender = self.index < load.senders;
        let window = if is_sender { load.in_flight.div_ceil(load.senders) } else { 0 };
        let period = load.rate.map(|rate| Duration::from_secs_f64(load.senders as f64 / rate));
        let mut in_flight = 0;
        // Senders begin at moments of their own.
        let mut due = match period {
            Some(period) => Instant::now() + period.mul_f64(self.dice.share()),
            None => Instant::now() + NEVER,
        };
        let mut owed = 0_usize;
        loop {
            let wanted = if period.is_some() { owed } else { usize::MAX };
            let mut sent = 0;
            while sent < wanted && in_flight < window {
                let Some(number) = round.begin() else { break };
                let frame = self.frame(round, number)?;
                self.stream.feed(Message::text(frame)).await?;
                (sent, in_flight) = (sent + 1, in_flight + 1);
            }
            if sent > 0 {
                owed = owed.saturating_sub(sent);
                self.stream.flush().await?;
            }
            tokio::select! {
                message = self.stream.next() => {
                    let mut message = Some(message);
                    // What has come with it costs no wake-up of its own.
                    while let Some(next) = message {
                        self.take(next.context("closed")??, round, &mut in_flight)?;
                        message = self.stream.next().now_or_never();
                    }
                }
                () = tokio::time::sleep_until(due), if is_sender && round.is_sending() => {
                    owed += 1;
                    due += period.unwrap_or(NEVER);
                }
                changed = rounds.changed() => {
                    changed?;
                    return Ok(());
                }
            }
        }
    }

    fn frame(&mut self, round: &Round, number: u64) -> anyhow::Result<String> {
        let conversation = match round.load.group {
            Some(group) => group,
            None => {
                // Any of the others.
                let other = self.dice.below(round.everybody.len().saturating_sub(1));
                let other = if other >= self.index { other + 1 } else { other };
                let other = round.everybody.get(other).context("nobody else is connected")?;
                ConversationId::direct(self.user, other)
            }
        };
        let now = u64::try_from(local_ms() + self.clock_offset_ms).unwrap_or(0);
        let id = MessageId::new(now, self.dice.id_bytes());
        let text = payload::text(round.load.payload, self.index, number);
        Ok(format!(
            r#"{{"type":"send","ref":{number},"conversation":"{conversation}","id":"{id}","event":{{"kind":"message","text":"{text}"}}}}"#
        ))
    }

    fn take(&self, message: Message, round: &Round, in_flight: &mut usize) -> anyhow::Result<()> {
        match message {
            Message::Text(text) => self.read(text.as_bytes(), round, in_flight),
            Message::Close(frame) => Err(anyhow!("closed: {frame:?}")),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn read(&self, frame: &[u8], round: &Round, in_flight: &mut usize) -> anyhow::Result<()> {
        if frame.starts_with(br#"{"type":"event""#) {
            if let Some((sender, number)) = payload::recognise(frame, round.load.payload) {
                round.arrived(number, sender == self.index);
            }
        } else if frame.starts_with(br#"{"type":"ack""#) {
            let number = payload::reference(frame).context("an ack without a ref")?;
            *in_flight = in_flight.saturating_sub(1);
            round.acked(number);
        } else if frame.starts_with(br#"{"type":"error""#)
            && let ServerFrame::Error(error) = serde_json::from_slice(frame)?
        {
            *in_flight = in_flight.saturating_sub(1);
            round.refused(error.code.to_string());
        }
        Ok(())
    }
}
