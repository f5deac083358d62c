//! A name as people type it behind a filter.

use super::{Asks, parse};

/// A name as it is written behind `from:` or `in:`, so that [`parse`] reads this name; `None` when
/// there is no way to write it, as for one with a quote in it.
pub fn written(name: &str) -> Option<String> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let text = if name.chars().all(is_plain) {
        name.to_owned()
    } else if name.starts_with(['@', '#']) {
        // One of them is no part of the name.
        format!("\"#{name}\"")
    } else {
        format!("\"{name}\"")
    };
    let query = parse(&format!("in:{text}")).ok()?;
    matches!(query.root.asks, Asks::In(read) if read.text == name).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_one_plain_word_has_quotes() {
        for (name, expected) in [
            ("ada", Some("ada")),
            ("日本", Some("日本")),
            ("tea time", Some("\"tea time\"")),
            ("#tea", Some("\"##tea\"")),
            ("tea)", Some("\"tea)\"")),
            ("tea, please!", Some("\"tea, please!\"")),
            ("the \"tea\"", None),
            ("the ”tea", None),
            (" tea", None),
            ("", None),
        ] {
            assert_eq!(written(name).as_deref(), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn it_is_read_as_the_name_wherever_it_stands(name in "[ a-z\"“\u{ab}()@#,.:-]{0,8}|\\PC{0,12}") {
            let Some(text) = written(&name) else { return Ok(()) };
            for (before, behind) in [("", ""), ("x -", ""), ("(x ", ")"), ("", " x")] {
                let query = parse(&format!("y {before}from:{text}{behind}")).expect("a query");
                let leaves = query.leaves();
                let read = leaves.iter().find_map(|(leaf, _)| {
                    let Asks::From(name) = &leaf.asks else { return None };
                    Some(name.text.as_str())
                });
                prop_assert_eq!(read, Some(name.as_str()));
            }
        }
    }
}
