//! The part of a message that shows why it was found.
//!
//! Offsets are in UTF-16 code units, as the strings of JavaScript, Java and Swift's `NSString` have
//! them: most clients can use them as they are.

use std::collections::HashMap;
use std::ops::Range;

use crate::analysis::Terms;
use crate::query::{Asks, PlacedTerm, Query, Way};

mod window;

/// Terms that [`Highlighter::add_term`] takes; an index that expands a word to more shows as much.
pub const ADDED_TERMS_MAX: usize = 64;

/// What to look for in the text of a message that was found.
#[derive(Clone, Debug, Default)]
pub struct Highlighter {
    /// The terms that are looked for, each once, and their numbers.
    exact: HashMap<String, usize>,
    /// Beginnings of terms, and their numbers.
    prefixes: Vec<(String, usize)>,
    /// How many numbers there are.
    needles: usize,
    /// What is highlighted.
    sought: Vec<Sought>,
    /// How many words, phrases and added terms these are of.
    clauses: usize,
    /// How many of these were added.
    added: usize,
}

/// One way to have a word or a phrase of the query.
#[derive(Clone, Debug)]
struct Sought {
    clause: usize,
    /// The number of each term, and how many positions it is behind the first.
    needles: Vec<(usize, u32)>,
}

/// A part of a message's text, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The part.
    pub text: String,
    /// Where it begins in the whole text, in UTF-16 code units.
    pub starts_at: usize,
    /// Whether the text goes on behind it.
    pub goes_on: bool,
    /// What was found, in UTF-16 code units of `text`: ascending, and neither overlapping nor
    /// touching each other.
    pub highlights: Vec<Range<usize>>,
}

/// A place in the text that shows a word or phrase of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hit {
    /// In bytes.
    span: Range<usize>,
    clause: usize,
}

impl Highlighter {
    /// For what `query` seeks: its words and phrases that are not negated.
    pub fn new<P, C>(query: &Query<P, C>) -> Self {
        let mut highlighter = Self::default();
        let leaves = query.leaves();
        for (leaf, _) in leaves.into_iter().filter(|(_, sought)| *sought) {
            match &leaf.asks {
                Asks::Word(word) => {
                    let clause = highlighter.clause();
                    for way in &word.ways {
                        highlighter.add_way(clause, way, word.prefix);
                    }
                }
                Asks::Phrase(phrase) => {
                    let clause = highlighter.clause();
                    highlighter.add_phrase(clause, &phrase.terms, phrase.prefix);
                }
                Asks::All(_)
                | Asks::Any(_)
                | Asks::Not(_)
                | Asks::From(_)
                | Asks::In(_)
                | Asks::Sent(_)
                | Asks::Has(_)
                | Asks::MentionsMe
                | Asks::IsThread => {}
            }
        }
        highlighter
    }

    /// Looks for this term too: one of the index that was matched in place of a word with a typo.
    /// Beyond [`ADDED_TERMS_MAX`] it does nothing.
    pub fn add_term(&mut self, term: &str) {
        if self.added >= ADDED_TERMS_MAX {
            return;
        }
        self.added += 1;
        let clause = self.clause();
        self.add_phrase(clause, &[PlacedTerm { offset: 0, term: term.to_owned() }], false);
    }

    fn clause(&mut self) -> usize {
        self.clauses += 1;
        self.clauses - 1
    }

    fn add_way(&mut self, clause: usize, way: &Way, prefix: bool) {
        match way {
            Way::Term(term) => {
                let term = PlacedTerm { offset: 0, term: term.clone() };
                self.add_phrase(clause, &[term], prefix);
            }
            Way::Phrase(terms) => self.add_phrase(clause, terms, prefix),
        }
    }

    fn add_phrase(&mut self, clause: usize, terms: &[PlacedTerm], prefix: bool) {
        let last = terms.len().saturating_sub(1);
        let needles = terms.iter().enumerate().map(|(index, placed)| {
            let needle = if prefix && index == last {
                self.prefixes.push((placed.term.clone(), self.needles));
                self.needles += 1;
                self.needles - 1
            } else {
                let needles = &mut self.needles;
                *self.exact.entry(placed.term.clone()).or_insert_with(|| {
                    *needles += 1;
                    *needles - 1
                })
            };
            (needle, placed.offset)
        });
        let needles = needles.collect();
        self.sought.push(Sought { clause, needles });
    }

    /// The part of `text` with the most of what was sought, of at most `chars_max` characters
    /// (Unicode scalar values); the beginning of it when nothing is found.
    ///
    /// It is cut between words where that costs little, else between grapheme clusters; a cluster
    /// that is longer than `chars_max` is cut.
    pub fn snippet(&self, text: &str, chars_max: usize) -> Snippet {
        let hits = self.hits(text);
        let window = window::best(text, &hits, chars_max, self.clauses);
        let shown = &text[window.clone()];
        let mut highlights: Vec<Range<usize>> = Vec::new();
        let (mut at, mut units) = (window.start, 0);
        for place in merged(&hits, &window) {
            units += units_of(&text[at..place.start]);
            let end = units + units_of(&text[place.clone()]);
            highlights.push(units..end);
            (at, units) = (place.end, end);
        }
        Snippet {
            text: shown.to_owned(),
            starts_at: units_of(&text[..window.start]),
            goes_on: window.end < text.len(),
            highlights,
        }
    }

    /// All places of what is sought, by their beginnings.
    fn hits(&self, text: &str) -> Vec<Hit> {
        let mut terms = Terms::new();
        terms.analyze(text);
        // Of each needle the positions and places, which ascend.
        let mut found: Vec<Vec<(u32, Range<usize>)>> = vec![Vec::new(); self.needles];
        for term in terms.iter() {
            if let Some(needle) = self.exact.get(term.text) {
                found[*needle].push((term.position, term.span.clone()));
            }
            for (prefix, needle) in &self.prefixes {
                if term.text.starts_with(prefix) {
                    found[*needle].push((term.position, term.span.clone()));
                }
            }
        }
        let mut hits = Vec::new();
        for sought in &self.sought {
            let Some(((first, _), others)) = sought.needles.split_first() else { continue };
            for (position, span) in &found[*first] {
                let mut end = Some(span.end);
                for (needle, offset) in others {
                    let places = &found[*needle];
                    let at = places.partition_point(|(place, _)| *place < position + offset);
                    let there = places.get(at).filter(|(place, _)| *place == position + offset);
                    end = end.and_then(|end| Some(there?.1.end.max(end)));
                    if end.is_none() {
                        break;
                    }
                }
                if let Some(end) = end {
                    hits.push(Hit { span: span.start..end, clause: sought.clause });
                }
            }
        }
        hits.sort_by_key(|hit| (hit.span.start, hit.span.end, hit.clause));
        hits.dedup();
        hits
    }
}

/// The hits within a window, as places that do not touch.
fn merged(hits: &[Hit], window: &Range<usize>) -> Vec<Range<usize>> {
    let mut places: Vec<Range<usize>> = Vec::new();
    for hit in hits {
        let place = hit.span.start.max(window.start)..hit.span.end.min(window.end);
        if place.is_empty() {
            continue;
        }
        match places.last_mut().filter(|last| place.start <= last.end) {
            Some(last) => last.end = last.end.max(place.end),
            None => places.push(place),
        }
    }
    places
}

fn units_of(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests;
