//! The part of a message that shows why it was found.

use std::ops::Range;

use crate::query::Query;

/// What to look for in the text of a message that was found.
#[derive(Clone, Debug)]
pub struct Highlighter {}

/// A part of a message's text, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The part.
    pub text: String,
    /// Where it begins in the whole text, in UTF-16 code units.
    pub starts_at: usize,
    /// Whether the text goes on behind it.
    pub goes_on: bool,
    /// What was found, in UTF-16 code units of `text`: ascending, not touching each other.
    pub highlights: Vec<Range<usize>>,
}

impl Highlighter {
    /// For what `query` seeks: its words and phrases that are not negated.
    pub fn new<P, C>(query: &Query<P, C>) -> Self {
        let _ = query;
        unimplemented!()
    }

    /// Looks for this term too: one of the index that was matched in place of a word with a typo.
    pub fn add_term(&mut self, term: &str) {
        unimplemented!("{term}")
    }

    /// The part of `text` with the most of what was sought, of at most `chars_max` characters
    /// (Unicode scalar values); the beginning of it when nothing is found.
    pub fn snippet(&self, text: &str, chars_max: usize) -> Snippet {
        unimplemented!("{text} {chars_max}")
    }
}
