//! The fold of a partition: from events to documents.
//!
//! Invariant: the documents depend on the events alone, in order. Applying them twice, in batches
//! of any size or from any position that was committed gives the same.

use std::collections::btree_map::Entry;

use hansard_model::event::{MemberOp, Toggle};
use hansard_model::{ConversationId, Envelope, Event, Group, GroupId, Seq, UserId};

use crate::document::{Document, Key, Membership, Message};
use crate::incoming::{Incoming, What};
use crate::index::{Change, Changes, IndexError, View};
use crate::position::Position;

/// What happened since the last commit.
pub(crate) struct Fold {
    /// All up to here is in the last commit or in the changes.
    position: Position,
    /// As of the last commit.
    committed: View,
    changes: Changes,
    weight: usize,
    tally: Tally,
}

/// What the events of a batch were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) valid: u64,
    pub(crate) void: u64,
    pub(crate) unreadable: u64,
}

impl Fold {
    /// Goes on from a commit.
    pub(crate) fn new(position: Position, committed: View) -> Self {
        let (changes, tally) = (Changes::new(), Tally::default());
        Self { position, committed, changes, weight: 0, tally }
    }

    /// All of the partition up to here was applied.
    pub(crate) fn applied(&self) -> Seq {
        self.position.seq
    }

    /// Where the next commit leads.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// What the next commit makes searchable.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// About how many bytes the changes take.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// The changes are committed.
    pub(crate) fn committed(&mut self, view: View) {
        self.changes.clear();
        self.weight = 0;
        self.committed = view;
    }

    /// Applies a batch; events that were applied before are passed over.
    ///
    /// # Errors
    /// [`IndexError`] when a document cannot be read.
    pub(crate) fn apply(&mut self, batch: &[Incoming]) -> Result<Tally, IndexError> {
        self.tally = Tally::default();
        for event in batch {
            if event.seq <= self.position.seq {
                continue;
            }
            match &event.what {
                What::Void => self.tally.void += 1,
                What::Unreadable => self.tally.unreadable += 1,
                What::Event(envelope) => {
                    self.tally.valid += 1;
                    self.event(event, envelope)?;
                }
            }
            self.position.seq = event.seq;
        }
        // Of the last alone: it is what the next start compares.
        if let Some(last) = batch.last().filter(|last| last.seq == self.position.seq) {
            self.position.digest = last.digest();
        }
        Ok(self.tally)
    }

