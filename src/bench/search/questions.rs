//! What people ask, for both sides alike: words of messages that the asker may read.

use std::fmt::Write as _;

use super::super::dice::Dice;
use super::super::people::Person;
use super::texts::{Texts, words};
use super::world::{Said, World};

/// Attempts to find a message that has enough words.
const ATTEMPTS_MAX: usize = 10_000;
/// Letters of a word that is being typed.
const PREFIX_CHARS: std::ops::RangeInclusive<usize> = 2..=4;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    OneWord,
    TwoWords,
    ThreeWords,
    Phrase,
    Prefix,
    FromAndDate,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::OneWord,
        Self::TwoWords,
        Self::ThreeWords,
        Self::Phrase,
        Self::Prefix,
        Self::FromAndDate,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneWord => "one_word",
            Self::TwoWords => "two_words",
            Self::ThreeWords => "three_words",
            Self::Phrase => "phrase",
            Self::Prefix => "prefix",
            Self::FromAndDate => "from_and_date",
        }
    }
}

/// A question of a reader.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) kind: Kind,
    pub(super) reader: usize,
    /// As it is typed: a word that is complete has a space behind it.
    pub(super) typed: String,
    /// As FTS5 has it.
    pub(super) words: String,
    pub(super) sender: Option<usize>,
    pub(super) since_ms: Option<u64>,
}

/// Draws questions.
pub(super) struct Draw<'a> {
    pub(super) world: &'a World,
    pub(super) texts: &'a Texts,
    pub(super) people: &'a [Person],
    pub(super) now_ms: u64,
}

impl Draw<'_> {
    /// Questions, the kinds in turn; fewer when there are no messages for one.
    pub(super) fn questions(&self, count: usize, dice: &mut Dice) -> Vec<Question> {
        let kinds = Kind::ALL.into_iter().cycle().take(count);
        kinds.filter_map(|kind| self.question(kind, dice)).collect()
    }

    /// Words that are in one message, half of the time its rarest.
    fn question(&self, kind: Kind, dice: &mut Dice) -> Option<Question> {
        for _ in 0..ATTEMPTS_MAX {
            let reader = dice.below(self.world.of_readers.len());
            let chats = self.world.of_readers.get(reader)?;
            let turn = dice.below(self.world.turns());
            let number = turn * self.world.chats.len() + chats.get(dice.below(chats.len()))?;
            let Said { sender, text, .. } = self.world.said(self.texts, number);
            let found = words(text);
            let mut question = Question {
                kind,
                reader,
                typed: String::new(),
                words: String::new(),
                sender: None,
                since_ms: None,
            };
            let words = match kind {
                Kind::OneWord | Kind::FromAndDate => self.some(found, 1, dice),
                Kind::TwoWords => self.some(found, 2, dice),
                Kind::ThreeWords => self.some(found, 3, dice),
                Kind::Phrase => neighbours(&found, 2 + dice.below(2), dice),
                Kind::Prefix => self.some(found, 1, dice).and_then(|words| beginning(&words, dice)),
            };
            let Some(words) = words else { continue };
            match kind {
                Kind::OneWord | Kind::TwoWords | Kind::ThreeWords => {
                    question.typed = format!("{} ", words.join(" "));
                    question.words = format!("\"{}\"", words.join("\" \""));
                }
                Kind::Phrase => {
                    question.typed = format!("\"{}\"", words.join(" "));
                    question.words.clone_from(&question.typed);
                }
                Kind::Prefix => {
                    question.typed = words.join(" ");
                    question.words = format!("\"{}\"*", words.join(" "));
                }
                Kind::FromAndDate => {
                    let of = &self.people[sender].handle;
                    question.typed = format!("{} from:{of} after:1d ", words.join(" "));
                    question.words = format!("\"{}\"", words.join(" "));
                    question.sender = Some(sender);
                    question.since_ms = Some(self.now_ms.saturating_sub(DAY_MS));
                }
            }
            return Some(question);
        }
        None
    }

    /// So many different words of a message.
    fn some(
        &self,
        found: Vec<Option<String>>,
        count: usize,
        dice: &mut Dice,
    ) -> Option<Vec<String>> {
        let mut found: Vec<String> = found.into_iter().flatten().collect();
        found.sort_unstable();
        found.dedup();
        if found.len() < count {
            return None;
        }
        if dice.below(2) == 0 {
            found.sort_by_key(|word| self.texts.frequency(word));
        } else {
            for place in 0..count {
                let other = place + dice.below(found.len() - place);
                found.swap(place, other);
            }
        }
        found.truncate(count);
        Some(found)
    }
}

/// Words that stand one after the other.
fn neighbours(found: &[Option<String>], count: usize, dice: &mut Dice) -> Option<Vec<String>> {
    let windows = found
        .windows(count)
        .filter_map(|window| window.iter().cloned().collect::<Option<Vec<String>>>());
    let windows: Vec<Vec<String>> = windows.collect();
    windows.get(dice.below(windows.len())).cloned()
}

/// The first letters of a word that is longer.
fn beginning(words: &[String], dice: &mut Dice) -> Option<Vec<String>> {
    let word = words.first()?;
    let (least, most) = (*PREFIX_CHARS.start(), *PREFIX_CHARS.end());
    if word.chars().count() <= most {
        return None;
    }
    let count = least + dice.below(most + 1 - least);
    Some(vec![word.chars().take(count).collect()])
}

/// The path of a search.
pub(super) fn path(typed: &str) -> String {
    let mut path = "/v1/search?q=".to_owned();
    for byte in typed.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::super::corpus::stranger;
    use super::super::texts::tests::texts;
    use super::super::world::Size;
    use super::*;

    #[test]
    fn both_sides_are_asked_for_the_same_words() {
        let mut dice = Dice::new(3);
        let texts = texts(&["install the driver again please", "where is the kernel module now"]);
        let people: Vec<Person> = (0..20)
            .map(|index| Person {
                user: stranger(&mut dice),
                device: hansard_model::DeviceId::from_entropy([0; 20]),
                token: String::new(),
                handle: format!("person-{index}"),
            })
            .collect();
        let users = people.iter().map(|person| person.user).collect();
        let size = Size { messages: 40, conversations: 8, readers: 2, of_reader: 3 };
        let world = World::build(users, size, &mut dice).expect("a world");
        let draw = Draw { world: &world, texts: &texts, people: &people, now_ms: DAY_MS + 5 };
        let questions = draw.questions(60, &mut dice);
        assert_eq!(questions.len(), 60);
        for question in &questions {
            let bare = |text: &str| text.replace(['"', '*'], "").trim().to_owned();
            let typed = question.typed.split(" from:").next().unwrap_or_default();
            assert_eq!(bare(typed), bare(&question.words), "{question:?}");
            let is_prefix = question.kind == Kind::Prefix;
            assert_eq!(question.words.ends_with('*'), is_prefix, "{question:?}");
            let is_complete = question.typed.ends_with([' ', '"']);
            assert_eq!(is_complete, !is_prefix, "{question:?}");
            assert_eq!(question.since_ms, question.sender.map(|_| 5), "{question:?}");
        }
    }

    #[test]
    fn a_query_survives_its_way_in_a_path() {
        assert_eq!(path("a \"ü\""), "/v1/search?q=a%20%22%C3%BC%22");
    }
}
