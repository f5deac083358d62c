//! An open conversation: its messages with edits, deletions and reactions folded in.

use std::collections::{BTreeMap, BTreeSet};

use hansard_client::{Content, StoredEvent};
use hansard_model::event::{MemberOp, Toggle};
use hansard_model::{ConversationId, Event, LogTime, Seq, UserId};
use serde_json::{Map, Value};

/// Messages kept of the open conversation; older ones are loaded again when paged to.
const MESSAGES_MAX: usize = 5_000;

pub(super) struct Room {
    pub(super) conversation: ConversationId,
    pub(super) messages: BTreeMap<Seq, Message>,
    /// Everything up to here is in `messages`.
    as_of: Seq,
    pub(super) more_before: bool,
}

pub(super) struct Message {
    pub(super) ts: LogTime,
    pub(super) sender: UserId,
    pub(super) content: Said,
    /// What its sender says of its files.
    pub(super) files: Vec<Map<String, Value>>,
    pub(super) edited: bool,
    pub(super) reactions: Vec<Reaction>,
}

/// Who reacted with an emoji. A page of the server's says how many and whether the reader is among
/// them, events say who.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reaction {
    pub(super) emoji: String,
    /// Those known by name.
    pub(super) by: BTreeSet<UserId>,
    /// How many more there are.
    unnamed: usize,
}

impl Reaction {
    pub(super) fn count(&self) -> usize {
        self.by.len() + self.unnamed
    }
}

pub(super) enum Said {
    Text(String),
    Deleted,
    Joined(Vec<UserId>),
    Left,
    Removed(UserId),
    Role(UserId, &'static str),
    Titled(String),
    Created(Option<String>),
    Other(String),
}

impl Room {
    pub(super) fn new(conversation: ConversationId) -> Self {
        Self { conversation, messages: BTreeMap::new(), as_of: Seq::ZERO, more_before: false }
    }

    /// Takes a page of messages of the server's, state included.
    pub(super) fn page(&mut self, items: Vec<StoredEvent>, me: UserId) {
        for item in items {
            let content = item.content();
            self.message(&item, content);
            let (Some(state), Some(message)) = (&item.state, self.messages.get_mut(&item.seq))
            else {
                continue;
            };
            message.edited = state.edited.is_some();
            if state.deleted.is_some() {
                message.delete();
            }
            let reactions = state.reactions.iter();
            message.reactions = reactions
                .map(|reaction| Reaction {
                    emoji: reaction.emoji.clone(),
                    by: reaction.me.then_some(me).into_iter().collect(),
                    unnamed: reaction.count.saturating_sub(usize::from(reaction.me)),
                })
                .collect();
        }
    }

    pub(super) fn caught_up_to(&mut self, as_of: Seq) {
        self.as_of = self.as_of.max(as_of);
    }

    /// Everything up to here is shown.
    pub(super) fn as_of(&self) -> Seq {
        self.as_of.max(self.messages.keys().next_back().copied().unwrap_or_default())
    }

    /// Takes an event that came by; `false` if its page had it already.
    pub(super) fn event(&mut self, event: &StoredEvent, me: UserId) -> bool {
        if event.seq <= self.as_of {
            return false;
        }
        self.as_of = event.seq;
        match event.content() {
            Content::Known(Event::Edit(edit)) => {
                if let Some(message) = self.messages.get_mut(&edit.target) {
                    if !matches!(message.content, Said::Deleted) {
                        message.content = Said::Text(edit.text);
                        message.files = edit.media;
                    }
                    message.edited = true;
                }
            }
            Content::Known(Event::Delete(delete)) => {
                if let Some(message) = self.messages.get_mut(&delete.target) {
                    message.delete();
                }
            }
            Content::Known(Event::Reaction(reaction)) => {
                if let Some(message) = self.messages.get_mut(&reaction.target) {
                    message.react(reaction.emoji, reaction.op, event.sender, event.sender == me);
                }
            }
            content => self.message(event, content),
        }
        while self.messages.len() > MESSAGES_MAX {
            self.messages.pop_first();
            self.more_before = true;
        }
        true
    }

