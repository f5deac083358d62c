//! The line being typed.

use unicode_segmentation::UnicodeSegmentation;

use super::text::width;

/// Bytes that can be typed; a message may have no more.
const TYPED_BYTES_MAX: usize = hansard_model::limit::TEXT_BYTES_MAX;
/// Lines that the arrow keys bring back.
const PAST_MAX: usize = 100;

/// What a tab becomes.
const TAB: &str = "    ";

/// The beginning of a text that has at most so many bytes, in whole graphemes.
fn fitting(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let ends = text.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len());
    &text[..ends.take_while(|end| *end <= bytes).last().unwrap_or(0)]
}

fn too_long(lost: usize) -> String {
    format!("a message has at most {TYPED_BYTES_MAX} bytes: the last {lost} bytes were left out")
}

/// What fits of a text into a message, and a notice if that is not all.
pub(super) fn cut(text: &str) -> (&str, Option<String>) {
    let kept = fitting(text, TYPED_BYTES_MAX);
    (kept, (kept.len() < text.len()).then(|| too_long(text.len() - kept.len())))
}

/// A grapheme as the input row shows it: that has no second line.
fn shown(grapheme: &str) -> &str {
    if grapheme == "\n" { "⏎" } else { grapheme }
}

/// Text and a cursor between its graphemes.
#[derive(Default)]
pub(super) struct Editor {
    text: String,
    /// In bytes; always at the border of a grapheme.
    cursor: usize,
    past: Vec<String>,
    recalled: Option<usize>,
}

impl Editor {
    /// Takes what fits of a key or a paste. Line breaks are kept, tabs become spaces, other control
    /// characters are left out. Says so when not everything fits.
    pub(super) fn insert(&mut self, text: &str) -> Option<String> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', TAB);
        let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
        let kept = fitting(&text, TYPED_BYTES_MAX.saturating_sub(self.text.len()));
        self.text.insert_str(self.cursor, kept);
        self.cursor += kept.len();
        (kept.len() < text.len()).then(|| too_long(text.len() - kept.len()))
    }

    pub(super) fn left(&mut self) {
        self.cursor -= self.before();
    }

    pub(super) fn right(&mut self) {
        self.cursor += self.after();
    }

    pub(super) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(super) fn backspace(&mut self) {
        let length = self.before();
        self.text.replace_range(self.cursor - length..self.cursor, "");
        self.cursor -= length;
    }

    pub(super) fn delete(&mut self) {
        let length = self.after();
        self.text.replace_range(self.cursor..self.cursor + length, "");
    }

    /// Removes the word before the cursor.
    pub(super) fn delete_word(&mut self) {
        let before = self.text[..self.cursor].trim_end();
        let start = before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    pub(super) fn clear(&mut self) {
        (self.text, self.cursor, self.recalled) = (String::new(), 0, None);
    }

    /// The line, which is then empty.
    pub(super) fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.text);
        (self.cursor, self.recalled) = (0, None);
        if !line.trim().is_empty() && self.past.last() != Some(&line) {
            self.past.push(line.clone());
            if self.past.len() > PAST_MAX {
                self.past.remove(0);
            }
        }
        line
    }

    /// Brings an earlier line back, or a later one.
    pub(super) fn recall(&mut self, earlier: bool) {
        let now = self.recalled.unwrap_or(self.past.len());
        let wanted = if earlier { now.checked_sub(1) } else { Some(now + 1) };
        let Some(wanted) = wanted else { return };
        self.text = self.past.get(wanted).cloned().unwrap_or_default();
        self.recalled = (wanted < self.past.len()).then_some(wanted);
        self.cursor = self.text.len();
    }

    pub(super) fn is_message(&self) -> bool {
        !self.text.trim().is_empty() && !self.text.starts_with('/')
    }

    /// What fits into so many columns around the cursor, and the column of the cursor in it.
    pub(super) fn window(&self, columns: usize) -> (String, usize) {
        let columns = columns.max(2);
        let mut start = 0;
        let graphemes = self.text[..self.cursor].grapheme_indices(true);
        let before = self.text[..self.cursor].graphemes(true);
        let mut used: usize = before.map(|grapheme| width(shown(grapheme))).sum();
        for (at, grapheme) in graphemes {
            if used < columns {
                break;
            }
            used -= width(shown(grapheme));
            start = at + grapheme.len();
        }
        let (mut row, mut taken) = (String::new(), 0);
        for grapheme in self.text[start..].graphemes(true).map(shown) {
            if taken + width(grapheme) > columns {
                break;
            }
            taken += width(grapheme);
            row.push_str(grapheme);
        }
        (row, used)
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].graphemes(true).next_back().map_or(0, str::len)
    }

    fn after(&self) -> usize {
        self.text[self.cursor..].graphemes(true).next().map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_over_whole_graphemes() {
        let mut editor = Editor::default();
        assert_eq!(editor.insert("a👩‍👩‍👧b"), None);
        editor.left();
        editor.backspace();
        assert_eq!(editor.text, "ab");
        editor.home();
        editor.delete();
        assert_eq!(editor.take(), "b");
    }

    #[test]
    fn words_are_removed_and_lines_come_back() {
        let mut editor = Editor::default();
        assert_eq!(editor.insert("one two\u{a0}drei "), None);
        editor.delete_word();
        editor.delete_word();
        assert_eq!(editor.text, "one ");
        let _ = editor.take();
        editor.recall(true);
        assert_eq!(editor.text, "one ");
        editor.recall(false);
        assert_eq!(editor.text, "");
    }

    #[test]
    fn a_paste_keeps_its_lines_and_what_fits_of_it() {
        let mut editor = Editor::default();
        assert_eq!(editor.insert("a\r\nb\tc\u{1b}\rd"), None);
        assert_eq!(editor.window(20), ("a⏎b    c⏎d".to_owned(), 10));
        assert_eq!(editor.take(), "a\nb    c\nd");
        let notice = editor.insert(&"é".repeat(TYPED_BYTES_MAX / 2 + 3)).expect("a notice");
        assert!(notice.ends_with("the last 6 bytes were left out"), "{notice}");
        assert!(editor.insert("x").is_some());
        assert_eq!(editor.take().len(), TYPED_BYTES_MAX);
        let line = "é".repeat(TYPED_BYTES_MAX);
        let (kept, notice) = cut(&line);
        assert!(kept.len() == TYPED_BYTES_MAX && notice.is_some());
        assert_eq!(cut("short"), ("short", None));
    }

    #[test]
    fn a_long_line_is_shown_around_the_cursor() {
        let mut editor = Editor::default();
        assert_eq!(editor.insert("你好你好你好"), None);
        let (shown, column) = editor.window(5);
        assert!(width(&shown) <= 5 && column < 5);
        editor.home();
        assert_eq!(editor.window(5), ("你好".to_owned(), 0));
    }
}
