//! Every subject of Hansard, as a type that prints and parses it. No other code formats subjects.

use std::fmt;
use std::str::FromStr;

use crate::account::Handle;
use crate::event::EventClass;
use crate::id::{Bucket, ConversationId, DeviceId, GroupId, PartitionId, UserId};
use crate::presence::{PresenceKey, shard_of, shard_token};

/// A NATS subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `ev.<partition>.<a>.<b>.msg|meta`: the log.
    Event {
        /// The partition of the conversation.
        partition: PartitionId,
        /// The conversation.
        conversation: ConversationId,
        /// Which of its two subjects.
        class: EventClass,
    },
    /// `acct.handle.<handle>`: the creation of a user; once per handle.
    AccountHandle(Handle),
    /// `acct.user.<user>`: changes of a profile.
    AccountUser(UserId),
    /// `acct.device.<user>.<device>`: a session's life.
    AccountDevice(UserId, DeviceId),
    /// `acct.settings.<user>.<a>.<b>`: what a user set for one conversation.
    AccountSettings(UserId, ConversationId),
    /// `live.d.<bucket x>.<x>.<bucket y>.<y>` or `live.g.<id>`: an event as the projector saw it.
    Live(ConversationId),
    /// `order.<partition>`: which events a partition's owner is about to publish, in their order.
    LiveOrder(PartitionId),
    /// `typing.<a>.<b>`: never stored.
    Typing(ConversationId),
    /// `query.<partition>.<verb>`: a question to the owner of a partition.
    Query(PartitionId, QueryVerb),
    /// `search.all`: a question to all who keep indexes.
    SearchAll,
    /// `search.<partition>`: a question to who keeps the index of a partition.
    Search(PartitionId),
    /// `search.<partition>.views`: what an operator asks who keeps the index of a partition.
    SearchViews(PartitionId),
    /// `gateway.<gateway>.confirm`: asks one gateway to confirm a group's meta sequence.
    GatewayConfirm(DeviceId),
    /// `gateway.<gateway>.sessions`: asks one gateway for the connections of a user.
    GatewaySessions(DeviceId),
    /// `media.<a>.<b>`: an upload that messages of a conversation refer to is ready.
    MediaReady(ConversationId),
    /// `presence.<shard>.<bucket>.<user>.<device>.<gateway>`: a device came, changed or went. Told
    /// at once, over core NATS; what holds is in the bucket.
    Presence(PresenceKey),
}

/// What an owner can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryVerb {
    /// Events of a conversation, every kind.
    Events,
    /// Messages of a conversation, with the others folded in.
    Messages,
    /// Where (conversation, sender, id) is stored.
    Lookup,
    /// One conversation as one user sees it.
    Conversation,
    /// Conversations of a user that changed after a position.
    Changed,
    /// The live feed again, after a position.
    Feed,
    /// How many reactions a user has on a message.
    Reactions,
    /// The fold of a group.
    Group,
    /// An event as it was stored, from the stream or the archive.
    Record,
    /// Messages that mention a user, newest first.
    Mentions,
    /// Messages at given positions, as they stand now.
    Picked,
    /// The pinned messages of a conversation.
    Pins,
    /// Who reacted to a message.
    Reactors,
    /// The events behind the counts of an inbox entry.
    Explain,
    /// What a receipt comes to.
    Reach,
    /// Events that could not be read.
    Parked,
    /// The views of the partition: status, rebuild, verification, rollback.
    Views,
}

impl QueryVerb {
    /// All verbs, for registering a service.
    pub const ALL: [Self; 17] = [
        Self::Events,
        Self::Messages,
        Self::Lookup,
        Self::Conversation,
        Self::Changed,
        Self::Feed,
        Self::Reactions,
        Self::Group,
        Self::Record,
        Self::Mentions,
        Self::Picked,
        Self::Pins,
        Self::Reactors,
        Self::Explain,
        Self::Reach,
        Self::Parked,
        Self::Views,
    ];

    /// The subject token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Messages => "messages",
            Self::Lookup => "lookup",
            Self::Conversation => "conversation",
            Self::Changed => "changed",
            Self::Feed => "feed",
            Self::Reactions => "reactions",
            Self::Group => "group",
            Self::Record => "record",
            Self::Mentions => "mentions",
            Self::Picked => "picked",
            Self::Pins => "pins",
            Self::Reactors => "reactors",
            Self::Explain => "explain",
            Self::Reach => "reach",
            Self::Parked => "parked",
            Self::Views => "views",
        }
    }
}

/// The text is not a subject of Hansard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a subject of hansard")]
pub struct ParseSubjectError;

