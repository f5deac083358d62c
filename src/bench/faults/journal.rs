//! What a client says of itself, line by line, and what the bench keeps of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use hansard_model::{ConversationId, MessageId, Seq, UserId};
use serde::{Deserialize, Serialize};

/// A line of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub(super) enum Said {
    /// An event that the store held when the client started.
    Cached(Seen),
    /// An event that the client showed.
    Shown(Seen),
    /// An event that the client loaded because the catch-up left it out.
    Loaded(Seen),
    /// The outbox took a message.
    Accepted { conversation: ConversationId, id: MessageId },
    /// A message is stored.
    Acked { conversation: ConversationId, id: MessageId, seq: Seq },
    /// A message was refused for good.
    Failed { conversation: ConversationId, id: MessageId, code: String },
    /// A message that was never sent got another id.
    Renamed { conversation: ConversationId, from: MessageId, to: MessageId },
    /// Nothing waits for an answer any more.
    Idle {},
}

/// An event as a client has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) conversation: ConversationId,
    pub(super) seq: Seq,
    pub(super) prev: Seq,
    pub(super) id: MessageId,
    pub(super) sender: UserId,
}

/// Everything a client said, over all its lives.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Its timelines: shown, kept or loaded.
    pub(super) timelines: HashMap<ConversationId, BTreeMap<Seq, Seen>>,
    /// Its accepted messages, in order.
    pub(super) accepted: HashMap<ConversationId, Vec<MessageId>>,
    pub(super) acked: HashMap<(ConversationId, MessageId), Seq>,
    pub(super) refused: Vec<String>,
    pub(super) idle: bool,
    pub(super) acks: usize,
    /// Events shown twice, acks that contradict each other.
    pub(super) doubled: Vec<String>,
    /// Events shown after a later one.
    pub(super) reordered: Vec<String>,
    /// Two clients' views of one place that differ.
    pub(super) contradictions: Vec<String>,
    shown: HashSet<(ConversationId, Seq)>,
    last_shown: HashMap<ConversationId, Seq>,
}

impl Journal {
    pub(super) fn note(&mut self, said: Said) {
        match said {
            Said::Cached(seen) | Said::Loaded(seen) => self.keep(seen),
            Said::Shown(seen) => {
                if !self.shown.insert((seen.conversation, seen.seq)) {
                    self.doubled.push(format!("shown twice: {seen:?}"));
                }
                let last = self.last_shown.entry(seen.conversation).or_default();
                if seen.seq < *last {
                    self.reordered.push(format!("shown after {last}: {seen:?}"));
                }
                *last = seen.seq.max(*last);
                self.keep(seen);
            }
            Said::Accepted { conversation, id } => {
                self.accepted.entry(conversation).or_default().push(id);
            }
            Said::Acked { conversation, id, seq } => {
                self.acks += 1;
                match self.acked.insert((conversation, id), seq) {
                    Some(before) if before != seq => self.doubled.push(format!(
                        "acknowledged at {before} and at {seq}: {conversation} {id}"
                    )),
                    Some(_) | None => {}
                }
            }
            Said::Failed { conversation, id, code } => {
                self.refused.push(format!("{code}: {conversation} {id}"));
                if let Some(accepted) = self.accepted.get_mut(&conversation) {
                    accepted.retain(|other| *other != id);
                }
            }
            Said::Renamed { conversation, from, to } => {
                let accepted = self.accepted.entry(conversation).or_default();
                match accepted.iter_mut().find(|id| **id == from) {
                    Some(id) => *id = to,
                    None => accepted.push(to),
                }
            }
            Said::Idle {} => self.idle = true,
        }
    }

    fn keep(&mut self, seen: Seen) {
        let timeline = self.timelines.entry(seen.conversation).or_default();
        if let Some(before) = timeline.insert(seen.seq, seen)
            && before != seen
        {
            self.contradictions.push(format!("{before:?} and {seen:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(seq: u64) -> Seen {
        let user = UserId::from_entropy([1; 20]);
        let id = MessageId::new(seq, [0; 10]);
        let conversation = ConversationId::direct(user, user);
        Seen { conversation, seq: Seq(seq), prev: Seq(seq - 1), id, sender: user }
    }

    #[test]
    fn an_event_shown_twice_or_too_late_is_noted() {
        let mut journal = Journal::default();
        for said in [Said::Shown(seen(1)), Said::Shown(seen(3)), Said::Cached(seen(3))] {
            journal.note(said);
        }
        assert!(journal.doubled.is_empty() && journal.reordered.is_empty());
        journal.note(Said::Shown(seen(2)));
        assert_eq!(journal.reordered.len(), 1);
        journal.note(Said::Shown(seen(3)));
        assert_eq!(journal.doubled.len(), 1);
    }

    #[test]
    fn a_failed_message_is_owed_no_more() {
        let mut journal = Journal::default();
        let Seen { conversation, id, .. } = seen(1);
        journal.note(Said::Accepted { conversation, id });
        journal.note(Said::Failed { conversation, id, code: "forbidden".to_owned() });
        assert_eq!(journal.accepted[&conversation], []);
    }
}