    fn message(&mut self, event: &StoredEvent, content: Content) {
        let files = match &content {
            Content::Known(Event::Message(message)) => message.media.clone(),
            _ => Vec::new(),
        };
        let Some(content) = said(content) else { return };
        let message = Message {
            ts: event.ts,
            sender: event.sender,
            content,
            files,
            edited: false,
            reactions: Vec::new(),
        };
        self.messages.insert(event.seq, message);
    }

    /// The reader's last message that is not deleted.
    pub(super) fn own_last(&self, me: UserId) -> Option<(Seq, &str)> {
        let mut texts = self.texts();
        texts.rfind(|(_, message, _)| message.sender == me).map(|(seq, _, text)| (seq, text))
    }

    /// Whether `user` may be one of those whom a page counted without saying who: then only the
    /// server knows the count after a reaction of theirs.
    pub(super) fn is_unsure(&self, target: Seq, emoji: &str, user: UserId) -> bool {
        let reactions = self.messages.get(&target).map(|message| &message.reactions);
        let mut reactions = reactions.into_iter().flatten();
        reactions.any(|reaction| {
            reaction.emoji == emoji && reaction.unnamed > 0 && !reaction.by.contains(&user)
        })
    }

    /// Whether `user` has that reaction on a message.
    pub(super) fn reacted(&self, target: Seq, emoji: &str, user: UserId) -> bool {
        let message = self.messages.get(&target);
        message.is_some_and(|message| {
            message.reactions.iter().any(|one| one.emoji == emoji && one.by.contains(&user))
        })
    }

    /// The last message that is not deleted.
    pub(super) fn last(&self) -> Option<Seq> {
        self.texts().next_back().map(|(seq, _, _)| seq)
    }

    fn texts(&self) -> impl DoubleEndedIterator<Item = (Seq, &Message, &str)> {
        self.messages.iter().filter_map(|(seq, message)| match &message.content {
            Said::Text(text) => Some((*seq, message, text.as_str())),
            _ => None,
        })
    }
}

impl Message {
    fn delete(&mut self) {
        self.content = Said::Deleted;
        self.files.clear();
    }

