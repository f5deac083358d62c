//! Words and phrases of a query, as terms to look for.

/// A word of a query. `apt-get` is one, and so is `/etc/X11/xorg.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it was written.
    pub text: String,
    /// Whether it may be the beginning of a longer word: it is the last of the query and nothing
    /// follows it, or it ends with `*`. Then the last term of each way is a prefix.
    pub prefix: bool,
    /// What a message must have for this word: any of these, the most telling one first; never
    /// empty.
    pub ways: Vec<Way>,
}

/// One way in which a message may have a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It has this term.
    Term(String),
    /// It has these terms, with the distances of their positions; at least two.
    Phrase(Vec<PlacedTerm>),
}

/// Words in quotes: they must follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// As it was written, without the quotes.
    pub text: String,
    /// Whether the last term may be the beginning of a longer word: the phrase is not closed yet.
    pub prefix: bool,
    /// Its terms, with the distances of their positions; at least one.
    pub terms: Vec<PlacedTerm>,
}

/// A term and its place in a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedTerm {
    /// How many positions it is behind the first term of the phrase. They ascend, and there may be
    /// gaps.
    pub offset: u32,
    /// The term.
    pub term: String,
}