impl Subject {
    /// The log subject of an event.
    pub fn event(partition: PartitionId, conversation: ConversationId, class: EventClass) -> Self {
        Self::Event { partition, conversation, class }
    }
}

/// `presence.<shard>.>`: the devices of all users of a shard.
pub fn presence_filter(shard: usize) -> String {
    format!("presence.{}.>", shard_token(shard))
}

/// What of the live feed a gateway subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// The direct conversations of the users of a bucket.
    Bucket(Bucket),
    /// All direct conversations.
    Directs,
    /// A group.
    Group(GroupId),
    /// All groups.
    Groups,
}

impl Interest {
    /// The subjects of what is of interest.
    pub fn filters(self) -> Vec<String> {
        match self {
            Self::Bucket(bucket) => {
                vec![format!("live.d.{bucket}.>"), format!("live.d.*.*.{bucket}.>")]
            }
            Self::Directs => vec!["live.d.>".to_owned()],
            Self::Group(group) => vec![Subject::Live(ConversationId::Group(group)).to_string()],
            Self::Groups => vec!["live.g.>".to_owned()],
        }
    }
}

/// `ev.<partition>.<a>.<b>.*`: both subjects of a conversation.
pub fn event_filter(partition: PartitionId, conversation: ConversationId) -> String {
    format!("ev.{partition}.{conversation}.*")
}

impl EventClass {
    fn as_str(self) -> &'static str {
        match self {
            Self::Msg => "msg",
            Self::Meta => "meta",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { partition, conversation, class } => {
                write!(f, "ev.{partition}.{conversation}.{}", class.as_str())
            }
            Self::AccountHandle(handle) => write!(f, "acct.handle.{handle}"),
            Self::AccountUser(user) => write!(f, "acct.user.{user}"),
            Self::AccountDevice(user, device) => write!(f, "acct.device.{user}.{device}"),
            Self::AccountSettings(user, conversation) => {
                write!(f, "acct.settings.{user}.{conversation}")
            }
            Self::Live(ConversationId::Direct(x, y)) => {
                write!(f, "live.d.{}.{x}.{}.{y}", x.bucket(), y.bucket())
            }
            Self::Live(ConversationId::Group(group)) => write!(f, "live.g.{group}"),
            Self::LiveOrder(partition) => write!(f, "order.{partition}"),
            Self::Typing(conversation) => write!(f, "typing.{conversation}"),
            Self::Query(partition, verb) => write!(f, "query.{partition}.{}", verb.as_str()),
            Self::SearchAll => f.write_str("search.all"),
            Self::Search(partition) => write!(f, "search.{partition}"),
            Self::SearchViews(partition) => write!(f, "search.{partition}.views"),
            Self::GatewayConfirm(gateway) => write!(f, "gateway.{gateway}.confirm"),
            Self::GatewaySessions(gateway) => write!(f, "gateway.{gateway}.sessions"),
            Self::MediaReady(conversation) => write!(f, "media.{conversation}"),
            Self::Presence(key) => {
                write!(f, "presence.{}.{key}", shard_token(shard_of(key.user)))
            }
        }
    }
}

impl FromStr for Subject {
    type Err = ParseSubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or(ParseSubjectError)
    }
}

fn parse(text: &str) -> Option<Subject> {
    let (root, rest) = text.split_once('.')?;
    match root {
        "ev" => {
            let (partition, rest) = rest.split_once('.')?;
            let (conversation, class) = rest.rsplit_once('.')?;
            let class = match class {
                "msg" => EventClass::Msg,
                "meta" => EventClass::Meta,
                _ => return None,
            };
            Some(Subject::event(parse_partition(partition)?, conversation.parse().ok()?, class))
        }
        "acct" => parse_account(rest),
        "live" => parse_live(rest),
        "order" => Some(Subject::LiveOrder(parse_partition(rest)?)),
        "media" => Some(Subject::MediaReady(rest.parse().ok()?)),
        "typing" => Some(Subject::Typing(rest.parse().ok()?)),
        "query" => {
            let (partition, verb) = rest.split_once('.')?;
            let verb = QueryVerb::ALL.into_iter().find(|known| known.as_str() == verb)?;
            Some(Subject::Query(parse_partition(partition)?, verb))
        }
        "search" if rest == "all" => Some(Subject::SearchAll),
        "search" => Some(match rest.strip_suffix(".views") {
            Some(partition) => Subject::SearchViews(parse_partition(partition)?),
            None => Subject::Search(parse_partition(rest)?),
        }),
        "gateway" => {
            let (gateway, what) = rest.split_once('.')?;
            match what {
                "confirm" => Some(Subject::GatewayConfirm(gateway.parse().ok()?)),
                "sessions" => Some(Subject::GatewaySessions(gateway.parse().ok()?)),
                _ => None,
            }
        }
        "presence" => {
            let (shard, key) = rest.split_once('.')?;
            let key: PresenceKey = key.parse().ok()?;
            let is_of_shard = shard == shard_token(shard_of(key.user)).to_string();
            is_of_shard.then_some(Subject::Presence(key))
        }
        _ => None,
    }
}

