//! A record: an event as the log holds it. Here is the one rule by which every reader skips.

use std::fmt;
use std::str::FromStr;

use crate::event::EventClass;
use crate::id::{ConversationId, MessageId, ParseIdError, Seq, UserId};
use crate::time::LogTime;

/// Header with the log time, in milliseconds since the Unix epoch, until which the gateway's
/// checks hold.
pub const VOUCH_UNTIL: &str = "Vouch-Until";
/// Header with the event's kind, so that stock tools can filter without parsing.
pub const EVENT_KIND: &str = "Event-Kind";
/// Header by which a stream deduplicates.
pub const MSG_ID: &str = "Nats-Msg-Id";

/// What the log says of an event besides its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<P> {
    /// Where it stands in its partition.
    pub seq: Seq,
    /// When the stream stored it.
    pub ts: LogTime,
    /// Which conversation.
    pub conversation: ConversationId,
    /// On which of its subjects.
    pub class: EventClass,
    /// Until when the gateway vouched for it; `None` when the header is missing or unreadable,
    /// which makes the event void: nobody vouched.
    pub vouch_until: Option<LogTime>,
    /// The deduplication id, if it can be read.
    pub key: Option<EventKey>,
    /// The stored bytes.
    pub payload: P,
}

impl<P> Record<P> {
    /// Whether the event is void: stored after the time until which it was vouched for. Every
    /// reader of the log skips it by this rule, and by no other.
    pub fn is_void(&self) -> bool {
        self.vouch_until.is_none_or(|until| self.ts > until)
    }
}

/// The identity of an event, unique for ever: what its `Nats-Msg-Id` says.
///
/// As text `<conversation>:<user>:<id>`, then `:<seq>` for each void attempt before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKey {
    /// The conversation.
    pub conversation: ConversationId,
    /// The sender.
    pub sender: UserId,
    /// The client's id.
    pub id: MessageId,
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.conversation, self.sender, self.id)
    }
}

impl FromStr for EventKey {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let mut part = || parts.next().unwrap_or_default();
        Ok(Self { conversation: part().parse()?, sender: part().parse()?, id: part().parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupId;

    fn record(ts: u64, vouch_until: Option<u64>) -> Record<()> {
        Record {
            seq: Seq(1),
            ts: LogTime::from_nanos(ts),
            conversation: ConversationId::Group(GroupId::from_entropy([1; 20])),
            class: EventClass::Msg,
            vouch_until: vouch_until.map(LogTime::from_nanos),
            key: None,
            payload: (),
        }
    }

    #[test]
    fn an_event_stored_after_it_was_vouched_for_is_void() {
        assert!(!record(5, Some(5)).is_void());
        assert!(record(6, Some(5)).is_void());
        assert!(record(1, None).is_void());
    }

    #[test]
    fn keys_parse_what_they_print_whatever_attempt() {
        let key = EventKey {
            conversation: ConversationId::Group(GroupId::from_entropy([1; 20])),
            sender: UserId::from_entropy([2; 20]),
            id: MessageId::new(5, [3; 10]),
        };
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(format!("{key}:77").parse(), Ok(key));
    }
}
