//! The chain of one conversation: every valid event in order, with what later ones made of it.

use std::borrow::Cow;
use std::collections::HashMap;

use hansard_model::event::Toggle;
use hansard_model::query::{Deleted, Edited, Item, MessageState, ThreadCount};
use hansard_model::{Event, LogTime, Seq, UserId};
use serde_json::value::RawValue;

use super::annotation::Annotation;
use super::window::{Positions, Span};
use super::{Effect, Recorded, body};

/// The part of a conversation that a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) reader: UserId,
    pub(crate) from: Seq,
    /// The last event; `None` while a member.
    pub(crate) to: Option<Seq>,
}

/// What an event is, as far as pages care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    /// `create`, `member`, `title`, `settings`: listed beside messages.
    Meta,
    /// Folded into the message it refers to.
    Reference,
    /// Not understood.
    Parked,
}

impl Kind {
    pub(crate) fn of(event: Option<&Event>) -> Self {
        match event {
            None => Self::Parked,
            Some(Event::Message(_)) => Self::Message,
            Some(Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_)) => {
                Self::Meta
            }
            Some(Event::Edit(_) | Event::Delete(_) | Event::Reaction(_) | Event::Pin(_)) => {
                Self::Reference
            }
        }
    }

    fn is_listed(self) -> bool {
        matches!(self, Self::Message | Self::Meta)
    }
}

/// An event as it is kept: 48 bytes and the body.
#[derive(Debug)]
struct Stored {
    seq: Seq,
    ts: LogTime,
    n: u64,
    body: Box<RawValue>,
    kind: Kind,
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        (self.seq, self.ts, self.n, self.kind) == (other.seq, other.ts, other.n, other.kind)
            && self.body.get() == other.body.get()
    }
}

/// An event of a chain; `body` is what is left of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) seq: Seq,
    pub(crate) prev: Seq,
    pub(crate) n: u64,
    pub(crate) ts: LogTime,
    pub(crate) body: &'a RawValue,
}

impl Entry<'_> {
    /// The event as the chain has it.
    pub(crate) fn item(&self) -> Item {
        Item {
            seq: self.seq,
            prev: self.prev,
            n: self.n,
            ts: self.ts,
            body: self.body.to_owned(),
            state: None,
        }
    }
}

/// Every valid event of a conversation.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Chain {
    entries: Vec<Stored>,
    /// Positions of the listed ones (messages and meta events).
    listed: Vec<u32>,
    /// Positions of the replies, by the root's seq.
    threads: HashMap<Seq, Vec<u32>>,
    /// By the message's position.
    annotations: HashMap<u32, Box<Annotation>>,
}

impl Chain {
    pub(super) fn next_position(&self) -> u32 {
        self.entries.len() as u32
    }

    pub(super) fn append(&mut self, event: Recorded<'_>) -> Effect {
        let position = self.next_position();
        let kind = Kind::of(event.said.map(|(_, event)| event));
        if kind.is_listed() {
            self.listed.push(position);
        }
        let (seq, ts, said) = (event.seq, event.ts, event.said);
        self.entries.push(Stored { seq, ts, n: event.n, body: event.body, kind });
        said.map_or(Effect::Nothing, |(sender, event)| self.refer(position, sender, event))
    }

