//! `reactors`: who reacted to a message.

use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, Seq, UserId};

/// `reactors`: the reactions that a message has now, in the order in which they were made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReactorsRequest {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Who reads: the answer is cut to what they may see.
    pub reader: UserId,
    /// The message.
    pub target: Seq,
    /// Only reactions after this one.
    #[serde(default)]
    pub after: Option<Seq>,
    /// At most this many.
    pub limit: usize,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// The answer to `reactors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactorsReply {
    /// The reactions, ascending.
    pub items: Vec<Reactor>,
    /// There are more after the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// Somebody's reaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reactor {
    /// Whose.
    pub user: UserId,
    /// The emoji.
    pub emoji: String,
    /// The event that added it.
    pub seq: Seq,
}
