//! The scanner: one way through the text, a byte at a time where it is ASCII.

use std::ops::Range;

use super::character::{Class, is_emoji, is_regional_indicator, is_skin_tone};
use super::folding::push_folded;
use super::table::class;
use super::{Entry, Role, TERM_BYTES_MAX, TERMS_MAX, Terms};

/// Parts of a compound that is a term as a whole, at most: sentences without spaces are none.
const WHOLE_PARTS_MAX: u8 = 8;
/// Letters before `++` or `#` at most, as in `libstdc++`, `notepad++`, `c#`.
const SIGNED_LETTERS_MAX: usize = 10;
/// Words in camel case are taken apart up to this length, in bytes: what is longer is a key or a
/// picture in base64.
const CAMEL_BYTES_MAX: usize = 40;
/// Emoji of a joined sequence that are terms of their own, at most.
const JOINED_EMOJI_MAX: usize = 8;
/// Bytes of one character with what is attached to it, at most: half a term.
const DENSE_BYTES_MAX: usize = TERM_BYTES_MAX / 2;

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Reads all of `text`, at most [`TERMS_MAX`] terms of it.
pub(super) fn scan(text: &str, terms: &mut Terms) {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), terms, in_url: false };
    let mut at = 0;
    while at < text.len() {
        if scanner.terms.entries.len() >= TERMS_MAX {
            scanner.terms.truncated = true;
            break;
        }
        at = scanner.step(at);
    }
    terms.entries.truncate(TERMS_MAX);
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    terms: &'a mut Terms,
    /// There was `://`, and nothing since that is in no URL.
    in_url: bool,
}

/// A part of a compound.
#[derive(Clone, Copy)]
struct Part {
    /// Where its term is in the buffer of folded text.
    from: usize,
    to: usize,
    /// Where it ends in the text.
    end: usize,
    /// Whether `++` or `#` belongs to it.
    signed: bool,
}

