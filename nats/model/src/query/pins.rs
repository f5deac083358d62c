//! `pins`: the messages that are pinned in a conversation.

use serde::{Deserialize, Serialize};

use super::Item;
use crate::id::{ConversationId, Seq, UserId};

/// `pins`: pinned messages as they stand now, newest first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PinsRequest {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Who reads: the answer is cut to what they may see.
    pub reader: UserId,
    /// Only messages before this one.
    #[serde(default)]
    pub before: Option<Seq>,
    /// At most this many.
    pub limit: usize,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// The answer to `pins`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PinsReply {
    /// The messages, newest first.
    pub items: Vec<Item>,
    /// Messages from here on were looked at: ask on with `before` at this position. `None`: these
    /// are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Seq>,
    /// All of the partition up to here was applied.
    pub as_of: Seq,
}
