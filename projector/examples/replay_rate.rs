//! Measures an owner on a real nats-server: how fast it replays, what an event costs in memory,
//! and how long a stored event takes to the live feed. Prints one JSON line.
//!
//! `cargo run --release -p hansard-projector --example replay_rate [EVENTS] [CONVERSATIONS]`
#![expect(clippy::print_stdout, reason = "the result of a measurement")]

#[path = "../tests/service/rig.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod rig;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hansard_model::draft::Draft;
use hansard_model::event::EventClass;
use hansard_model::record::EventKey;
use hansard_model::{ConversationId, DeviceId, LogTime, MessageId, UserId, envelope};
use hansard_nats::log::Append;
use serde_json::json;

use self::rig::{Rig, next_event};

const PARTITIONS: u16 = 16;
/// Bytes of text of a message.
const TEXT_BYTES: usize = 200;
const IN_FLIGHT_MAX: usize = 512;
const LIVE_EVENTS: usize = 2_000;
/// Longer than a replay may take.
const REPLAY_WITHIN: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let events: usize = arguments.next().unwrap_or(200_000);
    let conversations: usize = arguments.next().unwrap_or(20_000);
    let rig = Rig::start(PARTITIONS).await;
    let payload_bytes = fill(&rig, events, conversations).await;

    let before = resident_bytes();
    let began = Instant::now();
    let projector = rig.projector("one");
    ended("the replay", async || {
        let standing = projector.progress.partitions();
        let applied: u64 = standing.iter().map(|partition| partition.applied.0).sum();
        (applied == events as u64).then_some(())
    })
    .await;
    let replay = began.elapsed();
    let after = resident_bytes();
    let projector = projector.serving_all().await;
    let serving = began.elapsed();
    let store_bytes = bytes_below(&rig.data.path().join("objects/history"));

    let mut latencies = live_latencies(&rig, conversations).await;
    latencies.sort_unstable();
    let percentile = |percent: usize| latencies[latencies.len() * percent / 100 - 1].as_micros();
    println!(
        "{}",
        json!({
            "events": events,
            "conversations": conversations,
            "payload_bytes": payload_bytes,
            "replay_events_per_s": events as f64 / replay.as_secs_f64(),
            "replay_ms": replay.as_millis() as u64,
            "serving_ms": serving.as_millis() as u64,
            "memory_bytes_per_event": (after.saturating_sub(before)) as f64 / events as f64,
            "resident_bytes": after,
            "resident_bytes_before": before,
            "store_bytes_per_event": store_bytes as f64 / events as f64,
            "append_to_live_p50_us": percentile(50) as u64,
            "append_to_live_p99_us": percentile(99) as u64,
        })
    );
    projector.stop().await;
    rig.stop().await;
}

/// Waits, for as long as a replay of millions takes.
async fn ended(what: &str, mut ask: impl AsyncFnMut() -> Option<()>) {
    let ended = tokio::time::timeout(REPLAY_WITHIN, async {
        while ask().await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    ended.await.unwrap_or_else(|_| panic!("{what}: not within {REPLAY_WITHIN:?}"));
}

/// Appends from one sender to each conversation in turn; the size of the last payload.
async fn fill(rig: &Rig, events: usize, conversations: usize) -> usize {
    let mut pending = FuturesUnordered::new();
    let mut bytes = 0;
    for number in 0..events {
        let append = nth(number, conversations);
        bytes = append.payload.len();
        pending.push(rig.log.append(append).await.expect("sent"));
        if pending.len() >= IN_FLIGHT_MAX {
            pending.next().await.expect("some").expect("stored");
        }
    }
    while let Some(stored) = pending.next().await {
        stored.expect("stored");
    }
    bytes
}

/// One at a time: from the call of append to the arrival on the live feed.
async fn live_latencies(rig: &Rig, conversations: usize) -> Vec<Duration> {
    let mut feed = rig.gateway.subscribe_live().await.expect("subscribed");
    let mut latencies = Vec::with_capacity(LIVE_EVENTS);
    for number in 0..LIVE_EVENTS {
        let mut append = nth(number, conversations);
        append.key.id =
            MessageId::new(1, [number as u8, (number >> 8) as u8, 9, 9, 9, 9, 9, 9, 9, 9]);
        let sent = Instant::now();
        let pending = rig.log.append(append).await.expect("sent");
        let stored = pending.await.expect("stored");
        // What was published again after the replay may still arrive.
        while next_event(&mut feed).await.seq != stored.seq {}
        latencies.push(sent.elapsed());
    }
    latencies
}

fn nth(number: usize, conversations: usize) -> Append {
    let conversation = number % conversations;
    let mut entropy = [3; 20];
    for (place, byte) in entropy.iter_mut().take(5).enumerate() {
        *byte = (conversation >> (5 * place)) as u8;
    }
    let sender = UserId::from_entropy(entropy);
    let at = ConversationId::direct(sender, UserId::from_entropy([7; 20]));
    let id = MessageId::new(number as u64, [5; 10]);
    let draft =
        Draft::parse(&json!({"kind": "message", "text": "x".repeat(TEXT_BYTES)}).to_string())
            .expect("an event");
    let payload = envelope::encode(id, sender, DeviceId::from_entropy([1; 20]), &draft);
    Append {
        key: EventKey { conversation: at, sender, id },
        void: Vec::new(),
        class: EventClass::Msg,
        kind: "message",
        vouch_until: LogTime::from_nanos(u64::MAX),
        expected: None,
        payload: payload.into(),
    }
}

/// Resident memory of this process; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The size of every file below a directory.
fn bytes_below(directory: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}
