//! What people find, against a model of what the log says they may read: whatever happened.
//!
//! The model knows nothing of indexes, folds and the search language: it keeps what was said and who
//! is where in plain lists, and asks each message whether it answers.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use hansard_model::{ConversationId, PartitionId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{direct, request};
use crate::fold::tests::{group, incoming, indexed, user, void};
use crate::index::View;
use crate::query::search;
use hansard_model::search::{SearchOrder, SearchOutcome, SearchRequest};

/// Some are the beginning of others, some a typo away from others.
const WORDS: [&str; 10] = [
    "tea",
    "teapot",
    "coffee",
    "coffees",
    "partition",
    "partitoin",
    "portion",
    "milk",
    "silk",
    "secret",
];
const PEOPLE: u8 = 6;
const GROUPS: u8 = 3;
/// Events of a history at most.
const EVENTS_MAX: usize = 60;
/// Queries that everybody asks after each history.
const QUERIES: usize = 6;

/// Something that is tried.
#[derive(Clone, Debug)]
struct Happening {
    at: ConversationId,
    sender: u8,
    /// It was stored too late, so it did not happen.
    void: bool,
    deed: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    Say { words: Vec<usize>, link: bool, media: bool, thread: bool, mentions: Vec<u8> },
    Edit { target: u64, words: Vec<usize> },
    Delete { target: u64 },
    React { target: u64, add: bool },
    Join { who: u8 },
    Part { who: u8, leave: bool },
    History { all: bool },
}

fn text(words: &[usize], link: bool) -> String {
    let words: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
    words.join(" ") + if link { " https://x.org/y" } else { "" }
}

/// A mention as it is written; 0 is everybody.
fn mention(of: u8) -> Value {
    if of == 0 { json!("all") } else { json!(user(of)) }
}

impl Deed {
    fn event(&self) -> Value {
        match self {
            Self::Say { words, link, media, thread, mentions } => {
                let mentions: Vec<Value> = mentions.iter().map(|of| mention(*of)).collect();
                let text = text(words, *link);
                let mut event = json!({"kind": "message", "text": text, "mentions": mentions});
                if *media {
                    event["media"] = json!([{"id": "m"}]);
                }
                if *thread {
                    event["thread"] = json!(1);
                }
                event
            }
            Self::Edit { target, words } => {
                json!({"kind": "edit", "target": target, "text": text(words, false)})
            }
            Self::Delete { target } => json!({"kind": "delete", "target": target}),
            Self::React { target, add } => {
                let op = if *add { "add" } else { "remove" };
                json!({"kind": "reaction", "target": target, "emoji": "👍", "op": op})
            }
            Self::Join { who } => json!({"kind": "member", "user": user(*who), "op": "add"}),
            Self::Part { who, leave } => {
                let op = if *leave { "leave" } else { "remove" };
                json!({"kind": "member", "user": user(*who), "op": op})
            }
            Self::History { all } => {
                json!({"kind": "settings", "history": if *all { "all" } else { "joined" }})
            }
        }
    }
}

/// A message as it stands.
#[derive(Clone, Debug)]
struct Said {
    at: ConversationId,
    seq: u64,
    sender: u8,
    words: Vec<usize>,
    link: bool,
    media: bool,
    thread: bool,
    mentions: Vec<u8>,
    reacted: BTreeSet<u8>,
}

/// What the log says.
#[derive(Default)]
struct World {
    said: Vec<Said>,
    /// From where on each member of each group sees it.
    members: HashMap<(ConversationId, u8), u64>,
    open: BTreeSet<String>,
}

impl World {
    fn happen(&mut self, seq: u64, happening: &Happening) {
        let Happening { at, sender, void, deed } = happening;
        let (at, sender) = (*at, *sender);
        if *void {
            return;
        }
        let message = |said: &&mut Said, target: u64| said.at == at && said.seq == target;
        match deed.clone() {
            Deed::Say { words, link, media, thread, mentions } => {
                let reacted = BTreeSet::new();
                let said = Said { at, seq, sender, words, link, media, thread, mentions, reacted };
                self.said.push(said);
            }
            Deed::Edit { target, words } => {
                if let Some(said) = self.said.iter_mut().find(|said| message(said, target)) {
                    (said.words, said.link, said.media) = (words, false, false);
                    said.mentions.clear();
                }
            }
            Deed::Delete { target } => {
                self.said.retain(|said| said.at != at || said.seq != target);
            }
            Deed::React { target, add } => {
                if let Some(said) = self.said.iter_mut().find(|said| message(said, target)) {
                    if add {
                        said.reacted.insert(sender);
                    } else {
                        said.reacted.remove(&sender);
                    }
                }
            }
            Deed::Join { who } => {
                let from = if self.open.contains(&at.to_string()) { 0 } else { seq };
                self.members.entry((at, who)).or_insert(from);
            }
            Deed::Part { who, .. } => {
                self.members.remove(&(at, who));
            }
            Deed::History { all: true } => {
                self.open.insert(at.to_string());
            }
            Deed::History { all: false } => {
                self.open.remove(&at.to_string());
            }
        }
    }

