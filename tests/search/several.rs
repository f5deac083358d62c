//! Several searchers: who shares what, what is said while one is gone, and that nobody is shown
//! what they may not read, however far behind an index is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ask, find, found};
use crate::harness::{
    Dice, Plan, Roles, Session, Signal, direct, eventually, message, setting, sign_up,
};

/// What the issue allows from the death of a searcher to whole answers.
const WHOLE_WITHIN: Duration = Duration::from_secs(15);

async fn start() -> Roles {
    let roles = Roles::of(Plan { gateways: 1, projectors: 1, searchers: 2, ..Plan::default() });
    let roles = roles.await;
    // From here on nothing moves by itself.
    eventually("equal shares", async || owned(&roles).await == [2.0, 2.0]).await;
    roles
}

async fn owned(roles: &Roles) -> Vec<f64> {
    let mut owned = Vec::new();
    for searcher in &roles.searchers {
        owned.push(searcher.owned().await);
    }
    owned
}

async fn people<const N: usize>(roles: &Roles, names: [&str; N]) -> Vec<Session> {
    let mut sessions = Vec::new();
    for name in names {
        let address = roles.gateways[0].address;
        sessions.push(sign_up(address, name).await.log_in(address).await);
    }
    sessions
}

/// The conversations of an answer with the positions in them.
fn hits(list: &Value) -> BTreeSet<(String, u64)> {
    let items = list["items"].as_array().unwrap().iter();
    let of = |item: &Value| item["conversation"].as_str().unwrap().to_owned();
    items.zip(found(list)).map(|(item, seq)| (of(item), seq)).collect()
}

#[tokio::test]
async fn while_a_searcher_is_missing_every_answer_says_so_and_soon_they_are_whole_again() {
    let mut roles = start().await;
    let [ana, ben] = &people(&roles, ["ana", "ben"]).await[..] else { unreachable!() };
    let mut all = BTreeSet::new();
    for number in 0..16 {
        let group = ana.create_group(&format!("group {number}"), &[&ben.user]).await;
        let seq = ana.store(&group, &message(&format!("tea {number}"))).await;
        all.insert((group, seq));
    }
    let told_of: Vec<&str> = all.iter().map(|(group, _)| group.as_str()).collect();
    let query = "q=tea+&limit=100";
    assert_eq!(hits(&find(ben, query, &told_of).await), all);

    roles.searchers.remove(0).process.kill().await;
    let (killed, mut parts) = (Instant::now(), 0);
    loop {
        // What must be included is, or there is no answer.
        let (answer, awaited) = tokio::join!(ask(ben, query, &[]), ask(ben, query, &told_of));
        if awaited.status == 200 {
            assert_eq!(hits(&awaited.body), all, "{}", awaited.text);
        } else {
            assert_eq!(awaited.status, 503, "{}", awaited.text);
        }
        let shown = if answer.status == 200 { hits(&answer.body) } else { BTreeSet::new() };
        match (answer.status, answer.body["partial"] == true) {
            (200, false) => {
                assert_eq!(shown, all, "not whole, and does not say so");
                break;
            }
            (200, true) => assert!(shown.is_subset(&all), "{}", answer.text),
            (status, _) => assert_eq!(status, 503, "{}", answer.text),
        }
        parts += 1;
        assert!(killed.elapsed() < WHOLE_WITHIN, "after {parts} parts still {}", answer.text);
    }
    println!("whole again after {:?}, and {parts} parts", killed.elapsed());
    assert!(parts > 0, "nobody noticed");
    roles.stop().await;
}

#[tokio::test]
async fn a_position_is_waited_for_or_refused_and_never_answered_without() {
    let mut roles = start().await;
    let [ana, ben] = &people(&roles, ["ana", "ben"]).await[..] else { unreachable!() };
    let conversation = direct(&ana.user, &ben.user);
    for number in 0..10 {
        let seq = ana.store(&conversation, &message(&format!("tea{number}"))).await;
        let list = find(ben, &format!("q=tea{number}"), &[&conversation]).await;
        assert_eq!(found(&list), [seq]);
    }
    for searcher in &roles.searchers {
        searcher.process.signal(Signal::Stop);
    }
    ana.store(&conversation, &message("tea11")).await;
    let refused = ask(ben, "q=tea11", &[&conversation]).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    for searcher in &roles.searchers {
        searcher.process.signal(Signal::Continue);
    }
    assert_eq!(found(&find(ben, "q=tea11", &[&conversation]).await).len(), 1);
    roles.stop().await;
}

