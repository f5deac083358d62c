use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::*;

mod matching;

/// The terms of a text, words apart by ` `, terms of the same position by `|`.
fn terms(text: &str) -> String {
    let mut terms = Terms::new();
    terms.analyze(text);
    let mut shown = String::new();
    let mut position = 0;
    for term in terms.iter() {
        if !shown.is_empty() {
            let gap = term.position - position;
            shown.push_str(if gap == 0 { "|" } else { " " });
            shown.push_str(&"_ ".repeat(gap.saturating_sub(1) as usize));
        }
        position = term.position;
        shown.push_str(term.text);
    }
    shown
}

#[test]
fn words_are_folded() {
    let cases = [
        ("", ""),
        ("  \t\n", ""),
        ("Hello, World!", "hello world"),
        ("naïve café CAFÉ", "naive cafe cafe"),
        ("cafe\u{301} ＣＡＦＥ 𝓬𝓪𝓯𝓮", "cafe cafe cafe"),
        ("Straße STRASSE ẞ", "strasse strasse ss"),
        ("İstanbul ISTANBUL ıstanbul", "istanbul istanbul istanbul"),
        ("ﬁle ŒUVRE Ærø Łódź þing", "file oeuvre aero lodz thing"),
        ("Привет ПРИВЕТ Всё мой Київ", "привет привет все мой київ"),
        ("Ο Οδυσσεύς ΟΔΥΣΣΕΥΣ", "ο οδυσσευσ οδυσσευσ"),
        ("Tiếng Việt Đà", "tieng viet da"),
        ("m² ① x₂ Ⅷ", "m2 1 x2 viii"),
        ("١٢٣ ๑๒ १२", "123 12 12"),
        ("نّصٌّ كـــتاب", "نص كتاب"),
        ("שָׁלוֹם צה״ל", "שלום צהל|צה"),
        ("צה\"ל \"שלום\"", "צהל|צה שלום"),
        ("हिन्दी में", "हिन्दी में"),
        ("می\u{200c}خواهم", "ميخواهم"),
        ("so\u{ad}ft \u{feff}bom \u{200f}dir\u{202e}", "soft bom dir"),
        ("a\0b\u{8}c", "a b c"),
    ];
    for (text, expected) in cases {
        assert_eq!(terms(text), expected, "{text}");
    }
}

#[test]
fn a_word_with_an_apostrophe_is_one_word() {
    let cases = [
        ("can't don’t DON´T", "cant dont dont"),
        ("it's ubuntu's users'", "its|it ubuntus|ubuntu users"),
        ("you're we'll", "youre|you well|we"),
        ("l'avion qu'il d'un O'Reilly", "lavion|avion quil|qu dun oreilly|reilly"),
        ("'quoted' rock'n'roll", "quoted rocknroll|roll|rock"),
        ("'", ""),
        ("90's", "90s|90"),
    ];
    for (text, expected) in cases {
        assert_eq!(terms(text), expected, "{text}");
    }
}

#[test]
fn code_is_found_whole_and_in_parts() {
    let cases = [
        ("foo_bar", "foobar|foo bar"),
        ("fooBar", "foobar|foo|bar"),
        ("HTMLParser getX", "htmlparser|html|parser getx|get"),
        ("std::vec::Vec", "stdvecvec|std vec vec"),
        ("a->b", "ab|a b"),
        ("obj.method()", "objmethod|obj method"),
        ("--no-install", "--noinstall|noinstall|no install"),
        ("tar -xvf", "tar xvf"),
        (
            "C++ c# G++ notepad++ libstdc++-dev",
            "c++|c c#|c g++|g notepad++|notepad libstdc++dev|libstdc++|libstdc dev",
        ),
        ("c++11 libstdc++6", "c++|c 11 libstdc++|libstdc 6"),
        (".NET ~/.bashrc", ".net|net .bashrc|bashrc"),
        ("2.6.32-5", "2.6.32-5|2 6 32 5"),
        ("linux-image-2.6.32-5-generic", "linuximage2.6.32-5generic|linux image 2 6 32 5 generic"),
        ("10.0.0.1 12:30", "10.0.0.1|10 0 0 1 12:30|12 30"),
        ("0x80070005", "0x80070005"),
        ("x86_64 utf-8", "x86_64|x86 64 utf8|utf 8"),
        ("/etc/X11/xorg.conf", "etc x11 xorgconf|xorg conf"),
        ("apt-get e-mail", "aptget|apt get email|e mail"),
        ("key=value; a,b (c) d|e", "key value a b c d e"),
        ("__init__ ada_ _x", "init ada x"),
        ("foo--bar wait...what end.", "foo bar wait what end"),
        ("#ubuntu #42 ##x", "#ubuntu|ubuntu #42|42 x"),
        ("AT&T R&D", "att|at t rd|r d"),
        ("i++ a+++b", "i++|i a b"),
        ("$HOME %s", "home s"),
    ];
    for (text, expected) in cases {
        assert_eq!(terms(text), expected, "{text}");
    }
}

