//! From a publish to the live feed, and to what an owner says it has applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hansard_model::query::{LookupReply, LookupRequest};
use hansard_model::subject::QueryVerb;
use hansard_model::{MessageId, PartitionId, Seq};
use hansard_nats::live::LiveMessage;
use hansard_nats::{Connection, ServiceRole, embedded, query};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::corpus::{Talk, Writer, Written, number_of};
use super::super::deployment::{Bench, CAUGHT_UP_WITHIN};
use super::super::dice::Dice;
use super::super::report::Latency;
use super::super::{machine, say};
use super::Args;

/// Conversations that the messages are spread over.
const CONVERSATIONS: usize = 2_000;
/// Between two sends of a batch that is due.
const TICK: Duration = Duration::from_millis(2);
/// How often somebody asks how far an owner is.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// Between two questions of one probe.
const PROBE_PAUSE: Duration = Duration::from_millis(1);
/// How long the last events get to arrive.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);
/// Messages in flight at most: a log that is slower than the rate is waited for, and that shows in
/// the time from a publish to its acknowledgement.
const IN_FLIGHT_MAX: usize = 2_000;
/// Not yet.
const NEVER: u64 = u64::MAX;

/// When each message was sent, acknowledged and heard, in nanoseconds since the beginning.
struct Times {
    began: Instant,
    sent: Vec<AtomicU64>,
    acked: Vec<AtomicU64>,
    heard: Vec<AtomicU64>,
    /// From the timestamp in the log to the live feed, by the log's clock.
    stored_to_heard: Vec<AtomicU64>,
}

/// The last message that was acknowledged.
type Acked = Option<(PartitionId, Seq, usize)>;

