//! In which conversations receipts changed lately, so that who was away for a moment costs no look
//! at all others.

use hansard_model::{ConversationId, Seq};

use super::generations::Generations;

/// Conversations of one generation: about 100 bytes each.
const CONVERSATIONS_MAX: usize = if cfg!(test) { 2 } else { 32_768 };

/// See the module.
#[derive(Debug)]
pub(crate) struct Recent {
    last: Generations<ConversationId, Seq>,
    /// Every change after this is in the younger generation, or in either.
    since: [Seq; 2],
    /// Every change up to here was noted.
    upto: Seq,
}

impl Recent {
    /// Of the changes after `after`.
    pub(crate) fn new(after: Seq) -> Self {
        Self { last: Generations::new(CONVERSATIONS_MAX), since: [after; 2], upto: after }
    }

    /// A receipt was stored.
    pub(crate) fn note(&mut self, conversation: ConversationId, seq: Seq) {
        if self.last.insert(conversation, seq) {
            self.since = [self.upto, self.since[0]];
        }
        self.upto = self.upto.max(seq);
    }

    /// Whether every change after this is known.
    pub(crate) fn covers(&self, after: Seq) -> bool {
        after >= self.since[1]
    }

    /// Whether something changed after this, given that it is [covered](Self::covers).
    pub(crate) fn is_changed(&self, conversation: ConversationId, after: Seq) -> bool {
        self.last.get(&conversation).is_some_and(|seq| *seq > after)
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::GroupId;

    use super::*;

    #[test]
    fn what_is_covered_is_known() {
        let group = |byte| ConversationId::Group(GroupId::from_entropy([byte; 20]));
        let mut recent = Recent::new(Seq(10));
        let log: Vec<(u8, u64)> = (11..60).map(|seq| ((seq * 7 % 5) as u8, seq)).collect();
        for (place, (byte, seq)) in log.iter().enumerate() {
            recent.note(group(*byte), Seq(*seq));
            for after in 10..*seq {
                if !recent.covers(Seq(after)) {
                    continue;
                }
                for byte in 0..5 {
                    let last = log[..=place].iter().rev().find(|(of, _)| *of == byte);
                    let is_changed = last.is_some_and(|(_, seq)| *seq > after);
                    assert_eq!(recent.is_changed(group(byte), Seq(after)), is_changed);
                }
            }
            assert!(recent.covers(Seq(seq - 1)));
        }
        assert!(!recent.covers(Seq(10)), "it is bounded");
    }
}
