//! Names that are looked for while they are typed: of people, handles, titles.
//!
//! A name is folded as the words of a message are, and each of its words may be the one that was
//! begun: `tim` fits "Tea time", `brien` and `obr` fit "O'Brien".
//! Several words must follow one another: `tea t` fits "Tea time".
//! Each character of a script without spaces begins a word, and so does an emoji.

use crate::analysis::{Class, class, fold};

/// A name, folded: its words with one space between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    text: String,
    /// Where what may be typed begins.
    starts: Vec<usize>,
}

/// How much of a name was typed, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// All of it.
    Whole,
    /// Its beginning.
    First,
    /// The beginning of a word within it.
    Later,
}

/// What was typed of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    folded: String,
    /// There is nothing but space.
    blank: bool,
    /// The last word is whole: a space follows it.
    finished: bool,
}

impl Folded {
    /// Folds a name, in time linear in it.
    pub fn of(name: &str) -> Self {
        let folded = fold(name);
        let mut read = Self { text: String::with_capacity(folded.len()), starts: Vec::new() };
        // What is before the next character ends a word, or is part of it.
        let (mut separated, mut begins) = (false, true);
        for c in folded.chars() {
            let class = if c.is_ascii_alphanumeric() {
                Class::Letter
            } else if c == '\'' {
                Class::Apostrophe
            } else if c.is_ascii() {
                Class::Other
            } else {
                class(c)
            };
            let is_word = match class {
                Class::Attached => false,
                Class::Letter => begins,
                Class::Dense | Class::Emoji => true,
                Class::Apostrophe => {
                    begins = true;
                    continue;
                }
                Class::Hyphenation | Class::Other => {
                    (separated, begins) = (true, true);
                    continue;
                }
            };
            if separated && !read.text.is_empty() {
                read.text.push(' ');
            }
            if is_word {
                read.starts.push(read.text.len());
            }
            read.text.push(c);
            (separated, begins) = (false, matches!(class, Class::Dense | Class::Emoji));
        }
        read
    }
}

impl Typed {
    /// Reads what was typed; a space at its end says that the last word is whole.
    pub fn read(typed: &str) -> Self {
        Self {
            folded: Folded::of(typed).text,
            blank: typed.trim().is_empty(),
            finished: typed.ends_with(char::is_whitespace),
        }
    }

    /// Whether nothing was typed yet: then every name is as good as another, and [`Typed::fit`]
    /// gives none.
    pub fn is_blank(&self) -> bool {
        self.blank
    }

    /// How a name fits what was typed of it; `None` when it does not.
    pub fn fit(&self, name: &Folded) -> Option<Fit> {
        if self.folded.is_empty() {
            return None;
        }
        let fits = |start: usize| {
            let rest = name.text.get(start..)?.strip_prefix(self.folded.as_str())?;
            let end = name.text.len() - rest.len();
            let ends = rest.is_empty() || rest.starts_with(' ') || name.starts.contains(&end);
            (!self.finished || ends).then_some(match start {
                0 if rest.is_empty() => Fit::Whole,
                0 => Fit::First,
                _ => Fit::Later,
            })
        };
        name.starts.iter().find_map(|start| fits(*start))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fit(typed: &str, name: &str) -> Option<Fit> {
        Typed::read(typed).fit(&Folded::of(name))
    }

    #[test]
    fn a_name_is_found_by_the_beginnings_of_its_words() {
        for (typed, name, expected) in [
            ("ada", "Ada", Some(Fit::Whole)),
            ("ad", "Ada Lovelace", Some(Fit::First)),
            ("lov", "Ada Lovelace", Some(Fit::Later)),
            ("ada l", "Ada  Lovelace", Some(Fit::First)),
            ("a l", "Ada Lovelace", None),
            ("da", "Ada", None),
            ("ada", "Bo and Ada", Some(Fit::Later)),
            ("time", "tea-time", Some(Fit::Later)),
            ("tea t", "#tea_time!", Some(Fit::First)),
            ("tea.time", "tea time", Some(Fit::Whole)),
            ("2015", "plans 2015", Some(Fit::Later)),
        ] {
            assert_eq!(fit(typed, name), expected, "{typed} of {name}");
        }
    }

    #[test]
    fn case_accents_and_width_make_no_difference() {
        for (typed, name) in [
            ("cafe", "CAFÉ"),
            ("CAFÉ", "cafe"),
            ("ｃａｆｅ", "Café"),
            ("strass", "Straße"),
            ("obr", "O'Brien"),
            ("o’b", "OBrien"),
            ("brien", "O’Brien"),
            ("語", "日本語部屋"),
            ("ガ", "ｶﾞｲﾄﾞ"),
            ("party", "🎉Party"),
            ("🎉", "The 🎉 party"),
            ("👍", "👍🏽 team"),
            ("йог", "Йога"),
        ] {
            assert!(fit(typed, name).is_some(), "{typed} of {name}");
        }
        assert_eq!(fit("ио", "Йога"), None);
    }

    #[test]
    fn a_word_that_a_space_follows_is_whole() {
        assert_eq!(fit("tea ", "Tea time"), Some(Fit::First));
        assert_eq!(fit("tea ", "Team"), None);
        assert_eq!(fit("tea ", "Team tea"), Some(Fit::Later));
        assert_eq!(fit("日 ", "日本"), Some(Fit::First));
    }

    #[test]
    fn nothing_is_not_the_beginning_of_everything() {
        assert!(Typed::read(" ").is_blank() && Typed::read("").is_blank());
        assert_eq!(fit("", "Ada"), None);
        assert!(!Typed::read("->").is_blank());
        assert_eq!(fit("->", "-> Ada"), None);
        assert_eq!(fit("a", "!?"), None);
    }

    proptest! {
        #[test]
        fn any_text_fits_itself_or_has_nothing_to_be_found_by(name in "\\PC{0,40}") {
            let folded = Folded::of(&name);
            let expected = (!folded.starts.is_empty() && folded.starts[0] == 0).then_some(Fit::Whole);
            prop_assert_eq!(Typed::read(name.trim_end()).fit(&folded), expected);
        }
    }
}
