//! Why a query cannot be answered, and where that stands in it.

use std::ops::Range;

use super::{CLAUSES_MAX, DEPTH_MAX, QUERY_BYTES_MAX, QUERY_TERMS_MAX};

/// A query that cannot be answered: a sentence for who typed it, and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct QueryError {
    /// What is the matter.
    pub problem: QueryProblem,
    /// The place of it, in bytes of the query, on character boundaries.
    pub span: Range<usize>,
}

/// What is the matter with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryProblem {
    /// It is longer than [`QUERY_BYTES_MAX`].
    #[error("a search has at most {QUERY_BYTES_MAX} bytes")]
    TooLong,
    /// It has more than [`CLAUSES_MAX`] words, phrases and filters.
    #[error("a search has at most {CLAUSES_MAX} words, phrases and filters")]
    TooManyClauses,
    /// Its words come to more than [`QUERY_TERMS_MAX`] terms.
    #[error("the words of this search have too many parts: {QUERY_TERMS_MAX} at most")]
    TooManyTerms,
    /// Its parentheses are deeper than [`DEPTH_MAX`].
    #[error("parentheses may be within each other {DEPTH_MAX} deep at most")]
    TooDeep,
    /// There is nothing in it that could be sought.
    #[error("there is no word to search for")]
    Empty,
    /// It says what is not sought, and not what is.
    #[error("this only says what not to find: add what to find")]
    OnlyNegations,
    /// A filter without a value.
    #[error("{0}: needs its value right behind it; for the word itself write \"{0}\" in quotes")]
    NoValue(&'static str),
    /// `has:` with a value that it does not know.
    #[error("has: knows link, media and reaction; for the words themselves use quotes")]
    UnknownHas,
    /// `is:` with a value that it does not know.
    #[error("is: knows thread; for the words themselves use quotes")]
    UnknownIs,
    /// `mentions:` with another value than `me`.
    #[error("mentions: knows me; for the words themselves use quotes")]
    UnknownMentions,
    /// A date that is none.
    #[error("a date is 2015, 2015-03, 2015-03-01, today, yesterday, or 7d or 2w for how long ago")]
    BadDate,
}
