//! `hansard archive`: what the archive holds, and whether it still holds what was written.

use std::io::Write as _;

use anyhow::Context;
use hansard_archive::{Archive, Objects, SegmentEntry, Verification, verify_offline};
use hansard_model::PartitionId;
use hansard_nats::streams::StreamName;
use hansard_nats::{Log, LogClock, deployment};
use serde::Serialize;

use crate::settings::{NatsArgs, ObjectStoreArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Read every segment, check its hash and that it continues the one before, and compare with
    /// the stream what both hold; fails when something is not as it should be.
    Verify(Verify),
    /// The segments, oldest first.
    List(Target),
}

#[derive(clap::Args, Debug)]
struct Verify {
    #[command(flatten)]
    target: Target,
    /// Ask nothing of NATS: the chain as the objects themselves tell of it.
    #[arg(long)]
    offline: bool,
}

#[derive(clap::Args, Debug)]
struct Target {
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    objects: ObjectStoreArgs,
    /// Only this partition. Default: all, and the accounts.
    #[arg(long)]
    partition: Option<u16>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// `hansard archive`
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.what {
        What::Verify(args) => verify(args).await,
        What::List(args) => list(args).await,
    }
}

async fn verify(args: Verify) -> anyhow::Result<()> {
    let Verify { target, offline } = args;
    let objects = target.objects.open(&target.nats.data)?;
    let mut faults = 0;
    if offline {
        let marker = objects.marker().await?.context("the object store holds no archive")?;
        for stream in target.streams(marker.partitions.get())? {
            let verified = verify_offline(&objects, stream).await?;
            faults += target.report(stream, &verified)?;
        }
    } else {
        let (archive, log) = target.connect(objects).await?;
        for stream in target.streams(log.partitions().get())? {
            let verified = archive.verify_stream(Some(&log), stream).await?;
            faults += target.report(stream, &verified)?;
        }
    }
    anyhow::ensure!(faults == 0, "{faults} faults");
    Ok(())
}

async fn list(target: Target) -> anyhow::Result<()> {
    let objects = target.objects.open(&target.nats.data)?;
    let (archive, log) = target.connect(objects).await?;
    for stream in target.streams(log.partitions().get())? {
        for segment in archive.list(stream).await? {
            say(&if target.json { json_segment(stream, &segment)? } else { readable(&segment) })?;
        }
    }
    Ok(())
}

impl Target {
    async fn connect(&self, objects: Objects) -> anyhow::Result<(Archive, Log)> {
        let connection = self.nats.connect_operator().await?;
        let deployment = deployment::open(&connection).await?;
        objects.check(&deployment.salt).await?;
        let log = Log::open(&connection, &deployment, LogClock::new());
        Ok((Archive::open(objects, &connection, &deployment), log))
    }

    fn streams(&self, partitions: u16) -> anyhow::Result<Vec<StreamName>> {
        if let Some(partition) = self.partition {
            anyhow::ensure!(partition < partitions, "there are {partitions} partitions, from 0");
            return Ok(vec![StreamName::Events(PartitionId(partition))]);
        }
        let events = (0..partitions).map(|partition| StreamName::Events(PartitionId(partition)));
        Ok(events.chain([StreamName::Accounts]).collect())
    }

    /// Returns how much is wrong.
    fn report(&self, stream: StreamName, verified: &Verification) -> anyhow::Result<u64> {
        if self.json {
            say(&serde_json::to_string(&JsonVerification::of(stream, verified))?)?;
            return Ok(verified.count);
        }
        let Verification { segments, events, bytes, compared, unreachable, findings, count } =
            verified;
        for finding in findings {
            say(&format!("! {finding}"))?;
        }
        let more = count - findings.len() as u64;
        if more > 0 {
            say(&format!("! and {more} more"))?;
        }
        let left = match unreachable {
            0 => String::new(),
            some => format!(", {some} segments that nothing reaches"),
        };
        say(&format!(
            "{stream}: {segments} segments, {events} events, {bytes} bytes, \
             {compared} events compared with the stream{left}: {count} faults"
        ))?;
        Ok(*count)
    }
}

#[derive(Serialize)]
struct JsonVerification {
    stream: String,
    segments: u64,
    events: u64,
    bytes: u64,
    compared: u64,
    unreachable: u64,
    count: u64,
    findings: Vec<JsonFinding>,
}

#[derive(Serialize)]
struct JsonFinding {
    place: String,
    problem: String,
}

impl JsonVerification {
    fn of(stream: StreamName, verified: &Verification) -> Self {
        let findings = verified.findings.iter().map(|finding| JsonFinding {
            place: finding.place.clone(),
            problem: finding.problem.clone(),
        });
        Self {
            stream: stream.name(),
            segments: verified.segments,
            events: verified.events,
            bytes: verified.bytes,
            compared: verified.compared,
            unreachable: verified.unreachable,
            count: verified.count,
            findings: findings.collect(),
        }
    }
}

#[derive(Serialize)]
struct JsonSegment<'a> {
    stream: String,
    object: &'a str,
    first: u64,
    last: u64,
    count: u64,
    from: String,
    to: String,
    bytes: u64,
}

fn json_segment(stream: StreamName, segment: &SegmentEntry) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&JsonSegment {
        stream: stream.name(),
        object: &segment.object,
        first: segment.first.0,
        last: segment.last.0,
        count: segment.count,
        from: segment.from.to_string(),
        to: segment.to.to_string(),
        bytes: segment.bytes,
    })?)
}

fn readable(segment: &SegmentEntry) -> String {
    let SegmentEntry { object, first, last, count, from, to, bytes } = segment;
    format!("{object} {first}..={last} {count} events {bytes} bytes {from} {to}")
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("standard output")
}
