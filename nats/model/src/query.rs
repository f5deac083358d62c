//! Questions to the owner of a partition, and its answers: JSON over NATS request and reply.
//!
//! The reply payload is a [`Reply`]. Every request that reads may carry `min_seq`: the owner
//! answers only once it has applied that position, or says [`QueryError::Behind`].

mod pins;
mod reactors;
mod receipts;
mod record;
mod views;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::group::Group;
use crate::id::{ConversationId, MessageId, PartitionId, Seq, UserId};
use crate::inbox::{Head, MemberRecord};
use crate::receipt::Mark;
use crate::time::LogTime;

pub use self::pins::{PinsReply, PinsRequest};
pub use self::reactors::{Reactor, ReactorsReply, ReactorsRequest};
pub use self::receipts::{ReachReply, ReachRequest, Reached};
pub use self::record::{RecordRequest, StoredRecord};
pub use self::views::{
    DIFFERENCES_MAX, Difference, DifferenceKind, JobState, ParkedItem, ParkedReply, ParkedRequest,
    View, ViewsJob, ViewsOp, ViewsRequest, ViewsStatus,
};

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// It was answered.
    Ok(T),
    /// It was not.
    Err(QueryError),
}

/// Why an owner did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum QueryError {
    /// The request could not be read.
    #[error("bad request")]
    BadRequest,
    /// The owner has not applied `min_seq` in time.
    #[error("the view is behind")]
    Behind,
    /// The reader may not see the conversation.
    #[error("not a member")]
    NotAMember,
    /// The position is not one of the conversation's.
    #[error("not found")]
    NotFound,
    /// The feed no longer holds that position.
    #[error("too far back")]
    TooFarBack,
    /// The owner has too much to do, or does already what excludes this: ask again later.
    #[error("busy")]
    Busy,
    /// The owner cannot read its store now.
    #[error("the view cannot be read")]
    Unavailable,
}

/// `events`: the chain of a conversation, every kind, ascending.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventsRequest {
    /// Which.
    pub conversation: ConversationId,
    /// Who reads: the answer is cut to what they may see.
    pub reader: UserId,
    /// Events after this one.
    #[serde(default)]
    pub after: Option<Seq>,
    /// Events before this one.
    #[serde(default)]
    pub before: Option<Seq>,
    /// At most this many; the oldest of the range, or the newest with `newest`.
    pub limit: usize,
    /// Take the newest of the range.
    #[serde(default)]
    pub newest: bool,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// `messages`: a page of a conversation, with edits, deletions, reactions and pins folded in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessagesRequest {
    /// Which.
    pub conversation: ConversationId,
    /// Who reads.
    pub reader: UserId,
    /// Which part.
    pub anchor: Anchor,
    /// Only this root and its replies.
    #[serde(default)]
    pub thread: Option<Seq>,
    /// At most this many.
    pub limit: usize,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// Which part of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The newest.
    Newest,
    /// The newest before a position.
    Before(Seq),
    /// The oldest after a position.
    After(Seq),
    /// Half before, half from a position on.
    Around(Seq),
    /// Half before, half from a moment on.
    At(LogTime),
}

/// A page, ascending by seq.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    /// The events.
    pub items: Vec<Item>,
    /// All of the partition up to here was applied.
    pub as_of: Seq,
    /// There are visible ones before the first.
    pub more_before: bool,
    /// There are visible ones after the last.
    pub more_after: bool,
    /// The reader's view of the conversation begins here.
    pub view_from: Seq,
}

/// An event with what the projector computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    /// Its position.
    pub seq: Seq,
    /// The preceding valid event of the conversation, 0 for none.
    pub prev: Seq,
    /// Messages of the conversation up to and including it.
    pub n: u64,
    /// When it was stored.
    pub ts: LogTime,
    /// The stored bytes, or what is left of them after a deletion.
    pub body: Box<RawValue>,
    /// What the others made of it; only in `messages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
}

/// What later events made of a message; as on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageState {
    /// The last edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Edited>,
    /// The deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deleted>,
    /// Reactions, in the order of their first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ReactionCount>,
    /// Replies in the thread of which this is the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadCount>,
    /// It is pinned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

/// The last edit of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The edit.
    pub seq: Seq,
    /// When.
    pub ts: LogTime,
}

/// The deletion of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The deletion.
    pub seq: Seq,
    /// When.
    pub ts: LogTime,
    /// By whom.
    pub by: UserId,
}

/// How many people reacted with an emoji.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionCount {
    /// The emoji.
    pub emoji: String,
    /// How many.
    pub count: usize,
    /// The reader is one of them.
    pub me: bool,
}

/// A thread, as its root shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadCount {
    /// Replies.
    pub count: u64,
    /// The last of them.
    pub last: Seq,
}

/// `lookup`: where an event is stored.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LookupRequest {
    /// The conversation.
    pub conversation: ConversationId,
    /// The sender.
    pub sender: UserId,
    /// The client's id.
    pub id: MessageId,
}

/// Where it is, as of a position: what lies beyond, the asker looks up in the log itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupReply {
    /// The event; `None`: not up to `as_of`.
    pub seq: Option<Seq>,
    /// Void attempts under the same identity, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub void: Vec<Seq>,
    /// The index covers the partition up to here.
    pub as_of: Seq,
}

