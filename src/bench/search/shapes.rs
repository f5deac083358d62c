//! What may be typed into a search: sense, half of it, and none.

use super::super::dice::Dice;
use super::super::people::Person;
use super::texts::Texts;

/// Bytes that the longest have; a few more than are taken.
const LONG_BYTES: usize = 1_100;
/// Parentheses within each other; a few more than are taken.
const DEPTH: usize = 10;

/// Shapes of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Words,
    OneLetter,
    Phrases,
    Logic,
    Filters,
    Typos,
    Unicode,
    Signs,
    Long,
    Mixed,
}

impl Shape {
    pub(super) const ALL: [Self; 10] = [
        Self::Words,
        Self::OneLetter,
        Self::Phrases,
        Self::Logic,
        Self::Filters,
        Self::Typos,
        Self::Unicode,
        Self::Signs,
        Self::Long,
        Self::Mixed,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::OneLetter => "prefixes_of_one_letter",
            Self::Phrases => "phrases",
            Self::Logic => "or_not_and_parentheses",
            Self::Filters => "filters",
            Self::Typos => "words_with_typos",
            Self::Unicode => "unicode",
            Self::Signs => "signs",
            Self::Long => "long",
            Self::Mixed => "mixed",
        }
    }
}

/// Types queries.
pub(super) struct Typist<'a> {
    pub(super) texts: &'a Texts,
    pub(super) people: &'a [Person],
    pub(super) dice: Dice,
}

