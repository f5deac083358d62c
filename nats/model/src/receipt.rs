//! Receipts: how far a member has got in a conversation. High-water marks, so that whatever is
//! merged in whatever order, and however often, comes to the same.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, Seq, UserId};
use crate::time::LogTime;

/// How far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Up to and including this event; 0: none.
    pub seq: Seq,
    /// Messages of the conversation up to it.
    pub n: u64,
    /// When it was said to have got there.
    pub ts: LogTime,
}

impl Mark {
    /// The further one; of two at the same place the one that was there first.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let key = |mark: &Self| (mark.seq, std::cmp::Reverse((mark.ts, mark.n)));
        if key(&other) > key(&self) { other } else { self }
    }
}

/// The marks of one member of one conversation: what `RECEIPTS` holds of them.
///
/// Invariant: `delivered` and `own` are at `read` or beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The epoch of the log that the positions are of. Marks of an earlier one say nothing.
    pub epoch: u64,
    /// A device of theirs has everything up to here.
    pub delivered: Mark,
    /// They have read up to here, and the others may know.
    pub read: Mark,
    /// They have read up to here, which may be for themselves to know: unread counts from here.
    pub own: Mark,
    /// The conversation had more members than are told when it was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wide: bool,
}

impl Marks {
    /// The marks that a receipt says. A private one says to others only what was delivered.
    pub fn said(
        epoch: u64,
        delivered: Option<Mark>,
        read: Option<Mark>,
        private: bool,
        wide: bool,
    ) -> Self {
        let (delivered, own) = (delivered.unwrap_or_default(), read.unwrap_or_default());
        let read = if private { Mark::default() } else { own };
        Self { epoch, delivered: delivered.max(read), read, own, wide }
    }

    /// The further of both, mark by mark. Of two epochs the later one counts alone.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        match self.epoch.cmp(&other.epoch) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => Self {
                epoch: self.epoch,
                delivered: self.delivered.max(other.delivered),
                read: self.read.max(other.read),
                own: self.own.max(other.own),
                wide: self.wide || other.wide,
            },
        }
    }

    /// Whether others see the two differently.
    pub fn differs_for_others(&self, other: &Self) -> bool {
        self.for_others() != other.for_others()
    }

    /// What others see: of which log, delivered and read.
    fn for_others(&self) -> Option<(u64, Seq, Seq)> {
        let is_something = self.delivered.seq > Seq::ZERO;
        is_something.then_some((self.epoch, self.delivered.seq, self.read.seq))
    }

    /// Whether nothing is further in `self` than in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        let merged = other.merge(*self);
        !merged.differs_for_others(other) && merged.own.seq == other.own.seq
    }
}

/// Whom a stored receipt concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// The members of the conversation.
    Members,
    /// The user's own devices alone.
    Own,
}

impl Audience {
    fn as_str(self) -> &'static str {
        match self {
            Self::Members => "told",
            Self::Own => "own",
        }
    }
}

/// `receipt.<a>.<b>.<user>.told|own`: where the marks of a member are. Both hold all of them; the
/// later one counts, and which of the two it is says whom the change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReceiptKey {
    /// Where.
    pub conversation: ConversationId,
    /// Whose.
    pub user: UserId,
    /// Whom the last change concerns.
    pub audience: Audience,
}

impl ReceiptKey {
    /// Both subjects of a member.
    pub fn of_member(conversation: ConversationId, user: UserId) -> String {
        format!("receipt.{conversation}.{user}.*")
    }

    /// What the others may know of all members of a conversation.
    pub fn told_in(conversation: ConversationId) -> String {
        format!("receipt.{conversation}.*.told")
    }
}

impl fmt::Display for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conversation, user, audience } = self;
        write!(f, "receipt.{conversation}.{user}.{}", audience.as_str())
    }
}

/// The text is not the subject of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the subject of a receipt")]
pub struct ParseReceiptKeyError;

