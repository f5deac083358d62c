//! Words and phrases of a query, as terms to look for.

use crate::analysis::{Class, Role, Terms, class};

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

impl Word {
    /// Reads a word; `None` when there is nothing in it that could be searched.
    pub(super) fn read(text: &str, prefix: bool, terms: &mut Terms) -> Option<Self> {
        let sought = placed(text, terms);
        let last = sought.last()?;
        let prefix = prefix && is_extended(&last.term);
        let positions = terms.positions();
        let wholes = terms.roles().filter_map(|(term, role)| match role {
            // A whole that is followed by something else says less than the parts do.
            Role::Whole(covered) if u32::from(covered) == positions => {
                Some(Way::Term(term.text.to_owned()))
            }
            Role::Whole(_) | Role::Main | Role::Alias => None,
        });
        let mut ways: Vec<Way> = wholes.collect();
        ways.push(Way::of(sought));
        Some(Self { text: text.to_owned(), prefix, ways })
    }

    /// How many terms it looks for.
    pub(super) fn terms(&self) -> usize {
        self.ways.iter().map(Way::terms).sum()
    }
}

impl Way {
    fn of(mut sought: Vec<PlacedTerm>) -> Self {
        match (sought.pop(), sought.is_empty()) {
            (Some(only), true) => Self::Term(only.term),
            (last, _) => {
                sought.extend(last);
                Self::Phrase(sought)
            }
        }
    }

    fn terms(&self) -> usize {
        match self {
            Self::Term(_) => 1,
            Self::Phrase(terms) => terms.len(),
        }
    }
}

impl Phrase {
    /// Reads a phrase; `None` when there is nothing in it that could be searched.
    pub(super) fn read(text: &str, prefix: bool, terms: &mut Terms) -> Option<Self> {
        let sought = placed(text, terms);
        let last = sought.last()?;
        let prefix = prefix && is_extended(&last.term);
        Some(Self { text: text.to_owned(), prefix, terms: sought })
    }
}

/// The terms that stand for the positions of a text.
fn placed(text: &str, terms: &mut Terms) -> Vec<PlacedTerm> {
    terms.analyze(text);
    let mains = terms.roles().filter(|(_, role)| *role == Role::Main).map(|(term, _)| term);
    let mut placed: Vec<PlacedTerm> = mains
        .map(|term| PlacedTerm { offset: term.position, term: term.text.to_owned() })
        .collect();
    let first = placed.first().map_or(0, |first| first.offset);
    placed.iter_mut().for_each(|term| term.offset -= first);
    placed
}

/// Whether longer terms begin with this one that are of longer words: pairs of characters and emoji
/// are whole.
fn is_extended(term: &str) -> bool {
    term.chars().next_back().is_some_and(|c| {
        c.is_ascii()
            || match class(c) {
                Class::Letter | Class::Attached | Class::Hyphenation => true,
                Class::Dense | Class::Emoji | Class::Apostrophe | Class::Other => false,
            }
    })
}
