//! What docs/search.md tells people to type can be typed.

use hansard_search_language::analysis::{TERM_BYTES_MAX, TERMS_MAX};
use hansard_search_language::query::{
    CLAUSES_MAX, DEPTH_MAX, QUERY_BYTES_MAX, QUERY_TERMS_MAX, parse, unfinished,
};

const DOCUMENT: &str = include_str!("../../../docs/search.md");

/// The code in a line of text.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn every_example_of_a_table_is_a_query() {
    let (mut examples, mut is_unfinished) = (0, false);
    for line in DOCUMENT.lines().filter(|line| line.starts_with('|')) {
        if line.starts_with("| You ") {
            is_unfinished = line.starts_with("| You have typed");
        }
        let cell = line.split('|').nth(1).unwrap();
        for query in code(cell) {
            let found =
                if is_unfinished { unfinished(query).map(drop) } else { parse(query).map(drop) };
            assert!(found.is_ok(), "{query}: {found:?}");
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples}");
}

#[test]
fn the_limits_are_those_of_the_code() {
    let said = |number: usize| {
        let digits = number.to_string();
        let grouped = match digits.len() {
            4.. => format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]),
            _ => digits,
        };
        DOCUMENT.contains(&format!(" {grouped}"))
    };
    for limit in
        [QUERY_BYTES_MAX, CLAUSES_MAX, DEPTH_MAX, QUERY_TERMS_MAX, TERMS_MAX, TERM_BYTES_MAX]
    {
        assert!(said(limit), "{limit}");
    }
}
