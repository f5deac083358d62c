//! What somebody typed into a search box, as a tree of clauses.
//!
//! ```text
//! query   = any*                      all of them must hold
//! any     = clause ("or" clause)*     one of them must hold: `or` binds tighter than a space
//! clause  = "-" clause | "(" query ")" | filter | phrase | word
//! filter  = name ":" (value | quoted)
//! ```
//!
//! `or` binds tighter than a space, as in web search: `crash from:ada or from:bo` is a crash, by
//! either of them.
//! It is an operator only between two clauses, and a word elsewhere.
//!
//! A query is read while it is typed, so what is not closed yet is closed by its end: `"cannot op`
//! is a phrase whose last word is a prefix.
//! A parenthesis groups where a word could begin; inside of words it separates them, as other
//! punctuation does.
//! A dash before a single letter or digit is an option of a command, and no negation.
//! What holds nothing that could be searched (`--`, `:)`) is passed over.
//! `name:value` with another name than those below is text, as people paste it.
//!
//! | Filter | Value |
//! |---|---|
//! | `from:` | a person, `me`; in quotes if there are spaces |
//! | `in:` | a conversation; in quotes if there are spaces |
//! | `before:`, `after:`, `on:` | `2015`, `2015-03`, `2015-03-01`, `today`, `yesterday`, `7d`, `2w` |
//! | `has:` | `link`, `media`, `reaction` |
//! | `mentions:` | `me` |
//! | `is:` | `thread` |

use std::ops::Range;

mod date;
mod error;
mod parse;
mod unfinished;
mod words;
mod written;

pub use date::{Bounds, Moment, Relation, Sent};
pub use error::{QueryError, QueryProblem};
pub use parse::parse;
pub use unfinished::{Awaited, Unfinished, WORDS_MAX, unfinished};
pub use words::{Phrase, PlacedTerm, Way, Word};
pub use written::written;

/// Longest query, in bytes of UTF-8.
pub const QUERY_BYTES_MAX: usize = 1_024;
/// Words, phrases and filters of a query at most.
pub const CLAUSES_MAX: usize = 32;
/// Terms that the words and phrases of a query come to at most.
pub const QUERY_TERMS_MAX: usize = 128;
/// Parentheses within parentheses, and negations of them, at most.
pub const DEPTH_MAX: usize = 8;

/// A query: a tree of clauses, with at least one that is no negation.
///
/// `P` says who a `from:` means, `C` where an `in:` looks: a [`Name`] as it was written, or whatever
/// [`Query::resolve`] made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<P = Name, C = Name> {
    /// The whole of it.
    pub root: Clause<P, C>,
}

/// A part of a query, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause<P = Name, C = Name> {
    /// Where it is written, in bytes of the query.
    pub span: Range<usize>,
    /// What it asks for.
    pub asks: Asks<P, C>,
}

/// What a clause asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks<P = Name, C = Name> {
    /// All of these hold: at least two, and at least one that is no [`Asks::Not`]. None is an
    /// [`Asks::All`] itself.
    All(Vec<Clause<P, C>>),
    /// At least one of these holds: at least two, none an [`Asks::Not`] or an [`Asks::Any`].
    Any(Vec<Clause<P, C>>),
    /// This does not hold. It is found in an [`Asks::All`] alone, beside something that is sought.
    Not(Box<Clause<P, C>>),
    /// The text has this word.
    Word(Word),
    /// The text has these words one after the other.
    Phrase(Phrase),
    /// The message is by this person.
    From(P),
    /// The message is in this conversation.
    In(C),
    /// The message was sent at this time.
    Sent(Sent),
    /// The message has one of these.
    Has(Has),
    /// The message mentions who asks: by name, or everybody in a group.
    MentionsMe,
    /// The message belongs to a thread.
    IsThread,
}

/// What a message may have besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// A link in its text.
    Link,
    /// A file.
    Media,
    /// A reaction.
    Reaction,
}

/// The value of `from:` or `in:` as it was written, without quotes and without the `@` or `#` that
/// it may begin with; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it is written, in bytes of the query, with its quotes and its `@` or `#`.
    pub span: Range<usize>,
}

impl Name {
    /// Whether it is `me`: who asks.
    pub fn is_me(&self) -> bool {
        self.text.eq_ignore_ascii_case("me")
    }
}

impl<P, C> Query<P, C> {
    /// The same query with other names: what each `from:` and each `in:` means.
    ///
    /// # Errors
    /// The first error of `person` or `conversation`.
    pub fn resolve<P2, C2, E>(
        self,
        mut person: impl FnMut(P) -> Result<P2, E>,
        mut conversation: impl FnMut(C) -> Result<C2, E>,
    ) -> Result<Query<P2, C2>, E> {
        let root = self.root.resolve(&mut person, &mut conversation)?;
        Ok(Query { root })
    }

    /// All clauses that are no [`Asks::All`], [`Asks::Any`] or [`Asks::Not`], in the order in which
    /// they are written, and whether each is sought (or else excluded).
    pub fn leaves(&self) -> Vec<(&Clause<P, C>, bool)> {
        let mut leaves = Vec::new();
        self.root.collect_leaves(true, &mut leaves);
        leaves
    }
}

impl<P, C> Clause<P, C> {
    fn resolve<P2, C2, E>(
        self,
        person: &mut impl FnMut(P) -> Result<P2, E>,
        conversation: &mut impl FnMut(C) -> Result<C2, E>,
    ) -> Result<Clause<P2, C2>, E> {
        let mut each = |clauses: Vec<Self>| -> Result<Vec<Clause<P2, C2>>, E> {
            clauses.into_iter().map(|clause| clause.resolve(person, conversation)).collect()
        };
        let asks = match self.asks {
            Asks::All(clauses) => Asks::All(each(clauses)?),
            Asks::Any(clauses) => Asks::Any(each(clauses)?),
            Asks::Not(clause) => Asks::Not(Box::new(clause.resolve(person, conversation)?)),
            Asks::From(name) => Asks::From(person(name)?),
            Asks::In(name) => Asks::In(conversation(name)?),
            Asks::Word(word) => Asks::Word(word),
            Asks::Phrase(phrase) => Asks::Phrase(phrase),
            Asks::Sent(sent) => Asks::Sent(sent),
            Asks::Has(has) => Asks::Has(has),
            Asks::MentionsMe => Asks::MentionsMe,
            Asks::IsThread => Asks::IsThread,
        };
        Ok(Clause { span: self.span, asks })
    }

    fn collect_leaves<'a>(&'a self, sought: bool, leaves: &mut Vec<(&'a Self, bool)>) {
        match &self.asks {
            Asks::All(clauses) | Asks::Any(clauses) => {
                clauses.iter().for_each(|clause| clause.collect_leaves(sought, leaves));
            }
            Asks::Not(clause) => clause.collect_leaves(!sought, leaves),
            Asks::Word(_)
            | Asks::Phrase(_)
            | Asks::From(_)
            | Asks::In(_)
            | Asks::Sent(_)
            | Asks::Has(_)
            | Asks::MentionsMe
            | Asks::IsThread => leaves.push((self, sought)),
        }
    }
}

#[cfg(test)]
mod tests;
