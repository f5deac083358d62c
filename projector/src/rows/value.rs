//! The values of rows: postcard, and the stored bytes of an event behind its fields.

use bytes::Bytes;
use hansard_model::event::Mention;
use hansard_model::inbox::MemberRecord;
use hansard_model::{ConversationId, Event, Group, LogTime, Role, Seq, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Decode;
use super::key::{Reader, encode_conversation};
use crate::parked::ParkReason;

/// The shape of the rows. Rows of another are built anew from the log: raise it with every change
/// of a key, of a value or of what the fold makes of an event.
pub(crate) const SCHEMA: u32 = 1;

/// How far the rows are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedRow {
    pub(crate) schema: u32,
    /// The epoch of the log they were made from.
    pub(crate) epoch: u64,
    /// All of the partition up to here is in them.
    pub(crate) seq: Seq,
    /// The last valid event.
    pub(crate) last_valid: Seq,
    /// Parked events, ever.
    pub(crate) parked: u64,
    /// Of the record at `seq` (`hansard_nats::log::digest`).
    pub(crate) digest: [u8; 32],
}

/// What an event is, as far as pages care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Message,
    /// `create`, `member`, `title`, `settings`: listed beside messages.
    Meta,
    /// Folded into the message it refers to.
    Reference,
    /// Not understood.
    Parked,
}

impl Kind {
    pub(crate) fn of(event: Option<&Event>) -> Self {
        match event {
            None => Self::Parked,
            Some(Event::Message(_)) => Self::Message,
            Some(Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_)) => {
                Self::Meta
            }
            Some(Event::Edit(_) | Event::Delete(_) | Event::Reaction(_) | Event::Pin(_)) => {
                Self::Reference
            }
        }
    }

    pub(crate) fn is_listed(self) -> bool {
        matches!(self, Self::Message | Self::Meta)
    }
}

/// A valid event; `body` is what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryRow {
    pub(crate) ts: LogTime,
    /// The preceding valid event of the conversation.
    pub(crate) prev: Seq,
    /// Messages of the conversation up to and including it.
    pub(crate) n: u64,
    pub(crate) kind: Kind,
    pub(crate) body: Bytes,
}

/// Where a conversation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConversationRow {
    /// The last valid event.
    pub(crate) last: Seq,
    /// When it was stored, in nanoseconds.
    pub(crate) last_ts: u64,
    /// How many messages there are.
    pub(crate) n: u64,
    /// The last of them; 0 for none.
    pub(crate) last_message: Seq,
    pub(crate) title: Option<String>,
    pub(crate) member_count: u64,
}

/// Somebody who is or was in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRow {
    role: Option<Role>,
    joined: Seq,
    view_from: Seq,
    view_to: Option<Seq>,
    read: Seq,
    read_n: u64,
    mentions: u64,
    as_of: Seq,
    pub(crate) farewell: Option<FarewellRow>,
}

/// What a former member last saw of a group besides its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FarewellRow {
    pub(crate) title: Option<String>,
    pub(crate) member_count: u64,
}

impl MemberRow {
    pub(crate) fn new(record: MemberRecord, farewell: Option<FarewellRow>) -> Self {
        let MemberRecord { role, joined, view_from, view_to, read, read_n, mentions, as_of } =
            record;
        Self { role, joined, view_from, view_to, read, read_n, mentions, as_of, farewell }
    }

    pub(crate) fn record(&self) -> MemberRecord {
        MemberRecord {
            role: self.role,
            joined: self.joined,
            view_from: self.view_from,
            view_to: self.view_to,
            read: self.read,
            read_n: self.read_n,
            mentions: self.mentions,
            as_of: self.as_of,
        }
    }
}

/// What later events made of a message: edits, its deletion, reactions, pins, replies. Kept only
/// for messages that a later event referred to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnnotationRow {
    /// The edits and when each was stored, in nanoseconds; ascending.
    pub(crate) edits: Vec<(Seq, u64)>,
    /// Who is mentioned since the last edit.
    pub(crate) mentions: Option<Vec<Mention>>,
    /// The deletion, when (in nanoseconds), by whom.
    pub(crate) deleted: Option<(Seq, u64, UserId)>,
    /// By emoji, in the order of the first: who, and with which event.
    pub(crate) reactions: Vec<(String, Vec<(UserId, Seq)>)>,
    /// The event that pinned it.
    pub(crate) pinned: Option<Seq>,
    /// Replies in its thread: how many, and the last.
    pub(crate) thread: Option<(u64, Seq)>,
}

/// A valid event in the partition's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderRow {
    pub(crate) conversation: ConversationId,
    pub(crate) listed: bool,
}

