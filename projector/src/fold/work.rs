//! The working set of a batch: what it touches, and what it leaves.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use hansard_model::event::{Mention, Toggle};
use hansard_model::{ConversationId, Envelope, Event, LogTime, Seq, UserId};

use super::{Fold, Incoming, Loaded, Outcome, Projected};
use crate::body;
use crate::conversation::{Changes, Conversation, Target};
use crate::rows::{
    AnnotationRow, EntryRow, Kind, OrderRow, ParkedRow, RowKey, conversation_value, group_value,
};

/// The value of an identity's row.
const VALID: &[u8] = &[1];
const VOID: &[u8] = &[0];

pub(super) struct Work<'a> {
    fold: &'a mut Fold,
    loaded: Loaded,
    conversations: HashMap<ConversationId, Arc<Conversation>>,
    entries: HashMap<(ConversationId, Seq), EntryRow>,
    annotations: HashMap<(ConversationId, Seq), AnnotationRow>,
    members: HashSet<(ConversationId, UserId)>,
    groups: BTreeSet<ConversationId>,
    outcome: Outcome,
    digest: Option<[u8; 32]>,
    last: Option<Incoming>,
}

/// What an event did to the message it refers to.
enum Effect {
    /// It stands for itself.
    Itself,
    /// It changed this message.
    Took(Target),
    /// It refers to nothing that it could change (no message, a deleted one): only the chain
    /// advances.
    Nothing,
}

impl<'a> Work<'a> {
    pub(super) fn new(fold: &'a mut Fold, loaded: Loaded) -> Self {
        Self {
            fold,
            loaded,
            conversations: HashMap::new(),
            entries: HashMap::new(),
            annotations: HashMap::new(),
            members: HashSet::new(),
            groups: BTreeSet::new(),
            outcome: Outcome::default(),
            digest: None,
            last: None,
        }
    }

    fn put(&mut self, key: RowKey, value: Bytes) {
        self.outcome.rows.insert(key.encode(), Some(value));
    }

    fn remove(&mut self, key: RowKey) {
        self.outcome.rows.insert(key.encode(), None);
    }

    /// Applies the next record.
    pub(super) fn apply(&mut self, event: Incoming) {
        if event.seq <= self.fold.applied.seq {
            return;
        }
        self.fold.applied.seq = event.seq;
        if event.is_void {
            if let Some(key) = event.key {
                let identity = RowKey::Identity(key.conversation, key.sender, key.id, event.seq);
                self.put(identity, Bytes::from_static(VOID));
            }
            self.outcome.void += 1;
        } else {
            self.apply_valid(&event);
        }
        self.last = Some(event);
    }

    fn apply_valid(&mut self, event: &Incoming) {
        let (id, seq, ts) = (event.conversation, event.seq, event.ts);
        let said = event.said();
        let kind = Kind::of(said.map(|(_, event)| event));
        let mut shared = self.conversation(id);
        let conversation = Arc::make_mut(&mut shared);
        let prev = conversation.last;
        conversation.advance(seq, ts, kind == Kind::Message);
        let entry = EntryRow { ts, prev, n: conversation.n, kind, body: event.body.clone() };
        let n = entry.n;
        self.entries.insert((id, seq), entry);
        let changes = match said {
            Some((sender, said)) => {
                let effect = self.refer(id, seq, ts, sender, said);
                let target = match &effect {
                    Effect::Took(target) => Some(target),
                    Effect::Itself | Effect::Nothing => None,
                };
                let changes = conversation.fold(sender, said, target);
                self.mention(id, seq, said, target);
                if id.is_group() && kind == Kind::Meta {
                    self.groups.insert(id);
                }
                changes
            }
            None => conversation.witness(),
        };
        self.conversations.insert(id, shared);
        self.note_members(id, &changes);
        self.enter_identity(event);
        let order = OrderRow { conversation: id, listed: kind.is_listed() };
        self.put(RowKey::Order(seq), order.encode());
        let parked = event.read.as_ref().err().copied();
        if let Some(reason) = parked {
            self.put(RowKey::Parked(seq), ParkedRow { conversation: id, reason }.encode());
            self.fold.applied.parked += 1;
        }
        let follows = std::mem::replace(&mut self.fold.applied.last_valid, seq);
        self.outcome.projected.push(Projected {
            conversation: id,
            seq,
            prev,
            n,
            ts,
            follows,
            payload: Bytes::new(),
            kind,
            stands_alone: said.is_some_and(|(_, event)| stands_alone(event)),
            parked,
            changes,
        });
    }

