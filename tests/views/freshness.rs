//! Reads that carry a position, of every kind, at the gateway that the write did not go through.

use std::net::SocketAddr;

use serde_json::Value;

use super::load::Company;
use crate::harness::{Dice, Response, Session, as_told, message, mint, seq_of};

/// Writes and reads back, and remembers what was older than it should have been.
pub(crate) struct Checker<'a> {
    company: &'a Company,
    gateways: Vec<SocketAddr>,
    /// Devices of the same people that nothing was acknowledged to, at each gateway.
    readers: Vec<Session>,
    dice: Dice,
    /// What was read.
    pub(crate) done: u64,
    /// Reads that were answered `unavailable`.
    pub(crate) unavailable: u64,
    /// Reads that did not include what they carried.
    pub(crate) stale: Vec<String>,
}

impl<'a> Checker<'a> {
    pub(crate) async fn new(
        company: &'a Company,
        gateways: &[SocketAddr],
        dice: &mut Dice,
    ) -> Self {
        let mut readers = Vec::new();
        for person in &company.people {
            readers.push(person.again().await);
        }
        Self {
            company,
            gateways: gateways.to_vec(),
            readers,
            dice: dice.another(),
            done: 0,
            unavailable: 0,
            stale: Vec::new(),
        }
    }

    /// So many checks.
    pub(crate) async fn run(&mut self, checks: u64) {
        for _ in 0..checks {
            self.check().await;
        }
    }

    /// Checks for as long as something else takes.
    pub(crate) async fn run_while(&mut self, other: impl Future<Output = ()>) {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                () = &mut other => return,
                () = self.check() => {}
            }
        }
    }

    /// Stores something through one gateway, and reads it through the other.
    async fn check(&mut self) {
        let company = self.company;
        let conversation = self.dice.one_of(&company.conversations);
        let members = company.members_of(conversation);
        let sender = *self.dice.one_of(&members);
        let here = usize::try_from(self.dice.below(self.gateways.len() as u64)).unwrap();
        let there = self.gateways[(here + 1) % self.gateways.len()];
        let from = [self.gateways[here]];
        let event = message(&format!("check {}", self.done));
        let seq = sender.store_at_last(&from, conversation, &mint(), &event).await;
        let is_member = |one: &&Session| members.iter().any(|member| member.user == one.user);
        let readers: Vec<&Session> = self.readers.iter().filter(is_member).collect();
        let reader = self.dice.one_of(&readers).at(there);
        let kind = self.dice.below(5);
        let path = match kind {
            0 => format!("/v1/conversations/{conversation}/messages?limit=1"),
            1 => format!("/v1/conversations/{conversation}/events?limit=1"),
            2 => format!("/v1/conversations/{conversation}/messages?around={seq}&limit=4"),
            3 => format!("/v1/conversations/{conversation}?"),
            _ => "/v1/conversations?".to_owned(),
        };
        let path = format!("{path}&min_seq={conversation}:{seq}").replace("?&", "?");
        let answer = patient(&reader, &path).await;
        self.done += 1;
        match answer.status {
            200 if reaches(&answer.body, conversation, seq) => {}
            200 => self.stale.push(format!("{path}: {}", answer.text)),
            503 => {
                assert_eq!(answer.code(), "unavailable", "{path}: {}", answer.text);
                self.unavailable += 1;
            }
            status => panic!("{path}: {status} {}", answer.text),
        }
    }
}

/// Slows down when it is told to; anything else is the answer.
async fn patient(reader: &Session, path: &str) -> Response {
    loop {
        let answer = reader.http.ask("GET", path, None).await;
        if answer.status != 429 {
            return answer;
        }
        let wait = answer.body["error"]["retry_after_ms"].as_u64().unwrap_or(50);
        as_told(wait).await;
    }
}

/// Whether an answer includes an event, or a later one of the same conversation.
fn reaches(body: &Value, conversation: &str, seq: u64) -> bool {
    let newest = |item: &Value| item["last"]["seq"].as_u64().unwrap_or(0);
    if let Some(items) = body["items"].as_array() {
        return items.iter().filter(|item| item["conversation"] == conversation).any(|item| {
            item["seq"].as_u64().is_some_and(|_| seq_of(item) >= seq) || newest(item) >= seq
        });
    }
    newest(body) >= seq
}