/// A parked event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParkedRow {
    pub(crate) conversation: ConversationId,
    pub(crate) reason: ParkReason,
}

/// Encodes a value that serde knows.
fn encode<V: Serialize>(value: &V) -> Bytes {
    // These types hold nothing that postcard refuses; an empty value would be found on reading.
    postcard::to_stdvec(value).map(Bytes::from).unwrap_or_default()
}

macro_rules! by_postcard {
    ($($name:ty),*) => {$(
        impl $name {
            pub(crate) fn encode(&self) -> Bytes {
                encode(self)
            }
        }
        impl Decode for $name {
            fn decode(bytes: &Bytes) -> Option<Self> {
                whole(bytes)
            }
        }
    )*};
}

by_postcard!(AppliedRow, ConversationRow, MemberRow, AnnotationRow, ParkedRow);

fn whole<V: DeserializeOwned>(bytes: &Bytes) -> Option<V> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}

impl Decode for Group {
    fn decode(bytes: &Bytes) -> Option<Self> {
        whole(bytes)
    }
}

/// The fold of a group as a value.
pub(crate) fn group_value(group: &Group) -> Bytes {
    encode(group)
}

/// What the fields of an event take besides its body, in bytes, mostly.
const FIELDS_BYTES_ABOUT: usize = 20;

impl EntryRow {
    pub(crate) fn encode(&self) -> Bytes {
        let fields = (self.ts.as_nanos(), self.prev, self.n, self.kind);
        let bytes = Vec::with_capacity(FIELDS_BYTES_ABOUT + self.body.len());
        let mut bytes = postcard::to_extend(&fields, bytes).unwrap_or_default();
        bytes.extend_from_slice(&self.body);
        bytes.into()
    }
}

impl Decode for EntryRow {
    fn decode(bytes: &Bytes) -> Option<Self> {
        let ((ts, prev, n, kind), body) =
            postcard::take_from_bytes::<(u64, Seq, u64, Kind)>(bytes).ok()?;
        let body = bytes.slice_ref(body);
        Some(Self { ts: LogTime::from_nanos(ts), prev, n, kind, body })
    }
}

impl OrderRow {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = vec![u8::from(self.listed)];
        encode_conversation(self.conversation, &mut bytes);
        bytes.into()
    }
}

impl Decode for OrderRow {
    fn decode(bytes: &Bytes) -> Option<Self> {
        let (listed, rest) = bytes.split_first()?;
        let mut of = Reader(rest);
        let conversation = of.conversation()?;
        of.0.is_empty().then_some(Self { conversation, listed: *listed != 0 })
    }
}

/// The value of a mention: in which conversation.
pub(crate) fn conversation_value(conversation: ConversationId) -> Bytes {
    let mut bytes = Vec::new();
    encode_conversation(conversation, &mut bytes);
    bytes.into()
}

/// The conversation of a mention.
pub(crate) fn conversation_of(bytes: &Bytes) -> Option<ConversationId> {
    let mut of = Reader(bytes);
    let conversation = of.conversation()?;
    of.0.is_empty().then_some(conversation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_what_they_wrote() {
        let user = UserId::from_entropy([1; 20]);
        let entry = EntryRow {
            ts: LogTime::from_nanos(1_763_772_345_123_456_789),
            prev: Seq(300),
            n: 70_000,
            kind: Kind::Meta,
            body: Bytes::from_static(b"{\"v\":1}"),
        };
        assert_eq!(EntryRow::decode(&entry.encode()), Some(entry));
        let member = MemberRow {
            role: Some(Role::Owner),
            joined: Seq(1),
            view_from: Seq(2),
            view_to: Some(Seq(9)),
            read: Seq(3),
            read_n: 4,
            mentions: 5,
            as_of: Seq(9),
            farewell: Some(FarewellRow { title: None, member_count: 2 }),
        };
        assert_eq!(MemberRow::decode(&member.encode()), Some(member.clone()));
        assert_eq!(MemberRow::new(member.record(), member.farewell.clone()), member);
        let annotation = AnnotationRow {
            edits: vec![(Seq(4), 5)],
            mentions: Some(vec![Mention::All, Mention::User(user)]),
            deleted: Some((Seq(7), 8, user)),
            reactions: vec![("x".to_owned(), vec![(user, Seq(6))])],
            pinned: Some(Seq(2)),
            thread: Some((3, Seq(9))),
        };
        assert_eq!(AnnotationRow::decode(&annotation.encode()), Some(annotation));
        let order = OrderRow { conversation: ConversationId::direct(user, user), listed: true };
        assert_eq!(OrderRow::decode(&order.encode()), Some(order));
        assert_eq!(OrderRow::decode(&Bytes::from_static(b"\x01\x01short")), None);
    }
}
