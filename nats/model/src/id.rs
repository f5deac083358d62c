//! Identities. All are short, fixed-length, copyable, and valid as one token of a NATS subject.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The text is not an id of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0} id")]
pub struct ParseIdError(&'static str);

fn parse_base32<const N: usize>(text: &str, kind: &'static str) -> Result<[u8; N], ParseIdError> {
    let bytes: [u8; N] = text.as_bytes().try_into().map_err(|_| ParseIdError(kind))?;
    if is_base32(&bytes) { Ok(bytes) } else { Err(ParseIdError(kind)) }
}

/// Whether all are of [`ALPHABET`]. Every event that is read has half a dozen ids, so this compares
/// ranges and searches nothing.
fn is_base32(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

macro_rules! serde_as_text {
    ($name:ty) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! base32_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; Self::LEN]);

        impl $name {
            /// Characters of an id: 100 bits in lower-case base32.
            pub const LEN: usize = 20;

            /// Makes an id of random (or hashed) bytes; each gives 5 bits.
            pub fn from_entropy(entropy: [u8; Self::LEN]) -> Self {
                Self(entropy.map(|byte| ALPHABET[usize::from(byte & 31)]))
            }

            /// The id of its text as bytes; `None` when they are no id.
            pub fn from_ascii(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; Self::LEN] = bytes.try_into().ok()?;
                is_base32(&bytes).then_some(Self(bytes))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                // Base32 is ASCII by construction.
                std::str::from_utf8(&self.0).unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_base32(text, $kind).map(Self)
            }
        }

        serde_as_text!($name);
    };
}

base32_id! {
    /// A person (or bot). The first two characters are the user's bucket.
    UserId, "user"
}
base32_id! {
    /// A group conversation, without the `g.` that begins its conversation id.
    GroupId, "group"
}
base32_id! {
    /// A device: one session of one user.
    DeviceId, "device"
}
base32_id! {
    /// An upload. Ids are not guessed: they are the first of two locks.
    UploadId, "upload"
}

/// A bucket of users, by which gateways subscribe to the live feed: the first two characters of a
/// user's id. There are 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket([u8; 2]);

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Base32 is ASCII by construction.
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl UserId {
    /// The user's bucket as text.
    pub fn bucket(&self) -> &str {
        &self.as_str()[..2]
    }

    /// The user's bucket.
    pub fn bucket_id(&self) -> Bucket {
        Bucket([self.0[0], self.0[1]])
    }
}

/// A conversation: `<x>.<y>`, two users in byte order, or `g.<group>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConversationId {
    /// A direct conversation, lower id first; the same id twice is notes to self.
    Direct(UserId, UserId),
    /// A group.
    Group(GroupId),
}

impl ConversationId {
    /// The direct conversation of two users, in either order.
    pub fn direct(one: UserId, other: UserId) -> Self {
        Self::Direct(one.min(other), one.max(other))
    }

    /// The other person of a direct conversation of `user` (`user` itself for notes to self);
    /// nobody in a group, or when `user` is not in it.
    pub fn other(&self, user: UserId) -> Option<UserId> {
        match *self {
            Self::Direct(x, y) if x == user => Some(y),
            Self::Direct(x, y) if y == user => Some(x),
            Self::Direct(..) | Self::Group(_) => None,
        }
    }

    /// Whether this is a group.
    pub fn is_group(&self) -> bool {
        matches!(self, Self::Group(_))
    }

    /// The partition of the conversation: FNV-1a (64 bit, Fowler/Noll/Vo) of the id's text,
    /// modulo the number of partitions. Stored data depends on it: it never changes.
    pub fn partition(&self, count: PartitionCount) -> PartitionId {
        fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
            bytes
                .iter()
                .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
        }
        let seed = 0xcbf2_9ce4_8422_2325;
        let hash = match self {
            Self::Direct(x, y) => fnv1a(fnv1a(fnv1a(seed, &x.0), b"."), &y.0),
            Self::Group(group) => fnv1a(fnv1a(seed, b"g."), &group.0),
        };
        // The low bits of FNV-1a mix least: fold the high half in.
        PartitionId(((hash ^ (hash >> 32)) % u64::from(count.0)) as u16)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(x, y) => write!(f, "{x}.{y}"),
            Self::Group(group) => write!(f, "g.{group}"),
        }
    }
}

impl FromStr for ConversationId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseIdError("conversation");
        let (a, b) = text.split_once('.').ok_or(error)?;
        if a == "g" {
            return b.parse().map(Self::Group).map_err(|_| error);
        }
        let (x, y): (UserId, UserId) =
            (a.parse().map_err(|_| error)?, b.parse().map_err(|_| error)?);
        if x <= y { Ok(Self::Direct(x, y)) } else { Err(error) }
    }
}

serde_as_text!(ConversationId);

/// The id a client gives an event: a UUID of version 7, minted when the person presses send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(uuid::Uuid);

