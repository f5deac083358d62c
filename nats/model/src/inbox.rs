//! What the projector keeps in the inbox bucket. Values are copies of the owner's state at a
//! position, never increments: written with compare-and-set, an older copy cannot replace a newer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::Role;
use crate::id::{ConversationId, PartitionId, Seq, UserId};
use crate::receipt::Mark;
use crate::time::LogTime;

/// A key of the inbox bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InboxKey {
    /// `c.<a>.<b>`: a [`Head`].
    Head(ConversationId),
    /// `m.<user>.<a>.<b>`: a [`MemberRecord`].
    Member(UserId, ConversationId),
    /// `p.<partition>`: a [`Position`].
    Position(PartitionId),
}

impl InboxKey {
    /// `m.<user>.>`: all memberships of a user.
    pub fn members_of(user: UserId) -> String {
        format!("m.{user}.>")
    }
}

impl fmt::Display for InboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(conversation) => write!(f, "c.{conversation}"),
            Self::Member(user, conversation) => write!(f, "m.{user}.{conversation}"),
            Self::Position(partition) => write!(f, "p.{partition}"),
        }
    }
}

/// The text is not a key of the inbox bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an inbox key")]
pub struct ParseInboxKeyError;

impl FromStr for InboxKey {
    type Err = ParseInboxKeyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || match text.split_once('.')? {
            ("c", conversation) => Some(Self::Head(conversation.parse().ok()?)),
            ("m", rest) => {
                let (user, conversation) = rest.split_once('.')?;
                Some(Self::Member(user.parse().ok()?, conversation.parse().ok()?))
            }
            ("p", partition) => Some(Self::Position(PartitionId(partition.parse().ok()?))),
            _ => None,
        };
        parse().ok_or(ParseInboxKeyError)
    }
}

/// The state of a conversation that its inbox entries share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The last valid event.
    pub seq: Seq,
    /// When it was stored.
    pub ts: LogTime,
    /// How many messages there are.
    pub n: u64,
    /// The title of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How many members.
    pub member_count: usize,
    /// The last message, its text cut to a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Preview>,
}

/// The last message of a conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Preview {
    /// Its position.
    pub seq: Seq,
    /// The message before it in the chain.
    pub prev: Seq,
    /// Its ordinal.
    pub n: u64,
    /// When it was stored.
    pub ts: LogTime,
    /// Its body, as last edited, or the tombstone.
    pub body: Box<RawValue>,
}

/// One person's side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The role; `None` once removed.
    pub role: Option<Role>,
    /// The event that made them a member.
    pub joined: Seq,
    /// The first event they see.
    pub view_from: Seq,
    /// The event that ended the membership: the last they see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_to: Option<Seq>,
    /// Read up to here (their own last message counts).
    pub read: Seq,
    /// The ordinal of the last message read: unread is the head's `n` less this.
    pub read_n: u64,
    /// Messages after `read` that mention them.
    pub mentions: u64,
    /// The event this record is a copy at.
    pub as_of: Seq,
}

impl MemberRecord {
    /// Whether the member has read further than the log knows of.
    pub fn is_behind(&self, read: &Mark) -> bool {
        self.role.is_some() && read.seq > self.read
    }

    /// Takes in that the member has read up to `read`, after which `mentions` messages mention
    /// them. Nothing when [that is known](Self::is_behind).
    pub fn raise(&mut self, read: &Mark, mentions: u64) {
        if self.is_behind(read) {
            (self.read, self.read_n) = (read.seq, self.read_n.max(read.n));
            self.mentions = mentions;
        }
    }
}

/// Everything of a partition up to here is in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The last event that is.
    pub seq: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_parse_what_they_print() {
        let (x, y) = (UserId::from_entropy([1; 20]), UserId::from_entropy([2; 20]));
        let direct = ConversationId::direct(x, y);
        for key in [
            InboxKey::Head(direct),
            InboxKey::Member(x, direct),
            InboxKey::Position(PartitionId(3)),
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }
}
