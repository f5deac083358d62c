//! The queries by which the index is judged are queries.

use std::collections::BTreeSet;

use hansard_search_language::query::parse;
use serde_json::Value;

const QUERIES: &str = include_str!("../../../tests/data/relevance.jsonl");
/// Messages of the corpus.
const MESSAGES: u64 = 196_123;
/// What must be among the first ten results.
const RESULTS: usize = 10;

#[test]
fn every_query_can_be_read_and_its_answers_fit_on_a_page() {
    let mut seen = BTreeSet::new();
    for line in QUERIES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let query = case["query"].as_str().unwrap();
        assert!(parse(query).is_ok(), "{query}: {:?}", parse(query));
        assert!(seen.insert(query.to_owned()), "{query} is there twice");
        assert!(!case["why"].as_str().unwrap().is_empty(), "{query}");
        let lines: Vec<u64> =
            case["lines"].as_array().unwrap().iter().map(|line| line.as_u64().unwrap()).collect();
        assert!((1..=RESULTS).contains(&lines.len()), "{query}");
        assert!(lines.is_sorted_by(|one, next| one < next), "{query}");
        assert!(lines.iter().all(|line| (1..=MESSAGES).contains(line)), "{query}");
    }
    assert!(seen.len() >= 60, "{} queries", seen.len());
}
