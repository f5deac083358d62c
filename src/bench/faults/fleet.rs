//! The processes under fault: a deployment and its clients, and what the clients said so far.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hansard_model::ConversationId;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::task::JoinHandle;

use super::client::Brief;
use super::injection::{Injection, Target};
use super::journal::{Journal, Said};
use crate::bench::deployment::{Bench, CAUGHT_UP_WITHIN};
use crate::bench::dice::Dice;
use crate::bench::people::{self, Person};
use crate::bench::process::{Process, Recipe, signal};
use crate::bench::{fanout, say};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long outboxes get to empty, and timelines to fill, once the faults are over.
const SETTLE_WITHIN: Duration = Duration::from_secs(240);

pub(super) struct Fleet {
    pub(super) began: Instant,
    pub(super) bench: Bench,
    pub(super) clients: Vec<Member>,
    /// With their members, by index.
    pub(super) conversations: Vec<(ConversationId, Vec<usize>)>,
}

/// A client over all its lives.
pub(super) struct Member {
    pub(super) person: Person,
    journal: Arc<Mutex<Journal>>,
    brief: Brief,
    recipe: Recipe,
    life: Option<Life>,
}

struct Life {
    process: Process,
    orders: ChildStdin,
    listening: JoinHandle<()>,
}

impl Member {
    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let mut process = self.recipe.start().await?;
        let (mut orders, mut lines) = (process.take_stdin()?, process.take_lines()?);
        // Another life makes other choices.
        self.brief.seed = self.brief.seed.wrapping_add(1);
        let mut line = serde_json::to_vec(&self.brief)?;
        line.push(b'\n');
        orders.write_all(&line).await?;
        let journal = Arc::clone(&self.journal);
        let name = self.recipe.name.clone();
        let listening = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                match serde_json::from_str::<Said>(&line) {
                    Ok(said) => journal.lock().unwrap_or_else(PoisonError::into_inner).note(said),
                    // Half a line is how the life of a process ends that was killed.
                    Err(error) => say(&format!("{name}: {error}")),
                }
            }
        });
        self.life = Some(Life { process, orders, listening });
        Ok(())
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        let life = self.life.take().context("the client is not running")?;
        life.process.kill().await?;
        // What it said before it died is read to the end.
        Ok(life.listening.await?)
    }

    fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.life.as_ref().context("the client is not running")?.process.pid())
    }
}

impl Fleet {
    pub(super) async fn start(
        bench: Bench,
        clients: usize,
        conversations: usize,
        pace: Duration,
        dice: &mut Dice,
    ) -> anyhow::Result<Self> {
        let people = people::create(&bench, clients).await?;
        let conversations = converse(&bench, &people, conversations, dice).await?;
        let mut members = Vec::with_capacity(clients);
        for (index, person) in people.into_iter().enumerate() {
            let name = format!("client-{index}");
            let store = bench.logs.join(format!("{name}.db"));
            let store = store.to_str().context("the directory's name is not UTF-8")?;
            let mut addresses: Vec<String> = bench
                .gateways
                .iter()
                .map(|gateway| format!("http://{}", gateway.address))
                .collect();
            // Half of the clients prefer the other gateway.
            let share = index % addresses.len().max(1);
            addresses.rotate_left(share);
            let mut args = vec!["bench", "client", "--store", store];
            args.extend(addresses.iter().flat_map(|address| ["--gateway", address.as_str()]));
            let brief = Brief {
                token: person.token.clone(),
                conversations: conversations
                    .iter()
                    .filter(|(_, members)| members.contains(&index))
                    .map(|(conversation, _)| *conversation)
                    .collect(),
                pace_ms: pace.as_millis() as u64,
                seed: dice.next(),
            };
            let recipe = Recipe::new(&name, &bench.logs, None, &args);
            let journal = Arc::default();
            let mut member = Member { person, journal, brief, recipe, life: None };
            member.start().await?;
            members.push(member);
        }
        Ok(Self { began: Instant::now(), bench, clients: members, conversations })
    }

    fn acks(&self) -> usize {
        self.clients.iter().map(|client| client.journal().acks).sum()
    }

