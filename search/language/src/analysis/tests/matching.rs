//! What was written is found by what is typed.

use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::text;
use crate::analysis::Terms;
use crate::query::{Asks, PlacedTerm, Way, parse};

/// Whether a text has what a query of one word or phrase asks for.
fn finds(query: &str, text: &str) -> Option<bool> {
    let query = parse(query).ok()?;
    let mut terms = Terms::new();
    terms.analyze(text);
    let has = |position: u32, sought: &str, prefix: bool| {
        terms.iter().any(|term| {
            term.position == position
                && (term.text == sought || (prefix && term.text.starts_with(sought)))
        })
    };
    let has_phrase = |sought: &[PlacedTerm], prefix: bool| {
        let last = sought.len() - 1;
        (0..terms.positions()).any(|position| {
            sought.iter().enumerate().all(|(index, placed)| {
                has(position + placed.offset, &placed.term, prefix && index == last)
            })
        })
    };
    if let Asks::Phrase(phrase) = &query.root.asks {
        return Some(has_phrase(&phrase.terms, phrase.prefix));
    }
    let Asks::Word(word) = query.root.asks else { return None };
    Some(word.ways.into_iter().any(|way| match way {
        Way::Term(term) => has_phrase(&[PlacedTerm { offset: 0, term }], word.prefix),
        Way::Phrase(terms) => has_phrase(&terms, word.prefix),
    }))
}

#[test]
fn what_people_type_finds_what_people_write() {
    let found = [
        ("apt-get", "sudo apt-get install"),
        ("aptget ", "apt-get"),
        ("\"apt-get install\"", "sudo apt-get install vim"),
        ("\"apt get install\"", "sudo apt-get install vim"),
        ("email ", "my e-mail"),
        ("e-mail ", "my email"),
        ("foo_bar ", "fooBar"),
        ("foobar ", "foo_bar"),
        ("bar ", "fooBar"),
        ("std::vec ", "use std::vec::Vec;"),
        ("cant ", "I can't"),
        ("can't ", "I cant"),
        ("ubuntu ", "ubuntu's"),
        ("avion ", "l’avion"),
        ("bashrc ", "edit ~/.bashrc"),
        (".bashrc ", "edit the bashrc"),
        ("--force ", "with force"),
        ("2.6 ", "linux 2.6.32-5"),
        ("2.6.32 ", "linux-image-2.6.32-5-generic"),
        ("xorg.conf ", "/etc/X11/xorg.conf"),
        ("/etc/X11/xorg.conf ", "see /etc/X11/xorg.conf."),
        ("X11/xorg ", "/etc/X11/xorg.conf"),
        ("ubuntu.com ", "http://www.ubuntu.com/x"),
        ("https://www.ubuntu.com/x", "http://www.ubuntu.com/x/y"),
        ("c ", "C++ and c#"),
        ("C++ ", "I know c++."),
        ("日本 ", "これは日本語です"),
        ("日 ", "これは日本語です"),
        ("日本語のテスト", "これは日本語のテストです"),
        ("학교 ", "학교에서"),
        ("👍 ", "ok 👍🏽"),
        ("👩 ", "👩‍👩‍👧"),
        ("\"cannot op", "error: cannot open display"),
        ("ada_ ", "@ada: hi"),
        ("#ubuntu ", "in ubuntu"),
        ("straße ", "STRASSE"),
        ("\"google maps\"", "google/maps"),
    ];
    for (query, text) in found {
        assert_eq!(finds(query, text), Some(true), "{query} in {text}");
    }
    let missed = [
        ("can ", "I can't"),
        ("c++ ", "c and a"),
        ("ubunt ", "ubuntu"),
        ("2.6 ", "26"),
        ("日語 ", "日本語"),
        ("\"open cannot\"", "cannot open"),
        ("https ", "https://ubuntu.com"),
    ];
    for (query, text) in missed {
        assert_eq!(finds(query, text), Some(false), "{query} in {text}");
    }
}

proptest! {
    /// Whatever is copied out of a message in quotes finds the message.
    #[test]
    fn a_quoted_text_finds_itself(text in text()) {
        let text = text.replace(['"', '\u{201c}', '\u{201d}', '\u{ff02}'], " ");
        let quoted = format!("\"{text}\"");
        if let Some(found) = finds(&quoted, &text) {
            prop_assert!(found, "{}", quoted);
        }
    }

    /// Whoever types a word finds it with each key, from the first to the last.
    #[test]
    fn each_beginning_of_a_word_finds_it(word in "[a-zA-Z]{1,6}([-_.'@]?[a-zA-Z0-9é]{1,5}){0,4}|[a-c]{60,70}|(\u{65e5}|\u{672c}|\u{8a9e}){1,5}|(привет|страница|É|straße){1,2}") {
        let message = format!("before {word} after");
        for (at, _) in word.grapheme_indices(true).skip(1).chain([(word.len(), "")]) {
            let typed = &word[..at];
            if ["or", "in", "on"].contains(&typed.to_lowercase().as_str()) { continue }
            if let Some(found) = finds(typed, &message) {
                prop_assert!(found, "{} in {}", typed, message);
            }
        }
    }
}
