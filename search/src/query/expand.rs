//! The terms of an index that somebody may mean who did not type the whole of a word, or not quite.

use std::collections::HashMap;

use hansard_search_language::typo::tolerance;
use tantivy::Term;
use tantivy::query::FuzzyTermQuery;

use crate::index::{IndexError, View};

/// Terms that a prefix of one, two and more characters stands for at most: those that are used
/// most. Who types another one will type the next letter.
const PREFIX_TERMS_MAX: [usize; 3] = [16, 32, 64];
/// Terms of a segment that are looked at for a prefix.
const PREFIX_SCAN_MAX: usize = 1_024;
/// With so many messages of a partition that have a word as it was typed, it is no typo.
const COMMON_MIN: u64 = 200;
/// Terms that a word with a typo stands for at most: the nearest, then those that are used most.
const TYPO_TERMS_MAX: usize = 16;

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

/// The terms that begin with `prefix`, itself not among them.
///
/// # Errors
/// [`IndexError`]
pub(super) fn beginning_with(view: &View, prefix: &str) -> Result<Vec<Expansion>, IndexError> {
    let mut counted = Counted::new();
    for segment in view.searcher.segment_readers() {
        let terms = segment.inverted_index(view.fields.text)?;
        let mut stream = terms.terms().range().gt(prefix).into_stream()?;
        let mut looked_at = 0;
        while looked_at < PREFIX_SCAN_MAX
            && let Some((key, info)) = stream.next()
        {
            looked_at += 1;
            if !key.starts_with(prefix.as_bytes()) {
                break;
            }
            if let Ok(term) = std::str::from_utf8(key) {
                count(&mut counted, term, info.doc_freq);
            }
        }
    }
    let chars = prefix.chars().take(PREFIX_TERMS_MAX.len()).count();
    let limit = PREFIX_TERMS_MAX.get(chars.saturating_sub(1)).copied();
    Ok(most_used(counted, 0, limit.unwrap_or(PREFIX_TERMS_MAX[0])))
}

/// The terms that `word` may be a misspelling of, itself not among them.
///
/// # Errors
/// [`IndexError`]
pub(super) fn misspelled(view: &View, word: &str) -> Result<Vec<Expansion>, IndexError> {
    let typed = Term::from_field_text(view.fields.text, word);
    if view.searcher.doc_freq(&typed)? >= COMMON_MIN {
        return Ok(Vec::new());
    }
    let tolerance = tolerance(word);
    let kept: String = word.chars().take(usize::from(tolerance.prefix_chars)).collect();
    let mut found: Vec<Expansion> = Vec::new();
    for edits in 1..=tolerance.edits {
        let mut counted = Counted::new();
        // Made once for all segments: it is work for each letter.
        let automaton = FuzzyTermQuery::new(typed.clone(), edits, true).automaton()?;
        for segment in view.searcher.segment_readers() {
            let terms = segment.inverted_index(view.fields.text)?;
            let mut stream = terms.terms().search(&automaton).ge(kept.as_bytes()).into_stream()?;
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
        let room = TYPO_TERMS_MAX - found.len();
        found.extend(most_used(counted, edits, room));
    }
    Ok(found)
}
