//! The terms of an index that somebody may mean who did not type the whole of a word, or not quite.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hansard_search_language::typo::tolerance;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tantivy::index::SegmentId;
use tantivy::postings::TermInfo;
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
/// With so many messages of a partition that have a word as it was typed, it is no typo: so many,
/// and one more for each so many messages.
const COMMON_MIN: u64 = 16;
const COMMON_SHARE: u64 = 2_048;
/// Terms that a word with a typo stands for at most: those that are used most of the nearest.
const TYPO_TERMS_MAX: usize = 16;
/// Bytes of what is kept of prefixes, about.
const BEGINNINGS_BYTES: u64 = 16 * 1024 * 1024;
/// Words whose automata are kept: a long one takes a megabyte or two.
const AUTOMATA_MAX: usize = 8;

/// A term of a segment, and where it has it.
type Known = (String, TermInfo);

/// What was worked out of words, for all partitions of a process: the same question is asked of
/// each, and a segment never changes.
pub(crate) struct Lexicon {
    beginnings: Cache<(SegmentId, String), Arc<[Known]>, Weight>,
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

impl Weighter<(SegmentId, String), Arc<[Known]>> for Weight {
    fn weight(&self, (_, prefix): &(SegmentId, String), terms: &Arc<[Known]>) -> u64 {
        // An entry, a string and an allocation of each.
        let terms: usize = terms.iter().map(|(term, _)| term.len() + 88).sum();
        (terms + prefix.len() + 128) as u64
    }
}

impl Lexicon {
    /// The terms of a segment that begin with this and are used most.
    fn beginnings(
        &self,
        view: &View,
        segment: &SegmentReader,
        prefix: &str,
    ) -> Result<Arc<[Known]>, IndexError> {
        let key = (segment.segment_id(), prefix.to_owned());
        self.beginnings.get_or_insert_with(&key, || {
            let terms = segment.inverted_index(view.fields.text)?;
            let mut stream = terms.terms().range().gt(prefix).into_stream()?;
            let mut found: Vec<Known> = Vec::new();
            let (mut looked_at, mut used_min) = (0, 0);
            while looked_at < PREFIX_SCAN_MAX
                && let Some((key, info)) = stream.next()
                && key.starts_with(prefix.as_bytes())
            {
                looked_at += 1;
                if info.doc_freq < used_min {
                    continue;
                }
                if let Ok(term) = std::str::from_utf8(key) {
                    found.push((term.to_owned(), info.clone()));
                }
                if found.len() >= 2 * PREFIX_KEPT_MAX {
                    keep_most_used(&mut found);
                    used_min = found.last().map_or(0, |(_, info)| info.doc_freq);
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

fn keep_most_used(found: &mut Vec<Known>) {
    found.sort_unstable_by(|(one, of_one), (other, of_other)| {
        of_other.doc_freq.cmp(&of_one.doc_freq).then_with(|| one.cmp(other))
    });
    found.truncate(PREFIX_KEPT_MAX);
}

/// The terms that a word may mean, besides itself.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    /// Those that are used most first.
    pub(super) terms: Vec<String>,
    /// How many edits away they are; 0 for those that the word begins.
    pub(super) edits: u8,
    /// Where each segment has them.
    pub(super) postings: HashMap<SegmentId, Vec<TermInfo>>,
}

/// Terms that were found, with the segments that have them.
#[derive(Default)]
struct Found<'a> {
    by_term: HashMap<Cow<'a, str>, Vec<(SegmentId, TermInfo)>>,
}

impl<'a> Found<'a> {
    fn add(&mut self, term: Cow<'a, str>, segment: SegmentId, info: TermInfo) {
        self.by_term.entry(term).or_default().push((segment, info));
    }

    fn most_used(self, edits: u8, limit: usize) -> Expansion {
        let used = |of: &[(SegmentId, TermInfo)]| -> u64 {
            of.iter().map(|(_, info)| u64::from(info.doc_freq)).sum()
        };
        let mut found: Vec<_> = self.by_term.into_iter().map(|one| (used(&one.1), one)).collect();
        // By the term itself in the end: the same index gives the same terms.
        found.sort_unstable_by(|(used, (term, _)), (of_other, (other, _))| {
            of_other.cmp(used).then_with(|| term.cmp(other))
        });
        found.truncate(limit);
        let mut expansion = Expansion { edits, ..Expansion::default() };
        for (_, (term, places)) in found {
            for (segment, info) in places {
                expansion.postings.entry(segment).or_default().push(info);
            }
            expansion.terms.push(term.into_owned());
        }
        expansion
    }
}

/// The terms that begin with `prefix`, itself not among them, at most `limit`.
///
/// # Errors
/// [`IndexError`]
pub(super) fn beginning_with(
    view: &View,
    prefix: &str,
    limit: usize,
) -> Result<Expansion, IndexError> {
    let segments = view.searcher.segment_readers();
    let mut kept = Vec::with_capacity(segments.len());
    for segment in segments {
        kept.push(view.lexicon.beginnings(view, segment, prefix)?);
    }
    let mut found = Found::default();
    for (segment, kept) in segments.iter().zip(&kept) {
        for (term, info) in kept.iter() {
            found.add(Cow::Borrowed(term), segment.segment_id(), info.clone());
        }
    }
    let chars = prefix.chars().take(PREFIX_TERMS_MAX.len()).count();
    let most = PREFIX_TERMS_MAX.get(chars.saturating_sub(1)).copied();
    let limit = limit.min(most.unwrap_or(PREFIX_TERMS_MAX[0]));
    let mut expansion = found.most_used(0, limit);
    for (segment, kept) in segments.iter().zip(&kept) {
        // It may have others of the terms that are used most, and use them less itself.
        if kept.len() < PREFIX_KEPT_MAX {
            continue;
        }
        let known: HashSet<&str> = kept.iter().map(|(term, _)| term.as_str()).collect();
        let index = segment.inverted_index(view.fields.text)?;
        for term in expansion.terms.iter().filter(|term| !known.contains(term.as_str())) {
            if let Some(info) = index.terms().get(term)? {
                expansion.postings.entry(segment.segment_id()).or_default().push(info);
            }
        }
    }
    Ok(expansion)
}

/// The terms that `word` may be a misspelling of, itself not among them, at most `limit`.
///
/// # Errors
/// [`IndexError`]
pub(super) fn misspelled(view: &View, word: &str, limit: usize) -> Result<Expansion, IndexError> {
    let typed = Term::from_field_text(view.fields.text, word);
    let tolerance = tolerance(word);
    let is_common_from = COMMON_MIN + view.searcher.num_docs() / COMMON_SHARE;
    if tolerance.edits == 0 || view.searcher.doc_freq(&typed)? >= is_common_from {
        return Ok(Expansion::default());
    }
    let kept: String = word.chars().take(usize::from(tolerance.prefix_chars)).collect();
    for edits in 1..=tolerance.edits {
        let mut found = Found::default();
        let automaton = view.lexicon.automaton(&typed, word, edits)?;
        for segment in view.searcher.segment_readers() {
            let terms = segment.inverted_index(view.fields.text)?;
            let mut stream = terms.terms().search(&*automaton).ge(kept.as_bytes()).into_stream()?;
            while let Some((key, info)) = stream.next() {
                let Ok(term) = std::str::from_utf8(key) else { continue };
                if !term.starts_with(kept.as_str()) {
                    break;
                }
                if term != word {
                    found.add(Cow::Owned(term.to_owned()), segment.segment_id(), info.clone());
                }
            }
        }
        // Two edits reach many times as many terms: nobody means those who can mean a nearer one.
        if !found.by_term.is_empty() {
            return Ok(found.most_used(edits, limit.min(TYPO_TERMS_MAX)));
        }
    }
    Ok(Expansion::default())
}
