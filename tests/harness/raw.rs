//! A WebSocket client without manners: writes any bytes, and need not read.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Closed, DEADLINE};

/// Opcodes.
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;

/// The key with which frames are masked; any will do.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A connection after the handshake.
pub(crate) type Raw = Reader<TcpStream>;

/// What reads the frames of a server, from a socket or its half.
pub(crate) struct Reader<S> {
    /// The socket itself.
    pub(crate) stream: S,
}

impl Raw {
    /// Shakes hands.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: hansard.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self { stream }
    }

    /// Shakes hands, says hello and is welcome.
    pub(crate) async fn welcome(address: SocketAddr, token: &str) -> Self {
        let mut raw = Self::open(address).await;
        let hello = json!({"type": "hello", "token": token}).to_string();
        raw.write(&frame(TEXT, true, hello.as_bytes())).await;
        while raw.next().await.unwrap()["type"] != "synced" {}
        raw
    }

    /// Writes bytes; whether they are taken, the next read tells.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = timeout(DEADLINE, self.stream.write_all(bytes)).await.expect("is read");
    }
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// The next text frame.
    pub(crate) async fn next(&mut self) -> Result<Value, Closed> {
        loop {
            let (opcode, payload) = match timeout(DEADLINE, self.read_frame()).await {
                Ok(Ok(frame)) => frame,
                Ok(Err(_)) => return Err(Closed(1006)),
                Err(_) => panic!("neither a frame nor an end within {DEADLINE:?}"),
            };
            match (opcode, payload.as_slice()) {
                (1, text) => return Ok(serde_json::from_slice(text).unwrap()),
                (8, [high, low, ..]) => return Err(Closed(u16::from_be_bytes([*high, *low]))),
                (8, _) => return Err(Closed(1005)),
                _ => {}
            }
        }
    }

    /// Reads until the connection is over; how, and the codes of the errors on the way.
    pub(crate) async fn closed(&mut self) -> (Closed, Vec<String>) {
        let mut errors = Vec::new();
        loop {
            match self.next().await {
                Ok(frame) => errors.extend(frame["code"].as_str().map(str::to_owned)),
                Err(closed) => return (closed, errors),
            }
        }
    }

    async fn read_frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => usize::from(self.stream.read_u16().await?),
            127 => usize::try_from(self.stream.read_u64().await?).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }
}

/// A frame as a client must send it: masked.
pub(crate) fn frame(opcode: u8, last: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(opcode, last, payload.len(), true);
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame as only a server may send it: unmasked.
pub(crate) fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(opcode, true, payload.len(), false);
    bytes.extend_from_slice(payload);
    bytes
}

fn header(opcode: u8, last: bool, length: usize, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut bytes = vec![opcode | if last { 0x80 } else { 0 }];
    match u16::try_from(length) {
        Ok(short @ 0..=125) => bytes.push(mask | u8::try_from(short).unwrap()),
        Ok(medium) => {
            bytes.push(mask | 126);
            bytes.extend(medium.to_be_bytes());
        }
        Err(_) => {
            bytes.push(mask | 127);
            bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes
}
