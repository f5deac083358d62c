//! How pages of history and live events become one stream: pure, so that a property test can try
//! every interleaving.
//!
//! While a connection catches up, each conversation is in one of four states. Before its turn live
//! events are only noted (the fetch to come covers them); while its page is fetched they are held,
//! bounded; afterwards they flow, less what the page had already. A conversation whose fetch
//! failed is silent until the client resumes.
//!
//! Invariant: of each conversation every event after the client's position reaches the connection
//! exactly once, in the order of `seq`, or the conversation is silent from the first missing one.

use std::collections::HashMap;

use hansard_model::{ConversationId, Seq};

/// Live events held for one conversation while its page is fetched; more are fetched instead. Few
/// in tests, so that they meet the bound.
const HELD_EVENTS_MAX: usize = if cfg!(test) { 4 } else { 64 };
/// Bytes of them.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// The catch-up of one connection. `F` is a frame.
#[derive(Debug)]
pub(crate) struct Merge<F> {
    tracks: HashMap<ConversationId, Track<F>>,
    /// Once it is known which conversations are to be fetched, the others flow.
    planned: bool,
}

#[derive(Debug)]
enum Track<F> {
    /// Its turn has not come. Events up to `skipped` came by.
    Pending { skipped: Seq },
    /// Its page is being fetched and must reach `min`. What comes by is held, until that is too
    /// much: then it is dropped, up to `lost`, and fetched again.
    Fetching { min: Seq, held: Vec<(Seq, F)>, bytes: usize, lost: Seq },
    /// Events up to `upto` were delivered by a page.
    Following { upto: Seq },
    /// Its fetch failed.
    Silent,
}

/// What to do after a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turned<F> {
    /// Deliver the page, then these; the conversation flows.
    Done(Vec<F>),
    /// Deliver the page; more came by than could be held: fetch again after the page's `as_of`,
    /// at least up to this one.
    Again(Seq),
    /// The page does not reach what has come by: it is worth nothing.
    Behind,
}

impl<F> Merge<F> {
    /// Of a connection that has just been attached: nothing flows yet.
    pub(crate) fn new() -> Self {
        Self { tracks: HashMap::new(), planned: false }
    }

    /// A live event comes by. Gives the frame back if it is to be delivered now.
    pub(crate) fn live(
        &mut self,
        conversation: ConversationId,
        seq: Seq,
        bytes: usize,
        frame: impl FnOnce() -> F,
    ) -> Option<F> {
        match self.tracks.get_mut(&conversation) {
            None if self.planned => Some(frame()),
            None => {
                self.tracks.insert(conversation, Track::Pending { skipped: seq });
                None
            }
            Some(Track::Pending { skipped }) => {
                *skipped = seq.max(*skipped);
                None
            }
            Some(Track::Fetching { held, bytes: held_bytes, lost, .. }) => {
                let full = held.len() >= HELD_EVENTS_MAX || *held_bytes + bytes > HELD_BYTES_MAX;
                if full || *lost > Seq::ZERO {
                    // From here on the order would have a hole: all of it is fetched again.
                    *held = Vec::new();
                    *lost = seq;
                } else {
                    *held_bytes += bytes;
                    held.push((seq, frame()));
                }
                None
            }
            Some(Track::Following { upto }) => {
                if seq <= *upto {
                    return None;
                }
                // From here on the feed's own order is enough.
                self.tracks.remove(&conversation);
                Some(frame())
            }
            Some(Track::Silent) => None,
        }
    }

    /// Notes an event that passed before the connection was on the conversation's roster.
    pub(crate) fn passed(&mut self, conversation: ConversationId, seq: Seq) {
        let track = self.tracks.entry(conversation).or_insert(Track::Pending { skipped: seq });
        if let Track::Pending { skipped } = track {
            *skipped = seq.max(*skipped);
        }
    }

    /// Conversations of which events came by before the plan.
    pub(crate) fn noted(&self) -> impl Iterator<Item = ConversationId> {
        self.tracks.keys().copied()
    }

    /// Puts a conversation in the plan: it waits for its turn.
    pub(crate) fn expect(&mut self, conversation: ConversationId) {
        self.tracks.entry(conversation).or_insert(Track::Pending { skipped: Seq::ZERO });
    }

    /// The turn of a conversation is a gap up to `upto`, without a page; then it flows. `false`:
    /// more than this came by, so that a page is needed.
    pub(crate) fn leave_out(&mut self, conversation: ConversationId, upto: Seq) -> bool {
        if let Some(Track::Pending { skipped }) = self.tracks.get(&conversation)
            && *skipped > upto
        {
            return false;
        }
        self.tracks.insert(conversation, Track::Following { upto });
        true
    }

    /// The plan is made: what is not in it flows.
    pub(crate) fn planned(&mut self) {
        self.planned = true;
    }

    /// The turn of a conversation begins. Its page must reach at least `min` and what this gives
    /// back.
    pub(crate) fn begin(&mut self, conversation: ConversationId, min: Seq) -> Seq {
        let skipped = match self.tracks.get(&conversation) {
            Some(Track::Pending { skipped }) => *skipped,
            Some(Track::Fetching { min, .. }) => *min,
            Some(Track::Following { .. } | Track::Silent) | None => Seq::ZERO,
        };
        let min = min.max(skipped);
        let track = Track::Fetching { min, held: Vec::new(), bytes: 0, lost: Seq::ZERO };
        self.tracks.insert(conversation, track);
        min
    }

    /// A page has come: everything of the conversation up to `as_of` that the client lacks.
    pub(crate) fn page(&mut self, conversation: ConversationId, as_of: Seq) -> Turned<F> {
        let Some(Track::Fetching { min, held, lost, .. }) = self.tracks.remove(&conversation)
        else {
            return Turned::Behind;
        };
        if as_of < min {
            self.tracks.insert(conversation, Track::Silent);
            return Turned::Behind;
        }
        if lost > as_of {
            let again = Track::Fetching { min: lost, held: Vec::new(), bytes: 0, lost: Seq::ZERO };
            self.tracks.insert(conversation, again);
            return Turned::Again(lost);
        }
        let upto = held.last().map_or(as_of, |(seq, _)| as_of.max(*seq));
        self.tracks.insert(conversation, Track::Following { upto });
        let rest = held.into_iter().filter(|(seq, _)| *seq > as_of).map(|(_, frame)| frame);
        Turned::Done(rest.collect())
    }

    /// The conversation could not be caught up.
    pub(crate) fn fail(&mut self, conversation: ConversationId) {
        self.tracks.insert(conversation, Track::Silent);
    }

    /// Forgets what the feed has passed; `true` when there is nothing left to remember.
    /// `position` is the feed's position in the conversation's partition.
    pub(crate) fn settle(&mut self, position: impl Fn(ConversationId) -> Seq) -> bool {
        self.tracks.retain(|conversation, track| match track {
            Track::Following { upto } => *upto > position(*conversation),
            Track::Pending { .. } | Track::Fetching { .. } | Track::Silent => true,
        });
        self.planned && self.tracks.is_empty()
    }
}

#[cfg(test)]
mod tests;
