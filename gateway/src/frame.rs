//! A frame to a client, encoded once and shared by everybody who gets it.

use bytes::{BufMut, Bytes, BytesMut};
use hansard_nats::live::LiveEvent;
use hansard_protocol::server::event_prefix;
use hansard_protocol::{ErrorBody, ServerFrame};

use crate::metrics::delivery as metrics;

/// First byte of a frame: the last of its message, and its kind.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
/// Payload of a control frame at most, in bytes.
pub(crate) const CONTROL_BYTES_MAX: usize = 125;
/// Room for the longest header of a server's frame.
const HEADER_BYTES_MAX: usize = 10;

/// A WebSocket frame, header and payload in one buffer; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Frame(Bytes);

impl Frame {
    /// The `event` frame of an event: the stored bytes with a short prefix, nothing parsed.
    pub(crate) fn event(event: &LiveEvent) -> Self {
        let prefix = event_prefix(event.conversation, event.seq, event.prev, event.n, event.ts);
        metrics::frame_encoded();
        Self::encode(TEXT, &[prefix.as_bytes(), &event.payload, b"}"])
    }

    /// A frame made for one receiver.
    pub(crate) fn server(frame: &ServerFrame) -> Self {
        // Only maps with keys that are no strings cannot be written: the contract has none.
        let json = serde_json::to_vec(frame).unwrap_or_else(|_| b"{}".to_vec());
        Self::text(&json)
    }

    /// An `error` frame.
    pub(crate) fn error(body: ErrorBody) -> Self {
        Self::server(&ServerFrame::Error(body))
    }

    /// A text frame.
    pub(crate) fn text(payload: &[u8]) -> Self {
        Self::encode(TEXT, &[payload])
    }

    /// A close frame; the reason is cut to what fits.
    pub(crate) fn close(code: u16, reason: &'static str) -> Self {
        let end = reason.len().min(CONTROL_BYTES_MAX - 2);
        Self::encode(CLOSE, &[&code.to_be_bytes(), &reason.as_bytes()[..end]])
    }

    /// A ping.
    pub(crate) fn ping() -> Self {
        Self(Bytes::from_static(&[PING, 0]))
    }

    /// The answer to a client's ping, whose payload it repeats.
    pub(crate) fn pong(payload: &[u8]) -> Self {
        Self::encode(PONG, &[&payload[..payload.len().min(CONTROL_BYTES_MAX)]])
    }

    /// All bytes, as they go on the socket.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Bytes on the socket.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is a text frame: control frames are nothing to a client without a socket.
    pub(crate) fn is_text(&self) -> bool {
        self.0.first() == Some(&TEXT)
    }

    /// The payload without the header.
    pub(crate) fn payload(&self) -> Bytes {
        let header = match self.0.get(1) {
            Some(126) => 4,
            Some(127) => HEADER_BYTES_MAX,
            Some(_) | None => 2,
        };
        self.0.slice(header.min(self.0.len())..)
    }

    fn encode(first: u8, parts: &[&[u8]]) -> Self {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut buffer = BytesMut::with_capacity(HEADER_BYTES_MAX + length);
        buffer.put_u8(first);
        // RFC 6455, section 5.2: the shortest of three forms of length; a server does not mask.
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => buffer.put_u8(short),
            (_, Ok(medium)) => {
                buffer.put_u8(126);
                buffer.put_u16(medium);
            }
            (_, Err(_)) => {
                buffer.put_u8(127);
                buffer.put_u64(length as u64);
            }
        }
        for part in parts {
            buffer.put_slice(part);
        }
        Self(buffer.freeze())
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::{ConversationId, GroupId, LogTime, Seq};

    use super::*;

    fn live(payload: &'static [u8]) -> LiveEvent {
        LiveEvent {
            conversation: ConversationId::Group(GroupId::from_entropy([1; 20])),
            seq: Seq(9),
            prev: Seq(7),
            n: 3,
            ts: LogTime::from_millis(1),
            follows: Seq(8),
            payload: Bytes::from_static(payload),
        }
    }

    #[test]
    fn headers_have_the_shortest_form_of_the_length() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let payload = vec![b'x'; length];
            let frame = Frame::text(&payload);
            assert_eq!(frame.len(), header + length);
            assert_eq!(frame.payload(), payload);
            assert_eq!(frame.bytes()[0], TEXT);
            assert_eq!(frame.bytes()[1] & 0x80, 0, "a server does not mask");
        }
    }

    #[test]
    fn an_event_frame_holds_the_stored_bytes_as_they_are() {
        let payload = Frame::event(&live(br#"{"v":1,"id":"x","odd":  1}"#)).payload();
        let text = std::str::from_utf8(&payload).expect("text");
        assert!(text.starts_with(r#"{"type":"event","conversation":"g."#), "{text}");
        assert!(text.ends_with(r#""body":{"v":1,"id":"x","odd":  1}}"#), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
    }

    #[test]
    fn clones_share_the_bytes() {
        let frame = Frame::text(b"once");
        assert_eq!(frame.clone().bytes().as_ptr(), frame.bytes().as_ptr());
    }

    #[test]
    fn a_close_frame_has_code_and_reason() {
        let payload = Frame::close(4008, "slow reader").payload();
        assert_eq!(payload[..2], 4008_u16.to_be_bytes());
        assert_eq!(&payload[2..], b"slow reader");
    }
}
