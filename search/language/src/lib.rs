//! The language of search, for the index and for whoever asks it: pure functions of text.
//!
//! 1. [`analysis`]: from the text of a message to terms, with their positions and places;
//! 2. [`query`]: from what somebody typed to a tree of clauses, or to an error with its place;
//! 3. [`typo`]: which terms may be matched with how many edits;
//! 4. [`snippet`]: the part of a message that shows why it was found, and what to highlight in it;
//! 5. [`name`]: whether a name is the one that is being typed.
//!
//! Invariant: a query is analysed by the same code as the messages, so what was copied out of a
//! message finds it.
//! Invariant: every function is total and linear in its input, up to limits that are constants.
//! Invariant: there is no list of words of any language here.
#![warn(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod analysis;
pub mod name;
pub mod query;
pub mod snippet;
pub mod typo;

pub use analysis::{Term, Terms};
pub use query::{Query, QueryError};
pub use snippet::{Highlighter, Snippet};
