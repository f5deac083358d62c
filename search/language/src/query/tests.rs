use std::fmt::Write as _;

use hansard_model::LogTime;
use proptest::prelude::*;
use time::UtcOffset;

use super::*;

/// A tree on one line.
fn shown(clause: &Clause) -> String {
    let list = |name: &str, clauses: &[Clause]| {
        let inner: Vec<String> = clauses.iter().map(shown).collect();
        format!("{name}({})", inner.join(" "))
    };
    let placed = |terms: &[PlacedTerm], prefix: bool| {
        let mut text = String::new();
        for (index, term) in terms.iter().enumerate() {
            let before = if index == 0 { 0 } else { terms[index - 1].offset };
            let gap = (term.offset - before).saturating_sub(1);
            let space = if index == 0 { "" } else { " " };
            write!(text, "{space}{}{}", "_ ".repeat(gap as usize), term.term).unwrap();
        }
        text + if prefix { "*" } else { "" }
    };
    match &clause.asks {
        Asks::All(clauses) => list("all", clauses),
        Asks::Any(clauses) => list("any", clauses),
        Asks::Not(clause) => format!("-{}", shown(clause)),
        Asks::Word(word) => {
            let ways = word.ways.iter().map(|way| match way {
                Way::Term(term) => term.clone() + if word.prefix { "*" } else { "" },
                Way::Phrase(terms) => format!("[{}]", placed(terms, word.prefix)),
            });
            ways.collect::<Vec<_>>().join("|")
        }
        Asks::Phrase(phrase) => format!("\"{}\"", placed(&phrase.terms, phrase.prefix)),
        Asks::From(name) => format!("from:{}", name.text),
        Asks::In(name) => format!("in:{}", name.text),
        Asks::Sent(sent) => format!("{:?}:{:?}", sent.relation, sent.moment),
        Asks::Has(has) => format!("has:{has:?}"),
        Asks::MentionsMe => "mentions:me".to_owned(),
        Asks::IsThread => "is:thread".to_owned(),
    }
}