    /// Waits until so many more messages were acknowledged.
    pub(super) async fn wait_for_acks(&self, more: usize, within: Duration) -> anyhow::Result<()> {
        let wanted = self.acks() + more;
        let deadline = Instant::now() + within;
        while self.acks() < wanted {
            if Instant::now() > deadline {
                bail!("no messages are acknowledged any more");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Carries out a fault; returns when the process runs again.
    pub(super) async fn inject(&mut self, injection: &Injection) -> anyhow::Result<()> {
        if let Some(pause) = injection.pause {
            let pid = self.pid(injection.target)?;
            signal(pid, Signal::STOP)?;
            tokio::time::sleep(pause).await;
            return signal(pid, Signal::CONT);
        }
        match injection.target {
            Target::NatsServer => {
                let before = self.bench.nats_server()?;
                signal(before, Signal::KILL)?;
                self.await_nats_server(before).await
            }
            Target::NatsSupervisor => {
                let nats = self.bench.nats.take().context("nats is stopped")?;
                let recipe = nats.kill().await?;
                self.bench.nats = Some(recipe.start().await?);
                Ok(())
            }
            Target::Gateway(index) => {
                let gateway = self.bench.gateways.get_mut(index).context("no such gateway")?;
                gateway.restart().await
            }
            Target::Projector(index) => {
                let projector =
                    self.bench.projectors.get_mut(index).context("no such projector")?;
                projector.process.restart().await
            }
            Target::Client(index) => {
                let client = self.clients.get_mut(index).context("no such client")?;
                client.kill().await?;
                client.start().await
            }
        }
    }

    fn pid(&self, target: Target) -> anyhow::Result<u32> {
        match target {
            Target::NatsServer => self.bench.nats_server(),
            Target::NatsSupervisor => {
                Ok(self.bench.nats.as_ref().context("nats is stopped")?.pid())
            }
            Target::Gateway(index) => {
                let gateway = self.bench.gateways.get(index).context("no such gateway")?;
                Ok(gateway.process.pid())
            }
            Target::Projector(index) => {
                let projector = self.bench.projectors.get(index).context("no such projector")?;
                Ok(projector.process.pid())
            }
            Target::Client(index) => self.clients.get(index).context("no such client")?.pid(),
        }
    }

    /// Waits for the supervisor to have started another nats-server.
    async fn await_nats_server(&self, before: u32) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.bench.nats_server().is_ok_and(|pid| pid != before) {
            if Instant::now() > deadline {
                bail!("nats-server is not started again");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Ends the load, and waits until all outboxes are empty and all timelines reach the log's end.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        for client in &mut self.clients {
            client.journal().idle = false;
            let life = client.life.as_mut().context("the client is not running")?;
            life.orders.write_all(b"stop\n").await?;
        }
        let deadline = Instant::now() + SETTLE_WITHIN;
        while !self.clients.iter().all(|client| client.journal().idle) {
            if Instant::now() > deadline {
                bail!("an outbox does not empty");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.bench.caught_up(CAUGHT_UP_WITHIN).await?;
        let ends = self.ends().await?;
        while !self.has_reached(&ends) {
            if Instant::now() > deadline {
                // Whoever judges says what is missing.
                say("a timeline does not reach the end of the log");
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The last valid event of each conversation.
    async fn ends(&self) -> anyhow::Result<HashMap<ConversationId, hansard_model::Seq>> {
        let mut ends = HashMap::new();
        for (conversation, _) in &self.conversations {
            let mut records =
                self.bench.log.replay(*conversation, hansard_model::Seq::ZERO, false).await?;
            while let Some(record) = records.recv().await {
                if !record.is_void() {
                    ends.insert(*conversation, record.seq);
                }
            }
        }
        Ok(ends)
    }

    fn has_reached(&self, ends: &HashMap<ConversationId, hansard_model::Seq>) -> bool {
        self.conversations.iter().all(|(conversation, members)| {
            let Some(end) = ends.get(conversation) else { return true };
            members.iter().all(|index| {
                let journal = self.clients[*index].journal();
                let timeline = journal.timelines.get(conversation);
                timeline.is_some_and(|timeline| timeline.contains_key(end))
            })
        })
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        for client in self.clients {
            if let Some(life) = client.life {
                drop(life.orders);
                life.process.stop().await?;
            }
        }
        self.bench.stop().await
    }
}

/// Conversations of the people: three in five direct, the others groups of three and more.
async fn converse(
    bench: &Bench,
    people: &[Person],
    count: usize,
    dice: &mut Dice,
) -> anyhow::Result<Vec<(ConversationId, Vec<usize>)>> {
    let mut pairs: Vec<(usize, usize)> =
        (0..people.len()).flat_map(|one| (0..one).map(move |other| (other, one))).collect();
    let mut conversations = Vec::with_capacity(count);
    let direct = (count * 3).div_ceil(5).min(pairs.len());
    for _ in 0..direct {
        let (one, other) = pairs.swap_remove(dice.below(pairs.len()));
        let conversation = ConversationId::direct(people[one].user, people[other].user);
        conversations.push((conversation, vec![one, other]));
    }
    for number in direct..count {
        let mut members: Vec<usize> = (0..people.len()).collect();
        let size = 3 + dice.below(people.len() - 2);
        while members.len() > size {
            members.swap_remove(dice.below(members.len()));
        }
        let group: Vec<Person> = members.iter().map(|index| people[*index].clone()).collect();
        let title = format!("group {number}");
        conversations.push((fanout::create_group(bench, &group, &title).await?, members));
    }
    // Nobody is left without a conversation.
    for index in 0..people.len() {
        if !conversations.iter().any(|(_, members)| members.contains(&index)) {
            let other = (index + 1) % people.len();
            let conversation = ConversationId::direct(people[index].user, people[other].user);
            conversations.push((conversation, vec![index, other]));
        }
    }
    Ok(conversations)
}
