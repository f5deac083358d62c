//! Reading frames with fastwebsockets, around what 0.10 leaves to its caller.
//!
//! - Its reads must not be dropped half way: one is kept, boxed, until it is done.
//! - It accepts frames that are not masked: the bit is looked at here.
//! - It holds a buffer of 8 KiB for ever: between frames, when nothing is left in it, the whole
//!   reader is dropped, and an idle connection has none.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use fastwebsockets::{OpCode, Payload, Role, WebSocketError, WebSocketRead, after_handshake_split};
use hansard_protocol::FRAME_BYTES_MAX;

use super::wire::{Wire, WireReader};

/// A frame as it came, unmasked.
#[derive(Debug)]
pub(super) struct Part {
    /// The last of its message.
    pub(super) fin: bool,
    /// Its kind.
    pub(super) opcode: OpCode,
    /// Whether it was masked, as a client's must be.
    pub(super) masked: bool,
    /// Its payload.
    pub(super) payload: BytesMut,
    /// Bytes of header and payload, at least.
    bytes: u64,
}

#[cfg(test)]
impl Part {
    pub(super) fn new(fin: bool, opcode: OpCode, masked: bool, payload: BytesMut) -> Self {
        Self { fin, opcode, masked, payload, bytes: 0 }
    }
}

type Socket = WebSocketRead<WireReader>;
type Reading = Pin<Box<dyn Future<Output = (Socket, Result<Part, WebSocketError>)> + Send>>;

/// The reading side of a connection.
pub(super) struct Reader {
    wire: Arc<Wire>,
    state: State,
    /// Bytes of the frames read so far; never more than the wire has given.
    consumed: u64,
}

enum State {
    /// Between frames, with nothing buffered.
    Idle,
    /// Between frames; the buffer may hold the beginning of the next.
    Between(Box<Socket>),
    /// Within a frame.
    Reading(Reading),
}

impl Reader {
    /// Of a connection's beginning.
    pub(super) fn new(wire: Arc<Wire>) -> Self {
        Self { wire, state: State::Idle, consumed: 0 }
    }

    /// The next frame. Safe to drop while it waits: what was read stays.
    ///
    /// # Errors
    /// What fastwebsockets finds wrong; [`WebSocketError::UnexpectedEOF`] at the end.
    pub(super) async fn next(&mut self) -> Result<Part, WebSocketError> {
        loop {
            match std::mem::replace(&mut self.state, State::Idle) {
                State::Idle => {
                    if !self.wire.sip().await? {
                        return Err(WebSocketError::UnexpectedEOF);
                    }
                    self.state = State::Between(Box::new(socket(self.wire.clone())));
                }
                State::Between(socket) => self.state = State::Reading(Box::pin(read(*socket))),
                State::Reading(reading) => {
                    self.state = State::Reading(reading);
                    // Borrowed from the state: if this is dropped, the read lives on there.
                    let State::Reading(reading) = &mut self.state else { continue };
                    let (socket, part) = reading.await;
                    self.state = State::Idle;
                    let part = part?;
                    self.consumed += part.bytes;
                    if self.consumed < self.wire.given() {
                        self.state = State::Between(Box::new(socket));
                    }
                    return Ok(part);
                }
            }
        }
    }
}

fn socket(wire: Arc<Wire>) -> Socket {
    let (mut socket, _) = after_handshake_split(WireReader(wire), tokio::io::sink(), Role::Server);
    socket.set_auto_close(false);
    socket.set_auto_pong(false);
    // It refuses frames of this size, too.
    socket.set_max_message_size(FRAME_BYTES_MAX + 1);
    socket
}

async fn read(mut socket: Socket) -> (Socket, Result<Part, WebSocketError>) {
    // Nothing is sent for us: closes and pings are answered by the connection.
    let mut nothing = |_: fastwebsockets::Frame<'_>| ready(Ok::<(), Infallible>(()));
    let part = match socket.read_frame(&mut nothing).await {
        Ok(frame) => Ok(part(frame)),
        Err(error) => Err(error),
    };
    (socket, part)
}

fn part(mut frame: fastwebsockets::Frame<'_>) -> Part {
    // The mask is private; the header that the frame would be written with shows it.
    let mut header = [0; 16];
    let header_bytes = frame.fmt_head(&mut header);
    let masked = header[1] & 0x80 != 0;
    let payload = match frame.payload {
        Payload::Bytes(bytes) => bytes,
        other @ (Payload::Borrowed(_) | Payload::BorrowedMut(_) | Payload::Owned(_)) => {
            BytesMut::from(&other[..])
        }
    };
    let bytes = (header_bytes + payload.len()) as u64;
    Part { fin: frame.fin, opcode: frame.opcode, masked, payload, bytes }
}

/// Whether the socket just ended, rather than somebody breaking the rules on it.
pub(super) fn is_gone(error: &WebSocketError) -> bool {
    match error {
        WebSocketError::UnexpectedEOF | WebSocketError::ConnectionClosed => true,
        WebSocketError::IoError(error) => error.kind() != io::ErrorKind::InvalidData,
        _ => false,
    }
}
