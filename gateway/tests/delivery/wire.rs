//! A WebSocket client that can also do what none should.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::rig::{DEADLINE, Person, new_id};

pub(crate) struct Wire {
    pub(crate) stream: BufReader<TcpStream>,
}

/// What arrived.
#[derive(Debug)]
pub(crate) enum Arrived {
    Frame(Value),
    Ping,
    Closed(u16),
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | u8::try_from(short).expect("short")),
        medium @ 126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(medium).expect("medium").to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A masked text frame.
pub(crate) fn text(value: &Value) -> Vec<u8> {
    frame(0x81, value.to_string().as_bytes())
}

/// A `send` frame.
pub(crate) fn send(reference: u64, conversation: &str, event: &Value) -> Value {
    let id = new_id();
    json!({"type": "send", "ref": reference, "conversation": conversation, "id": id, "event": event})
}

impl Wire {
    /// A connection that has not said hello. In a crowd it comes again when it is told to.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let upgraded = async {
            loop {
                match Self::try_open(addr).await {
                    Ok(wire) => return wire,
                    Err(retry_after_ms) => {
                        tokio::time::sleep(Duration::from_millis(retry_after_ms)).await;
                    }
                }
            }
        };
        tokio::time::timeout(DEADLINE, upgraded).await.expect("a place in time")
    }

    async fn try_open(addr: SocketAddr) -> Result<Self, u64> {
        let mut stream = BufReader::new(TcpStream::connect(addr).await.expect("connected"));
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: hansard.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        if head.starts_with(b"HTTP/1.1 101 ") {
            return Ok(Self { stream });
        }
        let mut body = Vec::new();
        stream.read_to_end(&mut body).await.expect("an answer that ends");
        let answer: Value = serde_json::from_slice(&body).expect("an error");
        Err(answer["error"]["retry_after_ms"].as_u64().unwrap_or_else(|| panic!("{answer}")))
    }

    /// A connection of a person; gives the frames of its catch-up, `synced` last.
    pub(crate) async fn hello(person: &Person, more: Value) -> (Self, Vec<Value>) {
        Self::hello_of(&person.client, more).await
    }

    /// A connection with a client's token; gives the frames of its catch-up, `synced` last.
    pub(crate) async fn hello_of(client: &Client, more: Value) -> (Self, Vec<Value>) {
        let mut wire = Self::open(client.addr).await;
        let mut hello = more;
        hello["type"] = json!("hello");
        hello["token"] = json!(client.token.as_deref().expect("a token"));
        wire.say(&hello).await;
        let welcome = wire.next_frame().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        let frames = wire.through("synced").await;
        (wire, frames)
    }

    /// A connection that has caught up.
    pub(crate) async fn of(person: &Person) -> Self {
        Self::hello(person, json!({})).await.0
    }

    pub(crate) async fn say(&mut self, value: &Value) {
        self.write(&text(value)).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        // A server that has had enough stops reading.
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn next(&mut self) -> Arrived {
        tokio::time::timeout(DEADLINE, self.read()).await.expect("in time")
    }

    pub(crate) async fn next_frame(&mut self) -> Value {
        loop {
            match self.next().await {
                Arrived::Frame(frame) => return frame,
                Arrived::Ping => {}
                Arrived::Closed(code) => panic!("closed with {code}"),
            }
        }
    }

    /// Frames up to the first of a type, this one included.
    pub(crate) async fn through(&mut self, kind: &str) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next_frame().await;
            let done = frame["type"] == kind;
            frames.push(frame);
            if done {
                return frames;
            }
        }
    }

    /// The next frame of a type; others are skipped.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        self.through(kind).await.pop().expect("the last")
    }

    /// The close code and the last error before it.
    pub(crate) async fn end(&mut self) -> (u16, Option<String>) {
        let mut error = None;
        loop {
            match self.next().await {
                Arrived::Frame(frame) if frame["type"] == "error" => {
                    error = frame["code"].as_str().map(str::to_owned);
                }
                Arrived::Frame(_) | Arrived::Ping => {}
                Arrived::Closed(code) => return (code, error),
            }
        }
    }

    async fn read(&mut self) -> Arrived {
        loop {
            let Ok(first) = self.stream.read_u8().await else { return Arrived::Closed(1006) };
            let length = match self.stream.read_u8().await.expect("a length") {
                126 => usize::from(self.stream.read_u16().await.expect("a length")),
                127 => {
                    usize::try_from(self.stream.read_u64().await.expect("a length")).expect("short")
                }
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            if self.stream.read_exact(&mut payload).await.is_err() {
                return Arrived::Closed(1006);
            }
            match first {
                0x81 => return Arrived::Frame(serde_json::from_slice(&payload).expect("JSON")),
                0x88 => return Arrived::Closed(u16::from_be_bytes([payload[0], payload[1]])),
                0x89 => return Arrived::Ping,
                _ => {}
            }
        }
    }
}

/// `seq` of the events among frames.
pub(crate) fn seqs(frames: &[Value]) -> Vec<u64> {
    let events = frames.iter().filter(|frame| frame["type"] == "event");
    events.map(|frame| frame["seq"].as_u64().expect("a place")).collect()
}

/// Frames of a type.
pub(crate) fn of_type<'a>(frames: &'a [Value], kind: &str) -> Vec<&'a Value> {
    frames.iter().filter(|frame| frame["type"] == kind).collect()
}

/// The cursor of the last frame.
pub(crate) fn cursor(frames: &[Value]) -> String {
    let synced = frames.last().expect("synced");
    assert_eq!(
        (&synced["type"], &synced["complete"]),
        (&json!("synced"), &json!(true)),
        "{synced}"
    );
    synced["cursor"].as_str().expect("a cursor").to_owned()
}
