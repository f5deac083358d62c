//! The keys of rows: binary, big-endian, so that the order of bytes is the order of meaning.

use std::fmt;
use std::ops::Range;

use hansard_model::{ConversationId, GroupId, MessageId, Seq, UserId};

const DIRECT: u8 = 1;
const GROUP: u8 = 2;

/// The key of a row, in the order of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RowKey {
    /// `!`: how far the rows are.
    Applied,
    /// `a`: what later events made of a message.
    Annotation(ConversationId, Seq),
    /// `b`: somebody who is or was in a conversation.
    Member(ConversationId, UserId),
    /// `d`: a conversation somebody is or was in.
    Membership(UserId, ConversationId),
    /// `g`: the fold of a group.
    Group(ConversationId),
    /// `i`: an event by its identity; valid or void.
    Identity(ConversationId, UserId, MessageId, Seq),
    /// `k`: a parked event.
    Parked(Seq),
    /// `m`: an event that pages list.
    Listed(ConversationId, Seq),
    /// `o`: a valid event in the partition's order.
    Order(Seq),
    /// `r`: an event that pages fold into others, or cannot read.
    Unlisted(ConversationId, Seq),
    /// `s`: where a conversation stands.
    Conversation(ConversationId),
    /// `t`: a reply in the thread of a root.
    Reply(ConversationId, Seq, Seq),
    /// `u`: a message that mentions somebody by name.
    Mention(UserId, Seq),
    /// `y`: a message that mentions everybody.
    MentionAll(ConversationId, Seq),
}

/// The beginning that some keys share.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prefix {
    /// All rows.
    All,
    /// Annotations of a conversation.
    Annotations(ConversationId),
    /// Members of a conversation.
    Members(ConversationId),
    /// Members of all conversations.
    AllMembers,
    /// Conversations of a user.
    Memberships(UserId),
    /// Events under one identity.
    Identities(ConversationId, UserId, MessageId),
    /// Parked events.
    Parked,
    /// Listed events of a conversation.
    Listed(ConversationId),
    /// The partition's order.
    Order,
    /// The other events of a conversation.
    Unlisted(ConversationId),
    /// All conversations.
    Conversations,
    /// Replies of a root.
    Replies(ConversationId, Seq),
    /// Mentions of a user by name.
    Mentions(UserId),
    /// Messages of a conversation that mention everybody.
    MentionsOfAll(ConversationId),
}

/// Writes keys.
struct Writer(Vec<u8>);

impl Writer {
    fn new(tag: u8) -> Self {
        let mut bytes = Vec::with_capacity(96);
        bytes.push(tag);
        Self(bytes)
    }

    fn user(mut self, user: UserId) -> Self {
        self.0.extend_from_slice(user.as_str().as_bytes());
        self
    }

    fn conversation(mut self, conversation: ConversationId) -> Self {
        encode_conversation(conversation, &mut self.0);
        self
    }

    fn id(mut self, id: MessageId) -> Self {
        self.0.extend_from_slice(&id.to_bytes());
        self
    }

    fn seq(mut self, seq: Seq) -> Self {
        self.0.extend_from_slice(&seq.0.to_be_bytes());
        self
    }
}

/// A conversation as it stands in keys and values.
pub(super) fn encode_conversation(conversation: ConversationId, bytes: &mut Vec<u8>) {
    match conversation {
        ConversationId::Direct(x, y) => {
            bytes.push(DIRECT);
            bytes.extend_from_slice(x.as_str().as_bytes());
            bytes.extend_from_slice(y.as_str().as_bytes());
        }
        ConversationId::Group(group) => {
            bytes.push(GROUP);
            bytes.extend_from_slice(group.as_str().as_bytes());
        }
    }
}

/// Reads keys.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn user(&mut self) -> Option<UserId> {
        UserId::from_ascii(&self.bytes::<{ UserId::LEN }>()?)
    }

    pub(super) fn conversation(&mut self) -> Option<ConversationId> {
        match self.bytes::<1>()? {
            [DIRECT] => {
                let (x, y) = (self.user()?, self.user()?);
                (x <= y).then_some(ConversationId::Direct(x, y))
            }
            [GROUP] => {
                let group = GroupId::from_ascii(&self.bytes::<{ GroupId::LEN }>()?)?;
                Some(ConversationId::Group(group))
            }
            _ => None,
        }
    }

    fn id(&mut self) -> Option<MessageId> {
        MessageId::from_bytes(self.bytes()?)
    }

    fn seq(&mut self) -> Option<Seq> {
        Some(Seq(u64::from_be_bytes(self.bytes()?)))
    }
}

