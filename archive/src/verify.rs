//! Finding what changed: every bit of every segment, the chain, and the stream where both hold the
//! same.

use std::fmt;

use hansard_model::{PartitionId, Seq};
use hansard_nats::Log;
use hansard_nats::streams::StreamName;

use crate::segment::{Decoder, SegmentName};
use crate::segments::{Segments, decoding, is_same, name_of};
use crate::{Archive, Objects, ReadError};

/// Findings that are told; the rest is counted.
const FINDINGS_MAX: usize = 1_000;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object, or the stream.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Segments in the chain.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of their objects.
    pub bytes: u64,
    /// Events that were compared with the stream.
    pub compared: u64,
    /// Segments that nothing reaches; the next archiver removes them.
    pub unreachable: u64,
    /// What is wrong, the first thousand.
    pub findings: Vec<Finding>,
    /// How many findings there are.
    pub count: u64,
}

impl Verification {
    fn find(&mut self, place: &impl fmt::Display, problem: impl fmt::Display) {
        self.count += 1;
        if self.findings.len() < FINDINGS_MAX {
            let (place, problem) = (place.to_string(), problem.to_string());
            self.findings.push(Finding { place, problem });
        }
    }
}

impl Archive {
    /// Walks the chain of a partition from its head and reads every segment; with a log, compares
    /// every event that the stream still holds.
    ///
    /// # Errors
    /// [`ReadError`] when the store or the log does not answer; what is wrong is a finding.
    pub async fn verify(
        &self,
        log: Option<&Log>,
        partition: PartitionId,
    ) -> Result<Verification, ReadError> {
        self.verify_stream(log, StreamName::Events(partition)).await
    }

    /// As [`Archive::verify`], of any stream.
    ///
    /// # Errors
    /// As [`Archive::verify`].
    pub async fn verify_stream(
        &self,
        log: Option<&Log>,
        stream: StreamName,
    ) -> Result<Verification, ReadError> {
        // Before the head: what an archiver trims meanwhile is in segments of a later one.
        let log = match log {
            Some(log) => Some((log, log.extent(stream).await?.first)),
            None => None,
        };
        let head = self.head_of(stream).await?.map(|head| name_of(stream, &head));
        let mut verified = walk(&self.segments, log, stream, head).await?;
        if let Some((log, _)) = log
            && let Some(set_back) = self.set_back(log, stream).await?
        {
            let problem = format!(
                "ends at {}, and segments go on to {}: `hansard restore` continues it",
                set_back.last, set_back.archived
            );
            verified.count += 1;
            verified.findings.push(Finding { place: stream.to_string(), problem });
        }
        Ok(verified)
    }

    /// Whether a stream lost its end, by the segments alone: the head in NATS may have been set
    /// back with it. `None` also when the segments are of another log.
    ///
    /// # Errors
    /// [`ReadError`] when the store or the log does not answer.
    pub async fn set_back(
        &self,
        log: &Log,
        stream: StreamName,
    ) -> Result<Option<SetBack>, ReadError> {
        // Before the end of the stream: what is archived meanwhile is not behind it.
        let listed = self.segments.list(stream).await?;
        let extent = log.extent(stream).await?;
        if listed.iter().all(|listed| listed.name.last <= extent.last) {
            return Ok(None);
        }
        let longest = self.segments.longest(stream).await?;
        let Some((head, chain)) = longest.filter(|(head, _)| head.last > extent.last) else {
            return Ok(None);
        };
        if let Some(name) = chain.iter().rev().find(|name| name.first <= extent.last) {
            let seq = name.last.min(extent.last);
            let archived = self.segments.find(name, seq).await?;
            let stored = log.stored(stream, seq).await?;
            if let (Some(archived), Some(stored)) = (archived, stored)
                && !is_same(stream, &archived, &stored)
            {
                return Ok(None);
            }
        }
        Ok(Some(SetBack { stream, archived: head.last, last: extent.last }))
    }
}

/// A stream that ends before its archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetBack {
    /// Which.
    pub stream: StreamName,
    /// The last event in segments.
    pub archived: Seq,
    /// The last event of the stream.
    pub last: Seq,
}

