//! Which terms may be matched although they are not written as they were searched.

/// How a term that is searched may differ from one that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// Insertions, deletions, replacements and transpositions of neighbours, of one character each
    /// (the Damerau-Levenshtein distance), at most. Zero: the term must be as it is.
    pub edits: u8,
    /// Characters at the beginning that must be as they are.
    pub prefix_chars: u8,
}

/// Fewer characters than this: no edit. At least: one.
pub const ONE_EDIT_CHARS: usize = 5;
/// At least so many characters: two edits.
pub const TWO_EDITS_CHARS: usize = 9;

/// How a folded term may be matched.
///
/// The lengths are those that Meilisearch and Typesense found to suit typing people: one edit from
/// five characters on, two from nine.
/// The first character must be right: it is what people get wrong least, and it keeps the
/// expansion of a term in an index small.
/// Terms with digits or signs never: `0x80070005`, `2.6.32` and `c++` are other things than their
/// neighbours.
/// Scripts that are no alphabets (Han, Kana, Hangul, Indic and South-East Asian ones) never: there
/// another character is another word.
pub fn tolerance(term: &str) -> Tolerance {
    let chars = term.chars().count();
    if chars < ONE_EDIT_CHARS || !term.chars().all(is_of_an_alphabet) {
        return Tolerance::default();
    }
    Tolerance { edits: if chars < TWO_EDITS_CHARS { 1 } else { 2 }, prefix_chars: 1 }
}

/// Letters of Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic and Georgian, by their blocks.
fn is_of_an_alphabet(c: char) -> bool {
    let block = matches!(c,
        '\u{0000}'..='\u{02af}' | '\u{0370}'..='\u{06ff}' | '\u{0750}'..='\u{077f}'
        | '\u{10a0}'..='\u{10ff}' | '\u{1c80}'..='\u{1cbf}' | '\u{1e00}'..='\u{1fff}'
        | '\u{2c60}'..='\u{2c7f}' | '\u{2d00}'..='\u{2d2f}' | '\u{a640}'..='\u{a69f}'
        | '\u{a720}'..='\u{a7ff}');
    block && c.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(term: &str) -> u8 {
        tolerance(term).edits
    }

    #[test]
    fn longer_words_may_have_more_typos() {
        let words = ["", "a", "grub", "sound", "firefox", "nautilus", "partition", "привет"];
        assert_eq!(words.map(edits), [0, 0, 0, 1, 1, 1, 2, 1]);
        // Lengths are in characters, whatever their bytes.
        assert_eq!(edits("мышь"), 0);
        assert_eq!(edits("клавиатура"), 2);
    }

    #[test]
    fn numbers_code_and_scripts_without_alphabets_are_taken_literally() {
        for term in [
            "123456",
            "0x80070005",
            "2.6.32-5",
            "notepad++",
            "x11xorg",
            ".bashrc",
            "日本語日本語",
            "ภาษาไทย",
            "학교에서다",
            "हिन्दीभाषा",
            "👩👩👧👩👩",
        ] {
            assert_eq!(edits(term), 0, "{term}");
        }
    }
}