impl RowKey {
    /// As stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let new = Writer::new;
        match *self {
            Self::Applied => new(b'!'),
            Self::Annotation(at, seq) => new(b'a').conversation(at).seq(seq),
            Self::Member(at, user) => new(b'b').conversation(at).user(user),
            Self::Membership(user, at) => new(b'd').user(user).conversation(at),
            Self::Group(at) => new(b'g').conversation(at),
            Self::Identity(at, user, id, seq) => {
                new(b'i').conversation(at).user(user).id(id).seq(seq)
            }
            Self::Parked(seq) => new(b'k').seq(seq),
            Self::Listed(at, seq) => new(b'm').conversation(at).seq(seq),
            Self::Order(seq) => new(b'o').seq(seq),
            Self::Unlisted(at, seq) => new(b'r').conversation(at).seq(seq),
            Self::Conversation(at) => new(b's').conversation(at),
            Self::Reply(at, root, seq) => new(b't').conversation(at).seq(root).seq(seq),
            Self::Mention(user, seq) => new(b'u').user(user).seq(seq),
            Self::MentionAll(at, seq) => new(b'y').conversation(at).seq(seq),
        }
        .0
    }

    /// Reads a stored key; `None` when it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let mut of = Reader(rest);
        let key = match tag {
            b'!' => Self::Applied,
            b'a' => Self::Annotation(of.conversation()?, of.seq()?),
            b'b' => Self::Member(of.conversation()?, of.user()?),
            b'd' => Self::Membership(of.user()?, of.conversation()?),
            b'g' => Self::Group(of.conversation()?),
            b'i' => Self::Identity(of.conversation()?, of.user()?, of.id()?, of.seq()?),
            b'k' => Self::Parked(of.seq()?),
            b'm' => Self::Listed(of.conversation()?, of.seq()?),
            b'o' => Self::Order(of.seq()?),
            b'r' => Self::Unlisted(of.conversation()?, of.seq()?),
            b's' => Self::Conversation(of.conversation()?),
            b't' => Self::Reply(of.conversation()?, of.seq()?, of.seq()?),
            b'u' => Self::Mention(of.user()?, of.seq()?),
            b'y' => Self::MentionAll(of.conversation()?, of.seq()?),
            _ => return None,
        };
        of.0.is_empty().then_some(key)
    }

    /// The position in the key, if it ends with one.
    pub(crate) fn seq(&self) -> Option<Seq> {
        match *self {
            Self::Annotation(_, seq)
            | Self::Identity(.., seq)
            | Self::Parked(seq)
            | Self::Listed(_, seq)
            | Self::Order(seq)
            | Self::Unlisted(_, seq)
            | Self::Reply(.., seq)
            | Self::Mention(_, seq)
            | Self::MentionAll(_, seq) => Some(seq),
            Self::Applied
            | Self::Member(..)
            | Self::Membership(..)
            | Self::Group(_)
            | Self::Conversation(_) => None,
        }
    }
}

/// For people: nothing of what was said is in a key.
impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied => write!(f, "applied"),
            Self::Annotation(at, seq) => write!(f, "annotation {at} {seq}"),
            Self::Member(at, user) => write!(f, "member {at} {user}"),
            Self::Membership(user, at) => write!(f, "membership {user} {at}"),
            Self::Group(at) => write!(f, "group {at}"),
            Self::Identity(at, user, id, seq) => write!(f, "identity {at} {user} {id} {seq}"),
            Self::Parked(seq) => write!(f, "parked {seq}"),
            Self::Listed(at, seq) => write!(f, "listed {at} {seq}"),
            Self::Order(seq) => write!(f, "order {seq}"),
            Self::Unlisted(at, seq) => write!(f, "unlisted {at} {seq}"),
            Self::Conversation(at) => write!(f, "conversation {at}"),
            Self::Reply(at, root, seq) => write!(f, "reply {at} {root} {seq}"),
            Self::Mention(user, seq) => write!(f, "mention {user} {seq}"),
            Self::MentionAll(at, seq) => write!(f, "mention-all {at} {seq}"),
        }
    }
}

impl Prefix {
    fn encode(self) -> Vec<u8> {
        let new = Writer::new;
        match self {
            Self::All => return Vec::new(),
            Self::Annotations(at) => new(b'a').conversation(at),
            Self::Members(at) => new(b'b').conversation(at),
            Self::AllMembers => new(b'b'),
            Self::Memberships(user) => new(b'd').user(user),
            Self::Identities(at, user, id) => new(b'i').conversation(at).user(user).id(id),
            Self::Parked => new(b'k'),
            Self::Listed(at) => new(b'm').conversation(at),
            Self::Order => new(b'o'),
            Self::Unlisted(at) => new(b'r').conversation(at),
            Self::Conversations => new(b's'),
            Self::Replies(at, root) => new(b't').conversation(at).seq(root),
            Self::Mentions(user) => new(b'u').user(user),
            Self::MentionsOfAll(at) => new(b'y').conversation(at),
        }
        .0
    }