impl Scanner<'_> {
    /// Reads the word or the sign at `at`; says where it ends.
    fn step(&mut self, at: usize) -> usize {
        let byte = self.bytes[at];
        if byte.is_ascii_alphanumeric() {
            return self.compound(at);
        }
        if byte.is_ascii() {
            if byte.is_ascii_whitespace() || matches!(byte, b'"' | b'<' | b'>') {
                self.in_url = false;
            } else if byte == b'%' && self.in_url && self.is_escape(at) {
                return at + 3;
            }
            return at + 1;
        }
        let Some(c) = self.char_at(at) else { return at + 1 };
        match class(c) {
            Class::Letter => self.compound(at),
            Class::Dense => self.dense(at),
            Class::Emoji => self.emoji(at),
            Class::Attached | Class::Apostrophe | Class::Hyphenation => at + c.len_utf8(),
            Class::Other => {
                self.in_url = false;
                at + c.len_utf8()
            }
        }
    }

    fn char_at(&self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }

    fn is_escape(&self, at: usize) -> bool {
        let hex = |at: usize| self.bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        hex(at + 1) && hex(at + 2)
    }

    fn byte_is(&self, at: usize, byte: u8) -> bool {
        self.bytes.get(at) == Some(&byte)
    }

    /// Whether a part of a word begins here.
    fn is_word(&self, at: usize) -> bool {
        match self.bytes.get(at) {
            None => false,
            Some(byte) if byte.is_ascii() => byte.is_ascii_alphanumeric(),
            Some(_) => self.char_at(at).is_some_and(|c| class(c) == Class::Letter),
        }
    }

    /// Reads a word with everything that is joined to it.
    fn compound(&mut self, start: usize) -> usize {
        let first_entry = self.terms.entries.len();
        let first_position = self.terms.position;
        let folded_before = self.terms.folded.len();
        self.terms.whole.clear();
        let mut parts: u8 = 0;
        let mut at = start;
        let end = loop {
            let part = self.part(at);
            self.terms.keep_in_whole(part.from..part.to);
            parts = parts.saturating_add(u8::from(part.from < part.to));
            if self.terms.entries.len() >= TERMS_MAX {
                break part.end;
            }
            let Some(next) = self.joined(part) else { break part.end };
            self.terms.whole_joined_by(self.bytes, part.end, next);
            at = next;
        };
        if self.bytes[end..].starts_with(b"://") && self.starts_host(end + 3) {
            self.terms.entries.truncate(first_entry);
            self.terms.folded.truncate(folded_before);
            self.terms.position = first_position;
            self.in_url = true;
            self.terms.has_link = true;
            return end + 3;
        }
        let span = (start, end);
        if parts > 1 && parts <= WHOLE_PARTS_MAX && self.terms.whole.len() <= TERM_BYTES_MAX {
            if self.bytes[start..end].get(..4).is_some_and(|www| www.eq_ignore_ascii_case(b"www."))
            {
                self.terms.has_link = true;
            }
            self.insert_whole(first_entry, first_position, span, parts);
        }
        if !self.in_url && parts > 0 {
            self.sigil(first_entry, first_position, span, parts);
        }
        end
    }

    fn starts_host(&self, at: usize) -> bool {
        self.is_word(at) || self.byte_is(at, b'/') || self.byte_is(at, b'[')
    }

    /// Reads a run of letters and digits with the apostrophes in it, and makes terms of it.
    fn part(&mut self, start: usize) -> Part {
        let from = self.terms.folded.len();
        let mut at = start;
        let mut apostrophes = None;
        let mut plain = true;
        while let Some(&byte) = self.bytes.get(at) {
            if byte.is_ascii_alphanumeric() {
                self.terms.push_ascii(from, byte);
                at += 1;
            } else if self.is_apostrophe(byte, start, at) {
                let here = self.terms.folded.len();
                apostrophes = Some((apostrophes.map_or(here, |(first, _)| first), here));
                at += 1;
            } else if byte.is_ascii() {
                break;
            } else {
                let Some(c) = self.char_at(at) else { break };
                let behind = at + c.len_utf8();
                match class(c) {
                    Class::Letter | Class::Attached => self.terms.push_char(from, c),
                    Class::Apostrophe if at > start && self.is_word(behind) => {
                        let here = self.terms.folded.len();
                        apostrophes = Some((apostrophes.map_or(here, |(first, _)| first), here));
                    }
                    Class::Apostrophe
                    | Class::Hyphenation
                    | Class::Dense
                    | Class::Emoji
                    | Class::Other => break,
                }
                plain = false;
                at = behind;
            }
        }
        let signed = plain && self.sign(from, start, &mut at);
        let to = self.terms.folded.len();
        let span = (start, at);
        self.terms.push(from..to, span, Role::Main);
        if signed {
            let letters = self.terms.folded[from..to].trim_end_matches(['+', '#']).len();
            self.terms.push_alias(from..from + letters, span);
        } else if let Some((head, tail)) = apostrophes {
            self.around_apostrophes(from, head, tail, span);
        } else {
            self.camel_case(from..to, span);
        }
        // There are letters that come to nothing, as a mark on a space does.
        self.terms.position += u32::from(from < to);
        Part { from, to, end: at, signed }
    }

    /// An apostrophe within a word, or what stands for one in Hebrew acronyms (rule 7b of UAX #29).
    fn is_apostrophe(&self, byte: u8, start: usize, at: usize) -> bool {
        match byte {
            b'\'' => at > start && self.is_word(at + 1),
            b'"' => {
                let before = self.text[start..at].chars().next_back();
                before.is_some_and(is_hebrew) && self.char_at(at + 1).is_some_and(is_hebrew)
            }
            _ => false,
        }
    }

    /// `++` or `#` behind letters: it is part of the name of a language.
    fn sign(&mut self, from: usize, start: usize, at: &mut usize) -> bool {
        let letters = &self.bytes[start..*at];
        if letters.len() > SIGNED_LETTERS_MAX || !letters.iter().all(u8::is_ascii_alphabetic) {
            return false;
        }
        let rest = &self.bytes[*at..];
        let sign = if rest.starts_with(b"++") && !self.byte_is(*at + 2, b'+') {
            "++"
        } else if rest.starts_with(b"#") && letters.len() <= 2 && !self.goes_on(*at + 1) {
            "#"
        } else {
            return false;
        };
        self.terms.folded.push_str(sign);
        *at += sign.len();
        self.terms.folded.len() > from
    }

    fn goes_on(&self, at: usize) -> bool {
        self.is_word(at) || self.byte_is(at, b'#')
    }

    /// `l'avion` is found by `avion`, `ubuntu's` by `ubuntu`, but `can't` not by `can`.
    fn around_apostrophes(&mut self, from: usize, head: usize, tail: usize, span: (usize, usize)) {
        let to = self.terms.folded.len();
        let last = &self.terms.folded[tail..to];
        let (tail_chars, is_negation) = (last.chars().count(), last == "t");
        if tail_chars >= 3 {
            self.terms.push_alias(tail..to, span);
        }
        if !is_negation && self.terms.folded[from..head].chars().nth(1).is_some() {
            self.terms.push_alias(from..head, span);
        }
    }

    /// `fooBar` and `HTMLParser` are found by their words too.
    fn camel_case(&mut self, folded: Range<usize>, span: (usize, usize)) {
        let written = &self.bytes[span.0..span.1];
        // Only what has as many bytes folded as written can be taken apart at the same places.
        if written.len() > CAMEL_BYTES_MAX || written.len() != folded.len() || !written.is_ascii() {
            return;
        }
        let mut from = 0;
        for at in 1..written.len() {
            if !written[at].is_ascii_uppercase() {
                continue;
            }
            let before = written[at - 1];
            let next = written.get(at + 1);
            let humps = before.is_ascii_lowercase()
                || (before.is_ascii_uppercase() && next.is_some_and(u8::is_ascii_lowercase));
            if humps {
                self.hump(&folded, from..at, span);
                from = at;
            }
        }
        if from > 0 {
            self.hump(&folded, from..written.len(), span);
        }
    }

    fn hump(&mut self, folded: &Range<usize>, of: Range<usize>, span: (usize, usize)) {
        if of.len() > 1 {
            let place = (span.0 + of.start, span.0 + of.end);
            self.terms.push_alias(folded.start + of.start..folded.start + of.end, place);
        }
    }

    /// Where the next part of the compound begins, if what is behind this one joins them.
    fn joined(&self, part: Part) -> Option<usize> {
        let at = part.end;
        let joiner = match *self.bytes.get(at)? {
            b'_' => self.bytes[at..].iter().take_while(|byte| **byte == b'_').count(),
            b'-' if self.byte_is(at + 1, b'>') => 2,
            b'-' | b'.' => 1,
            b'@' | b'&' if !self.in_url && !part.signed => 1,
            b':' if self.byte_is(at + 1, b':') => 2,
            b':' if self.digits_around(at) => 1,
            byte if !byte.is_ascii() => {
                let c = self.char_at(at)?;
                (class(c) == Class::Hyphenation).then_some(c.len_utf8())?
            }
            _ => return None,
        };
        self.is_word(at + joiner).then_some(at + joiner)
    }

    fn digits_around(&self, at: usize) -> bool {
        let digit = |at: usize| self.bytes.get(at).is_some_and(u8::is_ascii_digit);
        at > 0 && digit(at - 1) && digit(at + 1)
    }

    fn insert_whole(&mut self, index: usize, position: u32, span: (usize, usize), parts: u8) {
        let from = self.terms.folded.len();
        let Terms { folded, whole, .. } = &mut *self.terms;
        folded.push_str(whole);
        let to = self.terms.folded.len();
        self.terms.insert(index, position, from..to, span, Role::Whole(parts));
    }

    /// `--flag`, `.bashrc` and `#channel` are terms with their signs too.
    fn sigil(&mut self, index: usize, position: u32, span: (usize, usize), parts: u8) {
        let (start, end) = span;
        let before = |back: usize| start.checked_sub(back).map(|at| self.bytes[at]);
        let sigil = match before(1) {
            Some(b'-') if before(2) == Some(b'-') => "--",
            Some(b'.') => ".",
            Some(b'#') => "#",
            _ => return,
        };
        let edge = before(sigil.len() + 1);
        let is_edge = edge.is_none_or(|byte| {
            byte.is_ascii() && !byte.is_ascii_alphanumeric() && !sigil.as_bytes().contains(&byte)
        });
        let letter = self.bytes[start].is_ascii_alphabetic() || !self.bytes[start].is_ascii();
        let fits = parts <= WHOLE_PARTS_MAX
            && sigil.len() + self.terms.whole.len() <= TERM_BYTES_MAX
            && (letter || sigil == "#");
        if !is_edge || !fits {
            return;
        }
        let from = self.terms.folded.len();
        let Terms { folded, whole, .. } = &mut *self.terms;
        folded.push_str(sigil);
        folded.push_str(whole);
        let to = self.terms.folded.len();
        self.terms.insert(
            index,
            position,
            from..to,
            (start - sigil.len(), end),
            Role::Whole(parts),
        );
    }

    /// Reads a run of characters of scripts without spaces.
    fn dense(&mut self, start: usize) -> usize {
        let mut at = start;
        let mut previous: Option<Entry> = None;
        let mut many = false;
        while let Some(c) = self.char_at(at).filter(|c| class_in_run(*c) == Class::Dense) {
            let from = self.terms.folded.len();
            let begin = at;
            push_folded(&mut self.terms.folded, from, c);
            at += c.len_utf8();
            while let Some(mark) = self.char_at(at).filter(|c| class_in_run(*c) == Class::Attached)
            {
                if self.terms.folded.len() - from + mark.len_utf8() <= DENSE_BYTES_MAX {
                    push_folded(&mut self.terms.folded, from, mark);
                }
                at += mark.len_utf8();
            }
            let to = self.terms.folded.len();
            if to == from {
                continue;
            }
            if let Some(before) = previous {
                many = true;
                let pair = before.from as usize..to;
                self.terms.push(pair, (before.start as usize, at), Role::Main);
                self.terms.entries.push(Entry { role: Role::Alias, ..before });
                self.terms.position += 1;
            }
            if self.terms.entries.len() >= TERMS_MAX {
                return at;
            }
            previous = Some(self.terms.entry(from..to, (begin, at), Role::Main));
        }
        if let Some(last) = previous {
            let role = if many { Role::Alias } else { Role::Main };
            self.terms.entries.push(Entry { role, ..last });
            self.terms.position += 1;
        }
        at
    }

    /// Reads an emoji with what is joined to it.
    fn emoji(&mut self, start: usize) -> usize {
        let from = self.terms.folded.len();
        let mut places = [(0, 0); JOINED_EMOJI_MAX];
        let mut count = 0;
        let mut at = start;
        while let Some(c) = self.char_at(at) {
            let piece = self.terms.folded.len();
            let fits = piece - from + c.len_utf8() <= TERM_BYTES_MAX;
            if fits {
                self.terms.folded.push(c);
            }
            at += c.len_utf8();
            if let Some(half) = self
                .char_at(at)
                .filter(|half| is_regional_indicator(c) && is_regional_indicator(*half))
            {
                self.terms.folded.push(half);
                at += half.len_utf8();
            }
            if fits && count < JOINED_EMOJI_MAX {
                places[count] = (piece, self.terms.folded.len());
                count += 1;
            }
            let mut joins = false;
            while let Some(c) = self.char_at(at) {
                joins = c == ZERO_WIDTH_JOINER;
                if !joins && !is_skin_tone(c) && class_in_run(c) != Class::Attached {
                    break;
                }
                at += c.len_utf8();
                if joins {
                    break;
                }
            }
            let arrow = |c: char| matches!(c, '\u{2190}'..='\u{21ff}');
            if !joins || !self.char_at(at).is_some_and(|c| is_emoji(c) || arrow(c)) {
                break;
            }
            if self.terms.folded.len() - from < TERM_BYTES_MAX {
                self.terms.folded.push(ZERO_WIDTH_JOINER);
            }
        }
        let to = self.terms.folded.floor_char_boundary(from + TERM_BYTES_MAX);
        self.terms.folded.truncate(to);
        self.terms.push(from..to, (start, at), Role::Main);
        if count > 1 {
            for (piece, end) in places.into_iter().take(count).filter(|(_, end)| *end <= to) {
                self.terms.push_alias(piece..end, (start, at));
            }
        }
        self.terms.position += 1;
        at
    }
}

