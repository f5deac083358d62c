//! People who talk, edit, react, delete and pin, each with an outbox, until they are told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{Dice, Session, direct, message, mint, sign_up};

/// Between two events of one person in one conversation. A person may ask a gateway 50 times a
/// second, and does more than send.
const SAY_EVERY: Duration = Duration::from_millis(120);
/// Events that are acknowledged between two kills, at most: a few seconds of talk.
const EVENTS_BETWEEN_MAX: u64 = 150;
/// They are acknowledged within this, whatever is killed meanwhile.
const SAID_WITHIN: Duration = Duration::from_secs(60);
/// What people react with.
const EMOJI: [&str; 3] = ["🎉", "👍", "❤️"];

/// What was acknowledged: by conversation and seq, who sent it and what.
pub(crate) type Acked = BTreeMap<(String, u64), (String, Value)>;

/// Everybody who talks.
pub(crate) struct Load {
    stop: CancellationToken,
    talking: Vec<JoinHandle<Acked>>,
    /// How many events were acknowledged so far.
    said: watch::Receiver<u64>,
}

/// Three people, the conversations they have, and the gateways they use.
pub(crate) struct Company {
    /// The people. The first owns the groups.
    pub(crate) people: Vec<Session>,
    /// Where they talk: all pairs, then groups of all three.
    pub(crate) conversations: Vec<String>,
    gateways: Vec<SocketAddr>,
}

/// What is known of a conversation by those who talk in it.
#[derive(Default)]
struct Known {
    /// Messages that stand: seq, sender, and whether a thread may begin there.
    messages: Vec<(u64, String, bool)>,
}

struct Talker {
    session: Session,
    others: Vec<String>,
    gateways: Vec<SocketAddr>,
    conversation: String,
    /// In a group only its admins may.
    may_pin: bool,
    known: Arc<Mutex<Known>>,
    dice: Dice,
    count: u64,
    said: Arc<watch::Sender<u64>>,
}

impl Company {
    /// Signs everybody up and creates so many groups.
    pub(crate) async fn gather(gateways: &[SocketAddr], groups: usize) -> Self {
        let mut people = Vec::new();
        for handle in ["ana", "ben", "cem"] {
            people.push(sign_up(gateways[0], handle).await.log_in(gateways[0]).await);
        }
        let mut conversations = vec![
            direct(&people[0].user, &people[1].user),
            direct(&people[1].user, &people[2].user),
            direct(&people[0].user, &people[2].user),
        ];
        for number in 0..groups {
            let members = [&*people[1].user, &*people[2].user];
            conversations.push(people[0].create_group(&format!("group {number}"), &members).await);
        }
        Self { people, conversations, gateways: gateways.to_vec() }
    }

    /// Who is in a conversation.
    pub(crate) fn members_of(&self, conversation: &str) -> Vec<&Session> {
        let is_group = conversation.starts_with("g.");
        self.people.iter().filter(|one| is_group || conversation.contains(&one.user)).collect()
    }

    /// Everybody begins to talk, in every conversation they are in.
    pub(crate) fn talk(&self, dice: &mut Dice) -> Load {
        let stop = CancellationToken::new();
        let (sender, said) = watch::channel(0);
        let sender = Arc::new(sender);
        let mut talking = Vec::new();
        for conversation in &self.conversations {
            let known = Arc::new(Mutex::new(Known::default()));
            let members = self.members_of(conversation);
            for member in &members {
                let others = members.iter().filter(|other| other.user != member.user);
                let talker = Talker {
                    session: (*member).clone(),
                    others: others.map(|other| other.user.clone()).collect(),
                    gateways: self.gateways.clone(),
                    conversation: conversation.clone(),
                    may_pin: !conversation.starts_with("g.") || member.user == self.people[0].user,
                    known: Arc::clone(&known),
                    dice: dice.another(),
                    count: 0,
                    said: Arc::clone(&sender),
                };
                talking.push(tokio::spawn(talker.run(stop.clone())));
            }
        }
        Load { stop, talking, said }
    }
}

impl Load {
    /// Waits until at least so many more events are acknowledged.
    pub(crate) async fn goes_on(&self, events: u64) {
        let mut said = self.said.clone();
        let wanted = *said.borrow() + events;
        let reached = said.wait_for(|said| *said >= wanted);
        match tokio::time::timeout(SAID_WITHIN, reached).await {
            Ok(reached) => drop(reached.expect("everybody talks until `end`")),
            Err(_) => panic!("not {events} more events within {SAID_WITHIN:?}"),
        }
    }

