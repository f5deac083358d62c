//! Where a list of hits goes on.
//!
//! In the order of time a cursor is a place in that order. The order of relevance has no such
//! places: what a message scores changes with every message that comes. There a cursor has what was
//! shown, so that the next page has the best of the rest: nothing twice, and nothing left out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hansard_model::search::{SearchOrder, TimePlace};
use hansard_model::{PartitionCount, PartitionId, Seq};

use super::Failure;
use super::merge::Placed;
use crate::cursor::{ParseCursorError, put_varint, take_varint};

/// What a cursor of this list begins with, so that no other is taken for one.
const MARK: char = 's';
/// Longest text that is looked at.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Hits that the order of relevance shows at most: a cursor has all of them.
const SHOWN_MAX: usize = 500;

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    epoch: u64,
    /// Of the query and the order: the next page is one of the same list.
    question: u64,
    order: SearchOrder,
    /// The moment that ages and dates are reckoned from, on every page the same.
    pub(super) now_ms: u64,
    /// Words may be written otherwise than they are in the query.
    pub(super) typos: bool,
    /// In the order of time: behind this.
    pub(super) behind: Option<TimePlace>,
    /// In the order of relevance: without these.
    pub(super) seen: Vec<(PartitionId, Vec<Seq>)>,
}

/// What a page came to.
pub(super) struct Progress<'a> {
    pub(super) typos: bool,
    pub(super) hits: &'a [Placed],
    pub(super) more: bool,
}

