//! How fast a partition is archived and read back, and how large it becomes:
//! `cargo run --release -p hansard-archive --example archive_rate -- [EVENTS]`.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use hansard_archive::{Archive, Archiver, ArchiverSettings, LogReader, Objects, ObjectsUrl};
use hansard_model::event::EventClass;
use hansard_model::record::EventKey;
use hansard_model::{
    ConversationId, GroupId, LogTime, MessageId, PartitionCount, PartitionId, Seq, UserId,
};
use hansard_nats::deployment::{self, ProvisionOptions};
use hansard_nats::embedded::{self, EmbeddedOptions};
use hansard_nats::log::Append;
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Durability, Log, LogClock, ServiceRole};
use tokio_util::sync::CancellationToken;

const PARTITION: PartitionId = PartitionId(0);
const STREAM: StreamName = StreamName::Events(PARTITION);
const CONVERSATIONS: u64 = 2_000;
const IN_FLIGHT: usize = 1_000;
/// For texts that compress as speech does, about, and not as one sentence again and again.
const WORDS: [&str; 32] = [
    "the",
    "we",
    "should",
    "meet",
    "tomorrow",
    "about",
    "that",
    "plan",
    "is",
    "not",
    "what",
    "I",
    "thought",
    "but",
    "maybe",
    "later",
    "when",
    "everybody",
    "has",
    "read",
    "it",
    "again",
    "fine",
    "with",
    "me",
    "see",
    "you",
    "there",
    "at",
    "noon",
    "or",
    "so",
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    let data = tempfile::tempdir()?;
    let options =
        EmbeddedOptions { data_dir: data.path().to_owned(), durability: Durability::Os, port: 0 };
    let (server, endpoint) = embedded::start(options).await?;
    let connection = Connection::connect(&endpoint, ServiceRole::Operator).await?;
    let options = ProvisionOptions { partitions: PartitionCount::new(1), replicas: 1 };
    let (deployment, _) = deployment::provision(&connection, options).await?;
    let log = Log::open(&connection, &deployment, LogClock::new());
    let objects = Objects::open(&ObjectsUrl::Directory(data.path().join("objects")))?;
    objects.bind(&deployment).await?;
    let archive = Archive::open(objects, &connection, &deployment);
    for chunk in (0..events).collect::<Vec<_>>().chunks(IN_FLIGHT) {
        let appends = chunk.iter().map(async |number| log.append(event(*number)).await?.await);
        try_join_all(appends).await?;
    }
    let stored = log.extent(STREAM).await?.bytes;
    println!("{events} events, {} bytes each in the stream", stored / events);

    let rate = read(archive.follow(&log, PARTITION, Seq::ZERO), events).await?;
    println!("read from the stream: {rate:.0} events/s");

    let began = Instant::now();
    let settings = ArchiverSettings {
        segment_age: Duration::ZERO,
        look_every: Duration::from_millis(5),
        ..ArchiverSettings::keeping(Duration::ZERO)
    };
    let archiver = Archiver::new(&archive, &log, PARTITION, settings, || true);
    let done = async {
        while log.extent(STREAM).await.is_ok_and(|extent| extent.first <= Seq(events)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = archiver.run(CancellationToken::new()) => {}
        () = done => {}
    }
    let took = began.elapsed().as_secs_f64();
    let segments = archive.list(STREAM).await?;
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    println!(
        "archived, verified and trimmed: {:.0} events/s, {:.1} MB/s of the stream; \
         {} segments, {:.1} bytes for an event",
        events as f64 / took,
        stored as f64 / took / 1e6,
        segments.len(),
        bytes as f64 / events as f64
    );

    log.append(event(events)).await?.await?;
    let rate = read(archive.follow(&log, PARTITION, Seq::ZERO), events + 1).await?;
    println!("read from segments: {rate:.0} events/s");
    let began = Instant::now();
    let verified = archive.verify(None, PARTITION).await?;
    let took = began.elapsed().as_secs_f64();
    println!("verified: {:.0} events/s, {} found", verified.events as f64 / took, verified.count);
    let began = Instant::now();
    for seq in [1, events / 3, events / 2, events] {
        archive.read(&log, PARTITION, Seq(seq)).await?;
    }
    println!("one event out of a segment: {:.1} ms", began.elapsed().as_secs_f64() * 250.0);
    server.stop().await;
    Ok(())
}

async fn read(mut reader: LogReader, events: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let began = Instant::now();
    while reader.position() < Seq(events) {
        reader.next().await?;
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

fn event(number: u64) -> Append {
    let mut dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |below: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % below
    };
    let words = 8 + draw(40);
    let text: Vec<&str> = (0..words).map(|_| WORDS[draw(32) as usize]).collect();
    let mut of_group = [0; 20];
    of_group[..8].copy_from_slice(&draw(CONVERSATIONS).to_be_bytes());
    let mut of_user = [1; 20];
    of_user[..8].copy_from_slice(&draw(CONVERSATIONS).to_be_bytes());
    let mut entropy = [0; 10];
    entropy[..8].copy_from_slice(&draw(u64::MAX).to_be_bytes());
    let key = EventKey {
        conversation: ConversationId::Group(GroupId::from_entropy(of_group)),
        sender: UserId::from_entropy(of_user),
        id: MessageId::new(1_763_772_345_123 + number, entropy),
    };
    let payload = format!(
        r#"{{"v":1,"id":"{}","sender":"{}","device":"{}","event":{{"kind":"message","text":"{}"}}}}"#,
        key.id,
        key.sender,
        key.sender,
        text.join(" ")
    );
    Append {
        key,
        void: Vec::new(),
        class: EventClass::Msg,
        kind: "message",
        vouch_until: LogTime::from_millis(1_863_772_345_123 + number),
        expected: None,
        payload: payload.into(),
    }
}