    /// Waits for a random moment of the talk.
    pub(crate) async fn goes_on_a_while(&self, dice: &mut Dice) {
        self.goes_on(1 + dice.below(EVENTS_BETWEEN_MAX)).await;
    }

    /// Everybody stops once what they are sending is acknowledged; all that was.
    pub(crate) async fn end(self) -> Acked {
        self.stop.cancel();
        let mut acked = Acked::new();
        for talking in self.talking {
            acked.extend(talking.await.unwrap());
        }
        assert!(acked.len() > 10, "hardly anything was said: {}", acked.len());
        acked
    }
}

impl Talker {
    async fn run(mut self, stop: CancellationToken) -> Acked {
        let mut acked = Acked::new();
        let mut pace = tokio::time::interval(SAY_EVERY);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            pace.tick().await;
            let event = self.next_event();
            let (session, conversation) = (&self.session, &self.conversation);
            let stored =
                session.try_to_store_at_last(&self.gateways, conversation, &mint(), &event).await;
            match stored {
                Ok(seq) => {
                    self.note(seq, &event);
                    let said = (self.session.user.clone(), event);
                    let key = (self.conversation.clone(), seq);
                    assert_eq!(acked.insert(key, said), None, "two acks of one seq");
                    self.said.send_modify(|said| *said += 1);
                }
                // Somebody else deleted the message meanwhile.
                Err(code) => assert_eq!(code, "not_found", "{event}"),
            }
        }
        acked
    }

    fn next_event(&mut self) -> Value {
        self.count += 1;
        let known = self.known.lock().unwrap();
        let of_mine: Vec<u64> = known
            .messages
            .iter()
            .filter(|(_, sender, _)| *sender == self.session.user)
            .map(|(seq, ..)| *seq)
            .collect();
        let roots: Vec<u64> =
            known.messages.iter().filter(|(.., root)| *root).map(|(seq, ..)| *seq).collect();
        let all: Vec<u64> = known.messages.iter().map(|(seq, ..)| *seq).collect();
        drop(known);
        let text = format!("{} of {}", self.count, self.session.user);
        let chance = self.dice.below(100);
        if roots.is_empty() || of_mine.is_empty() || chance < 45 {
            return self.with_mentions(message(&text));
        }
        match chance {
            45..55 => {
                let mut reply = message(&text);
                reply["thread"] = json!(self.dice.one_of(&roots));
                reply
            }
            55..60 => {
                let mut reply = message(&text);
                reply["reply_to"] = json!(self.dice.one_of(&all));
                reply
            }
            60..72 => {
                let target = self.dice.one_of(&of_mine);
                let edit = json!({"kind": "edit", "target": target, "text": format!("{text}!")});
                self.with_mentions(edit)
            }
            72..78 => json!({"kind": "delete", "target": self.dice.one_of(&of_mine)}),
            78..92 => {
                let op = if self.dice.below(4) == 0 { "remove" } else { "add" };
                let (target, emoji) = (self.dice.one_of(&all), EMOJI[(chance % 3) as usize]);
                json!({"kind": "reaction", "target": target, "emoji": emoji, "op": op})
            }
            _ if !self.may_pin => message(&text),
            _ => {
                let op = if self.dice.below(3) == 0 { "remove" } else { "add" };
                json!({"kind": "pin", "target": self.dice.one_of(&all), "op": op})
            }
        }
    }

    fn with_mentions(&mut self, mut event: Value) -> Value {
        match self.dice.below(4) {
            0 => event["mentions"] = json!([self.dice.one_of(&self.others.clone())]),
            1 => event["mentions"] = json!(["all"]),
            _ => {}
        }
        event
    }

    fn note(&self, seq: u64, event: &Value) {
        let mut known = self.known.lock().unwrap();
        if event["kind"] == "message" {
            let is_root = event["thread"].is_null();
            known.messages.push((seq, self.session.user.clone(), is_root));
        }
        if let (true, Some(target)) = (event["kind"] == "delete", event["target"].as_u64()) {
            known.messages.retain(|(seq, ..)| *seq != target);
        }
    }
}
