//! Searchers that are killed or paused while they index, in processes of their own.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::time::Duration;

use hansard_model::search::SearchOutcome;
use hansard_model::{ConversationId, PartitionId, Seq};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::contents::{assert_same, committed};
use super::process::Process;
use super::rig::{Rig, group, user, within};
use super::{ANA, BEN, direct, manifest, message};

const KILLS: usize = 20;
const PARTITIONS: u16 = 2;
/// Between two events.
const PACE: Duration = Duration::from_millis(2);

/// Chances (xorshift64*), from a seed that a failing test shows.
struct Dice(Cell<u64>);

impl Dice {
    /// From `SEED` in the environment, or a new seed; printed either way.
    #[expect(clippy::disallowed_methods, reason = "how a failed run is repeated")]
    fn new() -> Self {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0)).max(1);
        println!("SEED={seed}");
        Self(Cell::new(seed))
    }

    fn below(&self, below: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) % below
    }

    fn one_of<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// Says and does things in a direct conversation and some groups.
struct Life<'a> {
    rig: &'a Rig,
    dice: &'a Dice,
    said: RefCell<Vec<(ConversationId, Seq)>>,
    last: RefCell<Vec<Seq>>,
}

impl<'a> Life<'a> {
    async fn begin(rig: &'a Rig, dice: &'a Dice) -> Self {
        let last = RefCell::new(vec![Seq::ZERO; usize::from(PARTITIONS)]);
        let life = Self { rig, dice, said: RefCell::default(), last };
        for number in 0..4 {
            let create = json!({"kind": "create", "members": [user(BEN), user(3)]});
            life.note(group(number), rig.append(group(number), ANA, create).await);
        }
        life
    }

    fn note(&self, at: ConversationId, seq: Seq) {
        let partition = self.rig.log.partition_of(at).index();
        self.last.borrow_mut()[partition] = seq;
    }

    fn last(&self, partition: u16) -> Seq {
        self.last.borrow()[usize::from(partition)]
    }

    /// Some message that was said.
    fn target(&self) -> Option<(ConversationId, Seq)> {
        let said = self.said.borrow();
        // Of the last ones rather: some of them are not committed.
        let recent = said.len().saturating_sub(if self.dice.below(2) == 0 { 20 } else { 5_000 });
        (!said.is_empty()).then(|| *self.dice.one_of(&said[recent..]))
    }

    fn words(&self) -> String {
        let words = ["tea", "green", "black", "Käse", "日本語", "https://x.org/a", "grub-install"];
        let count = 1 + self.dice.below(6);
        let words: Vec<&str> = (0..count).map(|_| *self.dice.one_of(&words)).collect();
        format!("{} {}", words.join(" "), self.dice.below(1_000))
    }

    /// For ever, at a pace that an index can follow.
    async fn go_on(&self) {
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            self.happen().await;
        }
    }

    /// What came of the event that it was about to cause when it ended, only the log knows.
    async fn end(&self) {
        for of in 0..PARTITIONS {
            let last = self.rig.log.last_seq(PartitionId(of)).await.expect("the log");
            self.last.borrow_mut()[usize::from(of)] = last;
        }
    }

    async fn happen(&self) {
        let dice = self.dice;
        let at = match dice.below(6) {
            0 => direct(),
            1 => ConversationId::direct(user(ANA), user(3)),
            _ => group(dice.below(4) as u8),
        };
        let sender = ANA + dice.below(2) as u8;
        let what = dice.below(20);
        if what < 9 || self.said.borrow().is_empty() {
            let seq = self.rig.append(at, sender, message(&self.words())).await;
            self.said.borrow_mut().push((at, seq));
            return self.note(at, seq);
        }
        let Some((of, target)) = self.target() else { return };
        let (at, event) = match what {
            9 => {
                let seq = self.rig.append_void(at, sender, message("void")).await;
                return self.note(at, seq);
            }
            10..=12 => (of, json!({"kind": "edit", "target": target, "text": self.words()})),
            13 | 14 => (of, json!({"kind": "delete", "target": target})),
            15..=17 => {
                let op = *dice.one_of(&["add", "remove"]);
                let emoji = *dice.one_of(&["👍", "🎉"]);
                (of, json!({"kind": "reaction", "target": target, "emoji": emoji, "op": op}))
            }
            _ => (group(dice.below(4) as u8), self.membership()),
        };
        self.note(at, self.rig.append(at, sender, event).await);
    }

    fn membership(&self) -> Value {
        let whom = user(3 + self.dice.below(6) as u8);
        match *self.dice.one_of(&["add", "add", "remove", "leave", "joined", "all"]) {
            history @ ("joined" | "all") => json!({"kind": "settings", "history": history}),
            op => json!({"kind": "member", "user": whom, "op": op}),
        }
    }
}

fn index(rig: &Rig, name: &str, partition: u16) -> PathBuf {
    rig.directory(name).join(partition.to_string()).join("1")
}

fn all_committed(rig: &Rig, name: &str) -> u64 {
    (0..PARTITIONS).map(|partition| committed(&index(rig, name, partition)).0).sum()
}

/// Asks for what was said last, again and again, so that there are many commits.
async fn ask_on(rig: &Rig, life: &Life<'_>) {
    loop {
        let mut question = rig.question(BEN, "tea ", &[]);
        question.min = (0..PARTITIONS).map(|of| (PartitionId(of), life.last(of))).collect();
        // Of a searcher that was killed there is no answer.
        let _ = tokio::time::timeout(Duration::from_millis(300), rig.ask(&question)).await;
    }
}

