//! What a character outside of ASCII is to the scanner.

use unicode_normalization::char::is_combining_mark;

/// The kinds of characters that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A letter or digit of a script that has spaces between words.
    Letter,
    /// Attached to what is before it: accents, vowel signs, joiners, marks that nobody sees.
    Attached,
    /// A character of a script that has no spaces between words.
    Dense,
    /// An emoji, or half a flag.
    Emoji,
    /// Between letters it is part of the word.
    Apostrophe,
    /// Between letters it joins two parts of a word.
    Hyphenation,
    /// Spaces, punctuation, signs.
    Other,
}

/// The class of a character outside of ASCII, from the tables of Unicode.
pub(super) fn class_of(c: char) -> Class {
    match c {
        '\u{b4}' | '\u{2bc}' | '\u{2018}' | '\u{2019}' | '\u{ff07}' | '\u{5f3}' | '\u{5f4}' => {
            Class::Apostrophe
        }
        '\u{b7}' | '\u{2010}' | '\u{2011}' | '\u{2027}' => Class::Hyphenation,
        _ if is_ignorable(c) => Class::Attached,
        '\u{80}'..'\u{300}' if c.is_alphanumeric() => Class::Letter,
        '\u{80}'..'\u{300}' => Class::Other,
        // The second and third parts of a syllable, and the voicing of half-width Kana.
        '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}' | '\u{ff9e}' | '\u{ff9f}' => {
            Class::Attached
        }
        _ if is_combining_mark(c) => Class::Attached,
        _ if is_emoji(c) => Class::Emoji,
        _ if is_dense(c) && c.is_alphanumeric() => Class::Dense,
        _ if c.is_alphanumeric() => Class::Letter,
        _ => Class::Other,
    }
}

/// What has no width and no meaning for a search: soft hyphens, joiners, direction marks, tags
/// (`Default_Ignorable_Code_Point`), and the Arabic elongation.
pub(super) fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{640}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Scripts without spaces between words: those of which Lucene's `CJKBigramFilter` makes bigrams,
/// and those of line breaking class SA. Digits of the latter are digits.
fn is_dense(c: char) -> bool {
    let east_asian = matches!(c,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}'
        | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{303c}' | '\u{3041}'..='\u{318e}'
        | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{a960}'..='\u{a97c}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{ffa0}'..='\u{ffdc}'
        | '\u{1b000}'..='\u{1b16f}' | '\u{20000}'..='\u{3ffff}');
    let south_east_asian = matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{1950}'..='\u{19df}' | '\u{1a20}'..='\u{1aaf}' | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aadf}');
    east_asian || (south_east_asian && !c.is_numeric())
}

/// `Extended_Pictographic` of `emoji-data.txt` by its blocks, less the signs of ordinary text that
/// are in it (`©`, `™`, arrows).
pub(super) fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{231a}' | '\u{231b}' | '\u{2328}' | '\u{23cf}' | '\u{23e9}'..='\u{23fa}'
        | '\u{2600}'..='\u{27bf}' | '\u{2934}' | '\u{2935}' | '\u{2b05}'..='\u{2b07}'
        | '\u{2b1b}' | '\u{2b1c}' | '\u{2b50}' | '\u{2b55}' | '\u{1f000}'..='\u{1f0ff}'
        | '\u{1f170}'..='\u{1f1ff}' | '\u{1f200}'..='\u{1faff}')
}

/// Half a flag.
pub(super) fn is_regional_indicator(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// A skin tone, which is of the emoji before it.
pub(super) fn is_skin_tone(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// An accent, by which words are not told apart here.
///
/// Vowel signs, viramas and tone marks of Indic and South-East Asian scripts and the voicing of Kana
/// are none: without them it would be another word.
pub(super) fn is_accent(mark: char) -> bool {
    matches!(mark,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'
        | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}'
        | '\u{6e7}' | '\u{6e8}' | '\u{6ea}'..='\u{6ed}' | '\u{711}' | '\u{730}'..='\u{74a}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{302a}'..='\u{302f}' | '\u{fe20}'..='\u{fe2f}')
}
