//! What is being typed at the end of a query, for whoever suggests how to go on.

use super::QueryError;
use super::parse::{Filter, Reader, closing_quotes};

/// Words at the end of a query that may be of one name, at most.
pub const WORDS_MAX: usize = 4;

/// What may be the beginning of a name, at the end of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished<'a> {
    /// Where it begins, with its filter if it has one, in bytes of the query; it goes on to the end
    /// of the query.
    pub start: usize,
    /// What may be meant.
    pub awaited: Awaited,
    /// What there is of the name, without filter, quote, `@` and `#`; blank when there is nothing
    /// yet.
    pub typed: &'a str,
}

/// What a name that is being typed may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A person, for `from:`.
    Person,
    /// A conversation, for `in:`.
    Conversation,
    /// Who asks, for `mentions:`.
    Me,
    /// A person or a conversation: there is no filter yet.
    Either,
}

/// What a query, as far as it was typed, may end with: the longest first.
///
/// It is empty where no name can be: in a phrase, behind other filters, right behind what is
/// finished.
/// At the end of `see tea t` it may be `see tea t`, `tea t` or `t`.
/// Nothing else of the query needs to be right.
///
/// # Errors
/// [`QueryProblem::TooLong`](super::QueryProblem::TooLong)
pub fn unfinished(input: &str) -> Result<Vec<Unfinished<'_>>, QueryError> {
    let mut reader = Reader::new(input)?;
    let mut words: Vec<Unfinished<'_>> = Vec::new();
    // Groups that are open; whether there is something that an `or` may follow.
    let (mut depth, mut follows, mut negated) = (0_usize, false, false);
    loop {
        reader.skip_spaces();
        let start = reader.at;
        let Some(c) = reader.peek() else { break };
        if matches!(c, '(' | ')') {
            reader.at += 1;
            depth = if c == '(' { depth + 1 } else { depth.saturating_sub(1) };
            words.clear();
            (follows, negated) = (c == ')', false);
            continue;
        }
        if c == '-' && !negated && reader.negates(depth) {
            reader.at += 1;
            words.clear();
            negated = true;
            continue;
        }
        let excluded = std::mem::take(&mut negated);
        if let Some((_, filter)) = reader.takes_filter() {
            let (typed, is_open) = value(&mut reader, depth);
            if is_open {
                let awaited = awaited(filter).into_iter();
                return Ok(awaited.map(|awaited| Unfinished { start, awaited, typed }).collect());
            }
            words.clear();
        } else if let Some(closing) = closing_quotes(c) {
            let (_, _, is_closed) = reader.quoted(c, closing);
            if !is_closed {
                return Ok(Vec::new());
            }
            words.clear();
        } else {
            reader.at = reader.word_end(depth);
            let (text, is_last) = (&input[start..reader.at], reader.at == input.len());
            if follows && !is_last && text.eq_ignore_ascii_case("or") {
                words.clear();
                follows = false;
                continue;
            }
            keep(&mut words, input, start, is_last);
            if excluded && !is_last {
                words.clear();
            }
        }
        follows = true;
    }
    if words.is_empty() && !input.ends_with(|c: char| !c.is_whitespace() && c != '(') {
        words.push(Unfinished { start: input.len(), awaited: Awaited::Either, typed: "" });
    }
    Ok(words)
}

fn awaited(filter: Filter) -> Option<Awaited> {
    match filter {
        Filter::From => Some(Awaited::Person),
        Filter::In => Some(Awaited::Conversation),
        Filter::Mentions => Some(Awaited::Me),
        Filter::Sent(_) | Filter::Has | Filter::Is => None,
    }
}

/// Passes over the value of a filter; says what there is of it up to the end of the query, and
/// whether it may go on there.
fn value<'a>(reader: &mut Reader<'a>, depth: usize) -> (&'a str, bool) {
    let (start, input) = (reader.at, reader.input);
    let quote = reader.peek().and_then(|c| Some((c, closing_quotes(c)?)));
    let (from, is_closed) = if let Some((quote, closing)) = quote {
        let (from, _, is_closed) = reader.quoted(quote, closing);
        (from, is_closed)
    } else {
        reader.at = reader.word_end(depth);
        (start, false)
    };
    let typed = input[from..].trim_start();
    let typed = typed.strip_prefix(['@', '#']).unwrap_or(typed);
    (typed, !is_closed && reader.at == input.len())
}