    /// The state of a conversation before the event.
    fn conversation(&mut self, id: ConversationId) -> Arc<Conversation> {
        // Taken out, so that nobody else in this batch shares it and it need not be copied twice.
        if let Some(conversation) = self.conversations.remove(&id) {
            return conversation;
        }
        let kept = self.fold.conversations.remove(&id).map(|(_, conversation)| conversation);
        kept.or_else(|| self.loaded.conversations.remove(&id).flatten())
            .unwrap_or_else(|| Arc::new(Conversation::new(id)))
    }

    fn note_members(&mut self, id: ConversationId, changes: &Changes) {
        for user in &changes.met {
            self.put(RowKey::Membership(*user, id), Bytes::new());
        }
        let of = changes.met.iter().chain(&changes.joined);
        let of = of.chain(&changes.left_or_ranked).chain(&changes.marked);
        self.members.extend(of.map(|user| (id, *user)));
    }

    fn enter_identity(&mut self, event: &Incoming) {
        let named = match &event.read {
            Ok(envelope) => Some((envelope.sender, envelope.id)),
            Err(_) => event.key.map(|key| (key.sender, key.id)),
        };
        if let Some((sender, id)) = named {
            let key = RowKey::Identity(event.conversation, sender, id, event.seq);
            self.put(key, Bytes::from_static(VALID));
        }
    }

    fn entry(&mut self, id: ConversationId, seq: Seq, key: RowKey) -> Option<&mut EntryRow> {
        use std::collections::hash_map::Entry;
        match self.entries.entry((id, seq)) {
            Entry::Occupied(found) => Some(found.into_mut()),
            Entry::Vacant(vacant) => Some(vacant.insert(self.loaded.row(&key)?)),
        }
    }

    /// A message; `None` when there is none at that position.
    fn message(&mut self, id: ConversationId, seq: Seq) -> Option<&mut EntryRow> {
        self.entry(id, seq, RowKey::Listed(id, seq)).filter(|entry| entry.kind == Kind::Message)
    }

    fn annotation(&mut self, id: ConversationId, seq: Seq) -> &mut AnnotationRow {
        let loaded = &self.loaded;
        self.annotations
            .entry((id, seq))
            .or_insert_with(|| loaded.row(&RowKey::Annotation(id, seq)).unwrap_or_default())
    }

