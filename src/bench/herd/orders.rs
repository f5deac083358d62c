//! What the bench and its processes full of clients say to each other: a brief and orders on
//! standard input, one line of answer to each order on standard output.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use hansard_model::ConversationId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bench::people::Person;

/// The first line on standard input.
#[derive(Serialize, Deserialize)]
pub(super) struct Brief {
    /// Where clients ask first.
    pub(super) gateways: Vec<String>,
    /// They come spread evenly over this long.
    pub(super) arrive_within: Duration,
    pub(super) members: Vec<Member>,
}

/// Somebody in a group.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) person: Person,
    pub(super) region: String,
    pub(super) group: ConversationId,
    /// How often they say something; `None`: they listen.
    pub(super) every: Option<Duration>,
}

/// What the bench wants.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// [`Totals`].
    Look,
    /// A list of [`Progress`]: of all clients, or of those who speak.
    Progress {
        /// Only of those.
        speakers: bool,
    },
    /// Begins another phase, in which speakers speak or do not; [`Report`] of the one that ends.
    Begin {
        /// Whether they speak.
        speak: bool,
    },
}

/// How it is, and what happened since the clients were started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) clients: usize,
    /// Caught up and connected now.
    pub(super) synced: usize,
    /// Connections that were lost.
    pub(super) losses: usize,
    /// Sends without an answer now.
    pub(super) unanswered: usize,
    pub(super) said: u64,
    pub(super) acked: u64,
    /// Sends that were refused for good.
    pub(super) failed: u64,
    /// Sends that got another id.
    pub(super) renamed: u64,
    /// Messages that did not come between two others that did.
    pub(super) lost: u64,
    /// Messages that came again, or after a later one.
    pub(super) doubled: u64,
    /// Catch-ups that left events out: whether one of those is lost was not looked at.
    pub(super) gaps: u64,
}

/// What happened in a phase.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) totals: Totals,
    /// Messages received.
    pub(super) events: usize,
    /// What came to clients that kept their connection.
    pub(super) live: Vec<Delivery>,
    /// When messages were said whose senders lost their connection before these were acknowledged:
    /// how long they took says when the sender was back.
    pub(super) interrupted_at_us: Vec<u64>,
    /// When clients that had lost their connection were caught up, by the wall clock.
    pub(super) back_at_us: Vec<u64>,
    /// From the first byte to `welcome`, in microseconds.
    pub(super) accepted_us: Vec<u64>,
    /// From the first byte to the refusal of a connection, in microseconds.
    pub(super) refused_us: Vec<u64>,
    /// Refusals that said when to come again.
    pub(super) hinted: usize,
    /// Attempts to connect that ended without an answer.
    pub(super) unanswered_attempts: usize,
    /// Questions where to connect that got no answer.
    pub(super) unanswered_questions: usize,
    /// Sends that were refused, by code.
    pub(super) send_refusals: BTreeMap<String, usize>,
    /// Sends that were acknowledged.
    pub(super) acks: Vec<Acked>,
}

/// A message that came.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Delivery {
    /// When it was said, by the wall clock, in microseconds.
    pub(super) said_at_us: u64,
    /// How long it took, in microseconds.
    pub(super) took_us: u64,
}

/// A message on its way to clients that kept their connection, in microseconds after it was said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    said_at_us: u64,
    acked_us: Option<u64>,
    first_us: u64,
    last_us: u64,
}

impl Message {
    /// With the moment it was said at, counted from `start_us` by the wall clock.
    pub(super) fn describe(self, start_us: u64) -> Value {
        let ms = |micros: u64| micros as f64 / 1e3;
        json!({
            "said_after_ms": (self.said_at_us as f64 - start_us as f64) / 1e3,
            "acked_ms": self.acked_us.map(ms),
            "first_ms": ms(self.first_us),
            "last_ms": ms(self.last_us),
        })
    }
}

/// A send that was acknowledged. Moments are microseconds of the wall clock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Acked {
    pub(super) said_at_us: u64,
    pub(super) acked_at_us: u64,
    /// Whether it was refused before.
    pub(super) was_refused: bool,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) group: ConversationId,
    /// The number of the last message that it received.
    pub(super) number: u64,
    /// How many it has said itself; `None`: it listens.
    pub(super) said: Option<u64>,
    /// When the last message was said that was acknowledged, by the wall clock.
    pub(super) acked_said_at_us: u64,
}

impl Report {
    /// From a send to a client that kept its connection, in microseconds, where the sender kept
    /// theirs, or (`interrupted`) did not.
    pub(super) fn live_us(&self, interrupted: bool) -> Vec<u64> {
        let cut: HashSet<u64> = self.interrupted_at_us.iter().copied().collect();
        let is_asked = |delivery: &&Delivery| cut.contains(&delivery.said_at_us) == interrupted;
        self.live.iter().filter(is_asked).map(|delivery| delivery.took_us).collect()
    }

    /// From a send to its acknowledgement, in microseconds.
    pub(super) fn acked_us(&self) -> Vec<u64> {
        self.acks.iter().map(|ack| ack.acked_at_us.saturating_sub(ack.said_at_us)).collect()
    }

    /// The messages that came last of all to clients that kept their connection, the latest first,
    /// without those of senders who lost theirs.
    pub(super) fn slowest(&self, count: usize) -> impl Iterator<Item = Message> {
        let cut: HashSet<u64> = self.interrupted_at_us.iter().copied().collect();
        let acked: HashMap<u64, u64> = self
            .acks
            .iter()
            .map(|ack| (ack.said_at_us, ack.acked_at_us.saturating_sub(ack.said_at_us)))
            .collect();
        let mut messages: HashMap<u64, Message> = HashMap::new();
        let kept = self.live.iter().filter(|delivery| !cut.contains(&delivery.said_at_us));
        for &Delivery { said_at_us, took_us } in kept {
            let message = messages.entry(said_at_us).or_insert(Message {
                said_at_us,
                acked_us: acked.get(&said_at_us).copied(),
                first_us: took_us,
                last_us: took_us,
            });
            message.first_us = message.first_us.min(took_us);
            message.last_us = message.last_us.max(took_us);
        }
        let mut messages: Vec<Message> = messages.into_values().collect();
        messages.sort_unstable_by_key(|message| std::cmp::Reverse(message.last_us));
        messages.into_iter().take(count)
    }

    /// The same phase in another process.
    pub(super) fn add(&mut self, other: Self) {
        self.totals.add(&other.totals);
        self.events += other.events;
        self.live.extend(other.live);
        self.interrupted_at_us.extend(other.interrupted_at_us);
        self.back_at_us.extend(other.back_at_us);
        self.accepted_us.extend(other.accepted_us);
        self.refused_us.extend(other.refused_us);
        self.hinted += other.hinted;
        self.unanswered_attempts += other.unanswered_attempts;
        self.unanswered_questions += other.unanswered_questions;
        for (code, count) in other.send_refusals {
            *self.send_refusals.entry(code).or_default() += count;
        }
        self.acks.extend(other.acks);
    }
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.synced += other.synced;
        self.losses += other.losses;
        self.unanswered += other.unanswered;
        self.said += other.said;
        self.acked += other.acked;
        self.failed += other.failed;
        self.renamed += other.renamed;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.gaps += other.gaps;
    }
}

/// Now, in microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "what is sent and received in two processes")]
pub(super) fn wall_us() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