impl Times {
    fn new(count: usize) -> Self {
        let slots = || (0..count).map(|_| AtomicU64::new(NEVER)).collect();
        Self {
            began: Instant::now(),
            sent: slots(),
            acked: slots(),
            heard: slots(),
            stored_to_heard: slots(),
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn note(slots: &[AtomicU64], number: usize, nanos: u64) {
        if let Some(slot) = slots.get(number) {
            // The first time counts: a feed may repeat.
            let _ = slot.compare_exchange(NEVER, nanos, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn between(from: &[AtomicU64], to: &[AtomicU64]) -> Vec<u64> {
        let read = |slot: &AtomicU64| Some(slot.load(Ordering::Relaxed)).filter(|at| *at != NEVER);
        let pairs = from.iter().zip(to);
        pairs.filter_map(|(from, to)| Some(read(to)?.saturating_sub(read(from)?))).collect()
    }
}

pub(super) async fn run(args: &Args, seed: u64) -> anyhow::Result<(Value, Map<String, Value>)> {
    let bench = Bench::start(&args.place, args.plan(0, 1)).await?;
    let mut dice = Dice::new(seed ^ 1);
    let talks: Vec<Talk> = (0..CONVERSATIONS).map(|_| Talk::of_strangers(&mut dice)).collect();
    let count = (args.rate * args.seconds) as usize;
    let times = Arc::new(Times::new(count));
    let listening = listen(&bench, Arc::clone(&times)).await?;
    let (acks, last_ack) = watch::channel::<Acked>(None);
    let stop = Arc::new(AtomicBool::new(false));
    let probing = tokio::spawn(probe(
        bench.connection.clone(),
        last_ack,
        Arc::clone(&times),
        Arc::clone(&stop),
    ));
    let projector = bench.projectors.first().context("a projector")?.process.pid();
    let cpu = machine::cpu_s(projector)?;
    let writer = Writer::new(&bench.log, dice);
    let sent = send(&bench, writer, &talks, args.rate, &times, acks).await?;
    stop.store(true, Ordering::Relaxed);
    let cpu = machine::cpu_s(projector)? - cpu;
    let deadline = Instant::now() + SETTLE_WITHIN;
    let heard = || Times::between(&times.sent, &times.heard).len();
    while heard() < count && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    listening.abort();
    let publish_to_applied = Latency::of(probing.await??);
    bench.caught_up(CAUGHT_UP_WITHIN).await?;
    let publish_to_ack = Latency::of(Times::between(&times.sent, &times.acked));
    let publish_to_live = Latency::of(Times::between(&times.sent, &times.heard));
    let stored: Vec<u64> =
        times.stored_to_heard.iter().map(|slot| slot.load(Ordering::Relaxed)).collect();
    let figures = json!({
        "msgs_per_s_wanted": args.rate,
        "msgs_per_s": count as f64 / sent.as_secs_f64(),
        "msgs": count,
        "not_heard": count - heard(),
        "conversations": CONVERSATIONS,
        "publish_to_ack": publish_to_ack,
        "publish_to_live": publish_to_live,
        "stored_to_live": Latency::of(stored.into_iter().filter(|nanos| *nanos != NEVER).collect()),
        "publish_to_applied": publish_to_applied,
        "live_over_ack_p99": publish_to_live.p99_us / publish_to_ack.p99_us,
        "projector_cpu_s_per_1000_msgs": cpu * 1_000.0 / count.max(1) as f64,
    });
    say(&format!("live: p99 {:.1} ms", publish_to_live.p99_us / 1e3));
    let on = bench.describe();
    bench.stop().await?;
    Ok((on, super::part("live", figures)))
}

/// Notes when each message arrives on the live feed.
async fn listen(bench: &Bench, times: Arc<Times>) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let endpoint = embedded::read_connection_file(&bench.data)?;
    let connection = Connection::connect(&endpoint, ServiceRole::Gateway).await?;
    let mut feed = connection.subscribe_live().await?;
    let clock = bench.log.clock().clone();
    Ok(tokio::spawn(async move {
        // The feed ends with its connection.
        let _connection = connection;
        while let Some(message) = feed.next().await {
            let LiveMessage::Event(event) = message else { continue };
            let Some(number) = number_of(&event.payload) else { continue };
            Times::note(&times.heard, number as usize, times.now());
            if let Ok(now) = clock.now() {
                let nanos = now.since(event.ts).as_nanos() as u64;
                Times::note(&times.stored_to_heard, number as usize, nanos);
            }
        }
    }))
}

/// Sends at the rate, whatever comes back; how long it took.
async fn send(
    bench: &Bench,
    mut writer: Writer,
    talks: &[Talk],
    rate: f64,
    times: &Arc<Times>,
    acks: watch::Sender<Acked>,
) -> anyhow::Result<Duration> {
    let count = times.sent.len();
    let (pending, queue) = mpsc::channel::<(Written, PartitionId)>(1);
    let noting = tokio::spawn(note_acks(queue, Arc::clone(times), acks));
    let began = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    let mut number = 0;
    while number < count {
        tick.tick().await;
        let due = ((began.elapsed().as_secs_f64() * rate) as usize).min(count);
        while number < due {
            let index = writer.pick(talks.len());
            let talk = talks.get(index).context("no conversation")?;
            Times::note(&times.sent, number, times.now());
            let written = writer.write(talk).await?;
            let partition = bench.log.partition_of(talk.conversation);
            pending.send((written, partition)).await.ok().context("the acks are not noted")?;
            number += 1;
        }
    }
    let took = began.elapsed();
    drop(pending);
    noting.await??;
    Ok(took)
}

async fn note_acks(
    mut queue: mpsc::Receiver<(Written, PartitionId)>,
    times: Arc<Times>,
    acks: watch::Sender<Acked>,
) -> anyhow::Result<()> {
    let mut waiting = FuturesUnordered::new();
    let mut open = true;
    while open || !waiting.is_empty() {
        tokio::select! {
            written = queue.recv(), if open && waiting.len() < IN_FLIGHT_MAX => match written {
                Some((written, partition)) => waiting.push(async move {
                    (written.number as usize, partition, written.pending.await)
                }),
                None => open = false,
            },
            Some((number, partition, stored)) = waiting.next() => {
                Times::note(&times.acked, number, times.now());
                acks.send_replace(Some((partition, stored?.seq, number)));
            }
        }
    }
    Ok(())
}

/// Asks the owner of what was just acknowledged again and again until it says that it has applied
/// it: nanoseconds from the publish.
async fn probe(
    connection: Connection,
    last_ack: watch::Receiver<Acked>,
    times: Arc<Times>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Vec<u64>> {
    let nobody = hansard_model::UserId::from_entropy([0; 20]);
    let conversation = hansard_model::ConversationId::direct(nobody, nobody);
    let question = LookupRequest { conversation, sender: nobody, id: MessageId::new(0, [0; 10]) };
    let mut nanos = Vec::new();
    let mut tick = tokio::time::interval(PROBE_EVERY);
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let Some((partition, seq, number)) = *last_ack.borrow() else { continue };
        loop {
            let reply: LookupReply =
                query::ask(&connection, partition, QueryVerb::Lookup, &question, SETTLE_WITHIN)
                    .await?;
            if reply.as_of >= seq {
                break;
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        if let Some(sent) = times.sent.get(number) {
            nanos.push(times.now().saturating_sub(sent.load(Ordering::Relaxed)));
        }
    }
    Ok(nanos)
}
