//! The smallest WebSocket client that can say hello and listen.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::DEADLINE;

pub(crate) struct Socket {
    stream: TcpStream,
}

/// What arrived.
#[derive(Debug)]
pub(crate) enum Arrived {
    Frame(Value),
    Closed(u16),
}

impl Socket {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(addr).await.expect("connected");
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
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self { stream }
    }

    /// Says hello and waits until it has caught up.
    pub(crate) async fn hello(mut self, token: &str) -> Self {
        self.send(&json!({"type": "hello", "token": token})).await;
        self.until("synced").await;
        self
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        let text = frame.to_string();
        let length = u16::try_from(text.len()).expect("a short frame");
        // Masked, as a client's must be, with a key of zeros.
        let mut bytes = vec![0x81, 0x80 | 126];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(text.as_bytes());
        self.stream.write_all(&bytes).await.expect("written");
    }

    /// The next frame of a type; others are skipped.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Arrived::Frame(frame) if frame["type"] == kind => return frame,
                Arrived::Frame(_) => {}
                Arrived::Closed(code) => panic!("closed with {code} before {kind}"),
            }
        }
    }

    /// The close code; frames before it are skipped.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Arrived::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    async fn next(&mut self) -> Arrived {
        tokio::time::timeout(DEADLINE, self.read()).await.expect("in time")
    }

    async fn read(&mut self) -> Arrived {
        loop {
            let Ok(first) = self.stream.read_u8().await else { return Arrived::Closed(1006) };
            let length = match self.stream.read_u8().await.expect("a length") {
                126 => usize::from(self.stream.read_u16().await.expect("a length")),
                127 => {
                    let length = self.stream.read_u64().await.expect("a length");
                    usize::try_from(length).expect("a length")
                }
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.expect("a payload");
            match first {
                0x81 => return Arrived::Frame(serde_json::from_slice(&payload).expect("JSON")),
                0x88 => return Arrived::Closed(u16::from_be_bytes([payload[0], payload[1]])),
                _ => {}
            }
        }
    }
}
