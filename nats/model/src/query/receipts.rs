//! What a gateway asks of an owner before it stores a receipt.

use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, Seq, UserId};

/// `reach`: what a receipt comes to. Refused to who is no member now.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReachRequest {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Whose receipt.
    pub reader: UserId,
    /// Delivered up to here.
    #[serde(default)]
    pub delivered: Option<Seq>,
    /// Read up to here.
    #[serde(default)]
    pub read: Option<Seq>,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// The answer to `reach`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachReply {
    /// As it was asked, but not beyond the last event of the conversation.
    pub delivered: Option<Reached>,
    /// Likewise.
    pub read: Option<Reached>,
    /// How many members there are.
    pub member_count: usize,
}

/// A place in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The place.
    pub seq: Seq,
    /// Messages of the conversation up to it.
    pub n: u64,
}
