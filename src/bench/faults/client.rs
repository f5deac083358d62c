//! `hansard bench client`: one person with the SDK, an outbox in a file, and a lot to say. It is told
//! who it is on its first line of standard input, and to fall silent on the second; it says what
//! happens on standard output ([`Said`]).

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use hansard_client::http::EventsQuery;
use hansard_client::{Client, ClientOptions, Gateway, Store, StoredEvent, Update};
use hansard_model::event::MessageSent;
use hansard_model::{ConversationId, Event, MessageId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::journal::{Said, Seen};
use crate::bench::dice::Dice;

/// Events of each conversation in a catch-up.
const CATCH_UP: usize = 1_000;
/// Events that a store holds of each conversation at most.
const CACHED_MAX: u32 = 10_000;
/// How often an outbox that empties is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOAD_ATTEMPTS: usize = 200;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct ClientArgs {
    /// The outbox and the cache.
    #[arg(long)]
    store: PathBuf,
    /// Addresses of gateways.
    #[arg(long = "gateway")]
    gateways: Vec<Gateway>,
}

/// The first line on standard input.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Brief {
    pub(super) token: String,
    pub(super) conversations: Vec<ConversationId>,
    pub(super) pace_ms: u64,
    pub(super) seed: u64,
}

fn tell(said: &Said) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    // One write: whoever kills this process finds whole lines, but for the last.
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}

fn seen(event: &StoredEvent) -> Seen {
    let StoredEvent { conversation, seq, prev, id, sender, .. } = *event;
    Seen { conversation, seq, prev, id, sender }
}

/// `hansard bench client`
pub(in crate::bench) async fn run(args: ClientArgs) -> anyhow::Result<()> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let brief: Brief =
        serde_json::from_str(&orders.next_line().await?.context("no brief")?).context("brief")?;
    let store = Store::open(&args.store).await?;
    for conversation in &brief.conversations {
        for event in store.events(*conversation, CACHED_MAX).await? {
            tell(&Said::Cached(seen(&event)))?;
        }
    }
    let first = args.gateways.first().context("no gateway")?.clone();
    let mut options = ClientOptions::new(first, brief.token.clone());
    options.gateways = args.gateways;
    options.catch_up = Some(CATCH_UP);
    let (client, mut updates) = Client::connect(options, store).await?;

    let mut dice = Dice::new(brief.seed);
    let mut pace = tokio::time::interval(Duration::from_millis(brief.pace_ms.max(1)));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut look = tokio::time::interval(LOOK_EVERY);
    let (mut talking, mut was_idle, mut count) = (true, false, 0_u64);
    loop {
        tokio::select! {
            update = updates.next() => {
                hear(update.context("the client stopped")?, &client)?;
            }
            _ = pace.tick(), if talking => {
                count += 1;
                speak(&client, &brief.conversations, count, &mut dice).await?;
            }
            _ = look.tick(), if !talking => {
                let is_idle = client.pending().await == 0;
                if is_idle && !was_idle {
                    tell(&Said::Idle {})?;
                }
                was_idle = is_idle;
            }
            order = orders.next_line() => match order? {
                Some(_) => talking = false,
                None => return Ok(()),
            },
        }
    }
}

async fn speak(
    client: &Client,
    conversations: &[ConversationId],
    count: u64,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    let chosen = conversations.get(dice.below(conversations.len()));
    let conversation = *chosen.context("nobody to talk to")?;
    let text = format!("message {count} of process {}", std::process::id());
    let event = Event::Message(MessageSent { text, ..MessageSent::default() });
    match client.send(conversation, &event).await {
        Ok(id) => tell(&Said::Accepted { conversation, id }),
        // Nothing was promised; the load goes on when there is room again.
        Err(hansard_client::SendError::Full(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn hear(update: Update, client: &Client) -> anyhow::Result<()> {
    match update {
        Update::Event(event) => tell(&Said::Shown(seen(&event))),
        Update::Ack { conversation, id, seq } => tell(&Said::Acked { conversation, id, seq }),
        Update::Failed { conversation, id, refusal, .. } => {
            tell(&Said::Failed { conversation, id, code: refusal.code })
        }
        Update::Renamed { conversation, from, to } => {
            let (from, to): (MessageId, MessageId) = (from, to);
            tell(&Said::Renamed { conversation, from, to })
        }
        Update::Gap(gap) => {
            let client = client.clone();
            tokio::spawn(async move { load(&client, gap.conversation, gap.from, gap.to).await });
            Ok(())
        }
        Update::Stopped(reason) => bail!("stopped: {reason:?}"),
        _ => Ok(()),
    }
}

/// Loads what a catch-up left out, as an application would when somebody scrolls up.
async fn load(
    client: &Client,
    conversation: ConversationId,
    from: hansard_model::Seq,
    to: hansard_model::Seq,
) -> anyhow::Result<()> {
    let mut after = from;
    for _ in 0..LOAD_ATTEMPTS {
        let query = EventsQuery { after: Some(after), limit: Some(500), ..EventsQuery::default() };
        let Ok(page) = client.http().events(conversation, query).await else {
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        };
        for frame in page.items {
            let event = StoredEvent::of(frame)?;
            if event.seq > to {
                return Ok(());
            }
            after = event.seq;
            tell(&Said::Loaded(seen(&event)))?;
        }
        if after >= to {
            return Ok(());
        }
    }
    bail!("a gap could not be loaded")
}
