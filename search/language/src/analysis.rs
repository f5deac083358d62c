//! From a text to terms.

use std::ops::Range;

/// Longest term, in bytes of UTF-8; longer ones are cut, in messages and queries alike.
pub const TERM_BYTES_MAX: usize = 64;
/// Terms of one text at most; what is behind them is not found.
pub const TERMS_MAX: usize = 8_192;
/// Bytes of a text that are looked at.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A term of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term<'a> {
    /// The term, folded: without case, accents, width.
    pub text: &'a str,
    /// Its position among the words of the text, from 0. Several terms may have the same one.
    pub position: u32,
    /// Where it is written, in bytes of the text, on character boundaries.
    pub span: Range<usize>,
}

/// The terms of one text, in buffers that are used again for the next.
#[derive(Clone, Debug, Default)]
pub struct Terms {}

impl Terms {
    /// No terms yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the terms by those of `text`.
    pub fn analyze(&mut self, text: &str) {
        unimplemented!("{text}")
    }

    /// The terms: positions never descend, and no term is twice at a position.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Term<'_>> {
        std::iter::empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Whether the text has more than was looked at.
    pub fn is_truncated(&self) -> bool {
        false
    }
}
