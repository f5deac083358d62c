use proptest::prelude::*;

use super::*;
use crate::query::parse;

/// The snippet with its highlights in brackets, and `…` where it is cut.
fn shown(snippet: &Snippet) -> String {
    let units: Vec<u16> = snippet.text.encode_utf16().collect();
    let text = |range: Range<usize>| String::from_utf16(&units[range]).unwrap();
    let mut shown = String::new();
    let mut at = 0;
    for place in &snippet.highlights {
        shown += &format!("{}[{}]", text(at..place.start), text(place.clone()));
        at = place.end;
    }
    shown += &text(at..units.len());
    let before = if snippet.starts_at > 0 { "…" } else { "" };
    let behind = if snippet.goes_on { "…" } else { "" };
    format!("{before}{shown}{behind}")
}

fn of(query: &str, text: &str, chars_max: usize) -> String {
    shown(&Highlighter::new(&parse(query).unwrap()).snippet(text, chars_max))
}

#[test]
fn what_was_sought_is_highlighted() {
    let cases = [
        ("open", "cannot open display", "cannot [open] display"),
        ("dis", "cannot open display", "cannot open [display]"),
        ("dis ", "cannot open display", "cannot open display"),
        ("\"cannot open\"", "open: cannot open, cannot", "open: [cannot open], cannot"),
        ("\"open dis", "open cannot open display", "open cannot [open display]"),
        ("apt-get ", "sudo apt-get apt get apt", "sudo [apt-get] [apt get] apt"),
        ("X11/xorg.conf ", "see /etc/X11/xorg.conf.", "see /etc/[X11/xorg.conf]."),
        ("bar ", "fooBar", "foo[Bar]"),
        ("open -display cannot or x ", "cannot open display", "[cannot] [open] display"),
        ("日本語", "これは日本語です", "これは[日本語]です"),
        ("日", "これは日本語です", "これは[日]本語です"),
        ("cafe ", "👍🏽 im Café 👍🏽", "👍🏽 im [Café] 👍🏽"),
        ("👍 ", "ok 👍🏽!", "ok [👍🏽]!"),
        ("from:ada", "nothing of words", "nothing of words"),
        ("straße ", "STRASSE", "[STRASSE]"),
    ];
    for (query, text, expected) in cases {
        assert_eq!(of(query, text, 100), expected, "{query} in {text}");
    }
}

#[test]
fn a_term_that_was_matched_with_a_typo_is_highlighted_when_it_is_said() {
    let mut highlighter = Highlighter::new(&parse("partiton ").unwrap());
    let text = "a new partition";
    assert_eq!(shown(&highlighter.snippet(text, 100)), "a new partition");
    highlighter.add_term("partition");
    assert_eq!(shown(&highlighter.snippet(text, 100)), "a new [partition]");
    for _ in 0..ADDED_TERMS_MAX {
        highlighter.add_term("other");
    }
    highlighter.add_term("new");
    assert_eq!(shown(&highlighter.snippet(text, 100)), "a new [partition]");
}

#[test]
fn offsets_are_in_utf16_code_units() {
    let snippet = Highlighter::new(&parse("bo ").unwrap()).snippet("𝄞é bo", 100);
    assert_eq!(snippet.highlights, vec![4..6; 1]);
    let text = format!("{} bo", "𝄞 ".repeat(50));
    let snippet = Highlighter::new(&parse("bo ").unwrap()).snippet(&text, 10);
    assert_eq!((snippet.text.as_str(), snippet.starts_at), ("𝄞 𝄞 𝄞  bo", 141));
    assert_eq!(snippet.highlights, vec![10..12; 1]);
}

#[test]
fn the_window_has_most_of_what_was_sought_and_is_cut_between_words() {
    let text = "first a word about grub and nothing else, then a long way to go until at last \
                the boot loader grub shows an error: no such partition, and more of it follows";
    let cases = [
        (
            "grub error partition ",
            60,
            "…loader [grub] shows an [error]: no such [partition], and more of…",
        ),
        ("follows ", 20, "…more of it [follows]"),
        ("first ", 20, "[first] a word about…"),
        ("missing ", 20, "first a word about…"),
        ("grub ", 4, "…[grub]…"),
        ("grub ", 2, "…[gr]…"),
        ("grub ", 0, "…"),
        ("\"long way to go until at last\" ", 12, "…[long way to]…"),
    ];
    for (query, chars_max, expected) in cases {
        assert_eq!(of(query, text, chars_max), expected, "{query} in {chars_max}");
    }
}

#[test]
fn without_spaces_it_is_cut_between_graphemes() {
    let family = "👩‍👩‍👧".repeat(20);
    assert_eq!(of("missing ", &family, 12), format!("{}…", "👩‍👩‍👧".repeat(2)));
    let text = format!("{}字{}", "あ".repeat(50), "い".repeat(50));
    assert_eq!(of("字", &text, 8), "…ああ[字]いいいいい…");
    let accents = format!("e{} end", "\u{301}".repeat(1_000));
    let snippet = Highlighter::new(&parse("end ").unwrap()).snippet(&accents, 10);
    assert_eq!(shown(&snippet), "…[end]");
    // A cluster that is longer than the window is cut.
    assert_eq!(of("e ", &accents, 3), format!("[e{}]…", "\u{301}".repeat(2)));
}

#[test]
fn many_hits_take_little_time() {
    let text = "a b ".repeat(4_000);
    let query = parse("a b a* b* \"a b a b a b\" \"b a b a b a").unwrap();
    let snippet = Highlighter::new(&query).snippet(&text, 200);
    assert_eq!(snippet.text.trim_end().len(), 199);
    assert_eq!(snippet.highlights, vec![0..199; 1]);
}

proptest! {
    #[test]
    fn a_snippet_is_a_part_of_its_text(
        text in "([a-c]{1,3}[ ]{0,2}|\u{65e5}|👩\u{200d}👧|e\u{301}|-|\n){0,60}",
        query in "[a-c]{1,2}( [a-c]{1,3}){0,3} ?",
        chars_max in 0_usize..60,
    ) {
        let query = parse(&query).unwrap();
        let snippet = Highlighter::new(&query).snippet(&text, chars_max);
        prop_assert!(snippet.text.chars().count() <= chars_max);
        let units: Vec<u16> = text.encode_utf16().collect();
        let part: Vec<u16> = snippet.text.encode_utf16().collect();
        let end = snippet.starts_at + part.len();
        prop_assert_eq!(&units[snippet.starts_at..end], &part[..]);
        prop_assert_eq!(snippet.goes_on, end < units.len());
        let mut last = None;
        for place in &snippet.highlights {
            prop_assert!(place.start < place.end && place.end <= part.len());
            prop_assert!(last.is_none_or(|last| last < place.start));
            last = Some(place.end);
        }
        let whole = Highlighter::new(&query).snippet(&text, usize::MAX);
        prop_assert_eq!(whole.text, text);
        if chars_max > 3 {
            prop_assert_eq!(whole.highlights.is_empty(), snippet.highlights.is_empty());
        }
    }
}
