//! What is sent: messages of a known size that carry a number, so that they are recognised without
//! being parsed.

use hansard_model::draft::Draft;
use hansard_model::event::{Event, MessageSent};
use hansard_model::{DeviceId, MessageId, UserId, envelope};

/// Bytes of the stored payload around the text.
const ENVELOPE_BYTES: usize = 152;
/// Digits of the number at the beginning of the text.
const DIGITS: usize = 16;
/// What follows the text in an `event` frame.
const AFTER_TEXT: usize = br#""}}}"#.len();

/// The number of a message that is nobody's: whoever gets it does not count it.
pub(super) const UNCOUNTED: u64 = (1 << 40) - 1;

/// The text of a message whose stored payload has `payload` bytes, with a sender and a number.
pub(super) fn text(payload: usize, sender: usize, number: u64) -> String {
    let padding = text_bytes(payload).saturating_sub(DIGITS);
    format!("{:0digits$x}{:.<padding$}", ((sender as u64) << 40) | number, "", digits = DIGITS)
}

/// Bytes of the text in a payload of `payload` bytes.
pub(super) fn text_bytes(payload: usize) -> usize {
    payload.saturating_sub(ENVELOPE_BYTES).max(DIGITS)
}

/// The sender and the number in an `event` frame with one of these texts; `None` for others.
pub(super) fn recognise(frame: &[u8], payload: usize) -> Option<(usize, u64)> {
    let begin = frame.len().checked_sub(AFTER_TEXT + text_bytes(payload))?;
    let digits = std::str::from_utf8(frame.get(begin..begin + DIGITS)?).ok()?;
    let marked = u64::from_str_radix(digits, 16).ok()?;
    Some(((marked >> 40) as usize, marked & UNCOUNTED))
}

/// The stored payload, as a gateway would write it.
pub(super) fn stored(id: MessageId, sender: UserId, device: DeviceId, text: String) -> String {
    let event = Event::Message(MessageSent { text, ..MessageSent::default() });
    envelope::encode(id, sender, device, &Draft::of(event))
}

/// The number in an answer's `"ref":`.
pub(super) fn reference(frame: &[u8]) -> Option<u64> {
    let key = br#""ref":"#;
    let begin = frame.windows(key.len()).position(|window| window == key)? + key.len();
    let digits = frame.get(begin..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let (mut number, mut any) = (0_u64, false);
    for digit in digits {
        (number, any) = (number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?, true);
    }
    any.then_some(number)
}

#[cfg(test)]
mod tests {
    use hansard_model::{ConversationId, LogTime, Seq};
    use hansard_protocol::server::event_prefix;

    use super::*;

    #[test]
    fn a_payload_has_the_size_asked_for_and_is_recognised_in_a_frame() {
        let user = UserId::from_entropy([1; 20]);
        let device = DeviceId::from_entropy([2; 20]);
        let stored = stored(MessageId::new(1, [3; 10]), user, device, text(200, 77, 123_456));
        assert_eq!(stored.len(), 200);
        let conversation = ConversationId::direct(user, user);
        let prefix = event_prefix(conversation, Seq(9), Seq(7), 3, LogTime::from_millis(1));
        let frame = format!("{prefix}{stored}}}");
        assert_eq!(recognise(frame.as_bytes(), 200), Some((77, 123_456)));
    }

    #[test]
    fn the_ref_of_an_answer_is_read() {
        assert_eq!(reference(br#"{"type":"ack","ref":42,"seq":7}"#), Some(42));
        assert_eq!(reference(br#"{"type":"ack","seq":7}"#), None);
    }
}
