//! From the acknowledgement of a message until it is found.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;
use hansard_model::{ConversationId, Seq, UserId};
use hansard_protocol::http::SearchList;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::super::corpus::Writer;
use super::super::dice::Dice;
use super::super::http::{Ask, Client};
use super::super::machine::CoreTime;
use super::super::report::Latency;
use super::super::say;
use super::filled::{self, Filled};
use super::questions::path;
use super::{Args, stolen_since};

/// Between two looks for a word.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a word is looked for.
const FOUND_WITHIN: Duration = Duration::from_secs(30);
/// Random pause before the next word, at most.
const PAUSE_MS_MAX: usize = 500;
/// Letters of a word that nobody said before.
const WORD_LETTERS: usize = 14;

/// What the words of one reader came to.
#[derive(Default)]
struct Probed {
    nanos: Vec<u64>,
    never: usize,
    /// Looks that were refused for being too many, which makes what is found later.
    refused: usize,
}

pub(super) async fn run(args: &Args, filled: &mut Filled) -> anyhow::Result<Value> {
    ensure!(args.probes <= args.readers, "more probes than readers");
    let cores = CoreTime::read()?;
    let length = Duration::from_secs_f64(args.freshness_seconds);
    let gateway = filled.gateway()?;
    let until = Instant::now() + length;
    let mut probes = Vec::new();
    for reader in 0..args.probes {
        let dice = Dice::new(filled.dice.next());
        let writer = Writer::new(&filled.bench.log, Dice::new(filled.dice.next()));
        let said = filled.world.of_readers[reader].iter().map(|chat| {
            let chat = &filled.world.chats[*chat];
            // The reader is the first: what others say is what is looked for.
            (chat.id, filled.world.people[chat.members[1]])
        });
        let probe = Probe {
            gateway,
            token: filled.people[reader].token.clone(),
            chats: said.collect(),
            writer,
            dice,
        };
        probes.push(probe.look(until));
    }
    let (world, texts) = (&filled.world, &filled.texts);
    let writing = filled::write(world, texts, &mut filled.writer, args.writes_per_second, length);
    let (probed, written) = tokio::join!(try_join_all(probes), writing);
    let (probed, (_, per_s)) = (probed?, written?);
    let never: usize = probed.iter().map(|probed| probed.never).sum();
    let refused: usize = probed.iter().map(|probed| probed.refused).sum();
    let latency = Latency::of(probed.into_iter().flat_map(|probed| probed.nanos).collect());
    say(&format!("freshness: p99 {:.0} ms", latency.p99_us / 1e3));
    Ok(json!({
        "written_per_s": per_s,
        "ack_to_found": latency,
        "never_found": never,
        "looks_refused": refused,
        "stolen": stolen_since(cores)?,
    }))
}

/// Somebody who looks for what was just said.
struct Probe {
    gateway: SocketAddr,
    token: String,
    /// Where, and who else is there.
    chats: Vec<(ConversationId, UserId)>,
    writer: Writer,
    dice: Dice,
}

impl Probe {
    async fn look(mut self, until: Instant) -> anyhow::Result<Probed> {
        let mut probed = Probed::default();
        let mut client = Client::open(self.gateway).await?;
        while Instant::now() < until && !self.chats.is_empty() {
            let pause = Duration::from_millis(self.dice.below(PAUSE_MS_MAX) as u64);
            tokio::time::sleep(pause).await;
            let letters = (0..WORD_LETTERS).map(|_| char::from(b'a' + self.dice.below(26) as u8));
            let word: String = letters.collect();
            let (chat, sender) = self.chats[self.dice.below(self.chats.len())];
            let text = format!("have you seen {word} anywhere");
            let written = self.writer.write_text(chat, sender, text).await?;
            let seq = written.pending.await?.seq;
            let acked = Instant::now();
            // In quotes: for what is not there yet, other words would be looked for, which is work
            // that has nothing to do with when it is there.
            let ask = Ask { path: path(&format!("\"{word}\"")), token: self.token.clone() };
            let found = find(&mut client, &ask, (chat, seq), &mut probed.refused).await?;
            match found {
                true => probed.nanos.push(acked.elapsed().as_nanos() as u64),
                false => probed.never += 1,
            }
        }
        Ok(probed)
    }
}

/// Asks again and again; `false` when it is not found in time.
async fn find(
    client: &mut Client,
    ask: &Ask,
    (chat, seq): (ConversationId, Seq),
    refused: &mut usize,
) -> anyhow::Result<bool> {
    let deadline = Instant::now() + FOUND_WITHIN;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < deadline {
        tick.tick().await;
        let answer = client.ask(ask).await?;
        match answer.status {
            200 => {
                let list: SearchList = serde_json::from_slice(&answer.body)?;
                if list.items.iter().any(|hit| (hit.conversation, hit.seq) == (chat, seq)) {
                    return Ok(true);
                }
            }
            429 => *refused += 1,
            status => {
                let body = String::from_utf8_lossy(&answer.body);
                anyhow::bail!("{}: {status} {body}", ask.path);
            }
        }
    }
    Ok(false)
}