impl Typist<'_> {
    pub(super) fn types(&mut self, shape: Shape) -> String {
        let mut typed = match shape {
            Shape::Words => self.several(1, 6, Self::word),
            Shape::OneLetter => self.several(1, 6, Self::letter),
            Shape::Phrases => self.several(1, 4, Self::phrase),
            Shape::Logic => self.logic(DEPTH),
            Shape::Filters => self.several(1, 6, |this| {
                if this.dice.below(3) == 0 { this.word() } else { this.filter() }
            }),
            Shape::Typos => self.several(1, 5, Self::typo),
            Shape::Unicode => self.several(1, 8, Self::unicode),
            Shape::Signs => self.several(1, 12, Self::signs),
            Shape::Long => self.long(),
            Shape::Mixed => {
                let others = Shape::ALL.len() - 1;
                self.several(1, 5, |this| {
                    let shape = Shape::ALL[this.dice.below(others)];
                    this.types(shape)
                })
            }
        };
        // Half of the time the last word is being typed.
        if self.dice.below(2) == 0 {
            typed.push(' ');
        }
        typed
    }

    /// At least so many and fewer than so many, with spaces between.
    fn several(
        &mut self,
        least: usize,
        below: usize,
        mut one: impl FnMut(&mut Self) -> String,
    ) -> String {
        let count = least + self.dice.below(below - least);
        (0..count).map(|_| one(self)).collect::<Vec<_>>().join(" ")
    }

    fn word(&mut self) -> String {
        self.texts.word(&mut self.dice).to_owned()
    }

    fn letter(&mut self) -> String {
        let letter = self.word().chars().next().unwrap_or('a');
        let star = if self.dice.below(3) == 0 { "" } else { "*" };
        format!("{letter}{star}")
    }

    /// Words as somebody said them, at times without an end.
    fn phrase(&mut self) -> String {
        let number = self.dice.below(self.texts.len());
        let words: Vec<&str> = self.texts.line(number).text.split_whitespace().collect();
        let from = self.dice.below(words.len());
        let count = 1 + self.dice.below(6);
        let some = words.get(from..).unwrap_or_default();
        let end = if self.dice.below(4) == 0 { "" } else { "\"" };
        format!("\"{}{end}", some[..count.min(some.len())].join(" ").replace('"', ""))
    }

    fn logic(&mut self, depth: usize) -> String {
        let count = 1 + self.dice.below(4);
        let mut typed = Vec::new();
        for place in 0..count {
            if place > 0 && self.dice.below(2) == 0 {
                typed.push("or".to_owned());
            }
            let not = if self.dice.below(4) == 0 { "-" } else { "" };
            let operand = match self.dice.below(6) {
                0 | 1 if depth > 0 => {
                    let end = if self.dice.below(8) == 0 { "" } else { ")" };
                    format!("({}{end}", self.logic(depth - 1))
                }
                2 => self.phrase(),
                3 => self.letter(),
                _ => self.word(),
            };
            typed.push(format!("{not}{operand}"));
        }
        typed.join(" ")
    }

    fn filter(&mut self) -> String {
        const NAMES: [&str; 10] = [
            "from:",
            "in:",
            "before:",
            "after:",
            "on:",
            "has:",
            "mentions:",
            "is:",
            "From:",
            "to:",
        ];
        const VALUES: [&str; 22] = [
            "me",
            "all",
            "today",
            "yesterday",
            "7d",
            "2w",
            "1d",
            "2015",
            "2015-03",
            "2015-03-31",
            "2015-02-30",
            "9999",
            "0",
            "-1",
            "99999999999d",
            "link",
            "media",
            "reaction",
            "thread",
            "nobody",
            "",
            "\"two words\"",
        ];
        let name = NAMES[self.dice.below(NAMES.len())];
        let not = if self.dice.below(5) == 0 { "-" } else { "" };
        let value = match self.dice.below(4) {
            0 if name.eq_ignore_ascii_case("from:") || name == "in:" => {
                self.people[self.dice.below(self.people.len())].handle.clone()
            }
            0 => self.word(),
            _ => VALUES[self.dice.below(VALUES.len())].to_owned(),
        };
        format!("{not}{name}{value}")
    }

    /// A word with one or two letters wrong.
    fn typo(&mut self) -> String {
        let mut letters: Vec<char> = self.word().chars().collect();
        for _ in 0..1 + self.dice.below(2) {
            let at = self.dice.below(letters.len());
            let letter = char::from(b'a' + self.dice.below(26) as u8);
            match self.dice.below(4) {
                0 => letters.insert(at, letter),
                1 if letters.len() > 1 => drop(letters.remove(at)),
                2 if at > 0 => letters.swap(at, at - 1),
                _ => letters[at] = letter,
            }
        }
        letters.into_iter().collect()
    }

    fn unicode(&mut self) -> String {
        // Beginnings and lengths of blocks.
        const BLOCKS: [(u32, u32); 14] = [
            (0x00c0, 0x180),
            (0x0300, 0x70),
            (0x0400, 0x100),
            (0x0590, 0x70),
            (0x0600, 0x100),
            (0x0900, 0x80),
            (0x0e00, 0x80),
            (0x1100, 0x100),
            (0x200b, 0x20),
            (0x3040, 0xc0),
            (0x4e00, 0x5000),
            (0xac00, 0x2b00),
            (0x1f300, 0x300),
            (0xfe00, 0x200),
        ];
        let (from, length) = BLOCKS[self.dice.below(BLOCKS.len())];
        let any = |this: &mut Self| {
            let (from, length) = match this.dice.below(8) {
                0 => BLOCKS[this.dice.below(BLOCKS.len())],
                1 => (0, 0x10_ffff),
                _ => (from, length),
            };
            char::from_u32(from + this.dice.below(length as usize) as u32).unwrap_or('\u{200d}')
        };
        let count = 1 + self.dice.below(12);
        (0..count).map(|_| any(self)).collect()
    }

    fn signs(&mut self) -> String {
        const SIGNS: &[u8] = b"\"\"\"()(()-:*+'.,/\\@#_&|~<>[]{}!?=%$^;` \t\n\0abz09";
        let count = 1 + self.dice.below(8);
        (0..count).map(|_| char::from(SIGNS[self.dice.below(SIGNS.len())])).collect()
    }

    fn long(&mut self) -> String {
        let kind = self.dice.below(5);
        let wanted = self.dice.below(LONG_BYTES);
        let mut typed = String::new();
        while typed.len() < wanted {
            match kind {
                0 => typed.push_str(&self.word()),
                1 => typed.push_str(&self.letter()),
                2 => typed.push_str("or "),
                3 => typed
                    .push(char::from_u32(0x4e00 + self.dice.below(0x5000) as u32).unwrap_or('a')),
                _ => {
                    let number = self.dice.below(self.texts.len());
                    typed.push_str(&self.texts.line(number).text);
                }
            }
            if kind < 2 {
                typed.push(' ');
            }
        }
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::super::texts::tests::texts;
    use super::*;

    #[test]
    fn every_shape_is_typed_and_few_are_too_long() {
        let texts = texts(&["ant bee cat", "\"quoted", "dog ?"]);
        let person = Person {
            user: hansard_model::UserId::from_entropy([1; 20]),
            device: hansard_model::DeviceId::from_entropy([2; 20]),
            token: String::new(),
            handle: "ana".to_owned(),
        };
        let people = [person];
        let mut typist = Typist { texts: &texts, people: &people, dice: Dice::new(5) };
        for shape in Shape::ALL {
            let typed: Vec<String> = (0..200).map(|_| typist.types(shape)).collect();
            assert!(typed.iter().any(|typed| !typed.trim().is_empty()), "{shape:?}");
            let short = typed.iter().filter(|typed| typed.len() < LONG_BYTES * 4).count();
            assert!(short > 100, "{shape:?}");
        }
    }
}
