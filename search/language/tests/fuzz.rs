//! Whatever is typed is a query, or a mistake with its place; for as long as one likes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use hansard_search_language::query::{Name, QUERY_BYTES_MAX, parse};
use hansard_search_language::{Highlighter, Query};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// So many at a time.
const CASES: u32 = 512;
/// Characters of a snippet.
const SNIPPET_CHARS: usize = 80;

/// Seconds from the environment, for runs that are longer than usual.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is not configuration")]
fn seconds() -> u64 {
    std::env::var("FUZZ_SECONDS").map_or(2, |text| text.parse().expect("seconds"))
}

/// Of any script, joined as nobody would.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,40}",
        "[a-zäöüßéñ0-9_./:@#'’-]{0,24}",
        "[\u{300}-\u{36f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{fe00}-\u{fe0f}a-c ]{0,24}",
        "[一-龥ぁ-んァ-ヶ가-힣ก-๛ \u{3000}]{0,24}",
        "[👍🏽👩‍💻🇩🇪❤️ ]{0,12}",
        "[אבגדהו׳״ ابتثجح]{0,16}",
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

/// What has a meaning.
fn any_piece() -> impl Strategy<Value = String> {
    let syntax = prop::sample::select(vec![
        " ", " ", "\t", "\u{a0}", "-", "--", "->", "(", ")", "()", "\"", "“", "”", "„", "«", "»",
        "「", "」", "『", "』", "or", " or ", " OR ", "*", ":", "：", "@", "#", "'", "\0",
        "\u{202e}",
    ]);
    let name = prop::sample::select(vec![
        "from", "in", "before", "after", "on", "has", "mentions", "is", "FROM", "http",
    ]);
    let value = prop::sample::select(vec![
        "",
        "me",
        "ada",
        "\"team chat\"",
        "\"",
        "link",
        "media",
        "reaction",
        "thread",
        "2015",
        "2015-03",
        "2015-03-01",
        "2015-02-30",
        "9999-12-31",
        "0000",
        "-1",
        "99999999999d",
        "7d",
        "0w",
        "today",
        "yesterday",
        "２０１５",
        "🙂",
    ]);
    let colon = prop::sample::select(vec![":", ":", ":", "：", ""]);
    prop_oneof![
        4 => syntax.prop_map(str::to_owned),
        3 => (name, colon, value).prop_map(|(name, colon, value)| format!("{name}{colon}{value}")),
        3 => "[a-z]{1,8}",
        2 => any_text(),
    ]
}

fn any_query() -> impl Strategy<Value = String> {
    let tree = any_piece().prop_recursive(9, 48, 6, |inner| {
        let inner = prop::collection::vec(inner, 1..6);
        (inner, prop::sample::select(vec![("(", ")"), ("-(", ")"), ("\"", "\""), ("", " or ")]))
            .prop_map(|(inner, (open, close))| format!("{open}{}{close}", inner.join(" ")))
    });
    prop_oneof![
        4 => prop::collection::vec(any_piece(), 0..24).prop_map(|pieces| pieces.concat()),
        4 => tree,
        2 => any_text(),
        // Over each of the limits.
        1 => (any_piece(), 1_usize..300).prop_map(|(piece, times)| piece.repeat(times)),
    ]
}

/// That one query, whole and while it is typed, keeps what is promised of all.
fn check(text: &str, cut: usize) -> Result<(), TestCaseError> {
    let typed = &text[..text.floor_char_boundary(cut.min(text.len()))];
    for text in [text, typed] {
        match parse(text) {
            Ok(query) => check_query(text, query)?,
            Err(error) => {
                prop_assert!(text.get(error.span.clone()).is_some(), "{error:?} in {text:?}");
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
    Ok(())
}

fn check_query(text: &str, query: Query) -> Result<(), TestCaseError> {
    prop_assert!(text.len() <= QUERY_BYTES_MAX);
    let leaves = query.leaves();
    prop_assert!(leaves.iter().any(|(_, sought)| *sought), "{text:?} seeks nothing");
    for (leaf, _) in leaves {
        prop_assert!(text.get(leaf.span.clone()).is_some(), "{leaf:?} in {text:?}");
    }
    let named = |name: Name| text.get(name.span.clone()).map(|_| name.text).ok_or(name.span);
    let resolved = query.resolve(named, named);
    prop_assert!(resolved.is_ok(), "{resolved:?} in {text:?}");
    let Ok(resolved) = resolved else { return Ok(()) };
    // As if it were what somebody said.
    let said = format!("{text} {text}");
    let snippet = Highlighter::new(&resolved).snippet(&said, SNIPPET_CHARS);
    let units = snippet.text.encode_utf16().count();
    for highlight in &snippet.highlights {
        prop_assert!(highlight.start < highlight.end && highlight.end <= units, "{snippet:?}");
    }
    Ok(())
}

#[test]
fn whatever_is_typed_is_a_query_or_a_mistake_with_its_place() {
    let until = Instant::now() + Duration::from_secs(seconds());
    let (mut count, slowest) = (0_u64, Cell::new(Duration::ZERO));
    while Instant::now() < until {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config);
        let asked = (any_query(), 0..QUERY_BYTES_MAX);
        let ran = runner.run(&asked, |(text, cut)| {
            let began = Instant::now();
            let _ = parse(&text);
            slowest.set(slowest.get().max(began.elapsed()));
            check(&text, cut)
        });
        ran.unwrap_or_else(|failure| panic!("{failure}\n{runner}"));
        count += u64::from(CASES);
    }
    println!("{count} queries, the slowest took {:?}", slowest.get());
}