/// Takes note of a word that may be the first of a name.
fn keep<'a>(words: &mut Vec<Unfinished<'a>>, input: &'a str, start: usize, is_last: bool) {
    let (awaited, sign) = match input.as_bytes()[start] {
        b'@' => (Awaited::Person, 1),
        b'#' => (Awaited::Conversation, 1),
        b'-' => {
            words.clear();
            // An option of a command; or, with its first letter, what will be excluded.
            if is_last
                && input.len() - start == 2
                && input.as_bytes()[start + 1].is_ascii_alphanumeric()
            {
                let (start, typed) = (start + 1, &input[start + 1..]);
                words.push(Unfinished { start, awaited: Awaited::Either, typed });
            }
            return;
        }
        _ => (Awaited::Either, 0),
    };
    if sign > 0 {
        words.clear();
    }
    if words.len() >= WORDS_MAX {
        words.remove(0);
    }
    words.push(Unfinished { start, awaited, typed: &input[start + sign..] });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::QUERY_BYTES_MAX;

    /// What a query may end with, each with what is awaited, what would be replaced and the name.
    fn read(input: &str) -> Vec<String> {
        let found = unfinished(input).expect("a short query");
        let show = |found: &Unfinished<'_>| {
            let sign = match found.awaited {
                Awaited::Person => '@',
                Awaited::Conversation => '#',
                Awaited::Me => '!',
                Awaited::Either => '?',
            };
            format!("{sign}<{}>{}", &input[found.start..], found.typed)
        };
        found.iter().map(show).collect()
    }

    #[test]
    fn words_at_the_end_may_be_of_one_name() {
        assert_eq!(read("ad"), ["?<ad>ad"]);
        assert_eq!(read("see tea t"), ["?<see tea t>see tea t", "?<tea t>tea t", "?<t>t"]);
        assert_eq!(read("tea "), ["?<tea >tea "]);
        assert_eq!(read("a b c d e").len(), WORDS_MAX);
        assert_eq!(read("a or b"), ["?<b>b"]);
        assert_eq!(read("a or"), ["?<a or>a or", "?<or>or"]);
        assert_eq!(read("or b"), ["?<or b>or b", "?<b>b"]);
        assert_eq!(read("x @ad"), ["@<@ad>ad"]);
        assert_eq!(read("#tea t"), ["#<#tea t>tea t", "?<t>t"]);
        assert_eq!(read("@"), ["@<@>"]);
        assert_eq!(read("http://ex"), ["?<http://ex>http://ex"]);
    }

    #[test]
    fn an_unfinished_filter_says_what_fits() {
        assert_eq!(read("x from:ad"), ["@<from:ad>ad"]);
        assert_eq!(read("x FROM:@ad"), ["@<FROM:@ad>ad"]);
        assert_eq!(read("from:"), ["@<from:>"]);
        assert_eq!(read("from：ad"), ["@<from：ad>ad"]);
        assert_eq!(read("in:\"tea t"), ["#<in:\"tea t>tea t"]);
        assert_eq!(read("in:„tea "), ["#<in:„tea >tea "]);
        assert_eq!(read("(x or -in:te"), ["#<in:te>te"]);
        assert_eq!(read("mentions:m"), ["!<mentions:m>m"]);
        assert_eq!(read("from:ada"), ["@<from:ada>ada"], "there may be an adam");
    }

    #[test]
    fn where_no_name_can_be_there_is_none() {
        for input in [
            "has:li",
            "is:",
            "before:20",
            "\"tea t",
            "\"tea\"",
            "in:\"tea\"",
            "(tea)",
            "--no",
            "x ->",
            "from:ad -",
            "x --",
        ] {
            assert_eq!(read(input), [""; 0], "{input}");
        }
    }

    #[test]
    fn what_is_finished_is_behind_a_space() {
        for input in ["", " ", "from:ada ", "in:\"tea time\" ", "(", "(x) ", "has:link ", "-x "] {
            assert_eq!(read(input), ["?<>"], "{input}");
        }
        assert_eq!(read("from:ada te"), ["?<te>te"]);
        assert_eq!(read("from: te"), ["?<te>te"], "a mistake is no matter here");
    }

    #[test]
    fn what_is_excluded_stays_excluded() {
        assert_eq!(read("tea -ad"), ["?<ad>ad"]);
        assert_eq!(read("tea -a"), ["?<a>a"]);
        assert_eq!(read("tea -from:ad"), ["@<from:ad>ad"]);
        assert_eq!(read("-tea t"), ["?<t>t"]);
        assert_eq!(read("-(tea t"), ["?<tea t>tea t", "?<t>t"]);
    }

    #[test]
    fn what_is_too_long_for_a_query_is_too_long_here() {
        assert!(unfinished(&"x ".repeat(QUERY_BYTES_MAX / 2)).is_ok());
        assert!(unfinished(&"x".repeat(QUERY_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_has_an_end(input in "[a-d @#:()\"“-]{0,20}|(from:|in:|or |[a-c\" (-]){0,8}|\\PC{0,20}") {
            for found in unfinished(&input).expect("a short query") {
                prop_assert!(input.is_char_boundary(found.start) && input.ends_with(found.typed));
            }
        }
    }
}