fn is_hebrew(c: char) -> bool {
    matches!(c, '\u{5d0}'..='\u{5ea}')
}

/// The class of any character, as far as runs and sequences are concerned.
fn class_in_run(c: char) -> Class {
    if c.is_ascii() { Class::Other } else { class(c) }
}

impl Terms {
    fn push_ascii(&mut self, from: usize, byte: u8) {
        if self.folded.len() - from < TERM_BYTES_MAX {
            self.folded.push(char::from(byte.to_ascii_lowercase()));
        }
    }

    fn push_char(&mut self, from: usize, c: char) {
        if self.folded.len() - from < TERM_BYTES_MAX {
            push_folded(&mut self.folded, from, c);
            // What one character comes to may be longer than what was left.
            if self.folded.len() - from > TERM_BYTES_MAX {
                let end = self.folded.floor_char_boundary(from + TERM_BYTES_MAX);
                self.folded.truncate(end);
            }
        }
    }

    fn entry(&self, text: Range<usize>, span: (usize, usize), role: Role) -> Entry {
        Entry {
            from: offset(text.start),
            to: offset(text.end),
            position: self.position,
            start: offset(span.0),
            end: offset(span.1),
            role,
        }
    }

    fn push(&mut self, text: Range<usize>, span: (usize, usize), role: Role) {
        if !text.is_empty() {
            let entry = self.entry(text, span, role);
            self.entries.push(entry);
        }
    }