#[test]
fn of_a_url_its_host_and_words_are_found() {
    let cases = [
        ("https://paste.ubuntu.com/123/", "pasteubuntucom|paste ubuntu com 123"),
        (
            "see http://www.example.org:8080/a/Hello_World.html?q=x%20y&z=1#top!",
            "see wwwexampleorg|www example org 8080 a helloworldhtml|hello world html q x y z 1 top",
        ),
        ("[the docs](https://docs.rs/time)", "the docs docsrs|docs rs time"),
        ("<ftp://ftp.x.org>", "ftpxorg|ftp x org"),
        ("mailto:ada@example.org", "mailto adaexampleorg|ada example org"),
        ("100%de http:", "100 de http"),
        ("http://[::1]/x", "1 x"),
        ("file:///etc/fstab", "etc fstab"),
    ];
    for (text, expected) in cases {
        assert_eq!(terms(text), expected, "{text}");
    }
    let mut terms = Terms::new();
    for (text, link) in [("http://a.b", true), ("www.a.b", true), ("a.b", false), ("x://", false)] {
        terms.analyze(text);
        assert_eq!(terms.has_link(), link, "{text}");
    }
}

#[test]
fn markup_around_words_is_no_matter() {
    let cases = [
        ("**bold** _it_ ~~gone~~ `code` ||spoiler||", "bold it gone code spoiler"),
        ("```rust\nfn main() {}\n```", "rust fn main"),
        ("> quoted\n# Title\n- item", "quoted title item"),
        ("@ada: hi, ada|away", "ada hi ada away"),
    ];
    for (text, expected) in cases {
        assert_eq!(terms(text), expected, "{text}");
    }
}

#[test]
fn scripts_without_spaces_are_characters_and_pairs() {
    let cases = [
        ("日本語", "日本|日 本語|本 語"),
        ("日", "日"),
        ("日本語test字", "日本|日 本語|本 語 test 字"),
        ("カﾞ ｶﾞ が か\u{3099}", "ガ ガ が が"),
        ("ﾃｽﾄ、テスト", "テス|テ スト|ス ト テス|テ スト|ス ト"),
        ("학교", "학교|학 교"),
        ("\u{1112}\u{1161}\u{11ab}", "한"),
        ("ไทย", "ไท|ไ ทย|ท ย"),
        ("กี่", "กี่"),
    ];
    for (text, expected) in cases {
        assert_eq!(terms(text), expected, "{text}");
    }
}

#[test]
fn emoji_are_words() {
    let cases = [
        ("👍🏽 👍", "👍 👍"),
        ("ok👍👍", "ok 👍 👍"),
        ("❤️ ❤", "❤ ❤"),
        ("👩‍👩‍👧", "👩\u{200d}👩\u{200d}👧|👩|👧"),
        ("🤷🏽‍♂️", "🤷\u{200d}♂|🤷|♂"),
        ("🇩🇪🇫🇷", "🇩🇪 🇫🇷"),
        ("1️⃣", "1"),
        ("🏽", "🏽"),
        (":) ¯\\_(ツ)_/¯ © →", "ツ"),
    ];
    for (text, expected) in cases {
        assert_eq!(terms(text), expected, "{text}");
    }
}

#[test]
fn what_was_worked_out_is_what_the_tables_of_unicode_say() {
    let (mut quick, mut slow) = (String::new(), String::new());
    // Of the two largest scripts the ends are enough.
    let same = |c: &char| matches!(c, '\u{3500}'..='\u{9f00}' | '\u{ac80}'..='\u{d700}');
    for c in ('\u{80}'..='\u{1ffff}').filter(|c| !same(c)) {
        assert_eq!(class(c), character::class_of(c), "{c:?}");
        for before in ["", "x", "и", "か", "\u{1112}"] {
            for word in [&mut quick, &mut slow] {
                word.clear();
                word.push_str(before);
            }
            folding::push_folded(&mut quick, 0, c);
            folding::push_decomposed(&mut slow, 0, c);
            assert_eq!(quick, slow, "{c:?} behind {before:?}");
        }
    }
}

