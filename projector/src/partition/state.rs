//! The pure fold of a partition: what its owner knows after so many records.
//!
//! Invariant: [`State::apply`] depends on the records alone, in order. Applying them twice, in
//! batches of any size or from any prefix gives the same state.

use bytes::Bytes;
use hansard_model::inbox::InboxKey;
use hansard_model::record::EventKey;
use hansard_model::{ConversationId, Envelope, Event, LogTime, Record, Seq, UserId};
use serde_json::value::RawValue;

use super::conversation::{Changes, Conversation};
use crate::directory::{ConversationSlot, Directory};
use crate::history::{Effect, History, Kind, Recorded, stand_in};
use crate::index::{Index, IndexKey};
use crate::parked::{ParkReason, Parked, ParkedEvent};

/// Everything the owner of a partition keeps.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct State {
    applied: Seq,
    last_valid: Seq,
    pub(crate) directory: Directory,
    pub(crate) conversations: Vec<Conversation>,
    pub(crate) history: History,
    pub(crate) index: Index,
    pub(crate) parked: Parked,
}

/// What a record turned out to be.
#[expect(clippy::large_enum_variant, reason = "moved once, into its batch; most are events")]
#[derive(Debug)]
pub(crate) enum Applied {
    /// It was applied before.
    Seen,
    /// Void: only the position advances.
    Void,
    /// A valid event.
    Event(Projected),
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
    /// What clients get: the stored bytes, unless the message was already deleted or is no JSON.
    pub(crate) payload: Bytes,
    pub(crate) parked: Option<ParkReason>,
    /// An earlier event lost its text to this one.
    pub(crate) erases: bool,
    pub(crate) changes: Changes,
}

impl Projected {
    /// The inbox entries that are no longer what the bucket says.
    pub(crate) fn stale(&self) -> impl Iterator<Item = InboxKey> {
        let changes = &self.changes;
        let members = changes.met.iter().chain(&changes.joined);
        let members = members.chain(&changes.left_or_ranked).chain(&changes.marked);
        std::iter::once(InboxKey::Head(self.conversation))
            .chain(members.map(|user| InboxKey::Member(*user, self.conversation)))
    }
}

impl State {
    /// All of the partition up to here was applied.
    pub(crate) fn applied(&self) -> Seq {
        self.applied
    }

    /// A conversation and its slot, if anything was ever valid in it.
    pub(crate) fn find(&self, id: ConversationId) -> Option<(ConversationSlot, &Conversation)> {
        let slot = self.directory.conversation(id)?;
        Some((slot, &self.conversations[slot.index()]))
    }

    /// What is left of the body of an event; `None` when there is no valid one.
    pub(crate) fn body_at(&self, seq: Seq) -> Option<Bytes> {
        let before = Seq(seq.0.checked_sub(1)?);
        let (_, _, entry) = self.history.after(before).next()?;
        let body = || Bytes::copy_from_slice(entry.body.get().as_bytes());
        (entry.seq == seq).then(body)
    }

    /// Applies the next record.
    pub(crate) fn apply(&mut self, record: Record<Bytes>) -> Applied {
        if record.seq <= self.applied {
            return Applied::Seen;
        }
        self.applied = record.seq;
        if record.is_void() {
            if let Some(key) = record.key {
                self.index.insert_void(key, record.seq);
            }
            return Applied::Void;
        }
        let Record { seq, ts, conversation: id, class, key, payload, .. } = record;
        let (body, read) = read(&payload, key);
        let read = read.and_then(|envelope| {
            let fits = envelope.event.class() == class;
            if fits { Ok(envelope) } else { Err(ParkReason::WrongSubject) }
        });
        let said = read.as_ref().ok().map(|envelope| (envelope.sender, &envelope.event));

        let slot = self.directory.enter_conversation(id);
        if slot.index() == self.conversations.len() {
            self.conversations.push(Conversation::new(id));
        }
        let conversation = &mut self.conversations[slot.index()];
        let prev = conversation.last;
        let is_message = Kind::of(said.map(|(_, event)| event)) == Kind::Message;
        conversation.advance(seq, ts, is_message);
        let n = conversation.n;

        let effect = self.history.append(slot, Recorded { seq, ts, n, body, said });
        let changes = match said {
            Some((sender, event)) => conversation.fold(sender, event, effect == Effect::Took),
            None => conversation.witness(),
        };
        for user in &changes.met {
            self.directory.join(*user, slot);
        }
        self.enter_index(slot, key, read.as_ref().ok(), seq);
        let parked = read.as_ref().err().copied();
        if let Some(reason) = parked {
            self.parked.park(ParkedEvent { seq, conversation: id, reason });
        }
        let follows = std::mem::replace(&mut self.last_valid, seq);
        let payload = self.live_payload(payload, said, effect, parked);
        let erases = matches!(said, Some((_, Event::Delete(_)))) && effect == Effect::Took;
        Applied::Event(Projected {
            conversation: id,
            seq,
            prev,
            n,
            ts,
            follows,
            payload,
            parked,
            erases,
            changes,
        })
    }

    fn enter_index(
        &mut self,
        conversation: ConversationSlot,
        key: Option<EventKey>,
        envelope: Option<&Envelope>,
        seq: Seq,
    ) {
        let named = envelope
            .map(|envelope| (envelope.sender, envelope.id))
            .or(key.map(|key| (key.sender, key.id)));
        if let Some((sender, id)) = named {
            let sender = self.directory.enter_user(sender);
            self.index.insert(IndexKey { conversation, sender, id }, seq);
        }
    }

    /// The stored bytes, shared with the record, unless they must not or cannot be shown.
    fn live_payload(
        &self,
        payload: Bytes,
        said: Option<(UserId, &Event)>,
        effect: Effect,
        parked: Option<ParkReason>,
    ) -> Bytes {
        let late_edit = matches!(said, Some((_, Event::Edit(_)))) && effect == Effect::Nothing;
        if late_edit || parked == Some(ParkReason::NotAnObject) {
            self.body_at(self.last_valid).unwrap_or(payload)
        } else {
            payload
        }
    }
}

/// The body to keep, an exact copy, and what it says.
fn read(payload: &[u8], key: Option<EventKey>) -> (Box<RawValue>, Result<Envelope, ParkReason>) {
    let decoded = Envelope::decode(payload);
    match serde_json::from_slice::<Box<RawValue>>(payload) {
        Ok(body) if body.get().starts_with('{') => {
            (body, decoded.map_err(|cause| ParkReason::of(&cause)))
        }
        Ok(_) | Err(_) => (stand_in(key), Err(ParkReason::NotAnObject)),
    }
}

#[cfg(test)]
mod tests;