impl MessageId {
    /// An id of a moment (milliseconds since the Unix epoch) and 10 random bytes.
    pub fn new(millis: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The id as 16 bytes, in the order of ids.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The id of 16 bytes; `None` when they are no UUID of version 7.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let uuid = uuid::Uuid::from_bytes(bytes);
        let rfc = matches!(uuid.get_variant(), uuid::Variant::RFC4122);
        (rfc && uuid.get_version_num() == 7).then_some(Self(uuid))
    }

    /// The moment in the id, in milliseconds since the Unix epoch.
    pub fn millis(&self) -> u64 {
        self.0.as_u128().checked_shr(80).and_then(|millis| u64::try_from(millis).ok()).unwrap_or(0)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

impl FromStr for MessageId {
    type Err = ParseIdError;
    /// Only the hyphenated lower-case form: an id has one spelling, because the log compares it
    /// as text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseIdError("message");
        let uuid = uuid::Uuid::try_parse(text).map_err(|_| error)?;
        let one_spelling = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let rfc = matches!(uuid.get_variant(), uuid::Variant::RFC4122);
        if one_spelling && rfc && uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(error) }
    }
}

serde_as_text!(MessageId);

/// A position in a partition's stream, from 1; 0 means "before everything". It is also the order
/// of a conversation: increasing, not dense.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The next position.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How many partitions a deployment has: fixed when it is created, 1 to 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PartitionCount(u16);

impl PartitionCount {
    /// What a deployment gets unless it says otherwise.
    pub const DEFAULT: Self = Self(16);

    /// A count of partitions; `None` unless 1 to 1,024.
    pub fn new(count: u16) -> Option<Self> {
        (1..=1024).contains(&count).then_some(Self(count))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }

    /// All partitions, in order.
    pub fn partitions(self) -> impl Iterator<Item = PartitionId> {
        (0..self.0).map(PartitionId)
    }
}

impl<'de> Deserialize<'de> for PartitionCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let count = u16::deserialize(deserializer)?;
        Self::new(count).ok_or_else(|| serde::de::Error::custom("partitions must be 1 to 1024"))
    }
}

impl FromStr for PartitionCount {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().and_then(Self::new).ok_or("partitions must be 1 to 1024")
    }
}

impl fmt::Display for PartitionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One partition: its stream is `EVENTS_<p>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub u16);

impl PartitionId {
    /// As an index of a vector with one entry per partition.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_user() -> impl Strategy<Value = UserId> {
        any::<[u8; 20]>().prop_map(UserId::from_entropy)
    }

    proptest! {
        #[test]
        fn conversation_ids_parse_what_they_print(x in any_user(), y in any_user(), group in any::<[u8; 20]>()) {
            let direct = ConversationId::direct(x, y);
            prop_assert_eq!(direct, ConversationId::direct(y, x));
            prop_assert_eq!(direct.to_string().parse(), Ok(direct));
            let group = ConversationId::Group(GroupId::from_entropy(group));
            prop_assert_eq!(group.to_string().parse(), Ok(group));
        }

        #[test]
        fn message_ids_parse_what_they_print(millis in 0u64..1 << 48, random in any::<[u8; 10]>()) {
            let id = MessageId::new(millis, random);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.millis(), millis);
        }

        #[test]
        fn hostile_text_is_not_an_id(text in "\\PC*") {
            if let Ok(id) = text.parse::<ConversationId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn the_alphabet_is_what_ids_are_made_of() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_base32(&[byte]), ALPHABET.contains(&byte), "{byte}");
        }
    }

    #[test]
    fn wildcards_and_spaces_are_not_ids() {
        for text in [
            "*",
            ">",
            "g.*",
            "g.>",
            "a b",
            "",
            ".",
            "g.",
            "aaaaaaaaaaaaaaaaaaaa.>",
            "g.AAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(text.parse::<ConversationId>().is_err(), "{text}");
        }
    }

    #[test]
    fn direct_ids_have_one_spelling() {
        let (a, b) = ("a".repeat(20), "b".repeat(20));
        assert!(format!("{a}.{b}").parse::<ConversationId>().is_ok());
        assert!(format!("{b}.{a}").parse::<ConversationId>().is_err());
    }

    #[test]
    fn message_ids_have_one_spelling() {
        let id = "019a9b1c-7b1a-7000-8000-00000000000a";
        assert!(id.parse::<MessageId>().is_ok());
        assert!(id.to_uppercase().parse::<MessageId>().is_err());
        assert!(id.replace('-', "").parse::<MessageId>().is_err());
        assert!(id.replace("-7000-", "-4000-").parse::<MessageId>().is_err());
    }

    #[test]
    fn partitions_are_stable() {
        let group = ConversationId::Group(GroupId::from_entropy([7; 20]));
        let direct =
            ConversationId::direct(UserId::from_entropy([1; 20]), UserId::from_entropy([2; 20]));
        assert_eq!(group.partition(PartitionCount::DEFAULT), PartitionId(PARTITION_OF_GROUP));
        assert_eq!(direct.partition(PartitionCount::DEFAULT), PartitionId(PARTITION_OF_DIRECT));
    }
    const PARTITION_OF_GROUP: u16 = 2;
    const PARTITION_OF_DIRECT: u16 = 10;
}