    /// All keys that begin so.
    pub(crate) fn whole(self) -> Range<Vec<u8>> {
        let start = self.encode();
        let mut end = start.clone();
        // Tags are ASCII: there is always a next one.
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        if end.is_empty() {
            end.push(u8::MAX);
        }
        start..end
    }

    /// Those of the keys with a position in `seqs` right after the prefix.
    pub(crate) fn between(self, seqs: Range<Seq>) -> Range<Vec<u8>> {
        let at = |seq: Seq| Writer(self.encode()).seq(seq).0;
        let Range { start, end } = seqs;
        at(start)..at(end.max(start))
    }
}

/// The range after a key that was read, to read on.
pub(crate) fn after(range: &Range<Vec<u8>>, key: &[u8]) -> Range<Vec<u8>> {
    let mut start = key.to_vec();
    start.push(0);
    start..range.end.clone()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_user() -> impl Strategy<Value = UserId> {
        // Few, so that keys differ late as well as early.
        prop_oneof![
            (0u8..4).prop_map(|number| UserId::from_entropy([number; 20])),
            any::<[u8; 20]>().prop_map(UserId::from_entropy),
        ]
    }

    fn any_conversation() -> impl Strategy<Value = ConversationId> {
        prop_oneof![
            (any_user(), any_user()).prop_map(|(x, y)| ConversationId::direct(x, y)),
            (0u8..4).prop_map(|number| ConversationId::Group(GroupId::from_entropy([number; 20]))),
        ]
    }

    fn any_seq() -> impl Strategy<Value = Seq> {
        prop_oneof![(0u64..1000).prop_map(Seq), any::<u64>().prop_map(Seq)]
    }

    fn any_key() -> impl Strategy<Value = RowKey> {
        let id = || (0u64..1 << 48, 0u8..4).prop_map(|(ms, byte)| MessageId::new(ms, [byte; 10]));
        let at = any_conversation;
        prop_oneof![
            Just(RowKey::Applied),
            (at(), any_seq()).prop_map(|(at, seq)| RowKey::Annotation(at, seq)),
            (at(), any_user()).prop_map(|(at, user)| RowKey::Member(at, user)),
            (any_user(), at()).prop_map(|(user, at)| RowKey::Membership(user, at)),
            at().prop_map(RowKey::Group),
            (at(), any_user(), id(), any_seq())
                .prop_map(|(at, user, id, seq)| RowKey::Identity(at, user, id, seq)),
            any_seq().prop_map(RowKey::Parked),
            (at(), any_seq()).prop_map(|(at, seq)| RowKey::Listed(at, seq)),
            any_seq().prop_map(RowKey::Order),
            (at(), any_seq()).prop_map(|(at, seq)| RowKey::Unlisted(at, seq)),
            at().prop_map(RowKey::Conversation),
            (at(), any_seq(), any_seq()).prop_map(|(at, root, seq)| RowKey::Reply(at, root, seq)),
            (any_user(), any_seq()).prop_map(|(user, seq)| RowKey::Mention(user, seq)),
            (at(), any_seq()).prop_map(|(at, seq)| RowKey::MentionAll(at, seq)),
        ]
    }

    proptest! {
        #[test]
        fn keys_parse_what_they_print(key in any_key()) {
            prop_assert_eq!(RowKey::parse(&key.encode()), Some(key));
        }

        #[test]
        fn the_order_of_keys_is_the_order_of_meaning(one in any_key(), other in any_key()) {
            prop_assert_eq!(one.cmp(&other), one.encode().cmp(&other.encode()));
        }

        #[test]
        fn hostile_bytes_are_no_key(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(key) = RowKey::parse(&bytes) {
                prop_assert_eq!(key.encode(), bytes);
            }
        }

        #[test]
        fn a_prefix_holds_its_own_keys_only(at in any_conversation(), key in any_key(), root in any_seq()) {
            let is_in = |range: Range<Vec<u8>>| range.contains(&key.encode());
            prop_assert_eq!(is_in(Prefix::Listed(at).whole()), matches!(key, RowKey::Listed(of, _) if of == at));
            prop_assert_eq!(is_in(Prefix::Members(at).whole()), matches!(key, RowKey::Member(of, _) if of == at));
            prop_assert_eq!(
                is_in(Prefix::Replies(at, root).whole()),
                matches!(key, RowKey::Reply(of, to, _) if of == at && to == root)
            );
            prop_assert!(is_in(Prefix::All.whole()));
        }
    }
}
