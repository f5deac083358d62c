//! From text to the tree.

use super::{Query, QueryError};

/// Reads a query.
///
/// # Errors
/// [`QueryError`] with the place in `input`.
pub fn parse(input: &str) -> Result<Query, QueryError> {
    unimplemented!("{input}")
}
