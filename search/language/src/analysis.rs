//! From a text to terms.
//!
//! A text is read once, from left to right, into words.
//! Where words end is what [UAX #29] says of letters, digits, apostrophes and what is attached to
//! them, with these additions:
//!
//! - Case, accents, width and compatibility forms are folded: `Café`, `ＣＡＦＥ` and `cafe` are one
//!   term (see [`fold`]).
//! - A word is at one position, and so is each part of a compound. `apt-get`, `foo_bar`,
//!   `std::vec`, `a->b`, `xorg.conf`, `ada@example.org` and `2.6.32-5` have a term for each part,
//!   at a position of its own, and one for the whole at the first of these. In the whole, signs
//!   remain between digits alone: `e-mail`, `email` and `eMail` are one term, `2.6.32` and `26.32`
//!   are not. (It is what the word delimiter graph filter of Lucene calls `catenateAll`.)
//! - Other signs separate words, and so do `/`, `=`, `,` and `|`: of a path, each piece is a word
//!   or a compound. Markup has no meaning and needs none: `**`, backquotes, `>`, `[text](target)`
//!   are signs around words.
//! - `fooBar` is a term, and `foo` and `bar` are two more at its position; of `l'avion`,
//!   `lavion` and `avion`; of `ubuntu's`, `ubuntus` and `ubuntu`.
//! - `c++` and `c#` keep their signs, and are `c` besides. `--flag`, `.bashrc` and `#channel` are
//!   words, and at the same positions terms with their signs.
//! - The scheme of a URL is no term, nor are its escapes (`%20`).
//! - Han, Kana, Hangul, Thai, Lao, Khmer and Burmese are written without spaces, or with words that
//!   run together. Each character is a term, and each two neighbours are one, at the position of
//!   the first: the overlapping bigrams of Lucene's `CJKBigramFilter` with `outputUnigrams`.
//! - An emoji is a word, without its skin tone and variation selector. Of a sequence that is joined,
//!   each emoji is a term at the same position.
//!
//! [UAX #29]: https://www.unicode.org/reports/tr29/#Word_Boundaries

use std::ops::Range;

mod character;
mod folding;
mod scan;
mod table;

pub(crate) use character::Class;
pub use folding::fold;
pub(crate) use table::class;

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
pub struct Terms {
    /// The folded text of all terms; some share it.
    folded: String,
    entries: Vec<Entry>,
    /// The position of the next word.
    position: u32,
    /// The whole of the compound that is being read.
    whole: String,
    has_link: bool,
    truncated: bool,
}

/// A term, by places in the buffer and in the text.
#[derive(Clone, Copy, Debug)]
struct Entry {
    from: u32,
    to: u32,
    position: u32,
    start: u32,
    end: u32,
    role: Role,
}

/// What a term is to a query that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The term of its position: phrases are of these.
    Main,
    /// It stands for so many positions, from its own on.
    Whole(u8),
    /// Another term by which the word is found, and which a query does not ask for.
    Alias,
}

impl Terms {
    /// No terms yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the terms by those of `text`.
    ///
    /// Takes time linear in `text`, and allocates only while its buffers grow.
    pub fn analyze(&mut self, text: &str) {
        self.folded.clear();
        self.entries.clear();
        self.position = 0;
        self.has_link = false;
        self.truncated = false;
        let head = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        self.truncated = head.len() < text.len();
        scan::scan(head, self);
    }

    /// The terms: positions never descend, and no term is twice at a position.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Term<'_>> {
        self.entries.iter().map(|entry| self.term(entry))
    }

    /// The term at a place in the order of [`Terms::iter`].
    pub fn get(&self, index: usize) -> Option<Term<'_>> {
        self.entries.get(index).map(|entry| self.term(entry))
    }

    /// The terms with what they are to a query.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (Term<'_>, Role)> {
        self.entries.iter().map(|entry| (self.term(entry), entry.role))
    }

    fn term(&self, entry: &Entry) -> Term<'_> {
        Term {
            text: self.text_of(entry),
            position: entry.position,
            span: entry.start as usize..entry.end as usize,
        }
    }

    fn text_of(&self, entry: &Entry) -> &str {
        &self.folded[entry.from as usize..entry.to as usize]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many positions the text has.
    pub fn positions(&self) -> u32 {
        self.position
    }

    /// Whether there is a URL with a scheme in the text, or a host that begins with `www.`.
    pub fn has_link(&self) -> bool {
        self.has_link
    }

    /// Whether the text has more than was looked at.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

#[cfg(test)]
mod tests;