    /// Counts people, not events: the same again changes nothing. Of whom a page counted without
    /// saying who, the reader (`mine`) is never one.
    fn react(&mut self, emoji: String, op: Toggle, by: UserId, mine: bool) {
        let known = self.reactions.iter().position(|known| known.emoji == emoji);
        match (op, known) {
            (Toggle::Add, Some(index)) => {
                self.reactions[index].by.insert(by);
            }
            (Toggle::Add, None) => {
                self.reactions.push(Reaction { emoji, by: BTreeSet::from([by]), unnamed: 0 });
            }
            (Toggle::Remove, Some(index)) => {
                let reaction = &mut self.reactions[index];
                if !reaction.by.remove(&by) && !mine {
                    reaction.unnamed = reaction.unnamed.saturating_sub(1);
                }
                self.reactions.retain(|reaction| reaction.count() > 0);
            }
            (Toggle::Remove, None) => {}
        }
    }
}

/// What a timeline shows of an event by itself; `None` for what only changes others.
fn said(content: Content) -> Option<Said> {
    Some(match content {
        Content::Deleted => Said::Deleted,
        Content::Unknown { fallback } => Said::Other(fallback?),
        Content::Known(event) => match event {
            Event::Message(message) => Said::Text(message.text),
            Event::Create(create) => Said::Created(create.title),
            Event::Title(title) => Said::Titled(title.title),
            Event::Member(change) => match change.op {
                MemberOp::Add => Said::Joined(vec![change.user]),
                MemberOp::Remove => Said::Removed(change.user),
                MemberOp::Leave => Said::Left,
                MemberOp::Role => {
                    Said::Role(change.user, change.role.map_or("member", |role| role.as_str()))
                }
            },
            Event::Edit(_)
            | Event::Delete(_)
            | Event::Reaction(_)
            | Event::Pin(_)
            | Event::Settings(_) => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use hansard_model::MessageId;
    use hansard_protocol::server::EventFrame;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId::from_entropy([n; 20])
    }

    fn event(seq: u64, sender: u8, event: &str) -> StoredEvent {
        let (id, sender) = (MessageId::new(seq, [0; 10]), user(sender));
        let body = format!(
            r#"{{"v":1,"id":"{id}","sender":"{sender}","device":"{sender}","event":{event}}}"#
        );
        let frame = EventFrame {
            conversation: ConversationId::direct(user(1), user(2)),
            seq: Seq(seq),
            prev: Seq(seq - 1),
            n: seq,
            ts: LogTime::from_millis(1),
            body: serde_json::from_str(&body).expect("json"),
            state: None,
        };
        StoredEvent::of(frame).expect("an envelope")
    }

    fn room(events: &[(u8, &str)]) -> Room {
        let mut room = Room::new(ConversationId::direct(user(1), user(2)));
        for (index, (sender, json)) in events.iter().enumerate() {
            assert!(room.event(&event(index as u64 + 1, *sender, json), user(1)));
        }
        room
    }

    fn text(room: &Room, seq: u64) -> &str {
        match &room.messages[&Seq(seq)].content {
            Said::Text(text) => text,
            _ => "",
        }
    }

    #[test]
    fn edits_deletions_and_reactions_are_folded_in() {
        let room = room(&[
            (1, r#"{"kind":"message","text":"one"}"#),
            (2, r#"{"kind":"message","text":"two"}"#),
            (1, r#"{"kind":"edit","target":1,"text":"uno"}"#),
            (2, r#"{"kind":"delete","target":2}"#),
            (2, r#"{"kind":"reaction","target":1,"emoji":"👍","op":"add"}"#),
            (1, r#"{"kind":"reaction","target":1,"emoji":"👍","op":"add"}"#),
            (1, r#"{"kind":"reaction","target":1,"emoji":"👍","op":"add"}"#),
            (2, r#"{"kind":"reaction","target":1,"emoji":"👍","op":"remove"}"#),
            (2, r#"{"kind":"reaction","target":1,"emoji":"👍","op":"remove"}"#),
        ]);
        assert_eq!((text(&room, 1), room.messages.len()), ("uno", 2));
        assert!(room.messages[&Seq(1)].edited);
        assert!(matches!(room.messages[&Seq(2)].content, Said::Deleted));
        assert_eq!(room.messages[&Seq(1)].reactions.len(), 1);
        assert_eq!(room.messages[&Seq(1)].reactions[0].by, BTreeSet::from([user(1)]));
        assert_eq!(room.messages[&Seq(1)].reactions[0].count(), 1);
        assert!(room.reacted(Seq(1), "👍", user(1)) && !room.reacted(Seq(1), "👍", user(2)));
        assert_eq!((room.own_last(user(1)), room.last()), (Some((Seq(1), "uno")), Some(Seq(1))));
    }

    #[test]
    fn an_event_that_the_page_had_is_not_applied_again() {
        let mut room = room(&[(1, r#"{"kind":"message","text":"one"}"#)]);
        room.caught_up_to(Seq(5));
        let old = event(4, 2, r#"{"kind":"reaction","target":1,"emoji":"👍","op":"add"}"#);
        assert!(!room.event(&old, user(1)));
        assert!(room.messages[&Seq(1)].reactions.is_empty());
    }

    #[test]
    fn a_late_edit_does_not_bring_a_deleted_text_back() {
        let room = room(&[
            (1, r#"{"kind":"message","text":"one"}"#),
            (2, r#"{"kind":"delete","target":1}"#),
            (1, r#"{"kind":"edit","target":1,"text":"again"}"#),
        ]);
        assert!(matches!(room.messages[&Seq(1)].content, Said::Deleted));
    }
}
