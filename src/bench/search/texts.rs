//! What people said, and which words they used how often.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::bail;

use super::super::dice::Dice;
use crate::import::line;

/// Characters of a word that is asked for.
const WORD_CHARS: std::ops::RangeInclusive<usize> = 2..=20;

/// The texts of a chat, in their order.
pub(super) struct Texts {
    lines: Vec<Line>,
    /// Every word, with the messages that have it.
    frequency: HashMap<String, u32>,
    /// Every word, sorted.
    vocabulary: Vec<String>,
}

/// What somebody said.
pub(super) struct Line {
    /// Somebody: the same for the same nick.
    pub(super) speaker: u64,
    pub(super) text: String,
}

impl Texts {
    /// Reads what `hansard import` reads.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let lines = line::read(path)?.map(|line| {
            let line = line?;
            let mut hasher = DefaultHasher::new();
            line.nick.hash(&mut hasher);
            anyhow::Ok(Line { speaker: hasher.finish(), text: line.text })
        });
        Self::of(lines.collect::<Result<_, _>>()?)
    }

    fn of(lines: Vec<Line>) -> anyhow::Result<Self> {
        let mut frequency: HashMap<String, u32> = HashMap::new();
        for line in &lines {
            let mut found: Vec<String> = words(&line.text).into_iter().flatten().collect();
            found.sort_unstable();
            found.dedup();
            found.into_iter().for_each(|word| *frequency.entry(word).or_default() += 1);
        }
        if frequency.is_empty() {
            bail!("there are no words in the chat");
        }
        let mut vocabulary: Vec<String> = frequency.keys().cloned().collect();
        vocabulary.sort_unstable();
        Ok(Self { lines, frequency, vocabulary })
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// A line; after the last comes the first again.
    pub(super) fn line(&self, number: usize) -> &Line {
        &self.lines[number % self.lines.len()]
    }

    /// How many messages of the chat have a word.
    pub(super) fn frequency(&self, word: &str) -> u32 {
        self.frequency.get(word).copied().unwrap_or(0)
    }

    /// A word as often as people use it, or, half of the time, any word: mostly a rare one.
    pub(super) fn word(&self, dice: &mut Dice) -> &str {
        if dice.below(2) == 0 {
            for _ in 0..100 {
                let line = &self.lines[dice.below(self.lines.len())];
                let found: Vec<String> = words(&line.text).into_iter().flatten().collect();
                if let Some(word) = found.get(dice.below(found.len()))
                    && let Ok(place) = self.vocabulary.binary_search(word)
                {
                    return &self.vocabulary[place];
                }
            }
        }
        &self.vocabulary[dice.below(self.vocabulary.len())]
    }
}

/// The words between the spaces of a text, in lower case; `None` for what is no plain word: that is
/// taken apart by different analyses differently.
pub(super) fn words(text: &str) -> Vec<Option<String>> {
    let word = |piece: &str| {
        let piece = piece.trim_matches(|c| ".,:;!?()\"".contains(c));
        let is_plain = piece.chars().all(char::is_alphabetic)
            && WORD_CHARS.contains(&piece.chars().count())
            && !piece.eq_ignore_ascii_case("or");
        is_plain.then(|| piece.to_lowercase())
    };
    text.split_whitespace().map(word).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn texts(lines: &[&str]) -> Texts {
        let line = |(speaker, text): (u64, &&str)| Line { speaker, text: (*text).to_owned() };
        Texts::of((0..).zip(lines).map(line).collect()).expect("words")
    }

    #[test]
    fn words_are_what_every_analysis_takes_for_one() {
        let found = words("Hi, apt-get (works) or C++ not: é 10 ok");
        let found: Vec<_> = found.iter().map(|word| word.as_deref().unwrap_or("-")).collect();
        assert_eq!(found, ["hi", "-", "works", "-", "-", "not", "-", "-", "ok"]);
    }

    #[test]
    fn a_word_counts_once_in_a_message() {
        let texts = texts(&["tea tea Tea", "no tea", "?"]);
        assert_eq!(
            [texts.frequency("tea"), texts.frequency("no"), texts.frequency("x")],
            [2, 1, 0]
        );
        assert_eq!(texts.line(4).text, "no tea");
        let mut dice = Dice::new(1);
        assert!((0..50).all(|_| ["tea", "no"].contains(&texts.word(&mut dice))));
    }
}