impl FromStr for ReceiptKey {
    type Err = ParseReceiptKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (rest, audience) = text.strip_prefix("receipt.")?.rsplit_once('.')?;
            let (conversation, user) = rest.rsplit_once('.')?;
            let audience = [Audience::Members, Audience::Own]
                .into_iter()
                .find(|known| known.as_str() == audience)?;
            let (conversation, user) = (conversation.parse().ok()?, user.parse().ok()?);
            Some(Self { conversation, user, audience })
        };
        parse().ok_or(ParseReceiptKeyError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark() -> impl Strategy<Value = Mark> {
        (0..6_u64, 0..3_u64, 0..3_u64).prop_map(|(seq, n, ts)| Mark {
            seq: Seq(seq),
            n,
            ts: LogTime::from_millis(ts),
        })
    }

    fn marks() -> impl Strategy<Value = Marks> {
        let some = || proptest::option::of(mark());
        (1..3_u64, some(), some(), any::<bool>()).prop_map(|(epoch, delivered, read, private)| {
            Marks::said(epoch, delivered, read, private, false)
        })
    }

    proptest! {
        #[test]
        fn in_whatever_order_and_however_often_they_come_to_the_same(
            all in prop::collection::vec(marks(), 1..8),
            again in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let merge = |all: &[Marks]| {
                all.iter().copied().reduce(Marks::merge).expect("one at least")
            };
            let forward = merge(&all);
            let mut shuffled: Vec<Marks> = all.iter().rev().copied().collect();
            shuffled.extend(again.iter().map(|index| all[index.index(all.len())]));
            prop_assert_eq!(merge(&shuffled), forward);
            for one in &all {
                prop_assert!(one.is_within(&forward));
            }
        }

        #[test]
        fn a_merge_never_goes_back_and_reading_includes_having(a in marks(), b in marks()) {
            let merged = a.merge(b);
            prop_assert!(merged.delivered.seq >= merged.read.seq);
            prop_assert!(merged.own.seq >= merged.read.seq);
            if merged.epoch == a.epoch {
                prop_assert!(merged.delivered.seq >= a.delivered.seq);
                prop_assert!(merged.read.seq >= a.read.seq && merged.own.seq >= a.own.seq);
            }
        }
    }

    #[test]
    fn what_is_read_in_private_differs_for_nobody_else() {
        let mark = |seq| Some(Mark { seq: Seq(seq), n: seq, ts: LogTime::default() });
        let before = Marks::said(1, mark(9), mark(4), false, false);
        let after = before.merge(Marks::said(1, None, mark(8), true, false));
        assert_eq!((after.own.seq, after.read.seq), (Seq(8), Seq(4)));
        assert!(!after.differs_for_others(&before) && !after.is_within(&before));
        let told = after.merge(Marks::said(1, None, mark(6), false, false));
        assert_eq!((told.own.seq, told.read.seq), (Seq(8), Seq(6)));
    }

    #[test]
    fn keys_parse_what_they_print() {
        let (x, y) = (UserId::from_entropy([1; 20]), UserId::from_entropy([2; 20]));
        let group = ConversationId::Group(crate::id::GroupId::from_entropy([3; 20]));
        for conversation in [ConversationId::direct(x, y), group] {
            for audience in [Audience::Members, Audience::Own] {
                let key = ReceiptKey { conversation, user: x, audience };
                assert_eq!(key.to_string().parse(), Ok(key));
            }
        }
        assert!("receipt.a.told".parse::<ReceiptKey>().is_err());
    }

    #[test]
    fn what_is_stored_stays_readable() {
        let stored = r#"{"epoch":1,"delivered":{"seq":57,"n":9,"ts":"2025-11-22T08:00:00.000Z"},"read":{"seq":42,"n":7,"ts":"2025-11-22T08:00:01.000Z"},"own":{"seq":57,"n":9,"ts":"2025-11-22T08:00:02.000Z"}}"#;
        let marks: Marks = serde_json::from_str(stored).expect("reads");
        assert_eq!((marks.read.seq, marks.own.n, marks.wide), (Seq(42), 9, false));
        assert_eq!(serde_json::to_string(&marks).expect("writes"), stored);
    }
}
