//! Which part of a text to show.

use std::ops::Range;

use unicode_segmentation::{GraphemeCursor, GraphemeIncomplete};

use super::Hit;

/// How many characters of context may be given up so that a cut is between words.
const WORD_CHARS_MAX: usize = 24;

/// The part of `text`, in bytes, of at most `chars_max` characters, with hits of as many clauses as
/// possible, then as many hits as possible, then as early as possible.
pub(super) fn best(text: &str, hits: &[Hit], chars_max: usize, clauses: usize) -> Range<usize> {
    if chars_max == 0 {
        return 0..0;
    }
    if text.chars().nth(chars_max).is_none() {
        return 0..text.len();
    }
    let chosen = densest(text, hits, chars_max, clauses);
    let room = chars_max.saturating_sub(text[chosen.clone()].chars().count());
    // More of what follows than of what precedes, and all of it where the text ends.
    let behind = text[chosen.end..].chars().take(room).count();
    let before = (room / 3).max(room - behind.min(room));
    let start = start_before(text, chosen.start, before);
    let used = text[start..chosen.end].chars().count();
    let end = end_behind(text, chosen.end.max(start), chars_max.saturating_sub(used));
    // What is longer than the window is shown from its beginning.
    let shown = &text[start..end];
    let limit = shown.char_indices().nth(chars_max).map(|(at, _)| shown[..at].trim_end().len());
    start..start + limit.unwrap_or(shown.len())
}

/// The hits that are best shown together, from the first one's beginning to the last one's end.
fn densest(text: &str, hits: &[Hit], chars_max: usize, clauses: usize) -> Range<usize> {
    let Some(first) = hits.first() else { return 0..0 };
    let places = in_chars(text, hits);
    let mut of_clause = vec![0_usize; clauses];
    let (mut distinct, mut next) = (0, 0);
    let mut best = (0, 0);
    let mut chosen = first.span.clone();
    for (index, hit) in hits.iter().enumerate() {
        // A hit may be longer than those behind it; windows end with the hit that is added last.
        while next < hits.len()
            && (next == index || places[next].end <= places[index].start + chars_max)
        {
            of_clause[hits[next].clause] += 1;
            distinct += usize::from(of_clause[hits[next].clause] == 1);
            next += 1;
        }
        let score = (distinct, next - index);
        if score > best {
            best = score;
            let end = hits[index..next].iter().map(|hit| hit.span.end).max();
            chosen = hit.span.start..end.unwrap_or(hit.span.end);
        }
        of_clause[hit.clause] -= 1;
        distinct -= usize::from(of_clause[hit.clause] == 0);
    }
    chosen
}

/// The places of hits, counted in characters.
fn in_chars(text: &str, hits: &[Hit]) -> Vec<Range<usize>> {
    let mut chars_at = vec![0_u32; text.len() + 1];
    let mut count = 0_u32;
    for (at, c) in text.char_indices() {
        chars_at[at..at + c.len_utf8()].fill(count);
        count += 1;
    }
    chars_at[text.len()] = count;
    hits.iter()
        .map(|hit| chars_at[hit.span.start] as usize..chars_at[hit.span.end] as usize)
        .collect()
}

/// Up to `room` characters before `at`.
fn start_before(text: &str, at: usize, room: usize) -> usize {
    if room == 0 {
        return at;
    }
    let far = text[..at].char_indices().rev().nth(room - 1).map_or(0, |(far, _)| far);
    if far == 0 {
        return 0;
    }
    // Behind the first space from there on, unless the cut is between words already.
    let context = &text[far..at];
    let spaces = context.char_indices().take(WORD_CHARS_MAX).find(|(_, c)| c.is_whitespace());
    let start = if text[..far].ends_with(char::is_whitespace) {
        far
    } else {
        spaces.map_or_else(|| boundary_from(text, far, at), |(space, _)| far + space)
    };
    let blank = text[start..at].len() - text[start..at].trim_start().len();
    start + blank
}

/// Up to `room` characters behind `at`.
fn end_behind(text: &str, at: usize, room: usize) -> usize {
    let rest = &text[at..];
    let Some((far, c)) = rest.char_indices().nth(room) else { return text.len() };
    if c.is_whitespace() {
        return at + rest[..far].trim_end().len();
    }
    let context = rest[..far].char_indices().rev().take(WORD_CHARS_MAX);
    let space = context.into_iter().find(|(_, c)| c.is_whitespace());
    match space {
        Some((space, _)) => at + rest[..space].trim_end().len(),
        None => boundary_before(text, at + far, at),
    }
}

/// The first grapheme boundary from `from` on, `to` at most.
fn boundary_from(text: &str, from: usize, to: usize) -> usize {
    let mut cursor = GraphemeCursor::new(from, text.len(), true);
    if is_boundary(&mut cursor, text) {
        return from;
    }
    cursor.next_boundary(text, 0).ok().flatten().map_or(to, |at| at.min(to))
}

/// The last grapheme boundary up to `from`, `to` at least.
fn boundary_before(text: &str, from: usize, to: usize) -> usize {
    let mut cursor = GraphemeCursor::new(from, text.len(), true);
    if is_boundary(&mut cursor, text) {
        return from;
    }
    cursor.prev_boundary(text, 0).ok().flatten().map_or(to, |at| at.max(to))
}

fn is_boundary(cursor: &mut GraphemeCursor, text: &str) -> bool {
    let answer: Result<bool, GraphemeIncomplete> = cursor.is_boundary(text, 0);
    // The whole text is there, so there is nothing that it could miss.
    answer.unwrap_or(true)
}
