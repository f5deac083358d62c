//! The terms of an index that somebody may mean who did not type the whole of a word, or not quite.

use std::collections::HashMap;
use std::sync::Arc;

use hansard_search_language::typo::tolerance;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tantivy::index::SegmentId;
use tantivy::query::{DfaWrapper, FuzzyTermQuery};
use tantivy::{SegmentReader, Term};

use crate::index::{IndexError, View};

/// Terms that a prefix of one, two and more characters stands for at most: those that are used
/// most. Who types another one will type the next letter.
const PREFIX_TERMS_MAX: [usize; 3] = [16, 32, 64];
/// Terms of a segment that are looked at for a prefix, once.
const PREFIX_SCAN_MAX: usize = 65_536;
/// Those of them that are kept.
const PREFIX_KEPT_MAX: usize = 128;
/// With so many messages of a partition that have a word as it was typed, it is no typo.
const COMMON_MIN: u64 = 200;
/// Terms that a word with a typo stands for at most: the nearest, then those that are used most.
const TYPO_TERMS_MAX: usize = 16;
/// Bytes of what is kept of prefixes, about.
const BEGINNINGS_BYTES: u64 = 16 * 1024 * 1024;
/// Words whose automata are kept: a long one takes a megabyte or two.
const AUTOMATA_MAX: usize = 8;

/// What was worked out of words, for all partitions of a process: the same question is asked of
/// each, and a segment never changes.
pub(crate) struct Lexicon {
    beginnings: Cache<(SegmentId, String), Arc<[(String, u32)]>, Weight>,
    automata: Cache<(String, u8), Arc<DfaWrapper>>,
}

impl Default for Lexicon {
    fn default() -> Self {
        Self {
            beginnings: Cache::with_weighter(4_096, BEGINNINGS_BYTES, Weight),
            automata: Cache::new(AUTOMATA_MAX),
        }
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<(SegmentId, String), Arc<[(String, u32)]>> for Weight {
    fn weight(&self, (_, prefix): &(SegmentId, String), terms: &Arc<[(String, u32)]>) -> u64 {
        // An entry, a string and an allocation of each.
        let terms: usize = terms.iter().map(|(term, _)| term.len() + 48).sum();
        (terms + prefix.len() + 128) as u64
    }
}

impl Lexicon {
    /// The terms of a segment that begin with this and are used most, with how many documents have
    /// them.
    fn beginnings(
        &self,
        view: &View,
        segment: &SegmentReader,
        prefix: &str,
    ) -> Result<Arc<[(String, u32)]>, IndexError> {
        let key = (segment.segment_id(), prefix.to_owned());
        self.beginnings.get_or_insert_with(&key, || {
            let terms = segment.inverted_index(view.fields.text)?;
            let mut stream = terms.terms().range().gt(prefix).into_stream()?;
            let mut found = Vec::new();
            let mut looked_at = 0;
            while looked_at < PREFIX_SCAN_MAX
                && let Some((key, info)) = stream.next()
                && key.starts_with(prefix.as_bytes())
            {
                looked_at += 1;
                if let Ok(term) = std::str::from_utf8(key) {
                    found.push((term.to_owned(), info.doc_freq));
                }
                if found.len() >= 16 * PREFIX_KEPT_MAX {
                    keep_most_used(&mut found);
                }
            }
            keep_most_used(&mut found);
            Ok(found.into())
        })
    }

    /// What accepts the terms that are so many edits away at most.
    fn automaton(
        &self,
        typed: &Term,
        word: &str,
        edits: u8,
    ) -> Result<Arc<DfaWrapper>, IndexError> {
        let key = (word.to_owned(), edits);
        self.automata.get_or_insert_with(&key, || {
            Ok(Arc::new(FuzzyTermQuery::new(typed.clone(), edits, true).automaton()?))
        })
    }
}

fn keep_most_used(found: &mut Vec<(String, u32)>) {
    found.sort_unstable_by(|(one, of_one), (other, of_other)| {
        of_other.cmp(of_one).then_with(|| one.cmp(other))
    });
    found.truncate(PREFIX_KEPT_MAX);
}

/// A term that a word may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expansion {
    pub(super) term: String,
    /// How many edits away it is; 0 for one that the word begins.
    pub(super) edits: u8,
}

/// Terms with how many documents have them, in all segments.
type Counted = HashMap<String, u64>;

fn count(counted: &mut Counted, term: &str, documents: u32) {
    match counted.get_mut(term) {
        Some(count) => *count += u64::from(documents),
        None => {
            counted.insert(term.to_owned(), u64::from(documents));
        }
    }
}

fn most_used(counted: Counted, edits: u8, limit: usize) -> Vec<Expansion> {
    let mut terms: Vec<(String, u64)> = counted.into_iter().collect();
    // By the term itself in the end: the same index gives the same terms.
    terms.sort_unstable_by(|(one, of_one), (other, of_other)| {
        of_other.cmp(of_one).then_with(|| one.cmp(other))
    });
    terms.truncate(limit);
    terms.into_iter().map(|(term, _)| Expansion { term, edits }).collect()
}

/// The terms that begin with `prefix`, itself not among them, at most `limit`.
///
/// # Errors
/// [`IndexError`]
pub(super) fn beginning_with(
    view: &View,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Expansion>, IndexError> {
    let mut counted = Counted::new();
    for segment in view.searcher.segment_readers() {
        for (term, documents) in view.lexicon.beginnings(view, segment, prefix)?.iter() {
            count(&mut counted, term, *documents);
        }
    }
    let chars = prefix.chars().take(PREFIX_TERMS_MAX.len()).count();
    let most = PREFIX_TERMS_MAX.get(chars.saturating_sub(1)).copied();
    Ok(most_used(counted, 0, limit.min(most.unwrap_or(PREFIX_TERMS_MAX[0]))))
}

/// The terms that `word` may be a misspelling of, itself not among them, at most `limit`.
///
/// # Errors
/// [`IndexError`]
pub(super) fn misspelled(
    view: &View,
    word: &str,
    limit: usize,
) -> Result<Vec<Expansion>, IndexError> {
    let typed = Term::from_field_text(view.fields.text, word);
    let tolerance = tolerance(word);
    if tolerance.edits == 0 || view.searcher.doc_freq(&typed)? >= COMMON_MIN {
        return Ok(Vec::new());
    }
    let kept: String = word.chars().take(usize::from(tolerance.prefix_chars)).collect();
    let mut found: Vec<Expansion> = Vec::new();
    for edits in 1..=tolerance.edits {
        let mut counted = Counted::new();
        let automaton = view.lexicon.automaton(&typed, word, edits)?;
        for segment in view.searcher.segment_readers() {
            let terms = segment.inverted_index(view.fields.text)?;
            let mut stream = terms.terms().search(&*automaton).ge(kept.as_bytes()).into_stream()?;
            while let Some((key, info)) = stream.next() {
                let Ok(term) = std::str::from_utf8(key) else { continue };
                if !term.starts_with(kept.as_str()) {
                    break;
                }
                let is_known = term == word || found.iter().any(|one| one.term == term);
                if !is_known {
                    count(&mut counted, term, info.doc_freq);
                }
            }
        }
        let room = limit.min(TYPO_TERMS_MAX) - found.len();
        found.extend(most_used(counted, edits, room));
        if found.len() >= limit.min(TYPO_TERMS_MAX) {
            break;
        }
    }
    Ok(found)
}
