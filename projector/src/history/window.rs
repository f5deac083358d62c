//! Windows of a chain: which positions a page takes, found by binary search.

use hansard_model::limit::PAGE_BYTES_MAX;
use hansard_model::{LogTime, Seq};

use super::chain::{Chain, View};

/// Positions of a chain, ascending.
#[derive(Clone, Copy, Debug)]
pub(super) enum Positions<'a> {
    /// All of so many.
    All(usize),
    /// These.
    Listed(&'a [u32]),
    /// A root and its replies.
    Thread { root: u32, replies: &'a [u32] },
}

impl Positions<'_> {
    fn len(self) -> usize {
        match self {
            Self::All(len) => len,
            Self::Listed(positions) => positions.len(),
            Self::Thread { replies, .. } => replies.len() + 1,
        }
    }

    fn get(self, index: usize) -> usize {
        match self {
            Self::All(_) => index,
            Self::Listed(positions) => positions[index] as usize,
            Self::Thread { root, .. } if index == 0 => root as usize,
            Self::Thread { replies, .. } => replies[index - 1] as usize,
        }
    }
}

/// Some events of a chain, of which a window is to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    chain: &'a Chain,
    positions: Positions<'a>,
    /// What of it can be seen at all.
    visible: (usize, usize),
    /// What of that may be taken.
    from: usize,
    to: usize,
}

/// What a page takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Positions in the chain, ascending.
    pub(crate) positions: Vec<usize>,
    pub(crate) more_before: bool,
    pub(crate) more_after: bool,
}

impl<'a> Span<'a> {
    pub(super) fn new(chain: &'a Chain, positions: Positions<'a>) -> Self {
        let len = positions.len();
        Self { chain, positions, visible: (0, len), from: 0, to: len }
    }

    /// Only what a reader may see.
    #[must_use]
    pub(crate) fn seen_by(mut self, view: View) -> Self {
        self.from = self.first_from(view.from);
        self.to = view.to.map_or(self.to, |to| self.first_from(to.next())).max(self.from);
        self.visible = (self.from, self.to);
        self
    }

    /// Only what lies strictly between two positions.
    #[must_use]
    pub(crate) fn between(mut self, after: Option<Seq>, before: Option<Seq>) -> Self {
        let (low, high) = self.visible;
        self.from = after.map_or(low, |after| self.first_from(after.next())).clamp(low, high);
        self.to = before.map_or(high, |before| self.first_from(before)).clamp(self.from, high);
        self
    }

    /// The index of the first event at or after `seq`.
    pub(crate) fn first_from(&self, seq: Seq) -> usize {
        self.partition_point(|chain, position| chain.entry(position).seq < seq)
    }

    /// The index of the first event at or after a moment.
    pub(crate) fn first_at(&self, moment: LogTime) -> usize {
        self.partition_point(|chain, position| chain.entry(position).ts < moment)
    }

    /// The oldest of the span.
    pub(crate) fn oldest(&self, limit: usize) -> Window {
        self.around(self.from, 0, limit)
    }

    /// The newest of the span.
    pub(crate) fn newest(&self, limit: usize) -> Window {
        self.around(self.to, limit, 0)
    }

    /// Half before an index, half from it on; what one side lacks, the other gets.
    pub(crate) fn halves(&self, center: usize, limit: usize) -> Window {
        let center = center.clamp(self.from, self.to);
        let (behind, ahead) = (center - self.from, self.to - center);
        let after = (limit - limit / 2).max(limit.saturating_sub(behind)).min(ahead);
        self.around(center, (limit - after).min(behind), after)
    }

    /// Up to `before` events before an index and `after` from it on. A body that does not fit in
    /// the page's bytes ends its side, but the first one is always taken.
    fn around(&self, center: usize, before: usize, after: usize) -> Window {
        let center = center.clamp(self.from, self.to);
        let mut bytes = PAGE_BYTES_MAX;
        let mut taken = false;
        let mut fits = |index: usize, budget_kept: usize| {
            let cost = self.chain.entry(self.positions.get(index)).body.get().len();
            let fits = !taken || cost + budget_kept <= bytes;
            if fits {
                taken = true;
                bytes = bytes.saturating_sub(cost);
            }
            fits
        };
        let kept_for_before = if before > 0 { PAGE_BYTES_MAX / 2 } else { 0 };
        let mut end = center;
        while end < self.to && end - center < after && fits(end, kept_for_before) {
            end += 1;
        }
        let mut start = center;
        while start > self.from && center - start < before && fits(start - 1, 0) {
            start -= 1;
        }
        Window {
            positions: (start..end).map(|index| self.positions.get(index)).collect(),
            more_before: start > self.visible.0,
            more_after: end < self.visible.1,
        }
    }

    fn partition_point(&self, is_before: impl Fn(&Chain, usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.positions.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self.chain, self.positions.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