fn parse_account(rest: &str) -> Option<Subject> {
    let (kind, rest) = rest.split_once('.')?;
    match kind {
        "handle" => Some(Subject::AccountHandle(rest.parse().ok()?)),
        "user" => Some(Subject::AccountUser(rest.parse().ok()?)),
        "device" => {
            let (user, device) = rest.split_once('.')?;
            Some(Subject::AccountDevice(user.parse().ok()?, device.parse().ok()?))
        }
        "settings" => {
            let (user, conversation) = rest.split_once('.')?;
            Some(Subject::AccountSettings(user.parse().ok()?, conversation.parse().ok()?))
        }
        _ => None,
    }
}

fn parse_live(rest: &str) -> Option<Subject> {
    let mut tokens = rest.split('.');
    let subject = match tokens.next()? {
        "g" => Subject::Live(ConversationId::Group(tokens.next()?.parse().ok()?)),
        "d" => {
            let (x, y) = (parse_bucketed_user(&mut tokens)?, parse_bucketed_user(&mut tokens)?);
            if x > y {
                return None;
            }
            Subject::Live(ConversationId::Direct(x, y))
        }
        _ => return None,
    };
    tokens.next().is_none().then_some(subject)
}

fn parse_bucketed_user<'a>(tokens: &mut impl Iterator<Item = &'a str>) -> Option<UserId> {
    let bucket = tokens.next()?;
    let user: UserId = tokens.next()?.parse().ok()?;
    (user.bucket() == bucket).then_some(user)
}

fn parse_partition(text: &str) -> Option<PartitionId> {
    let partition: u16 = text.parse().ok()?;
    // One spelling: no sign, no leading zero.
    (partition.to_string() == text).then_some(PartitionId(partition))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_user() -> impl Strategy<Value = UserId> {
        any::<[u8; 20]>().prop_map(UserId::from_entropy)
    }

    fn any_conversation() -> impl Strategy<Value = ConversationId> {
        prop_oneof![
            (any_user(), any_user()).prop_map(|(x, y)| ConversationId::direct(x, y)),
            any::<[u8; 20]>().prop_map(|e| ConversationId::Group(GroupId::from_entropy(e))),
        ]
    }

    fn any_subject() -> impl Strategy<Value = Subject> {
        let device = any::<[u8; 20]>().prop_map(DeviceId::from_entropy);
        let verb = proptest::sample::select(QueryVerb::ALL.to_vec());
        let class = prop_oneof![Just(EventClass::Msg), Just(EventClass::Meta)];
        let partition = (0u16..1024).prop_map(PartitionId);
        prop_oneof![
            (partition.clone(), any_conversation(), class)
                .prop_map(|(p, conversation, class)| Subject::event(p, conversation, class)),
            "[a-z0-9_-]{2,10}(\\.[a-z0-9_-]{1,10})?"
                .prop_map(|handle| Subject::AccountHandle(handle.parse().expect("a handle"))),
            any_user().prop_map(Subject::AccountUser),
            (any_user(), device.clone()).prop_map(|(u, d)| Subject::AccountDevice(u, d)),
            (any_user(), any_conversation()).prop_map(|(u, c)| Subject::AccountSettings(u, c)),
            any_conversation().prop_map(Subject::Live),
            partition.clone().prop_map(Subject::LiveOrder),
            any_conversation().prop_map(Subject::Typing),
            any_conversation().prop_map(Subject::MediaReady),
            (partition.clone(), verb).prop_map(|(p, verb)| Subject::Query(p, verb)),
            Just(Subject::SearchAll),
            partition.clone().prop_map(Subject::Search),
            partition.prop_map(Subject::SearchViews),
            device.clone().prop_map(Subject::GatewayConfirm),
            device.clone().prop_map(Subject::GatewaySessions),
            (any_user(), device.clone(), device).prop_map(|(user, device, gateway)| {
                Subject::Presence(PresenceKey { user, device, gateway })
            }),
        ]
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse_of_printing(subject in any_subject()) {
            prop_assert_eq!(subject.to_string().parse(), Ok(subject));
        }

        #[test]
        fn what_parses_prints_the_same(text in "(ev|acct|live|order|query|search|typing|media|gateway|presence)\\.[a-z0-9.*> ]{0,60}") {
            if let Ok(subject) = text.parse::<Subject>() {
                prop_assert_eq!(subject.to_string(), text);
            }
        }
    }
}