/// Walks the chain of a stream with nothing but the objects: from the segment that reaches
/// furthest.
///
/// # Errors
/// [`ReadError`] when the store does not answer; what is wrong is a finding.
pub async fn verify_offline(
    objects: &Objects,
    stream: StreamName,
) -> Result<Verification, ReadError> {
    let segments = Segments::of(objects);
    let listed = segments.list(stream).await?;
    let furthest = listed.into_iter().map(|listed| listed.name).max_by_key(|name| name.last);
    let head = segments.longest(stream).await?.map(|(head, _)| name_of(stream, &head));
    // What reaches further is damaged, or continues what is missing: the walk says which.
    let is_further = |name: &SegmentName| head.as_ref().is_none_or(|head| head.last < name.last);
    let head = furthest.filter(is_further).or(head);
    walk(&segments, None, stream, head).await
}

pub(crate) async fn walk(
    segments: &Segments,
    log: Option<(&Log, Seq)>,
    stream: StreamName,
    head: Option<SegmentName>,
) -> Result<Verification, ReadError> {
    let mut verification = Verification::default();
    let listed = segments.list(stream).await?;
    let chain = match head.clone() {
        None => Vec::new(),
        Some(head) => match segments.link(&listed, head).await {
            Ok(chain) => chain,
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                verification.find(&"the chain", with_sources(&error));
                // Everything that there is, so that all that is damaged is named.
                listed.iter().map(|listed| listed.name.clone()).collect()
            }
        },
    };
    let sizes = listed.iter().filter(|listed| chain.contains(&listed.name));
    verification.bytes = sizes.map(|listed| listed.bytes).sum();
    verification.segments = chain.len() as u64;
    verification.unreachable = (listed.len() - chain.len().min(listed.len())) as u64;
    let mut before: Option<SegmentName> = None;
    for name in chain {
        let previous = before.replace(name.clone());
        match read(segments, &name, previous.as_ref()).await {
            Ok(events) => verification.events += events,
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                verification.find(&segments.path(&name), with_sources(&error));
                continue;
            }
        }
        if let Some((log, first)) = log
            && first <= name.last
        {
            compare(segments, log, &name, &mut verification).await?;
        }
    }
    if let Some((log, first)) = log {
        let archived = head.as_ref().map_or(Seq::ZERO, |head| head.last);
        let last = log.extent(stream).await?.last;
        if first > archived.next() {
            let problem = format!("begins at {first}, and the archive ends at {archived}");
            verification.find(&stream, problem);
        }
        if last < archived {
            let problem = format!("ends at {last}, and the archive at {archived}");
            verification.find(&stream, problem);
        }
    }
    Ok(verification)
}

/// Reads a whole segment; returns how many events it holds.
async fn read(
    segments: &Segments,
    name: &SegmentName,
    previous: Option<&SegmentName>,
) -> Result<u64, ReadError> {
    let file = segments.fetch(name).await?;
    let (of, previous) = (name.clone(), previous.cloned());
    let count = decoding(move || {
        let mut decoder = Decoder::new(&of, file)?;
        decoder.check_previous(previous.as_ref())?;
        let mut count = 0;
        for event in &mut decoder {
            event?;
            count += 1;
        }
        Ok(count)
    });
    count.await.map_err(|source| ReadError::Segment { object: name.to_string(), source })
}

/// Compares what a segment and the stream both hold.
async fn compare(
    segments: &Segments,
    log: &Log,
    name: &SegmentName,
    verification: &mut Verification,
) -> Result<(), ReadError> {
    let file = segments.fetch(name).await?;
    let of = name.clone();
    let damaged = |source| ReadError::Segment { object: name.to_string(), source };
    let mut events = decoding(move || Decoder::new(&of, file)).await.map_err(damaged)?;
    let extent = log.extent(name.stream).await?;
    let first = extent.first.max(name.first);
    let mut reader = log.follow_stream(name.stream, Seq(first.0 - 1));
    while let Some(archived) = events.next().transpose().map_err(damaged)? {
        if archived.seq < first {
            continue;
        }
        if archived.seq > extent.last {
            return Ok(());
        }
        let stored = match reader.next_stored().await {
            Ok(stored) => stored,
            // An archiver is at work: what it trims was compared before.
            Err(hansard_nats::log::FollowError::Trimmed { .. }) => return Ok(()),
            Err(error) => {
                verification.find(&name.stream, with_sources(&error));
                return Ok(());
            }
        };
        verification.compared += 1;
        if !is_same(name.stream, &archived, &stored) {
            let problem = format!("{} is not the same event in the stream", archived.seq);
            verification.find(&segments.path(name), problem);
            if stored.seq != archived.seq {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// An error and what is behind it.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
