//! From frames to messages: fragments are put together, within bounds, and what a client may not
//! send is refused.

use bytes::{Bytes, BytesMut};
use fastwebsockets::OpCode;
use hansard_protocol::FRAME_BYTES_MAX;

use super::reader::Part;
use crate::frame::CONTROL_BYTES_MAX;

/// Frames that one message may be cut into.
const FRAGMENTS_MAX: usize = 64;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A message; valid UTF-8.
    Text(String),
    /// To be answered with this payload.
    Ping(Bytes),
    /// The other side lives.
    Pong,
    /// The other side ends the connection, with this code if it gave one.
    Close(Option<u16>),
}

/// Why a frame is refused: the connection ends with 4000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Clients mask (RFC 6455, section 5.1).
    #[error("frames must be masked")]
    Unmasked,
    /// The contract is text.
    #[error("binary frames are not part of the protocol")]
    Binary,
    /// Over the limit, alone or with what came before.
    #[error("the frame is too large")]
    TooLarge,
    /// Too many fragments.
    #[error("the message is cut into too many fragments")]
    TooManyFragments,
    /// A fragment of nothing, or a message within a message.
    #[error("the fragments make no message")]
    Fragments,
    /// A control frame against its rules.
    #[error("a control frame is against the rules")]
    Control,
    /// Not UTF-8.
    #[error("text must be UTF-8")]
    Utf8,
}

/// Puts fragments together.
#[derive(Default)]
pub(super) struct Assembly {
    /// What came of a message that is not complete.
    begun: Option<Box<Begun>>,
}

struct Begun {
    text: BytesMut,
    fragments: usize,
}

impl Assembly {
    /// Takes the next frame; `None` while a message is not complete.
    ///
    /// # Errors
    /// [`Refused`]
    pub(super) fn take(&mut self, part: Part) -> Result<Option<Message>, Refused> {
        if !part.masked {
            return Err(Refused::Unmasked);
        }
        match part.opcode {
            OpCode::Text => self.begin(part),
            OpCode::Continuation => self.go_on(part),
            OpCode::Binary => Err(Refused::Binary),
            OpCode::Ping | OpCode::Pong | OpCode::Close => control(part).map(Some),
        }
    }

    fn begin(&mut self, part: Part) -> Result<Option<Message>, Refused> {
        if self.begun.is_some() {
            return Err(Refused::Fragments);
        }
        if part.payload.len() > FRAME_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        if part.fin {
            return text(part.payload).map(Some);
        }
        self.begun = Some(Box::new(Begun { text: part.payload, fragments: 1 }));
        Ok(None)
    }

    fn go_on(&mut self, part: Part) -> Result<Option<Message>, Refused> {
        let begun = self.begun.as_mut().ok_or(Refused::Fragments)?;
        if begun.text.len() + part.payload.len() > FRAME_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        if begun.fragments >= FRAGMENTS_MAX {
            return Err(Refused::TooManyFragments);
        }
        begun.fragments += 1;
        begun.text.extend_from_slice(&part.payload);
        if !part.fin {
            return Ok(None);
        }
        match self.begun.take() {
            Some(begun) => text(begun.text).map(Some),
            None => Err(Refused::Fragments),
        }
    }
}

fn text(bytes: BytesMut) -> Result<Message, Refused> {
    String::from_utf8(bytes.into()).map(Message::Text).map_err(|_| Refused::Utf8)
}

fn control(part: Part) -> Result<Message, Refused> {
    if !part.fin || part.payload.len() > CONTROL_BYTES_MAX {
        return Err(Refused::Control);
    }
    match (part.opcode, &part.payload[..]) {
        (OpCode::Ping, _) => Ok(Message::Ping(part.payload.freeze())),
        (OpCode::Close, []) => Ok(Message::Close(None)),
        (OpCode::Close, [high, low, reason @ ..]) => match std::str::from_utf8(reason) {
            Ok(_) => Ok(Message::Close(Some(u16::from_be_bytes([*high, *low])))),
            Err(_) => Err(Refused::Utf8),
        },
        (OpCode::Close, [_]) => Err(Refused::Control),
        (OpCode::Pong | OpCode::Text | OpCode::Binary | OpCode::Continuation, _) => {
            Ok(Message::Pong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(opcode: OpCode, fin: bool, payload: &[u8]) -> Part {
        Part::new(fin, opcode, true, BytesMut::from(payload))
    }

    #[test]
    fn fragments_become_a_message_with_control_frames_between() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(part(OpCode::Text, false, b"a\xC3")), Ok(None));
        assert_eq!(
            assembly.take(part(OpCode::Ping, true, b"p")),
            Ok(Some(Message::Ping(Bytes::from_static(b"p"))))
        );
        assert_eq!(assembly.take(part(OpCode::Continuation, false, b"")), Ok(None));
        assert_eq!(
            assembly.take(part(OpCode::Continuation, true, b"\xA4")),
            Ok(Some(Message::Text("aä".to_owned())))
        );
    }

    #[test]
    fn a_message_in_fragments_is_refused_when_it_is_too_large_not_later() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(part(OpCode::Text, false, &[b'x'; 60_000])), Ok(None));
        assert_eq!(
            assembly.take(part(OpCode::Continuation, false, &[b'x'; 6_000])),
            Err(Refused::TooLarge)
        );
    }

    #[test]
    fn empty_fragments_do_not_come_for_ever() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(part(OpCode::Text, false, b"")), Ok(None));
        let refused =
            (0..10_000).find_map(|_| assembly.take(part(OpCode::Continuation, false, b"")).err());
        assert_eq!(refused, Some(Refused::TooManyFragments));
    }

    #[test]
    fn what_is_against_the_rules_is_refused() {
        let cases = [
            (part(OpCode::Binary, true, b"x"), Refused::Binary),
            (part(OpCode::Continuation, true, b"x"), Refused::Fragments),
            (part(OpCode::Text, true, b"\xFF"), Refused::Utf8),
            (part(OpCode::Pong, true, &[0; 126]), Refused::Control),
            (part(OpCode::Close, true, &[0; 1]), Refused::Control),
            (part(OpCode::Close, true, b"\x03\xE8\xFF"), Refused::Utf8),
            (Part::new(true, OpCode::Text, false, BytesMut::from("x")), Refused::Unmasked),
        ];
        for (part, refused) in cases {
            let label = format!("{part:?}");
            assert_eq!(Assembly::default().take(part), Err(refused), "{label}");
        }
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(part(OpCode::Text, false, b"x")), Ok(None));
        assert_eq!(assembly.take(part(OpCode::Text, true, b"x")), Err(Refused::Fragments));
    }
}