    /// Folds the event at `position`, the last, into what it refers to.
    fn refer(&mut self, position: u32, sender: UserId, event: &Event) -> Effect {
        let (seq, ts) = (self.entries[position as usize].seq, self.entries[position as usize].ts);
        match event {
            Event::Message(message) => {
                if let Some(root) = message.thread {
                    self.threads.entry(root).or_default().push(position);
                }
                return Effect::Took;
            }
            Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_) => {
                return Effect::Took;
            }
            Event::Edit(_) | Event::Delete(_) | Event::Reaction(_) | Event::Pin(_) => {}
        }
        let Some(target) = event.targets().next().and_then(|target| self.message_at(target)) else {
            return Effect::Nothing;
        };
        let annotation = self.annotations.entry(target).or_default();
        if annotation.deleted.is_some() {
            if matches!(event, Event::Edit(_)) {
                let stored = &mut self.entries[position as usize];
                stored.body = body::tombstone(&stored.body);
            }
            return Effect::Nothing;
        }
        match event {
            Event::Edit(_) => annotation.edits.push(position),
            Event::Delete(_) => {
                annotation.delete(Deleted { seq, ts, by: sender });
                for gone in annotation.edits.iter().copied().chain([target]) {
                    let stored = &mut self.entries[gone as usize];
                    stored.body = body::tombstone(&stored.body);
                }
            }
            Event::Reaction(change) => match change.op {
                Toggle::Add => annotation.add_reaction(&change.emoji, sender, seq),
                Toggle::Remove => annotation.remove_reaction(&change.emoji, sender),
            },
            Event::Pin(change) => {
                annotation.pinned = match change.op {
                    Toggle::Add => annotation.pinned.or(Some(seq)),
                    Toggle::Remove => None,
                };
            }
            Event::Message(_)
            | Event::Create(_)
            | Event::Member(_)
            | Event::Title(_)
            | Event::Settings(_) => {}
        }
        Effect::Took
    }

    fn message_at(&self, seq: Seq) -> Option<u32> {
        let position = self.position(seq)?;
        (self.entries[position].kind == Kind::Message).then_some(position as u32)
    }

    /// The position of an event.
    fn position(&self, seq: Seq) -> Option<usize> {
        self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()
    }

    /// The event at a position below [`Chain::len`].
    pub(crate) fn entry(&self, position: usize) -> Entry<'_> {
        let stored = &self.entries[position];
        let prev = position.checked_sub(1).map_or(Seq::ZERO, |before| self.entries[before].seq);
        Entry { seq: stored.seq, prev, n: stored.n, ts: stored.ts, body: &stored.body }
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// An event by its seq.
    pub(crate) fn find(&self, seq: Seq) -> Option<Entry<'_>> {
        self.position(seq).map(|position| self.entry(position))
    }

    /// The last message at or before a position, with its body as edited by then.
    pub(crate) fn last_message(&self, to: Seq) -> Option<(Entry<'_>, Cow<'_, RawValue>)> {
        let end = self.entries.partition_point(|entry| entry.seq <= to);
        let n = self.entries[end.checked_sub(1)?].n;
        // A message is the first entry with its ordinal.
        let position = self.entries.partition_point(|entry| entry.n < n) as u32;
        if n == 0 {
            return None;
        }
        Some((self.entry(position as usize), self.folded_body(position, Some(to))))
    }

    /// Every event.
    pub(crate) fn all(&self) -> Span<'_> {
        Span::new(self, Positions::All(self.len()))
    }

    /// What `messages` lists.
    pub(crate) fn listed(&self) -> Span<'_> {
        Span::new(self, Positions::Listed(&self.listed))
    }

    /// A message and the replies in its thread; `None` when there is no such message.
    pub(crate) fn thread(&self, root: Seq) -> Option<Span<'_>> {
        let position = self.message_at(root)?;
        let replies = self.threads.get(&root).map_or(&[][..], Vec::as_slice);
        Some(Span::new(self, Positions::Thread { root: position, replies }))
    }

    /// A listed event as `view` sees it: edits folded in, state attached.
    pub(crate) fn listed_item(&self, position: usize, view: View) -> Item {
        let entry = self.entry(position);
        let body = self.folded_body(position as u32, view.to).into_owned();
        Item { body, state: self.message_state(position as u32, view), ..entry.item() }
    }

    /// How many different emoji a user put on a message.
    pub(crate) fn reactions_of(&self, target: Seq, user: UserId) -> usize {
        self.message_at(target)
            .and_then(|position| self.annotations.get(&position))
            .map_or(0, |annotation| annotation.reactions_of(user))
    }

    /// The last edit that stands at or before `to`.
    fn last_edit(&self, position: u32, to: Option<Seq>) -> Option<&Stored> {
        let annotation = self.annotations.get(&position)?;
        if annotation.deleted.is_some() {
            return None;
        }
        let edits = annotation.edits.iter().rev().map(|edit| &self.entries[*edit as usize]);
        edits.into_iter().find(|edit| to.is_none_or(|to| edit.seq <= to))
    }

    fn folded_body(&self, position: u32, to: Option<Seq>) -> Cow<'_, RawValue> {
        let message = &self.entries[position as usize].body;
        match self.last_edit(position, to) {
            Some(edit) => Cow::Owned(body::edited(message, &edit.body)),
            None => Cow::Borrowed(message),
        }
    }

    fn message_state(&self, position: u32, view: View) -> Option<MessageState> {
        let seen = |seq: Seq| view.to.is_none_or(|to| seq <= to);
        let root = &self.entries[position as usize];
        let thread = self.threads.get(&root.seq).and_then(|replies| {
            let count = replies.partition_point(|reply| seen(self.entries[*reply as usize].seq));
            let last = replies.get(count.checked_sub(1)?)?;
            Some(ThreadCount { count: count as u64, last: self.entries[*last as usize].seq })
        });
        let mut state = MessageState { thread, ..MessageState::default() };
        if let Some(annotation) = self.annotations.get(&position) {
            state.edited =
                self.last_edit(position, view.to).map(|edit| Edited { seq: edit.seq, ts: edit.ts });
            state.deleted = annotation.deleted.filter(|deleted| seen(deleted.seq));
            state.reactions = annotation.reaction_counts(view.reader, view.to);
            state.pinned = annotation.pinned.is_some_and(seen);
        }
        (state != MessageState::default()).then_some(state)
    }
}
