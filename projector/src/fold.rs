//! The pure fold of a partition: from records to what everybody needs, and to rows.
//!
//! A batch is read ([`Incoming`]), [`Fold::plan`] says which rows it needs, they are loaded
//! ([`load`]) until nothing is missing, and [`Fold::apply`] works them out.
//!
//! Invariant: the rows depend on the records alone, in order. Applying them twice, in batches of
//! any size or from any position that was applied gives the same rows.

mod incoming;
mod load;
mod work;

use std::sync::Arc;

use bytes::Bytes;
use hansard_model::inbox::InboxKey;
use hansard_model::{ConversationId, Event, LogTime, Seq};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

pub(crate) use self::incoming::Incoming;
pub(crate) use self::load::{Loaded, Needs, load, load_conversation};
use self::work::Work;
use crate::conversation::{Changes, Conversation};
use crate::parked::ParkReason;
use crate::rows::{AppliedRow, Changed, EntryRow, Kind, RowKey, SCHEMA};

/// Conversations whose state an owner keeps in memory, by [`Conversation::weight`]: up to 100 bytes
/// each.
const CONVERSATIONS_WEIGHT_MAX: u64 = 40_000;
/// About how many conversations that is.
const CONVERSATIONS_ABOUT: usize = 6_500;

/// Weighs conversations.
#[derive(Clone)]
struct ByMembers;

impl Weighter<ConversationId, Arc<Conversation>> for ByMembers {
    fn weight(&self, _: &ConversationId, conversation: &Arc<Conversation>) -> u64 {
        conversation.weight()
    }
}

/// What the owner of a partition keeps between batches.
pub(crate) struct Fold {
    applied: AppliedRow,
    conversations: Cache<ConversationId, Arc<Conversation>, ByMembers>,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Valid events, in order.
    pub(crate) projected: Vec<Projected>,
    /// How many were void.
    pub(crate) void: u64,
    /// What to write, all at once.
    pub(crate) rows: Changed,
}

/// A valid event, with what everybody needs to know of it.
#[derive(Debug)]
pub(crate) struct Projected {
    pub(crate) conversation: ConversationId,
    pub(crate) seq: Seq,
    pub(crate) prev: Seq,
    pub(crate) n: u64,
    pub(crate) ts: LogTime,
    /// The preceding valid event of the partition.
    pub(crate) follows: Seq,
    /// What clients get: what is left of the event after its batch.
    pub(crate) payload: Bytes,
    pub(crate) kind: Kind,
    /// It changes nothing of how events before it are shown.
    pub(crate) stands_alone: bool,
    pub(crate) parked: Option<ParkReason>,
    pub(crate) changes: Changes,
}

impl Projected {
    /// Its row.
    pub(crate) fn entry(&self) -> EntryRow {
        let (ts, prev, n, kind) = (self.ts, self.prev, self.n, self.kind);
        EntryRow { ts, prev, n, kind, body: self.payload.clone() }
    }

    /// The inbox entries that are no longer what the bucket says.
    pub(crate) fn stale(&self) -> impl Iterator<Item = InboxKey> {
        let changes = &self.changes;
        let members = changes.met.iter().chain(&changes.joined);
        let members = members.chain(&changes.left_or_ranked).chain(&changes.marked);
        std::iter::once(InboxKey::Head(self.conversation))
            .chain(members.map(|user| InboxKey::Member(*user, self.conversation)))
    }
}

impl Fold {
    /// A fold that goes on from rows, or begins.
    pub(crate) fn new(epoch: u64, applied: Option<AppliedRow>) -> Self {
        let begin = || AppliedRow {
            schema: SCHEMA,
            epoch,
            seq: Seq::ZERO,
            last_valid: Seq::ZERO,
            parked: 0,
            digest: [0; 32],
        };
        Self {
            applied: applied.unwrap_or_else(begin),
            conversations: Cache::with_weighter(
                CONVERSATIONS_ABOUT,
                CONVERSATIONS_WEIGHT_MAX,
                ByMembers,
            ),
        }
    }

    /// All of the partition up to here was applied.
    pub(crate) fn applied(&self) -> Seq {
        self.applied.seq
    }

    /// How far it is.
    pub(crate) fn position(&self) -> &AppliedRow {
        &self.applied
    }

    /// A conversation, if it is in memory.
    pub(crate) fn peek(&self, id: ConversationId) -> Option<Arc<Conversation>> {
        self.conversations.get(&id).cloned()
    }

    /// What a batch needs besides what was loaded; ask again until it is nothing.
    pub(crate) fn plan(&self, batch: &[Incoming], loaded: &Loaded) -> Needs {
        let mut needs = Needs::default();
        let applied = self.applied.seq;
        for event in batch.iter().filter(|event| event.seq > applied && !event.is_void) {
            let id = event.conversation;
            if self.conversations.peek(&id).is_none() {
                needs.conversation(loaded, id);
            }
            let Some((_, said)) = event.said() else { continue };
            match said {
                Event::Message(message) => {
                    if let Some(root) = message.thread {
                        needs.row(loaded, RowKey::Annotation(id, root));
                    }
                }
                Event::Edit(_) | Event::Delete(_) | Event::Reaction(_) | Event::Pin(_) => {
                    // What stands in the batch itself is not in the store yet.
                    let target = said.targets().next().filter(|target| *target <= applied);
                    let Some(target) = target else { continue };
                    needs.row(loaded, RowKey::Listed(id, target));
                    let annotation = RowKey::Annotation(id, target);
                    needs.row(loaded, annotation);
                    if matches!(said, Event::Delete(_)) {
                        for edit in loaded.edits(&annotation) {
                            needs.row(loaded, RowKey::Unlisted(id, edit));
                        }
                    }
                }
                Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_) => {}
            }
        }
        needs
    }

    /// Applies a batch whose needs were loaded; records that were applied before are passed over.
    pub(crate) fn apply(&mut self, batch: Vec<Incoming>, loaded: Loaded) -> Outcome {
        let mut work = Work::new(self, loaded);
        for event in batch {
            work.apply(event);
        }
        work.finish()
    }
}

#[cfg(test)]
mod tests;
