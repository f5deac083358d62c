//! Measures a page of the inbox over HTTP, in a deployment of many conversations, on a real
//! nats-server. The bucket is filled directly, as projectors would have. Prints one JSON line.
//!
//! `cargo run --release -p hansard-gateway --example inbox_rate [CONVERSATIONS] [READS]`
#![expect(clippy::print_stdout, reason = "the result of a measurement")]

#[path = "../tests/http/client.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod client;
#[path = "../tests/http/rig.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod rig;

use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream;
use hansard_model::inbox::{Head, InboxKey, MemberRecord, Position, Preview};
use hansard_model::{ConversationId, LogTime, PartitionCount, Role, Seq, UserId};
use hansard_nats::inbox::InboxBucket;
use hansard_nats::{Connection, ServiceRole};
use serde_json::json;
use serde_json::value::RawValue;

use self::rig::Rig;

/// As in [`Rig`].
const PARTITIONS: u16 = 2;
/// People whose inbox is read, and how many conversations each has.
const READERS: usize = 20;
const CONVERSATIONS_EACH: usize = 200;
/// Writes to the bucket at a time.
const AT_ONCE: usize = 512;
/// A position beyond everything that is written here.
const COVERED: Seq = Seq(1_000_000_000);

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let conversations: usize = arguments.next().unwrap_or(100_000);
    let reads: usize = arguments.next().unwrap_or(1_000);
    let rig = Rig::start_with(|config| {
        config.rates.requests_per_user = hansard_gateway::config::Rate::new(10_000, 10_000);
    })
    .await;
    let mut readers = Vec::new();
    for n in 0..READERS {
        readers.push(rig.person(&format!("reader{n}")).await);
    }
    let users: Vec<UserId> =
        readers.iter().map(|person| person.user.parse().expect("an id")).collect();
    let began = Instant::now();
    fill(&rig, &users, conversations).await;
    let filled_s = began.elapsed().as_secs_f64();

    // The first read of each finds nothing in anybody's cache.
    let mut first = Vec::new();
    for reader in &readers {
        first.push(read(reader).await);
    }
    let mut later = Vec::new();
    for n in 0..reads {
        later.push(read(&readers[n % readers.len()]).await);
    }
    let mut bucket = bucket_reads(&rig, &users, reads).await;
    println!(
        "{}",
        json!({
            "conversations": conversations,
            "page": CONVERSATIONS_EACH,
            "filled_s": filled_s,
            "first_ms": percentiles(&mut first),
            "later_ms": percentiles(&mut later),
            "bucket_ms": percentiles(&mut bucket),
        })
    );
    rig.stop().await;
}

/// Milliseconds that a page took.
async fn read(reader: &rig::Person) -> f64 {
    let began = Instant::now();
    let page = reader.client.get("/v1/conversations?limit=200").await;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let items = page.expecting(200)["items"].as_array().map_or(0, Vec::len);
    assert_eq!(items, CONVERSATIONS_EACH);
    took
}

/// Milliseconds that the two reads of the bucket take of it.
async fn bucket_reads(rig: &Rig, users: &[UserId], reads: usize) -> Vec<f64> {
    let connection =
        Connection::connect(rig.endpoint(), ServiceRole::Gateway).await.expect("connected");
    let partitions = PartitionCount::new(PARTITIONS).expect("a count");
    let bucket = InboxBucket::open(&connection, partitions);
    let mut took = Vec::new();
    for n in 0..reads {
        let began = Instant::now();
        let memberships = bucket.memberships(users[n % users.len()]).await.expect("read");
        let of: Vec<ConversationId> = memberships.records.iter().map(|(of, _)| *of).collect();
        assert_eq!(bucket.heads(&of).await.expect("read").len(), CONVERSATIONS_EACH);
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took
}

fn percentiles(samples: &mut [f64]) -> serde_json::Value {
    samples.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| samples[(samples.len() * percent / 100).min(samples.len() - 1)];
    json!({"p50": at(50), "p99": at(99), "max": at(100)})
}

async fn fill(rig: &Rig, readers: &[UserId], conversations: usize) {
    let connection =
        Connection::connect(rig.endpoint(), ServiceRole::Projector).await.expect("connected");
    let partitions = PartitionCount::new(PARTITIONS).expect("a count");
    let bucket = InboxBucket::open(&connection, partitions);
    // Those of the readers are spread over all of the bucket.
    let own = readers.len() * CONVERSATIONS_EACH;
    let every = (conversations / own).max(1);
    let writes = (0..conversations).flat_map(|n| {
        let reader =
            (n % every == 0 && n / every < own).then(|| readers[n / every % readers.len()]);
        let (x, y) = (reader.unwrap_or_else(|| person(n, 1)), person(n, 2));
        let conversation = ConversationId::direct(x, y);
        let seq = Seq(n as u64 + 1);
        [
            (InboxKey::Head(conversation), json_of(&head(seq)), seq),
            (InboxKey::Member(x, conversation), json_of(&member(seq)), seq),
            (InboxKey::Member(y, conversation), json_of(&member(seq)), seq),
        ]
    });
    stream::iter(writes)
        .map(|(key, value, seq)| bucket.put(key, value, seq, 0))
        .buffer_unordered(AT_ONCE)
        .for_each(async |put| assert!(put.is_ok(), "not written"))
        .await;
    for partition in partitions.partitions() {
        let value = json_of(&Position { seq: COVERED });
        let key = InboxKey::Position(partition);
        bucket.put(key, value, COVERED, 0).await.expect("written");
    }
}

fn json_of(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

/// Somebody of their own for each number.
fn person(n: usize, side: u8) -> UserId {
    let mut entropy = [side; 20];
    for (place, byte) in entropy.iter_mut().enumerate().skip(1).take(6) {
        *byte = u8::try_from(n >> (5 * (place - 1)) & 31).expect("five bits");
    }
    UserId::from_entropy(entropy)
}

fn head(seq: Seq) -> Head {
    let text = "what was said last, cut to a preview ".repeat(4);
    let body = json!({"v": 1, "id": "019a9b1c-7b1a-7000-8000-00000000000a", "sender": "a".repeat(20),
        "device": "d".repeat(20), "event": {"kind": "message", "text": text}});
    let ts = LogTime::from_millis(1_700_000_000_000 + seq.0);
    Head {
        seq,
        ts,
        n: 7,
        title: None,
        member_count: 2,
        last: Some(Preview {
            seq,
            prev: Seq(seq.0.saturating_sub(1)),
            n: 7,
            ts,
            body: RawValue::from_string(body.to_string()).expect("JSON"),
        }),
    }
}

fn member(seq: Seq) -> MemberRecord {
    MemberRecord {
        role: Some(Role::Member),
        joined: Seq::ZERO,
        view_from: Seq::ZERO,
        view_to: None,
        read: Seq::ZERO,
        read_n: 3,
        mentions: 1,
        as_of: seq,
    }
}