/// Kills a searcher again and again; how many of its indexes were behind the log then.
async fn kill_on(rig: &Rig, life: &Life<'_>) -> usize {
    let mut behind = 0;
    for number in 1..=KILLS {
        let before = all_committed(rig, "killed");
        let began = Instant::now();
        // The same name takes its leases again at once.
        let process = Process::start(rig, "killed", "killed");
        // One of four while it begins, the others while it indexes.
        let begins = life.dice.below(4) == 0;
        if !begins {
            within("a commit", async || (all_committed(rig, "killed") > before).then_some(()))
                .await;
        }
        let wait = Duration::from_micros(life.dice.below(700_000));
        tokio::time::sleep(wait).await;
        process.kill();
        let (told, left): (Vec<Seq>, Vec<Seq>) =
            (0..PARTITIONS).map(|of| (life.last(of), committed(&index(rig, "killed", of)))).unzip();
        println!("kill {number} after {:?}: committed {left:?} of {told:?}", began.elapsed());
        behind += told.iter().zip(&left).filter(|(told, left)| left < told).count();
    }
    behind
}

/// Waits until an index on the disk has all of the log.
async fn complete(rig: &Rig, life: &Life<'_>, name: &str) {
    let min = |of| (PartitionId(of), life.last(of));
    within("the rest of the log", async || {
        let mut question = rig.question(BEN, "tea ", &[]);
        question.min = (0..PARTITIONS).map(min).collect();
        let answers = rig.ask(&question).await;
        let is_found = |outcome: &SearchOutcome| matches!(outcome, SearchOutcome::Found { .. });
        let answered = answers.iter().filter(|answer| is_found(&answer.outcome)).count();
        (answered == usize::from(PARTITIONS)).then_some(())
    })
    .await;
    assert!((0..PARTITIONS).all(|of| committed(&index(rig, name, of)) <= life.last(of)));
}

#[tokio::test]
async fn a_searcher_that_is_killed_at_any_moment_ends_with_the_index_of_a_fresh_one() {
    let dice = Dice::new();
    let rig = Rig::start(PARTITIONS).await;
    let life = Life::begin(&rig, &dice).await;
    let behind = tokio::select! {
        behind = kill_on(&rig, &life) => behind,
        () = life.go_on() => unreachable!("life goes on"),
        () = ask_on(&rig, &life) => unreachable!("questions go on"),
    };
    assert!(behind >= KILLS / 4, "{behind} kills met an index that was behind: a test of nothing");

    life.end().await;
    let killed = Process::start(&rig, "killed", "killed");
    complete(&rig, &life, "killed").await;
    // What comes last is stored too.
    within("a snapshot of all", async || {
        let mut of = 0..PARTITIONS;
        let is_last = |of: u16| {
            let covers = manifest(&rig, of)?["position"]["seq"].as_u64()?;
            (covers == committed(&index(&rig, "killed", of)).0).then_some(())
        };
        of.all(|of| is_last(of).is_some()).then_some(())
    })
    .await;
    killed.stop().await;
    let restored = rig.searcher("restored", "restored").serving_all().await;
    complete(&rig, &life, "restored").await;
    restored.stop().await;
    std::fs::remove_dir_all(rig.data.path().join("objects/search")).expect("removed");
    let fresh = rig.searcher("fresh", "fresh").serving_all().await;
    complete(&rig, &life, "fresh").await;
    fresh.stop().await;
    for of in 0..PARTITIONS {
        assert_same(&index(&rig, "killed", of), &index(&rig, "fresh", of));
        assert_same(&index(&rig, "restored", of), &index(&rig, "fresh", of));
    }
    rig.stop().await;
}

#[tokio::test]
async fn an_owner_that_was_paused_changes_nothing_after_its_successor_began() {
    let rig = Rig::start(1).await;
    let at = direct();
    let paused = Process::start(&rig, "paused", "paused");
    let first = rig.append(at, ANA, message("tea of before")).await;
    assert_eq!(rig.found(BEN, "tea ", &[(at, first)]).await.len(), 1);
    paused.pause();
    let successor = rig.searcher("successor", "successor").serving_all().await;
    let edit = json!({"kind": "edit", "target": first, "text": "coffee"});
    rig.append(at, ANA, edit).await;
    let second = rig.append(at, ANA, message("tea of after")).await;
    let expected = [(PartitionId(0), second)];
    assert_eq!(rig.found(BEN, "tea ", &[(at, second)]).await, expected);
    let covers = |manifest: &Value| manifest["position"]["seq"].as_u64();
    within("the successor's snapshot", async || {
        (covers(&manifest(&rig, 0)?)? >= second.0).then_some(())
    })
    .await;
    // It has the lease that it had, and questions that came meanwhile.
    paused.resume();
    for _ in 0..100 {
        let question = rig.question(BEN, "tea ", &[]);
        let found = rig.ask(&question).await;
        let [answer] = &found[..] else { panic!("{found:?}") };
        let SearchOutcome::Found { hits, .. } = &answer.outcome else { panic!("{found:?}") };
        assert_eq!(hits.iter().map(|hit| hit.seq).collect::<Vec<_>>(), [second]);
        let manifest = manifest(&rig, 0).expect("a manifest");
        assert!(covers(&manifest) >= Some(second.0), "{manifest}");
    }
    paused.stop().await;
    successor.stop().await;
    assert!(committed(&index(&rig, "paused", 0)) < second);
    rig.stop().await;
}