    fn may_read(&self, reader: u8, said: &Said) -> bool {
        if said.at.is_group() {
            self.members.get(&(said.at, reader)).is_some_and(|from| said.seq >= *from)
        } else {
            said.at.other(user(reader)).is_some()
        }
    }

    fn readable(&self, reader: u8) -> Vec<&Said> {
        self.said.iter().filter(|said| self.may_read(reader, said)).collect()
    }
}

/// What is looked for.
#[derive(Clone, Debug)]
enum Ask {
    Word(usize),
    Beginning(usize, usize),
    Phrase(Vec<usize>),
    From(u8),
    In(ConversationId),
    MentionsMe,
    Has(u8),
    IsThread,
    Not(Box<Ask>),
    Any(Vec<Ask>),
    All(Vec<Ask>),
}

impl Ask {
    fn answers(&self, reader: u8, said: &Said) -> bool {
        let has = |word: &str| said.words.iter().any(|of| WORDS[*of] == word);
        match self {
            Self::Word(word) => has(WORDS[*word]),
            Self::Beginning(word, letters) => {
                let beginning = &WORDS[*word][..*letters];
                said.words.iter().any(|of| WORDS[*of].starts_with(beginning))
            }
            Self::Phrase(words) => said.words.windows(words.len()).any(|part| part == words),
            Self::From(sender) => said.sender == *sender,
            Self::In(at) => said.at == *at,
            Self::MentionsMe => {
                said.sender != reader && said.mentions.iter().any(|of| *of == 0 || *of == reader)
            }
            Self::Has(0) => said.link,
            Self::Has(1) => said.media,
            Self::Has(_) => !said.reacted.is_empty(),
            Self::IsThread => said.thread,
            Self::Not(ask) => !ask.answers(reader, said),
            Self::Any(asks) => asks.iter().any(|ask| ask.answers(reader, said)),
            Self::All(asks) => asks.iter().all(|ask| ask.answers(reader, said)),
        }
    }

    /// Writes it as people do; whom and where it names.
    fn write(&self, query: &mut String, into: &mut (Vec<UserId>, Vec<ConversationId>)) {
        match self {
            Self::Word(word) => query.push_str(WORDS[*word]),
            Self::Beginning(word, letters) => {
                write!(query, "{}*", &WORDS[*word][..*letters]).unwrap();
            }
            Self::Phrase(words) => write!(query, "\"{}\"", text(words, false)).unwrap(),
            Self::From(sender) => {
                query.push_str("from:them");
                into.0.push(user(*sender));
            }
            Self::In(at) => {
                query.push_str("in:there");
                into.1.push(*at);
            }
            Self::MentionsMe => query.push_str("mentions:me"),
            Self::Has(what) => {
                let what = ["link", "media", "reaction"][usize::from(*what)];
                write!(query, "has:{what}").unwrap();
            }
            Self::IsThread => query.push_str("is:thread"),
            Self::Not(ask) => {
                query.push('-');
                ask.write(query, into);
            }
            Self::Any(asks) | Self::All(asks) => {
                let between = if matches!(self, Self::Any(_)) { " or " } else { " " };
                query.push('(');
                for (place, ask) in asks.iter().enumerate() {
                    query.push_str(if place == 0 { "" } else { between });
                    ask.write(query, into);
                }
                query.push(')');
            }
        }
    }

    fn request(&self, reader: u8) -> SearchRequest {
        let (mut query, mut named) = (String::new(), (Vec::new(), Vec::new()));
        self.write(&mut query, &mut named);
        let (people, conversations) = named;
        let (order, limit) = (SearchOrder::Time, 500);
        SearchRequest { people, conversations, order, limit, ..request(reader, &query) }
    }
}

fn any_place() -> impl Strategy<Value = ConversationId> {
    prop_oneof![
        3 => (1..=GROUPS).prop_map(group),
        1 => (1..=PEOPLE, 1..=PEOPLE).prop_map(|(one, other)| direct(one, other)),
    ]
}

