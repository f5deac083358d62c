//! The deployment that is searched.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use hansard_model::UserId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::corpus::Writer;
use super::super::deployment::{Bench, CAUGHT_UP_WITHIN, Plan, Searcher};
use super::super::dice::Dice;
use super::super::people::{self, Person};
use super::super::{machine, say};
use super::texts::Texts;
use super::world::{Size, World};
use super::{Args, searcher};

/// A deployment with all messages in it, searchable.
pub(super) struct Filled {
    pub(super) bench: Bench,
    searcher: Option<Searcher>,
    pub(super) people: Vec<Person>,
    pub(super) world: World,
    pub(super) texts: Texts,
    pub(super) writer: Writer,
    pub(super) dice: Dice,
}

pub(super) async fn fill(args: &Args, texts: Texts, seed: u64) -> anyhow::Result<Filled> {
    let plan = Plan { gateways: 1, projectors: 1, group_limit: 100, partitions: args.partitions };
    let bench = Bench::start(&args.place, plan).await?;
    let mut dice = Dice::new(seed ^ 1);
    let people = people::create(&bench, args.people).await?;
    let size = Size {
        messages: args.messages,
        conversations: args.conversations,
        readers: args.readers,
        of_reader: args.of_reader,
    };
    let users: Vec<UserId> = people.iter().map(|person| person.user).collect();
    let world = World::build(users, size, &mut dice)?;
    let mut writer = Writer::new(&bench.log, Dice::new(dice.next()));
    say(&format!("writing {} messages", args.messages));
    let began = Instant::now();
    world.write(&mut writer, &texts).await?;
    say(&format!("written in {:?}", began.elapsed()));
    let searcher = bench.start_searcher(None).await?;
    bench.caught_up(CAUGHT_UP_WITHIN).await?;
    searcher::searchable(&bench).await?;
    say(&format!("searchable after {:?}", began.elapsed()));
    searcher::merged(&searcher).await?;
    let searcher = Some(searcher);
    Ok(Filled { bench, searcher, people, world, texts, writer, dice })
}

impl Filled {
    pub(super) fn gateway(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.bench.gateways.first().context("a gateway")?.address)
    }

    /// Ends the searcher in order, and starts it with an empty page cache, where this process may
    /// empty it; whether it did.
    pub(super) async fn restart_searcher(&mut self) -> anyhow::Result<bool> {
        let Searcher { process, admin } = self.searcher.take().context("no searcher")?;
        let recipe = process.end().await?;
        let dropped = machine::drop_page_cache();
        self.searcher = Some(Searcher { process: recipe.start().await?, admin });
        searcher::searchable(&self.bench).await?;
        Ok(dropped)
    }

    pub(super) fn searcher(&self) -> anyhow::Result<&Searcher> {
        self.searcher.as_ref().context("no searcher")
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        if let Some(searcher) = self.searcher {
            searcher.process.stop().await?;
        }
        self.bench.stop().await
    }
}

/// Writes messages at a pace for a time; how many, and per second.
pub(super) async fn write(
    world: &World,
    texts: &Texts,
    writer: &mut Writer,
    rate: f64,
    length: Duration,
) -> anyhow::Result<(usize, f64)> {
    let (began, mut acks) = (Instant::now(), JoinSet::new());
    let count = (rate * length.as_secs_f64()) as usize;
    for number in 1..=count {
        tokio::time::sleep_until(began + Duration::from_secs_f64(number as f64 / rate)).await;
        let any = writer.pick(world.messages);
        acks.spawn(world.write_one(writer, texts, any).await?);
        while let Some(stored) = acks.try_join_next() {
            stored??;
        }
    }
    let took = began.elapsed();
    while let Some(stored) = acks.join_next().await {
        stored??;
    }
    Ok((count, count as f64 / took.as_secs_f64().max(0.001)))
}
