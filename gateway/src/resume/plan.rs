//! What a catch-up fetches, and in which order.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use hansard_model::limit::FIRST_LOAD_CONVERSATIONS;
use hansard_model::query::InboxEntry;
use hansard_model::{ConversationId, PartitionCount, Seq};

use crate::cursor::Start;
use crate::frame::Frame;
use crate::resume::merge::Merge;

/// Conversations of which a catch-up fetches events. Of more, it only says that there is a gap.
const FETCHES_MAX: usize = 1_000;

/// What is asked for.
pub(crate) struct PlanRequest<'a> {
    /// Where the client is.
    pub(crate) start: &'a Start,
    /// Where it is in single conversations, if further.
    pub(crate) seen: &'a HashMap<ConversationId, Seq>,
    /// Conversations for which the user has changed settings since.
    pub(crate) settings: &'a [ConversationId],
    /// How many partitions the log has.
    pub(crate) partitions: PartitionCount,
}

/// Conversations to catch up, in order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The first is the next.
    pub(crate) turns: Vec<Turn>,
}

/// The catch-up of one conversation.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Which.
    pub(crate) conversation: ConversationId,
    /// As the user sees it; `None`: it appeared after the inbox was read.
    pub(crate) entry: Option<InboxEntry>,
    /// The client has everything up to here.
    pub(crate) after: Seq,
    /// The page must be as of this position at least.
    pub(crate) min: Seq,
    /// Fetch nothing: state that everything up to this event is left out (if no more came by).
    pub(crate) only_gap_to: Option<Seq>,
    /// The user's settings for it changed: the conversation is told whatever the budget.
    pub(crate) is_set: bool,
}

impl PlanRequest<'_> {
    /// Where the client is in a conversation.
    fn after(&self, conversation: ConversationId) -> Seq {
        let seen = match self.start {
            // What it has seen is of another log as well.
            Start::Reset => None,
            Start::Nothing | Start::From { .. } => self.seen.get(&conversation).copied(),
        };
        self.start.after(conversation, self.partitions).max(seen.unwrap_or(Seq::ZERO))
    }

    fn is_changed(&self, entry: &InboxEntry) -> bool {
        let after = self.after(entry.conversation);
        match (self.start, entry.member.role) {
            (Start::From { .. }, Some(_)) => entry.head.seq > after || entry.member.joined > after,
            (Start::From { .. }, None) => entry.member.view_to.is_some_and(|ended| ended > after),
            (Start::Nothing | Start::Reset, role) => role.is_some(),
        }
    }
}

impl Plan {
    /// Makes the plan and tells `merge`. `position` is the feed's, in a conversation's partition.
    pub(crate) fn make(
        merge: &mut Merge<Frame>,
        entries: &[InboxEntry],
        request: &PlanRequest<'_>,
        position: impl Fn(ConversationId) -> Seq,
    ) -> Self {
        let mut changed: Vec<&InboxEntry> =
            entries.iter().filter(|entry| request.is_changed(entry)).collect();
        changed.sort_unstable_by_key(|entry| Reverse(entry.head.ts));
        if !matches!(request.start, Start::From { .. }) {
            changed.truncate(FIRST_LOAD_CONVERSATIONS);
        }
        let listed: HashMap<ConversationId, &InboxEntry> =
            entries.iter().map(|entry| (entry.conversation, entry)).collect();
        let planned: HashSet<ConversationId> =
            changed.iter().map(|entry| entry.conversation).collect();
        // Something came by for these since the connection was attached: they are the newest.
        let noted: Vec<ConversationId> =
            merge.noted().filter(|conversation| !planned.contains(conversation)).collect();

        let set: HashSet<ConversationId> = request.settings.iter().copied().collect();
        // Those of which nothing else changed come last: they cost no read.
        let only_set: Vec<ConversationId> = request
            .settings
            .iter()
            .copied()
            .filter(|conversation| !planned.contains(conversation) && !noted.contains(conversation))
            .collect();

        let turn = |conversation: ConversationId, entry: Option<&InboxEntry>| Turn {
            conversation,
            entry: entry.cloned(),
            after: request.after(conversation),
            min: entry.map_or(Seq::ZERO, as_of).max(position(conversation)),
            only_gap_to: None,
            is_set: set.contains(&conversation),
        };
        let mut turns: Vec<Turn> = noted
            .into_iter()
            .map(|conversation| turn(conversation, listed.get(&conversation).copied()))
            .chain(changed.into_iter().map(|entry| turn(entry.conversation, Some(entry))))
            .collect();
        turns.extend(only_set.into_iter().filter_map(|conversation| {
            let entry = listed.get(&conversation).filter(|entry| entry.member.role.is_some())?;
            let told = turn(conversation, Some(entry));
            Some(Turn { only_gap_to: Some(last_visible(entry)), ..told })
        }));
        for (place, turn) in turns.iter_mut().enumerate() {
            match &turn.entry {
                Some(entry) if place >= FETCHES_MAX => {
                    turn.only_gap_to = Some(last_visible(entry));
                }
                Some(_) | None => {}
            }
            // What comes by waits for the gap as well: it is behind it.
            merge.expect(turn.conversation);
        }
        merge.planned();
        Self { turns }
    }
}

