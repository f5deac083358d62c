//! One form for all ways to write a letter.

use unicode_normalization::char::{compose, decompose_compatible, is_combining_mark};

use super::character::{is_accent, is_ignorable};
use super::table;

/// Folds a name or another short text, without taking it apart.
///
/// Each character is decomposed by its compatibility mapping (NFKD), accents and what nobody sees
/// are dropped, what remains is put into lower case and composed again (Kana, Hangul).
/// Letters that do not decompose are written as Lucene's `ASCIIFoldingFilter` writes them: `ß` is
/// `ss`, `ø` is `o`, `ł` is `l`.
/// Letters that only look as if they had an accent keep it: Cyrillic `й`, `ў`, `ї`, `ѓ`, `ќ` (but
/// `ё` is `е`, as people write it).
/// Arabic letters are folded as Lucene's `ArabicNormalizer` and `PersianNormalizer` do, digits of
/// all scripts to ASCII.
/// Each space is a space.
/// It is the same whatever language a text is in: a Turkish `İ`, `I` and `ı` are all `i`.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        push_folded(&mut folded, 0, if c.is_whitespace() { ' ' } else { c });
    }
    folded
}

/// Appends what `c` comes to, to the word that begins at `from` in `word`.
pub(super) fn push_folded(word: &mut String, from: usize, c: char) {
    if c.is_ascii() {
        word.push(c.to_ascii_lowercase());
    } else if let Some(folded) = table::folded(c) {
        word.push(folded);
    } else {
        push_decomposed(word, from, c);
    }
}

/// The same from the tables of Unicode.
pub(super) fn push_decomposed(word: &mut String, from: usize, c: char) {
    decompose_compatible(c, |part| push_part(word, from, part));
}

/// What a character comes to, if that is one character whatever is before it.
pub(super) fn folded_alone(c: char) -> Option<char> {
    let mut first = None;
    let mut word = String::new();
    decompose_compatible(c, |part| {
        first.get_or_insert(part);
        push_part(&mut word, 0, part);
    });
    let mut chars = word.chars();
    let folded = chars.next().filter(|_| chars.next().is_none())?;
    first.filter(|first| !is_joined_to_what_is_before(*first)).map(|_| folded)
}

fn is_joined_to_what_is_before(part: char) -> bool {
    is_combining_mark(part) || is_jamo_behind_the_first(part) || is_left_out(part)
}

fn is_left_out(part: char) -> bool {
    is_ignorable(part) || part.is_whitespace()
}

fn push_part(word: &mut String, from: usize, part: char) {
    if is_left_out(part) {
        return;
    }
    let is_mark = is_combining_mark(part);
    if is_mark || is_jamo_behind_the_first(part) {
        let base = word[from..].chars().next_back();
        if is_accent(part) && !base.is_some_and(|base| makes_another_letter(base, part)) {
            return;
        }
        if let Some((base, composed)) = base.and_then(|base| Some((base, compose(base, part)?))) {
            word.truncate(word.len() - base.len_utf8());
            word.push(composed);
        } else {
            word.push(part);
        }
        return;
    }
    for lower in part.to_lowercase() {
        push_plain(word, lower);
    }
}

fn is_jamo_behind_the_first(c: char) -> bool {
    matches!(c, '\u{1161}'..='\u{1175}' | '\u{11a8}'..='\u{11c2}')
}

/// Cyrillic letters that are others without their mark.
fn makes_another_letter(base: char, mark: char) -> bool {
    matches!((base, mark), ('и' | 'у', '\u{306}') | ('і', '\u{308}') | ('г' | 'к', '\u{301}'))
}

fn push_plain(word: &mut String, c: char) {
    let replaced = match c {
        '\0'..='\u{7f}' => c,
        'ß' => return word.push_str("ss"),
        'æ' => return word.push_str("ae"),
        'œ' => return word.push_str("oe"),
        'þ' => return word.push_str("th"),
        'ø' => 'o',
        'đ' | 'ð' => 'd',
        'ł' => 'l',
        'ħ' => 'h',
        'ŧ' => 't',
        'ı' => 'i',
        'ȷ' => 'j',
        'ĸ' => 'k',
        'ƒ' => 'f',
        'ς' => 'σ',
        '\u{2bc}' => return,
        '\u{649}' | '\u{6cc}' => '\u{64a}',
        '\u{6a9}' => '\u{643}',
        '\u{629}' => '\u{647}',
        '\u{671}' => '\u{627}',
        _ => digit(c),
    };
    word.push(replaced);
}

/// Zeros of the scripts whose digits are in use (`Nd`); nine more follow each.
const ZEROS: [u32; 19] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50,
    0xed0, 0xf20, 0x1040, 0x17e0, 0x1810, 0xa8d0,
];

fn digit(c: char) -> char {
    let code = u32::from(c);
    if !(0x660..0xa8e0).contains(&code) || !c.is_numeric() {
        return c;
    }
    let value = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|value| *value < 10));
    value.and_then(|value| char::from_digit(value, 10)).unwrap_or(c)
}