fn any_words() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..WORDS.len(), 1..5)
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let target = 1_u64..EVENTS_MAX as u64;
    let rare = || prop::bool::weighted(0.2);
    let say = (any_words(), rare(), rare(), rare(), prop::collection::vec(0..=PEOPLE, 0..2));
    prop_oneof![
        10 => say.prop_map(|(words, link, media, thread, mentions)| {
            Deed::Say { words, link, media, thread, mentions }
        }),
        2 => (target.clone(), any_words()).prop_map(|(target, words)| Deed::Edit { target, words }),
        1 => target.clone().prop_map(|target| Deed::Delete { target }),
        1 => (target, any::<bool>()).prop_map(|(target, add)| Deed::React { target, add }),
        4 => (1..=PEOPLE).prop_map(|who| Deed::Join { who }),
        4 => (1..=PEOPLE, any::<bool>()).prop_map(|(who, leave)| Deed::Part { who, leave }),
        1 => any::<bool>().prop_map(|all| Deed::History { all }),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let is_void = prop::bool::weighted(0.08);
    (any_place(), 1..=PEOPLE, is_void, any_deed())
        .prop_map(|(at, sender, void, deed)| Happening { at, sender, void, deed })
        .prop_filter("people come and go in groups alone", |happening| {
            let is_of_groups = matches!(
                happening.deed,
                Deed::Join { .. } | Deed::Part { .. } | Deed::History { .. }
            );
            happening.at.is_group() || !is_of_groups
        })
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let word = 0..WORDS.len();
    let leaf = prop_oneof![
        6 => word.clone().prop_map(Ask::Word),
        2 => (word, 2_usize..4).prop_map(|(word, letters)| Ask::Beginning(word, letters)),
        2 => prop::collection::vec(0..WORDS.len(), 2..4).prop_map(Ask::Phrase),
        2 => (1..=PEOPLE).prop_map(Ask::From),
        2 => any_place().prop_map(Ask::In),
        1 => Just(Ask::MentionsMe),
        2 => (0_u8..3).prop_map(Ask::Has),
        1 => Just(Ask::IsThread),
    ];
    let not = leaf
        .clone()
        .prop_filter("what is excluded is a whole word", |ask| !matches!(ask, Ask::Beginning(..)));
    let any = prop::collection::vec(leaf.clone(), 2..4).prop_map(Ask::Any);
    let sought = prop_oneof![3 => leaf, 1 => any];
    let excluded = prop::collection::vec(not.prop_map(|ask| Ask::Not(Box::new(ask))), 0..2);
    (prop::collection::vec(sought, 1..3), excluded).prop_map(|(mut asks, excluded)| {
        asks.extend(excluded);
        Ask::All(asks)
    })
}

fn found(view: &View, request: &SearchRequest) -> BTreeSet<u64> {
    let outcome = search(view, PartitionId(0), request).expect("searched");
    let SearchOutcome::Found { hits, more, .. } = outcome else { panic!("{outcome:?}") };
    assert!(!more);
    let seqs: BTreeSet<u64> = hits.iter().map(|hit| hit.seq.0).collect();
    assert_eq!(seqs.len(), hits.len(), "nothing twice");
    seqs
}

/// Plays a history, and lets everybody ask everything.
fn check(happenings: &[Happening], every: usize, asks: &[Ask]) -> Result<(), TestCaseError> {
    let mut world = World::default();
    let mut log = Vec::new();
    let create = json!({"kind": "create", "members": [user(2)]});
    for number in 1..=GROUPS {
        let seq = u64::from(number);
        log.push(incoming(seq, group(number), 1, &create));
        world.members.extend([((group(number), 1), 0), ((group(number), 2), 0)]);
    }
    for happening in happenings {
        let seq = log.len() as u64 + 1;
        world.happen(seq, happening);
        let store = if happening.void { void } else { incoming };
        log.push(store(seq, happening.at, happening.sender, &happening.deed.event()));
    }
    let path = tempfile::tempdir().expect("a directory");
    let view = indexed(path.path(), &log, |place| place % every == 0).view();
    for reader in 1..=PEOPLE {
        let readable = world.readable(reader);
        let may: BTreeSet<u64> = readable.iter().map(|said| said.seq).collect();
        for ask in asks {
            let request = ask.request(reader);
            let expected: BTreeSet<u64> = readable
                .iter()
                .filter(|said| ask.answers(reader, said))
                .map(|said| said.seq)
                .collect();
            let found_exactly = found(&view, &request);
            prop_assert_eq!(&found_exactly, &expected, "{} asks {:?}", reader, request.query);
            let typos = found(&view, &SearchRequest { typos: true, ..request.clone() });
            prop_assert!(typos.is_subset(&may), "{} asks {:?}: {:?}", reader, request.query, typos);
            prop_assert!(
                typos.is_superset(&expected),
                "{} asks {:?} with typos: {:?} and not {:?}",
                reader,
                request.query,
                typos,
                expected
            );
        }
    }
    Ok(())
}

/// How many, each with the histories of three groups, from the environment for runs that are
/// longer than usual.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is not configuration")]
fn histories() -> u32 {
    std::env::var("HISTORIES").map_or(334, |text| text.parse().expect("a number"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_finds_what_they_may_not_read_and_everybody_finds_the_rest(
        happenings in prop::collection::vec(any_happening(), 1..EVENTS_MAX),
        every in 5_usize..60,
        asks in prop::collection::vec(any_ask(), QUERIES),
    ) {
        check(&happenings, every, &asks)?;
    }
}