/// A position as of which the entry was exact.
pub(super) fn as_of(entry: &InboxEntry) -> Seq {
    entry.head.seq.max(entry.member.as_of)
}

/// The last event of a conversation that its reader sees.
pub(crate) fn last_visible(entry: &InboxEntry) -> Seq {
    match (entry.member.role, entry.member.view_to) {
        (None, Some(ended)) => entry.head.seq.min(ended),
        (Some(_), _) | (None, None) => entry.head.seq,
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::inbox::{Head, MemberRecord};
    use hansard_model::{GroupId, LogTime, Role};

    use super::*;

    fn group(byte: u8) -> ConversationId {
        // Each byte of entropy gives five bits only.
        let mut entropy = [byte; 20];
        entropy[0] = byte >> 5;
        ConversationId::Group(GroupId::from_entropy(entropy))
    }

    fn entry(byte: u8, head: u64, ended: Option<u64>) -> InboxEntry {
        InboxEntry {
            conversation: group(byte),
            head: Head {
                seq: Seq(head),
                ts: LogTime::from_millis(head),
                n: 1,
                title: None,
                member_count: 2,
                last: None,
            },
            member: MemberRecord {
                role: ended.is_none().then_some(Role::Member),
                joined: Seq(1),
                view_from: Seq(1),
                view_to: ended.map(Seq),
                read: Seq(0),
                read_n: 0,
                mentions: 0,
                as_of: Seq(1),
            },
        }
    }

    fn from(position: u64) -> Start {
        Start::From { positions: vec![Seq(position)], accounts: Seq(3), receipts: Seq(2) }
    }

    fn plan(
        start: &Start,
        seen: &[(u8, u64)],
        settings: &[u8],
        entries: &[InboxEntry],
    ) -> Vec<Turn> {
        let seen = seen.iter().map(|(byte, seq)| (group(*byte), Seq(*seq))).collect();
        let settings: Vec<ConversationId> = settings.iter().map(|byte| group(*byte)).collect();
        let request = PlanRequest {
            start,
            seen: &seen,
            settings: &settings,
            partitions: PartitionCount::new(1).expect("one"),
        };
        Plan::make(&mut Merge::new(), entries, &request, |_| Seq(5)).turns
    }

    fn byte(id: ConversationId) -> u8 {
        (0..99).find(|byte| group(*byte) == id).expect("known")
    }

    fn planned(start: &Start, seen: &[(u8, u64)], entries: &[InboxEntry]) -> Vec<(u8, u64)> {
        let turns = plan(start, seen, &[], entries);
        turns.iter().map(|turn| (byte(turn.conversation), turn.after.0)).collect()
    }

    #[test]
    fn what_was_set_is_told_and_costs_a_read_only_when_something_was_said() {
        let entries =
            [entry(1, 11, None), entry(2, 9, None), entry(3, 8, Some(7)), entry(4, 3, None)];
        let turns = plan(&from(10), &[], &[2, 1, 3], &entries);
        let told: Vec<_> = turns
            .iter()
            .map(|turn| (byte(turn.conversation), turn.is_set, turn.only_gap_to))
            .collect();
        assert_eq!(
            told,
            [(1, true, None), (2, true, Some(Seq(9)))],
            "3 is none of theirs any more"
        );
        assert!(turns[1].after >= Seq(9), "nothing is left out");
    }

    #[test]
    fn what_changed_is_fetched_newest_first() {
        let start = from(10);
        let entries = [entry(1, 11, None), entry(2, 9, None), entry(3, 20, None)];
        assert_eq!(planned(&start, &[], &entries), [(3, 10), (1, 10)]);
        assert_eq!(planned(&start, &[(3, 20), (1, 5)], &entries), [(1, 10)]);
    }

    #[test]
    fn a_removal_is_told_once() {
        let removed = [entry(1, 30, Some(12))];
        assert_eq!(planned(&from(10), &[], &removed), [(1, 10)]);
        assert_eq!(planned(&from(12), &[], &removed), []);
        assert_eq!(planned(&Start::Nothing, &[], &removed), []);
    }

    #[test]
    fn a_first_load_takes_the_last_active() {
        let entries: Vec<_> = (1..80).map(|byte| entry(byte, u64::from(byte), None)).collect();
        let turns = planned(&Start::Nothing, &[], &entries);
        assert_eq!(turns.len(), FIRST_LOAD_CONVERSATIONS);
        assert_eq!(turns.first(), Some(&(79, 0)));
        assert_eq!(planned(&Start::Reset, &[(79, 50)], &entries).first(), Some(&(79, 0)));
    }

    #[test]
    fn what_came_by_meanwhile_is_fetched_whatever_the_inbox_says() {
        let start = from(10);
        let seen = HashMap::new();
        let request = PlanRequest {
            start: &start,
            seen: &seen,
            settings: &[],
            partitions: PartitionCount::new(1).expect("one"),
        };
        let mut merge = Merge::new();
        merge.live(group(7), Seq(12), 1, Frame::ping);
        let plan = Plan::make(&mut merge, &[], &request, |_| Seq(11));
        assert_eq!(plan.turns.len(), 1);
        assert!(plan.turns[0].entry.is_none());
        assert_eq!(merge.begin(group(7), plan.turns[0].min), Seq(12));
    }
}