/// FNV-1a over the text and the order: not against anybody, but against mistakes.
fn question(text: &str, order: SearchOrder) -> u64 {
    let order: u8 = match order {
        SearchOrder::Relevance => 0,
        SearchOrder::Time => 1,
    };
    text.bytes().chain([0, order]).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Page {
    /// The first page of a list.
    pub(super) fn first(epoch: u64, text: &str, order: SearchOrder, now_ms: u64) -> Self {
        let question = question(text, order);
        Self { epoch, question, order, now_ms, typos: false, behind: None, seen: Vec::new() }
    }

    pub(super) fn is_first(&self) -> bool {
        self.behind.is_none() && self.seen.is_empty()
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// [`Failure`] when it is none of this list.
    pub(super) fn parse(
        cursor: &str,
        epoch: u64,
        text: &str,
        order: SearchOrder,
    ) -> Result<Self, Failure> {
        let page = Self::decode(cursor)
            .map_err(|_| Failure::bad_request("the cursor is not one of this list"))?;
        if page.epoch != epoch {
            return Err(Failure::bad_request("the cursor is of another log: begin without one"));
        }
        if page.question != question(text, order) || page.order != order {
            return Err(Failure::bad_request("the cursor is of another search"));
        }
        Ok(page)
    }

    /// The cursor of what is behind this page; `None` when there is nothing, or nothing that would
    /// be shown.
    pub(super) fn next(
        mut self,
        progress: &Progress<'_>,
        partitions: PartitionCount,
    ) -> Option<String> {
        let last = progress.hits.last().filter(|_| progress.more)?;
        self.typos = progress.typos;
        if self.order == SearchOrder::Time {
            self.behind = Some(last.time_place());
        } else {
            let mut seen: Vec<Vec<Seq>> = vec![Vec::new(); usize::from(partitions.get())];
            for (partition, seqs) in self.seen {
                seen.get_mut(partition.index())?.extend(seqs);
            }
            for hit in progress.hits {
                seen.get_mut(hit.partition.index())?.push(hit.seq);
            }
            self.seen =
                (0..).map(PartitionId).zip(seen).filter(|(_, seqs)| !seqs.is_empty()).collect();
            if self.seen.iter().map(|(_, seqs)| seqs.len()).sum::<usize>() >= SHOWN_MAX {
                return None;
            }
        }
        Some(self.encode())
    }

    fn encode(&self) -> String {
        let mut bytes = Vec::new();
        let mut put = |number: u64| put_varint(&mut bytes, number);
        put(self.epoch);
        put(self.question);
        put(self.now_ms);
        put(u64::from(self.typos) | u64::from(self.behind.is_some()) << 1);
        if let Some(TimePlace { ts_ms, partition, seq }) = self.behind {
            [ts_ms, u64::from(partition.0), seq.0].into_iter().for_each(&mut put);
        }
        put(self.seen.len() as u64);
        for (partition, seqs) in &self.seen {
            let mut seqs = seqs.clone();
            seqs.sort_unstable();
            put(u64::from(partition.0));
            put(seqs.len() as u64);
            let mut before = 0;
            for seq in seqs {
                put(seq.0 - before);
                before = seq.0;
            }
        }
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    fn decode(text: &str) -> Result<Self, ParseCursorError> {
        let text = text.strip_prefix(MARK).filter(|text| text.len() <= TEXT_BYTES_MAX);
        let bytes = URL_SAFE_NO_PAD.decode(text.ok_or(ParseCursorError)?);
        let bytes = bytes.map_err(|_| ParseCursorError)?;
        let mut rest = &bytes[..];
        let mut take = || take_varint(&mut rest);
        let (epoch, question, now_ms, flags) = (take()?, take()?, take()?, take()?);
        let partition =
            |number: u64| number.try_into().map(PartitionId).map_err(|_| ParseCursorError);
        let behind = if flags & 2 == 0 {
            None
        } else {
            let (ts_ms, of, seq) = (take()?, partition(take()?)?, Seq(take()?));
            Some(TimePlace { ts_ms, partition: of, seq })
        };
        let mut seen = Vec::new();
        for _ in 0..take()? {
            let (of, count) = (partition(take()?)?, take()?);
            let (mut seqs, mut before) = (Vec::new(), 0_u64);
            for _ in 0..count {
                before = before.checked_add(take()?).ok_or(ParseCursorError)?;
                seqs.push(Seq(before));
            }
            seen.push((of, seqs));
        }
        if !rest.is_empty() || flags > 3 {
            return Err(ParseCursorError);
        }
        let order = if behind.is_some() { SearchOrder::Time } else { SearchOrder::Relevance };
        Ok(Self { epoch, question, order, now_ms, typos: flags & 1 == 1, behind, seen })
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::GroupId;
    use hansard_model::search::SearchHit;
    use proptest::prelude::*;

    use super::*;

    fn placed(partition: u16, seq: u64) -> Placed {
        let conversation = hansard_model::ConversationId::Group(GroupId::from_entropy([1; 20]));
        let hit = SearchHit { conversation, seq: Seq(seq), ts_ms: seq * 10, score: 1.0 };
        Placed::of(PartitionId(partition), hit)
    }

    fn turn(page: Page, hits: &[Placed]) -> Option<String> {
        let progress = Progress { typos: true, hits, more: true };
        page.next(&progress, PartitionCount::DEFAULT)
    }

    proptest! {
        #[test]
        fn a_cursor_has_all_that_was_shown(
            pages in prop::collection::vec(prop::collection::vec((0_u16..16, 1_u64..1 << 40), 1..40), 1..5)
        ) {
            let mut page = Page::first(3, "q", SearchOrder::Relevance, 77);
            let mut shown: Vec<(u16, u64)> = Vec::new();
            for hits in pages {
                let placed: Vec<Placed> = hits.iter().map(|(p, s)| placed(*p, *s)).collect();
                shown.extend(hits);
                let cursor = turn(page, &placed).expect("a cursor");
                page = Page::parse(&cursor, 3, "q", SearchOrder::Relevance).expect("its own");
                let mut seen: Vec<(u16, u64)> = page.seen.iter()
                    .flat_map(|(p, seqs)| seqs.iter().map(|seq| (p.0, seq.0)))
                    .collect();
                seen.sort_unstable();
                shown.sort_unstable();
                prop_assert_eq!(&seen, &shown);
                prop_assert!(page.typos && page.now_ms == 77);
            }
        }

        #[test]
        fn hostile_text_is_no_cursor_and_no_panic(text in "s[A-Za-z0-9_-]{0,60}") {
            let _ = Page::parse(&text, 1, "q", SearchOrder::Time);
        }
    }

    #[test]
    fn a_cursor_is_of_one_list_of_one_log() {
        let page = Page::first(3, "q", SearchOrder::Time, 77);
        let cursor = turn(page, &[placed(1, 5), placed(2, 4)]).expect("a cursor");
        let read = Page::parse(&cursor, 3, "q", SearchOrder::Time).expect("its own");
        assert_eq!(read.behind, Some(placed(2, 4).time_place()));
        for (epoch, text, order) in [
            (4, "q", SearchOrder::Time),
            (3, "r", SearchOrder::Time),
            (3, "q", SearchOrder::Relevance),
        ] {
            assert!(Page::parse(&cursor, epoch, text, order).is_err());
        }
    }

    #[test]
    fn a_list_by_relevance_ends() {
        let mut page = Page::first(3, "q", SearchOrder::Relevance, 77);
        for seq in 1..SHOWN_MAX as u64 {
            let cursor = turn(page, &[placed(1, seq)]).expect("a cursor");
            page = Page::parse(&cursor, 3, "q", SearchOrder::Relevance).expect("its own");
        }
        assert_eq!(turn(page, &[placed(1, SHOWN_MAX as u64)]), None);
    }
}
