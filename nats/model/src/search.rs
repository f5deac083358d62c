//! Searches: what a gateway asks those who keep the indexes, and what each answers.
//!
//! One question goes to all searchers, and there is an answer for each partition. The asker knows
//! how many partitions there are, and which have not answered.

use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, PartitionId, Seq, UserId};
use crate::time::LogTime;

/// A search on behalf of a reader.
///
/// The query travels as it was typed: both sides read it by the same code. What its names mean only
/// the gateway knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchRequest {
    /// Who asks: only what they may read is found.
    pub reader: UserId,
    /// What was typed.
    pub query: String,
    /// Whom each `from:` of the query means, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<UserId>,
    /// Where each `in:` of the query looks, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversations: Vec<ConversationId>,
    /// The moment that ages and dates like `yesterday` are reckoned from.
    pub now_ms: u64,
    /// The reader's clock shows UTC and so many minutes.
    #[serde(default)]
    pub utc_offset_minutes: i16,
    /// Which come first.
    pub order: SearchOrder,
    /// Hits of each partition at most.
    pub limit: usize,
    /// Words may be written otherwise than they are here.
    #[serde(default)]
    pub typos: bool,
    /// Only what comes behind this in the order of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<TimePlace>,
    /// What was shown already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<(PartitionId, Vec<Seq>)>,
    /// Answer for these partitions only once these positions are searchable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub min: Vec<(PartitionId, Seq)>,
}

/// Which hits come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchOrder {
    /// Those that say most of what is sought; of equal ones the newer.
    #[default]
    Relevance,
    /// The newest.
    Time,
}

/// A place in the order of time: later messages come first, then those of the higher partition,
/// then those of the higher position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimePlace {
    /// When the message was stored, in milliseconds since the Unix epoch.
    pub ts_ms: u64,
    /// Its partition.
    pub partition: PartitionId,
    /// Its position.
    pub seq: Seq,
}

impl SearchRequest {
    /// What its ages and dates are reckoned from.
    pub fn now(&self) -> LogTime {
        LogTime::from_millis(self.now_ms)
    }

    /// The position of a partition that the answer needs.
    pub fn min_of(&self, partition: PartitionId) -> Seq {
        self.min.iter().find(|(of, _)| *of == partition).map_or(Seq::ZERO, |(_, seq)| *seq)
    }

    /// What was shown of a partition.
    pub fn seen_of(&self, partition: PartitionId) -> &[Seq] {
        self.seen.iter().find(|(of, _)| *of == partition).map_or(&[], |(_, seqs)| seqs)
    }
}

/// The answer for one partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchAnswer {
    /// Which.
    pub partition: PartitionId,
    /// All of the partition up to here was searched.
    pub as_of: Seq,
    /// What came of it.
    pub outcome: SearchOutcome,
}

/// What came of a search in a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchOutcome {
    /// It was searched.
    Found {
        /// The first hits, in order.
        hits: Vec<SearchHit>,
        /// There are more behind them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
        /// Terms that were matched in place of what was typed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        terms: Vec<String>,
    },
    /// The position that was asked for is not searchable in time.
    Behind,
    /// The query cannot be read, or has other names than were given.
    BadRequest,
    /// There is too much to do: ask again later.
    Busy,
    /// The index cannot be read.
    Unavailable,
}

/// A message that was found. Its text is in the history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    /// Where.
    pub conversation: ConversationId,
    /// Its position.
    pub seq: Seq,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub ts_ms: u64,
    /// How well it answers; comparable among all answers to one question.
    pub score: f32,
}
