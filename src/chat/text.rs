//! Other people's text on a terminal: harmless, and as wide as it looks.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Marks on one letter; more are for breaking lines, not for writing.
const MARKS_MAX: usize = 4;

/// Text without what could command the terminal or show it in another order than it is: control
/// characters, changes of direction, invisible characters. Lines are kept.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for character in text.chars() {
        match character {
            '\n' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\r' => {}
            '\t' => out.push_str("    "),
            // Embeddings, overrides, isolates and marks of direction.
            '\u{061c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {}
            // Invisible: zero-width spaces, interlinear notes, tags. The joiner of emoji stays.
            '\u{00ad}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200c}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => {}
            _ if character.is_control() => out.push('\u{fffd}'),
            _ => {
                let is_mark = unicode_width::UnicodeWidthChar::width(character) == Some(0)
                    && character != '\u{200d}';
                marks = if is_mark { marks + 1 } else { 0 };
                if marks <= MARKS_MAX {
                    out.push(character);
                }
            }
        }
    }
    out
}

/// The same on one line.
pub(super) fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The beginning of a line that fits, with an ellipsis when it does not all.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        if used + width(grapheme) + 1 > columns {
            break;
        }
        used += width(grapheme);
        out.push_str(grapheme);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The text broken into rows of at most `columns`, at spaces where possible.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut rows = Vec::new();
    for line in text.split('\n') {
        let (mut row, mut used) = (String::new(), 0);
        for word in line.split_word_bounds() {
            if used + width(word) <= columns {
                row.push_str(word);
                used += width(word);
                continue;
            }
            if used > 0 {
                rows.push(std::mem::take(&mut row).trim_end().to_owned());
                used = 0;
            }
            for grapheme in word.trim_start().graphemes(true) {
                if used + width(grapheme) > columns {
                    rows.push(std::mem::take(&mut row));
                    used = 0;
                }
                row.push_str(grapheme);
                used += width(grapheme);
            }
        }
        rows.push(row.trim_end().to_owned());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\u{7}\u{9b}c\r\nd"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\nd");
        assert!(
            !clean(&(0..=0x9f).filter_map(char::from_u32).collect::<String>())
                .chars()
                .any(|c| c.is_control() && c != '\n')
        );
    }

    #[test]
    fn text_cannot_be_turned_around_or_hidden() {
        assert_eq!(clean("pay \u{202e}001\u{202c} \u{2066}x\u{2069}\u{200b}"), "pay 001 x");
        assert_eq!(clean_line(" a\u{2028}b\nc "), "a b c");
        let stacked = format!("e{}", "\u{301}".repeat(50));
        assert_eq!(clean(&stacked).chars().count(), 1 + MARKS_MAX);
    }

    #[test]
    fn families_stay_together_and_wide_characters_count_twice() {
        let family = "👩‍👩‍👧";
        assert_eq!(clean(family), family);
        assert_eq!(width("你好"), 4);
        assert_eq!(fit("你好吗", 5), "你好…");
        assert_eq!(wrap("你好吗朋友", 4), vec!["你好", "吗朋", "友"]);
    }

    #[test]
    fn long_words_are_cut_and_short_ones_are_not() {
        assert_eq!(wrap("one two three", 7), vec!["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), vec!["abc", "def", "gh"]);
        assert_eq!(wrap("", 10), vec![""]);
        for row in wrap("a bb ccc dddd eeeee ffffff", 5) {
            assert!(width(&row) <= 5, "{row}");
        }
    }
}