/// `conversation`: one conversation as one user sees it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ConversationRequest {
    /// Which.
    pub conversation: ConversationId,
    /// Who reads.
    pub reader: UserId,
    /// The reader's mark, which may be beyond what the log knows of (a receipt).
    #[serde(default)]
    pub read: Option<Mark>,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// `changed`: conversations of a user that changed after a position of the partition.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ChangedRequest {
    /// Whose.
    pub user: UserId,
    /// After this position.
    pub after: Seq,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// The answer to `changed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangedReply {
    /// The entries, unordered.
    pub items: Vec<InboxEntry>,
    /// Complete up to this position of the partition.
    pub as_of: Seq,
    /// The answer was cut: ask again after `as_of`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A conversation as one user sees it, at a position.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InboxEntry {
    /// Which.
    pub conversation: ConversationId,
    /// What its members share.
    pub head: Head,
    /// What is the user's own.
    pub member: MemberRecord,
}

/// `feed`: the live feed of the partition again, ascending, of all conversations.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FeedRequest {
    /// After this position.
    pub after: Seq,
    /// At most this many.
    pub limit: usize,
}

/// The answer to `feed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeedReply {
    /// The events, ascending.
    pub items: Vec<FeedItem>,
    /// The feed holds no more up to here: the asker's position after it has taken the items.
    pub as_of: Seq,
    /// There are more events after `as_of`; taken for granted of an owner that does not say.
    #[serde(default = "FeedReply::may_have_more")]
    pub more: bool,
}

impl FeedReply {
    fn may_have_more() -> bool {
        true
    }
}

/// An event of the feed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeedItem {
    /// The conversation.
    pub conversation: ConversationId,
    /// The event.
    pub item: Item,
}

/// `reactions`: how many different reactions a user has on a message.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReactionsRequest {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub target: Seq,
    /// Whose.
    pub user: UserId,
}

/// `group`: the fold of a group, for whom the stream no longer holds its first meta events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct GroupRequest {
    /// Which.
    pub conversation: ConversationId,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// The answer to `group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReply {
    /// The fold of all valid meta events up to `as_of`; empty when there is no such group.
    pub group: Group,
    /// All of the partition up to here was applied.
    pub as_of: Seq,
}

/// `mentions`: messages of the partition that mention a user, newest first, that the user may see.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MentionsRequest {
    /// Whose.
    pub user: UserId,
    /// Only messages before this position of the partition.
    #[serde(default)]
    pub before: Option<Seq>,
    /// At most this many.
    pub limit: usize,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// The answer to `mentions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MentionsReply {
    /// The messages as they stand now, newest first.
    pub items: Vec<FeedItem>,
    /// There may be more before the last, or before `reached`.
    pub more: bool,
    /// All mentions from here on were looked at: ask on with `before` at this position.
    pub reached: Seq,
    /// All of the partition up to here was applied.
    pub as_of: Seq,
}

/// `picked`: messages at these positions, as they stand now, as far as the reader may see them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PickedRequest {
    /// Who reads.
    pub reader: UserId,
    /// Which; at most [`PAGE_ITEMS_MAX`](crate::limit::PAGE_ITEMS_MAX).
    pub places: Vec<(ConversationId, Seq)>,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// The answer to `picked`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PickedReply {
    /// Those of the messages that there are and that the reader may see, in the order of the
    /// request.
    pub items: Vec<FeedItem>,
}

/// `explain`: the events behind the counts of an inbox entry.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ExplainRequest {
    /// Which.
    pub conversation: ConversationId,
    /// Who reads.
    pub reader: UserId,
    /// The reader's mark, when it is beyond what the log knows of (a receipt).
    #[serde(default)]
    pub read: Option<Seq>,
    /// Answer only once this was applied.
    #[serde(default)]
    pub min_seq: Option<Seq>,
}

/// Positions that an explanation names at most, of each kind; the newest.
pub const EXPLAINED_MAX: usize = 100;

/// The answer to `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Read up to here.
    pub read: Seq,
    /// The ordinal of the last message read.
    pub read_n: u64,
    /// Messages of the conversation, as far as the reader sees it.
    pub n: u64,
    /// `n` less `read_n`.
    pub unread: u64,
    /// The unread messages, ascending; the newest [`EXPLAINED_MAX`].
    pub unread_events: Vec<Seq>,
    /// The unread messages that mention the reader, ascending; the newest [`EXPLAINED_MAX`].
    pub mentions: Vec<Seq>,
    /// The event that made the reader a member.
    pub joined: Seq,
    /// The first event they see.
    pub view_from: Seq,
    /// The last event they see; `None` while a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_to: Option<Seq>,
    /// The last valid event of the conversation that they see.
    pub last: Seq,
    /// All of the partition up to here was applied.
    pub as_of: Seq,
    /// The partition of the conversation.
    pub partition: PartitionId,
    /// The inbox bucket holds everything of the partition up to here.
    pub bucket: Seq,
}

/// What travels on `order.<partition>`: the next events of the live feed, in their order, before
/// they themselves are published. Who takes only some of the events learns here what there is
/// between them. At most [`limit::LIVE_ORDER_ITEMS_MAX`](crate::limit::LIVE_ORDER_ITEMS_MAX) items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveOrder {
    /// The live event before the first.
    pub follows: Seq,
    /// The events, ascending.
    pub items: Vec<OrderItem>,
}

/// An event in the order of its partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderItem {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its position.
    pub seq: Seq,
    /// The event itself when it may be a meta event, which every gateway needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Item>,
}

/// Headers of a live message; the payload is the stored bytes.
pub mod live {
    /// The event's position.
    pub const SEQ: &str = "Seq";
    /// The preceding valid event of the conversation.
    pub const PREV: &str = "Prev";
    /// Messages of the conversation up to and including it.
    pub const N: &str = "N";
    /// When it was stored, in nanoseconds since the Unix epoch.
    pub const TS: &str = "Ts";
    /// The preceding live event of the partition: a receiver that has not seen it has a hole.
    pub const FOLLOWS: &str = "Follows";
}