/// The tree, or the problem with what it is about.
fn read(input: &str) -> String {
    match parse(input) {
        Ok(query) => shown(&query.root),
        Err(error) => format!("{:?} at <{}>", error.problem, &input[error.span]),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (input, expected) in cases {
        assert_eq!(read(input), *expected, "{input}");
    }
}

#[test]
fn words_must_all_be_there_and_the_last_is_being_typed() {
    check(&[
        ("hello", "hello*"),
        ("hello ", "hello"),
        ("Hello, wörld", "all(hello world*)"),
        ("hello?", "hello"),
        ("fire*", "fire*"),
        ("fire* fox ", "all(fire* fox)"),
        ("*bold* ", "bold"),
        ("can't don't ", "all(cant dont)"),
        ("naïve café", "all(naive cafe*)"),
        ("error: cannot open display", "all(error cannot open display*)"),
        ("apt-get ", "aptget|[apt get]"),
        ("apt-get", "aptget*|[apt get*]"),
        ("/etc/X11/xorg.conf ", "[etc x11 xorg conf]"),
        ("xorg.conf ", "xorgconf|[xorg conf]"),
        ("--flag ", "--flag|flag"),
        ("#ubuntu", "#ubuntu*|ubuntu*"),
        ("C++ c# .NET ", "all(c++ c# .net|net)"),
        ("2.6.32-5 ", "2.6.32-5|[2 6 32 5]"),
        ("日本語のテスト", "[日本 本語 語の のテ テス スト]"),
        ("日", "日"),
        ("日本x", "[日本 _ x*]"),
        ("👩‍👩‍👧", "👩\u{200d}👩\u{200d}👧"),
        ("👍🏽", "👍"),
        ("İstanbul", "istanbul*"),
        ("Привет ", "привет"),
        ("https://ubuntu.com/a", "[ubuntu com a*]"),
        ("nick: foo:bar http: error:x ", "all(nick [foo bar] http [error x])"),
        ("\u{202b}\u{200f}שלום", "שלום*"),
        ("a\0b ", "[a b]"),
        ("main() foo(bar) ", "all(main [foo bar])"),
    ]);
    assert_eq!(read(&format!("e{}", "\u{301}".repeat(500))), "e*");
}

#[test]
fn phrases_are_in_quotes_of_any_kind() {
    check(&[
        ("\"cannot open\" x ", "all(\"cannot open\" x)"),
        (
            "“cannot open” „auf zu“ «ici là» 「日本」",
            "all(\"cannot open\" \"auf zu\" \"ici la\" \"日本\")",
        ),
        ("\"cannot op", "\"cannot op*\""),
        ("\"cannot ", "\"cannot\""),
        ("\"unclosed", "\"unclosed*\""),
        ("\"日本語x y\"", "\"日本 本語 _ x y\""),
        ("\"apt-get install\"", "\"apt get install\""),
        ("15\" monitor", "all(15 monitor*)"),
        ("\"\" a ", "a"),
        ("-\"not this\" that ", "all(-\"not this\" that)"),
        ("\"from:ada\"", "\"from ada\""),
    ]);
}

#[test]
fn or_binds_tighter_than_a_space() {
    check(&[
        ("a or b ", "any(a b)"),
        ("a OR b c ", "all(any(a b) c)"),
        ("c a or b or d ", "all(c any(a b d))"),
        ("crash from:ada or from:bo", "all(crash any(from:ada from:bo))"),
        ("\"x y\" or (a b) ", "any(\"x y\" all(a b))"),
        ("(a or b) or c ", "any(a b c)"),
        ("or", "or*"),
        ("or or ", "or"),
        ("or or or ", "any(or or)"),
        ("a or", "a"),
        ("a or or b ", "all(any(a or) b)"),
        ("a or -- b ", "any(a b)"),
        ("a or :) b ", "any(a b)"),
        ("\"or\" a ", "all(\"or\" a)"),
        ("order ", "order"),
        ("(a or) ", "a"),
    ]);
}

#[test]
fn what_is_not_wanted_has_a_dash() {
    check(&[
        ("a -bo ", "all(a -bo)"),
        ("a -\u{65e5} ", "all(a -\u{65e5})"),
        ("dpkg --configure -a ", "all(dpkg --configure|configure a)"),
        ("head -5 x -p", "all(head 5 x p*)"),
        ("foo-bar -baz", "all(foobar|[foo bar] -baz)"),
        ("a -(b c) ", "all(a -all(b c))"),
        ("a -(b or c) ", "all(a -any(b c))"),
        ("a (-bo -cy) ", "all(a -bo -cy)"),
        ("from:ada -has:link", "all(from:ada -has:Link)"),
        ("a - b ", "all(a b)"),
        ("a -> b ", "all(a b)"),
        ("a -- b ", "all(a b)"),
        ("-ab", "OnlyNegations at <-ab>"),
        ("-ab -b", "all(-ab b*)"),
        ("-ab -bc", "OnlyNegations at <-ab -bc>"),
        ("x a or -bo", "OnlyNegations at <-bo>"),
        ("x -(-bo)", "OnlyNegations at <(-bo)>"),
        ("x (-bo) or c", "OnlyNegations at <(-bo)>"),
    ]);
}

#[test]
fn filters_are_read() {
    check(&[
        ("from:ada", "from:ada"),
        ("From:@ada hi", "all(from:ada hi*)"),
        ("from:\"Ada Lovelace\" in:#general", "all(from:Ada Lovelace in:general)"),
        ("in:“team chat” x ", "all(in:team chat x)"),
        ("from：ada", "from:ada"),
        ("(from:ada) x ", "all(from:ada x)"),
        ("has:link has:Media HAS:reaction", "all(has:Link has:Media has:Reaction)"),
        ("mentions:me is:thread", "all(mentions:me is:thread)"),
        ("on:2015 after:2015-3", "all(On:Year(2015) After:Month(2015, March))"),
        ("before:2015-03-01", "Before:Day(2015-03-01)"),
        ("on:today on:Yesterday", "all(On:DayBefore(0) On:DayBefore(1))"),
        ("after:7d before:2w", "all(After:DaysAgo(7) Before:DaysAgo(14))"),
        ("xfrom:ada from ", "all([xfrom ada] from)"),
    ]);
}

#[test]
fn what_cannot_be_answered_says_where() {
    check(&[
        ("", "Empty at <>"),
        (" -- :) (( ", "Empty at < -- :) (( >"),
        ("-", "Empty at <->"),
        ("\"\"", "Empty at <\"\">"),
        ("()", "Empty at <()>"),
        ("\0\u{202e}", "Empty at <\0\u{202e}>"),
        ("x from:", "NoValue(\"from\") at <from:>"),
        ("from: ada", "NoValue(\"from\") at <from:>"),
        ("in:\"\" x", "NoValue(\"in\") at <in:\"\">"),
        ("from:@", "NoValue(\"from\") at <from:@>"),
        ("a has:foo b", "UnknownHas at <foo>"),
        ("is:open", "UnknownIs at <open>"),
        ("mentions:ada", "UnknownMentions at <ada>"),
        ("on:2015-13", "BadDate at <2015-13>"),
        ("on:2015-02-29", "BadDate at <2015-02-29>"),
        ("on:2015-02-28-1", "BadDate at <2015-02-28-1>"),
        ("on:15", "BadDate at <15>"),
        ("after:d", "BadDate at <d>"),
        ("after:99999d", "BadDate at <99999d>"),
        ("after:9999w", "BadDate at <9999w>"),
        ("after:日", "BadDate at <日>"),
        ("((((((((( a", "TooDeep at <(>"),
    ]);
    let many = "a ".repeat(CLAUSES_MAX);
    assert!(parse(&many).is_ok());
    assert_eq!(read(&(many + "last")), "TooManyClauses at <last>");
    let long = "x".repeat(QUERY_BYTES_MAX);
    assert!(parse(&long).is_ok());
    assert_eq!(read(&(long + "é")), "TooLong at <é>");
    assert!(read(&"日".repeat(200)).starts_with("TooManyTerms at <日"));
    let sentence = parse("from: ada").unwrap_err().to_string();
    let expected =
        "from: needs its value right behind it; for the word itself write \"from\" in quotes";
    assert_eq!(sentence, expected);
}

#[test]
fn dates_are_days_of_who_asks() {
    let now = LogTime::parse("2016-03-01T23:30:00Z").unwrap();
    let east = UtcOffset::from_hms(2, 0, 0).unwrap();
    let bounds = |query: &str, offset: UtcOffset| {
        let Asks::Sent(sent) = parse(query).unwrap().root.asks else { panic!("{query}") };
        let Bounds { from, until } = sent.bounds(now, offset);
        let text = |time: Option<LogTime>| {
            time.map_or(String::new(), |time| time.to_string().replace(":00.000Z", ""))
        };
        format!("{}..{}", text(from), text(until))
    };
    let cases = [
        ("on:today", "2016-03-01T00:00..2016-03-02T00:00", "2016-03-01T22:00..2016-03-02T22:00"),
        (
            "on:yesterday",
            "2016-02-29T00:00..2016-03-01T00:00",
            "2016-02-29T22:00..2016-03-01T22:00",
        ),
        ("before:2016", "..2016-01-01T00:00", "..2015-12-31T22:00"),
        ("after:2015-12", "2016-01-01T00:00..", "2015-12-31T22:00.."),
        ("on:2016-02", "2016-02-01T00:00..2016-03-01T00:00", "2016-01-31T22:00..2016-02-29T22:00"),
        ("after:2016-02-29", "2016-03-01T00:00..", "2016-02-29T22:00.."),
        ("after:1d", "2016-02-29T23:30..", "2016-02-29T23:30.."),
        ("before:1w", "..2016-02-23T23:30", "..2016-02-23T23:30"),
        ("on:1d", "2016-02-29T00:00..2016-03-01T00:00", "2016-02-29T22:00..2016-03-01T22:00"),
        ("on:1969", "1970-01-01T00:00..1970-01-01T00:00", "1970-01-01T00:00..1970-01-01T00:00"),
        ("before:2500-12-31", "..2500-12-31T00:00", "..2500-12-30T22:00"),
        // The end of log time.
        ("before:9999", "..2554-07-21T23:34:33.709Z", "..2554-07-21T23:34:33.709Z"),
        ("on:0000", "1970-01-01T00:00..1970-01-01T00:00", "1970-01-01T00:00..1970-01-01T00:00"),
    ];
    for (query, in_utc, in_the_east) in cases {
        assert_eq!(bounds(query, UtcOffset::UTC), in_utc, "{query}");
        assert_eq!(bounds(query, east), in_the_east, "{query}");
    }
    let day = Bounds { from: LogTime::parse("2016-03-01T00:00:00Z").ok(), until: Some(now) };
    assert!(day.contains(day.from.unwrap()) && !day.contains(now));
    assert!(Bounds::default().contains(now));
}

#[test]
fn names_are_resolved_where_they_stand() {
    let query = parse("x from:me or -(y) in:\"a b\"").unwrap_err();
    assert_eq!(query.problem, QueryProblem::OnlyNegations);
    let query = parse("x from:me or from:ada -(in:\"a b\" y) ").unwrap();
    let resolved = query.clone().resolve(
        |person| Ok::<_, ()>(if person.is_me() { 1 } else { person.text.len() }),
        |conversation| Ok(conversation.text),
    );
    let resolved = resolved.unwrap();
    let mut people = Vec::new();
    let mut conversations = Vec::new();
    for (leaf, sought) in resolved.leaves() {
        if let Asks::From(person) = &leaf.asks {
            people.push((*person, sought));
        } else if let Asks::In(conversation) = &leaf.asks {
            conversations.push((conversation.as_str(), sought));
        }
    }
    assert_eq!(people, [(1, true), (3, true)]);
    assert_eq!(conversations, [("a b", false)]);
    let unknown =
        query.resolve(|_| Ok::<(), _>(()), |conversation| Err::<(), _>(conversation.span));
    assert_eq!(unknown.unwrap_err(), 27..32);
}

/// Pieces of queries, in any order.
fn input() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,6}",
        6 => prop::sample::select(vec![
            " ", " ", " ", "-", "(", ")", "\"", "“", "»", " or ", "or", "from:", "in:", "on:", "has:",
            "link", "is:thread", "mentions:me", "2015", "-03", "7d", "*", ":", "：", "@", "#", "'",
            "日本", "é", "\0", "\u{202e}", "👍🏽", "http://",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn check_form(clause: &Clause, input: &str) {
    assert!(input.get(clause.span.clone()).is_some(), "{clause:?}");
    let inner = |clauses: &[Clause]| {
        assert!(clauses.len() > 1, "{clauses:?}");
        for inner in clauses {
            assert!(clause.span.start <= inner.span.start && inner.span.end <= clause.span.end);
            check_form(inner, input);
        }
    };
    match &clause.asks {
        Asks::All(clauses) => {
            inner(clauses);
            assert!(clauses.iter().any(|clause| !matches!(clause.asks, Asks::Not(_))));
            assert!(!clauses.iter().any(|clause| matches!(clause.asks, Asks::All(_))));
        }
        Asks::Any(clauses) => {
            inner(clauses);
            let wrong = |clause: &Clause| matches!(clause.asks, Asks::Not(_) | Asks::Any(_));
            assert!(!clauses.iter().any(wrong));
        }
        Asks::Not(clause) => {
            assert!(!matches!(clause.asks, Asks::Not(_)));
            check_form(clause, input);
        }
        Asks::Word(word) => {
            assert!(!word.ways.is_empty());
            for way in &word.ways {
                assert!(
                    matches!(way, Way::Term(_)) || matches!(way, Way::Phrase(t) if t.len() > 1)
                );
            }
        }
        Asks::Phrase(phrase) => {
            assert_eq!(phrase.terms[0].offset, 0);
            assert!(phrase.terms.is_sorted_by(|one, next| one.offset < next.offset));
        }
        Asks::From(name) | Asks::In(name) => {
            assert!(!name.text.is_empty() && input.get(name.span.clone()).is_some());
        }
        Asks::Sent(_) | Asks::Has(_) | Asks::MentionsMe | Asks::IsThread => {}
    }
}

proptest! {
    #[test]
    fn every_text_is_a_query_or_an_error_with_a_place(input in input()) {
        match parse(&input) {
            Ok(query) => {
                prop_assert!(!matches!(query.root.asks, Asks::Not(_)));
                check_form(&query.root, &input);
            }
            Err(error) => {
                prop_assert!(input.get(error.span.clone()).is_some(), "{error:?}");
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn any_text_in_quotes_is_no_syntax(text in "[a-z:()\\-' ]{0,40}") {
        let quoted = format!("\"{text}\"");
        match parse(&quoted) {
            Ok(query) => prop_assert!(matches!(query.root.asks, Asks::Phrase(_))),
            Err(error) => prop_assert_eq!(error.problem, QueryProblem::Empty),
        }
    }
}