    /// Folds an event into what it refers to.
    fn refer(
        &mut self,
        id: ConversationId,
        seq: Seq,
        ts: LogTime,
        sender: UserId,
        event: &Event,
    ) -> Effect {
        match event {
            Event::Message(message) => {
                if let Some(root) = message.thread {
                    self.put(RowKey::Reply(id, root, seq), Bytes::new());
                    let thread = &mut self.annotation(id, root).thread;
                    *thread = Some((thread.map_or(0, |(count, _)| count) + 1, seq));
                }
                return Effect::Itself;
            }
            Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_) => {
                return Effect::Itself;
            }
            Event::Edit(_) | Event::Delete(_) | Event::Reaction(_) | Event::Pin(_) => {}
        }
        let Some(target) = event.targets().next() else { return Effect::Nothing };
        let Some(message) = self.message(id, target).map(|message| message.body.clone()) else {
            return Effect::Nothing;
        };
        let annotation = self.annotation(id, target);
        if annotation.deleted.is_some() {
            if matches!(event, Event::Edit(_)) {
                self.erase(id, seq, RowKey::Unlisted(id, seq));
            }
            return Effect::Nothing;
        }
        let before = said_by(&message, annotation.mentions.as_ref());
        match event {
            Event::Edit(edit) => {
                annotation.edits.push((seq, ts.as_nanos()));
                annotation.mentions = Some(edit.mentions.clone());
            }
            Event::Delete(_) => {
                annotation.deleted = Some((seq, ts.as_nanos(), sender));
                annotation.mentions = Some(Vec::new());
                // A deleted message shows nothing but its deletion.
                annotation.reactions = Vec::new();
                annotation.pinned = None;
                let edits: Vec<Seq> = annotation.edits.iter().map(|(edit, _)| *edit).collect();
                self.erase(id, target, RowKey::Listed(id, target));
                for edit in edits {
                    self.erase(id, edit, RowKey::Unlisted(id, edit));
                }
            }
            Event::Reaction(change) => match change.op {
                Toggle::Add => add_reaction(annotation, &change.emoji, sender, seq),
                Toggle::Remove => remove_reaction(annotation, &change.emoji, sender),
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
        Effect::Took(before)
    }

    /// Leaves of an event what is left after a deletion.
    fn erase(&mut self, id: ConversationId, seq: Seq, key: RowKey) {
        if let Some(entry) = self.entry(id, seq, key) {
            entry.body = body::tombstone(&entry.body);
        }
    }

    /// Brings the rows by which mentions are found in line.
    fn mention(&mut self, id: ConversationId, seq: Seq, event: &Event, target: Option<&Target>) {
        let (message, before, now): (Seq, &[Mention], &[Mention]) = match (event, target) {
            (Event::Message(message), _) => (seq, &[], &message.mentions),
            (Event::Edit(edit), Some(before)) => (edit.target, &before.mentions, &edit.mentions),
            (Event::Delete(delete), Some(before)) => (delete.target, &before.mentions, &[]),
            (
                Event::Edit(_)
                | Event::Delete(_)
                | Event::Reaction(_)
                | Event::Pin(_)
                | Event::Create(_)
                | Event::Member(_)
                | Event::Title(_)
                | Event::Settings(_),
                _,
            ) => return,
        };
        let key = |mention: &Mention| match *mention {
            Mention::All => RowKey::MentionAll(id, message),
            Mention::User(user) => RowKey::Mention(user, message),
        };
        for mention in before.iter().filter(|mention| !now.contains(mention)) {
            self.remove(key(mention));
        }
        for mention in now {
            let value = match mention {
                Mention::All => Bytes::new(),
                Mention::User(_) => conversation_value(id),
            };
            self.put(key(mention), value);
        }
    }

    /// What the batch came to.
    pub(super) fn finish(mut self) -> Outcome {
        let Some(last) = &self.last else { return self.outcome };
        self.digest = Some(last.digest());
        for event in &mut self.outcome.projected {
            // Not what a later one of the same batch deleted.
            if let Some(entry) = self.entries.get(&(event.conversation, event.seq)) {
                event.payload = entry.body.clone();
            }
        }
        let rows = &mut self.outcome.rows;
        for ((id, seq), entry) in &self.entries {
            let key = if entry.kind.is_listed() {
                RowKey::Listed(*id, *seq)
            } else {
                RowKey::Unlisted(*id, *seq)
            };
            rows.insert(key.encode(), Some(entry.encode()));
        }
        for ((id, seq), annotation) in &self.annotations {
            let key = RowKey::Annotation(*id, *seq);
            // Nothing, whether it never came to anything or all was taken back.
            let is_nothing = *annotation == AnnotationRow::default();
            if !is_nothing {
                rows.insert(key.encode(), Some(annotation.encode()));
            } else if self.loaded.has(&key) {
                rows.insert(key.encode(), None);
            }
        }
        for (id, user) in &self.members {
            if let Some(member) = self.conversations.get(id).and_then(|all| all.member(*user)) {
                rows.insert(RowKey::Member(*id, *user).encode(), Some(member.row().encode()));
            }
        }
        for id in &self.groups {
            if let Some(group) = self.conversations.get(id).and_then(|all| all.group()) {
                rows.insert(RowKey::Group(*id).encode(), Some(group_value(group)));
            }
        }
        for (id, conversation) in self.conversations {
            let key = RowKey::Conversation(id).encode();
            rows.insert(key, Some(conversation.row().encode()));
            self.fold.conversations.insert(id, conversation);
        }
        if let Some(digest) = self.digest {
            self.fold.applied.digest = digest;
        }
        rows.insert(RowKey::Applied.encode(), Some(self.fold.applied.encode()));
        self.outcome
    }
}

/// Whether an event leaves all that was said before as it was. A reply in a thread does not: its
/// root says how many there are.
fn stands_alone(event: &Event) -> bool {
    matches!(event, Event::Message(message) if message.thread.is_none())
}

/// Who said a message, and whom it mentions now.
fn said_by(message: &Bytes, edited: Option<&Vec<Mention>>) -> Target {
    // It was read when it was applied, so it reads now.
    let (sender, mentions) = match Envelope::decode(message) {
        Ok(Envelope { sender, event: Event::Message(said), .. }) => (sender, said.mentions),
        Ok(Envelope { sender, .. }) => (sender, Vec::new()),
        Err(_) => (UserId::from_entropy([0; UserId::LEN]), Vec::new()),
    };
    Target { sender, mentions: edited.cloned().unwrap_or(mentions) }
}

fn add_reaction(annotation: &mut AnnotationRow, emoji: &str, user: UserId, seq: Seq) {
    match annotation.reactions.iter_mut().find(|(of, _)| of == emoji) {
        Some((_, by)) => {
            if by.iter().all(|(who, _)| *who != user) {
                by.push((user, seq));
            }
        }
        None => annotation.reactions.push((emoji.to_owned(), vec![(user, seq)])),
    }
}

fn remove_reaction(annotation: &mut AnnotationRow, emoji: &str, user: UserId) {
    for (of, by) in &mut annotation.reactions {
        if of == emoji {
            by.retain(|(who, _)| *who != user);
        }
    }
    annotation.reactions.retain(|(_, by)| !by.is_empty());
}