    fn event(&mut self, at: &Incoming, envelope: &Envelope) -> Result<(), IndexError> {
        match &envelope.event {
            Event::Message(message) => {
                self.put(Document::Message(Message {
                    conversation: at.conversation,
                    seq: at.seq,
                    ts: at.ts.as_nanos(),
                    sender: envelope.sender,
                    text: message.text.clone(),
                    mentions: message.mentions.clone(),
                    media: !message.media.is_empty(),
                    thread: message.thread.is_some(),
                    reactions: Vec::new(),
                }));
                Ok(())
            }
            Event::Edit(edit) => self.change(at, edit.target, |message| {
                message.text.clone_from(&edit.text);
                message.mentions.clone_from(&edit.mentions);
                message.media = !edit.media.is_empty();
                true
            }),
            Event::Reaction(reaction) => self.change(at, reaction.target, |message| {
                let reacted = (envelope.sender, reaction.emoji.clone());
                let place = message.reactions.iter().position(|one| *one == reacted);
                match (reaction.op, place) {
                    (Toggle::Add, None) => message.reactions.push(reacted),
                    (Toggle::Remove, Some(place)) => {
                        message.reactions.remove(place);
                    }
                    (Toggle::Add, Some(_)) | (Toggle::Remove, None) => return false,
                }
                true
            }),
            Event::Delete(delete) => {
                if self.message(at.conversation, delete.target)?.is_some() {
                    self.remove(Key::Message(delete.target))?;
                }
                Ok(())
            }
            Event::Pin(_) => Ok(()),
            Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_) => {
                self.govern(at, envelope)
            }
        }
    }

    /// Changes a message of the same conversation, if there is one.
    fn change(
        &mut self,
        at: &Incoming,
        target: Seq,
        change: impl FnOnce(&mut Message) -> bool,
    ) -> Result<(), IndexError> {
        if let Some(mut message) = self.message(at.conversation, target)?
            && change(&mut message)
        {
            self.put_over(Document::Message(message))?;
        }
        Ok(())
    }

    fn message(
        &self,
        conversation: ConversationId,
        seq: Seq,
    ) -> Result<Option<Message>, IndexError> {
        Ok(match self.find(Key::Message(seq))? {
            Some(Document::Message(message)) if message.conversation == conversation => {
                Some(message)
            }
            Some(Document::Message(_) | Document::Group(..) | Document::Member(_)) | None => None,
        })
    }

    /// Folds a meta event into its group, and the memberships that it changes.
    fn govern(&mut self, at: &Incoming, envelope: &Envelope) -> Result<(), IndexError> {
        let ConversationId::Group(id) = at.conversation else { return Ok(()) };
        let mut group = match self.find(Key::Group(id))? {
            Some(Document::Group(_, group)) => group,
            Some(Document::Message(_) | Document::Member(_)) | None => Box::default(),
        };
        group.apply(at.seq, envelope.sender, &envelope.event);
        let touched: Vec<UserId> = match &envelope.event {
            Event::Create(create) => {
                create.members.iter().copied().chain([envelope.sender]).collect()
            }
            Event::Member(change) => match change.op {
                MemberOp::Add | MemberOp::Remove | MemberOp::Leave => vec![change.user],
                MemberOp::Role => Vec::new(),
            },
            Event::Title(_)
            | Event::Settings(_)
            | Event::Message(_)
            | Event::Edit(_)
            | Event::Delete(_)
            | Event::Reaction(_)
            | Event::Pin(_) => Vec::new(),
        };
        for user in touched {
            match membership(id, &group, user) {
                Some(member) => self.put_over(Document::Member(member))?,
                None => self.remove(Key::Member(id, user))?,
            }
        }
        self.put_over(Document::Group(id, group))
    }

    /// A document as it stands.
    fn find(&self, key: Key) -> Result<Option<Document>, IndexError> {
        match self.changes.get(&key) {
            Some(change) => Ok(change.now.clone()),
            None => self.committed.find(key),
        }
    }

    /// A document with a key that no document ever had.
    fn put(&mut self, document: Document) {
        self.weight += document.weight();
        let key = document.key();
        self.changes.insert(key, Change { now: Some(document), was_committed: false });
    }

    /// A document in place of another, if there was one.
    fn put_over(&mut self, document: Document) -> Result<(), IndexError> {
        self.replace(document.key(), Some(document))
    }

    fn remove(&mut self, key: Key) -> Result<(), IndexError> {
        self.replace(key, None)
    }

    fn replace(&mut self, key: Key, now: Option<Document>) -> Result<(), IndexError> {
        self.weight += now.as_ref().map_or(0, Document::weight);
        match self.changes.entry(key) {
            Entry::Occupied(mut change) => {
                let before = std::mem::replace(&mut change.get_mut().now, now);
                self.weight -= before.as_ref().map_or(0, Document::weight);
            }
            Entry::Vacant(vacant) => {
                let was_committed = self.committed.find(key)?.is_some();
                vacant.insert(Change { now, was_committed });
            }
        }
        Ok(())
    }
}

/// A membership as a search needs it.
fn membership(id: GroupId, group: &Group, user: UserId) -> Option<Membership> {
    let member = group.member(user)?;
    let sees_all = group.created().is_some_and(|created| member.view_from <= created);
    let view_from = if sees_all { Seq::ZERO } else { member.view_from };
    Some(Membership { group: id, user, view_from })
}

#[cfg(test)]
pub(crate) mod tests;