#[tokio::test]
async fn whoever_is_removed_is_shown_nothing_by_an_index_that_has_not_heard_of_it() {
    let mut roles = start().await;
    let [ana, ben] = &people(&roles, ["ana", "ben"]).await[..] else { unreachable!() };
    for round in 0..3 {
        let group = ana.create_group("tea time", &[&ben.user]).await;
        let text = format!("password{round} of the vault");
        let seq = ana.store(&group, &message(&text)).await;
        let query = format!("q=password{round}+");
        assert_eq!(found(&find(ben, &query, &[&group]).await), [seq]);
        // The question is there when the searchers go on, and they know nothing of the removal.
        for searcher in &roles.searchers {
            searcher.process.signal(Signal::Stop);
        }
        let asking = tokio::spawn({
            let (ben, query) = (ben.clone(), query.clone());
            async move { ask(&ben, &query, &[]).await }
        });
        let remove = json!({"kind": "member", "op": "remove", "user": ben.user});
        ana.store(&group, &remove).await;
        assert!(!asking.is_finished(), "answered by nobody");
        for searcher in &roles.searchers {
            searcher.process.signal(Signal::Continue);
        }
        for answer in [asking.await.unwrap(), ask(ben, &query, &[]).await] {
            assert!([200, 503].contains(&answer.status), "{}", answer.text);
            assert!(!answer.text.contains("vault"), "{}", answer.text);
            assert!(!answer.text.contains(&group), "{}", answer.text);
        }
        assert_eq!(found(&find(ben, &query, &[&group]).await), [0; 0]);
    }
    roles.stop().await;
}

#[tokio::test]
async fn words_of_others_are_told_to_nobody() {
    let mut roles = start().await;
    let [ana, ben, cem] = &people(&roles, ["ana", "ben", "cem"]).await[..] else { unreachable!() };
    let (theirs, mine) = (direct(&ana.user, &ben.user), direct(&cem.user, &cem.user));
    for number in 0..6 {
        ana.store(&theirs, &message(&format!("the reservoir plan {number}"))).await;
    }
    let own = cem.store(&mine, &message("a reservist came")).await;
    let told_of = [theirs.as_str(), mine.as_str()];
    // A letter away from both, a beginning of both, and what is excluded.
    for query in ["q=reservoit+", "q=reservo", "q=reservoit+-plan+", "q=reserv"] {
        let list = find(cem, query, &told_of).await;
        let text = list.to_string();
        assert!(!text.contains("reservoir") && !text.contains("plan"), "{query}: {text}");
        assert!(found(&list).iter().all(|seq| *seq == own), "{query}: {text}");
    }
    assert_eq!(found(&find(ben, "q=reservoit+", &told_of).await).len(), 6);
    roles.stop().await;
}

/// Who sees each group from where on, and what was said.
#[derive(Default)]
struct World {
    members: BTreeMap<(String, usize), u64>,
    said: Vec<(String, u64, &'static str)>,
}

impl World {
    fn answers(&self, reader: usize, word: &str) -> BTreeSet<(String, u64)> {
        let may = |group: &String, seq: u64| {
            self.members.get(&(group.clone(), reader)).is_some_and(|from| seq >= *from)
        };
        let said = self.said.iter().filter(|(group, seq, of)| *of == word && may(group, *seq));
        said.map(|(group, seq, _)| (group.clone(), *seq)).collect()
    }
}

#[tokio::test]
async fn random_memberships_are_those_of_every_answer() {
    const WORDS: [&str; 3] = ["green", "black", "white"];
    let mut roles = start().await;
    let people = people(&roles, ["ana", "ben", "cem", "dia"]).await;
    let (mut dice, mut world) = (Dice::new(), World::default());
    let mut groups = Vec::new();
    for number in 0..4 {
        let group = people[0].create_group(&format!("group {number}"), &[]).await;
        if number % 2 == 0 {
            let open = json!({"kind": "settings", "history": "all"});
            people[0].store(&group, &open).await;
        }
        world.members.insert((group.clone(), 0), 0);
        groups.push(group);
    }
    let told_of: Vec<&str> = groups.iter().map(String::as_str).collect();
    for _ in 0..setting("ROUNDS", 60) {
        let place = dice.below(4) as usize;
        let (group, whom) = (&groups[place], 1 + dice.below(3) as usize);
        let is_member = world.members.contains_key(&(group.clone(), whom));
        let word = *dice.one_of(&WORDS);
        if dice.below(2) == 0 {
            let seq = people[0].store(group, &message(word)).await;
            world.said.push((group.clone(), seq, word));
        } else if is_member {
            let leaves = dice.below(2) == 0;
            let (who, op) = if leaves { (whom, "leave") } else { (0, "remove") };
            let event = json!({"kind": "member", "op": op, "user": people[whom].user});
            people[who].store(group, &event).await;
            world.members.remove(&(group.clone(), whom));
        } else {
            let event = json!({"kind": "member", "op": "add", "user": people[whom].user});
            let seq = people[0].store(group, &event).await;
            let from = if place.is_multiple_of(2) { 0 } else { seq };
            world.members.insert((group.clone(), whom), from);
        }
        // At once, whatever the index has heard of: nothing that may not be read.
        let query = format!("q={word}+&limit=100");
        let answer = ask(&people[whom], &query, &[]).await;
        if answer.status == 200 {
            let may = world.answers(whom, word);
            assert!(hits(&answer.body).is_subset(&may), "{} and not {may:?}", answer.text);
        }
        // And, when it is waited for, all that may.
        let reader = dice.below(4) as usize;
        let list = find(&people[reader], &query, &told_of).await;
        assert_eq!(hits(&list), world.answers(reader, word), "{reader} asks {word}");
    }
    roles.stop().await;
}