#[test]
fn what_is_too_long_is_cut() {
    let mut terms = Terms::new();
    terms.analyze(&"x".repeat(1_000));
    assert_eq!(terms.iter().map(|term| term.text.len()).collect::<Vec<_>>(), [TERM_BYTES_MAX]);
    terms.analyze(&format!("e{} next", "\u{301}".repeat(1_000)));
    let found: Vec<_> = terms.iter().map(|term| (term.text, term.span)).collect();
    assert_eq!(found, [("e", 0..2_001), ("next", 2_002..2_006)]);
    // So are joined emoji; those that fit are found by each.
    for joined in ["👩\u{200d}", "🇩🇪\u{200d}"] {
        terms.analyze(&joined.repeat(100));
        assert!(terms.iter().all(|term| term.text.len() <= TERM_BYTES_MAX));
    }
    // Vowel signs are kept, and bounded.
    terms.analyze(&format!("क{} ก{}", "\u{93f}".repeat(1_000), "\u{e48}".repeat(1_000)));
    assert!(terms.iter().all(|term| term.text.len() <= TERM_BYTES_MAX));

    for word in ["a ", "日", "a-", "👍", "a.b/", "iPhoneApp "] {
        terms.analyze(&word.repeat(10_000));
        assert_eq!(terms.len(), TERMS_MAX, "{word}");
        assert!(terms.is_truncated(), "{word}");
    }
    terms.analyze(&" ".repeat(TEXT_BYTES_MAX + 1));
    assert!(terms.is_truncated());
    terms.analyze("short");
    assert!(!terms.is_truncated());
}

/// Text as people might write it, and as nobody would.
pub(super) fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z]{1,8}",
        2 => "[0-9]{1,4}",
        4 => prop::sample::select(vec![
            " ", " ", " ", "-", "--", ".", "_", "::", "->", "'", "’", "/", "++", "#", "@", "&", ":",
            "://", "%20", "\u{301}", "\u{200d}", "\u{fe0f}", "(", ")", "\"", "\0", "\u{202e}", "·",
        ]).prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            "é", "ß", "İ", "日", "本", "カ", "ﾞ", "한", "ไ", "ก็", "привет", "й", "שלום", "ى", "हिन्दी",
            "👍", "🏽", "👩", "🇩", "♂", "ﬃ", "½", "ʼ",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_term_has_its_place(text in text()) {
        let mut terms = Terms::new();
        terms.analyze(&text);
        let mut before: Vec<Term<'_>> = Vec::new();
        for term in terms.iter() {
            prop_assert!(!term.text.is_empty() && term.text.len() <= TERM_BYTES_MAX);
            prop_assert!(!term.span.is_empty() && text.get(term.span.clone()).is_some());
            prop_assert!(term.position < terms.positions());
            if let Some(last) = before.last() {
                prop_assert!(last.position <= term.position && term.position <= last.position + 1);
                if last.position < term.position {
                    before.clear();
                }
            } else {
                prop_assert_eq!(term.position, 0);
            }
            prop_assert!(before.iter().all(|other| other.text != term.text), "{:?}", term);
            before.push(term);
        }
    }

    #[test]
    fn terms_are_the_same_by_their_number(text in text()) {
        let mut terms = Terms::new();
        terms.analyze(&text);
        let numbered: Vec<_> = (0..).map_while(|index| terms.get(index)).collect();
        prop_assert_eq!(numbered, terms.iter().collect::<Vec<_>>());
    }

    #[test]
    fn folding_twice_changes_nothing(text in text()) {
        let once = fold(&text);
        prop_assert_eq!(fold(&once), once);
    }

    #[test]
    fn no_term_ends_within_a_word_of_the_standard(text in "[a-zA-Zéß0-9À-ÿа-я !?א-ת]{0,40}") {
        let mut terms = Terms::new();
        terms.analyze(&text);
        let words: Vec<_> = text.unicode_word_indices().collect();
        let found: Vec<_> = terms.roles().filter(|(_, role)| *role == Role::Main).collect();
        let places: Vec<_> = found.iter().map(|(term, _)| term.span.clone()).collect();
        let expected: Vec<_> = words.iter().map(|(at, word)| *at..at + word.len()).collect();
        prop_assert_eq!(places, expected);
    }
}