    /// Another term of the word that is being read, unless it has it already.
    fn push_alias(&mut self, text: Range<usize>, span: (usize, usize)) {
        let here = self.entries.iter().rev().take_while(|entry| entry.position == self.position);
        let known = here.into_iter().any(|entry| self.text_of(entry) == &self.folded[text.clone()]);
        if !known {
            self.push(text, span, Role::Alias);
        }
    }

    fn insert(
        &mut self,
        index: usize,
        position: u32,
        text: Range<usize>,
        span: (usize, usize),
        role: Role,
    ) {
        let entry = Entry { position, ..self.entry(text, span, role) };
        self.entries.insert(index.min(self.entries.len()), entry);
    }

    /// Adds a part to the whole of the compound.
    fn keep_in_whole(&mut self, text: Range<usize>) {
        if self.whole.len() <= TERM_BYTES_MAX {
            self.whole.push_str(&self.folded[text]);
        }
    }

    /// Between digits the whole of a compound keeps the sign that joins them, its first character.
    fn whole_joined_by(&mut self, bytes: &[u8], end: usize, next: usize) {
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        if end > 0 && digit(end - 1) && digit(next) && self.whole.len() <= TERM_BYTES_MAX {
            let sign = bytes.get(end).filter(|byte| byte.is_ascii());
            self.whole.push(sign.map_or('-', |byte| char::from(*byte)));
        }
    }
}

/// Texts are shorter than [`super::TEXT_BYTES_MAX`], and what they fold to is a few times that.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
