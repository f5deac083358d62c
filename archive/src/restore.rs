//! The streams again, from segments: after NATS lost its data, or a part of them.
//!
//! Events that are only in segments stay there; the reader finds them. Each stream of events goes
//! on behind the last of its segments, so that no sequence is ever given twice. Accounts, which
//! every gateway reads from the beginning, are stored again. The epoch is raised, always: cursors
//! start anew, and views are compared with the log.

use std::time::Duration;

use hansard_model::{LogTime, PartitionCount, Seq};
use hansard_nats::deployment::restore::{recorded, recreate};
use hansard_nats::deployment::{self, ArchiveHead, ProvisionError, ReplaceError, raise_epoch};
use hansard_nats::log::{FollowError, StoredEvent};
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Deployment, Log, LogClock};

use crate::objects::BindError;
use crate::segment::{Decoder, SegmentName};
use crate::segments::{Segments, decoding, is_same, name_of};
use crate::verify::{Finding, walk};
use crate::{Objects, ReadError};

/// Within this of its time, a client may send an event again and rely on the stream to know it,
/// which knows nothing of what is in segments only: the window of deduplication, and a margin for
/// clocks.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(180);
/// Streams whose sequences a restore knows nothing of are not asked for longer.
const EVENT_WITHIN: Duration = Duration::from_secs(30);

/// Why nothing was restored, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The object store does not say whose it is.
    #[error("the object store holds no archive: it has no deployment.json")]
    NoArchive,
    /// It is the archive of another deployment than NATS holds.
    #[error("the archive has salt {archive}, and the deployment in NATS has {nats}")]
    Other {
        /// The salt in the object store.
        archive: String,
        /// The salt in NATS.
        nats: String,
    },
    /// The archive is damaged; nothing was changed.
    #[error("the archive of {stream} is damaged: {first}; see `hansard archive verify`")]
    Damaged {
        /// Which.
        stream: StreamName,
        /// The first finding.
        first: Finding,
    },
    /// Stream and archive hold different events; nothing was changed.
    #[error("{stream} holds another event at {seq} than its archive: restore it by hand")]
    Diverged {
        /// Which.
        stream: StreamName,
        /// The first that differs.
        seq: Seq,
    },
    /// The accounts were stored at other sequences than before.
    #[error("the accounts stream went on while it was restored")]
    Contended,
    /// The deployment cannot be used.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// The object store cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The archive cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The stream cannot be read.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The head of an archive was not recorded.
    #[error(transparent)]
    Head(#[from] ReplaceError),
}

impl From<hansard_nats::log::ReadError> for RestoreError {
    fn from(error: hansard_nats::log::ReadError) -> Self {
        Self::Read(error.into())
    }
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds all that its archive does not, and was left as it is.
    Whole {
        /// Its last event.
        last: Seq,
    },
    /// It ended before its archive, and goes on behind it.
    Continued {
        /// Where it ended.
        last: Seq,
        /// The last event in segments.
        archived: Seq,
    },
    /// It was created, and goes on behind its archive (0: there is none).
    Created {
        /// The last event in segments.
        archived: Seq,
    },
    /// Its events were stored again.
    StoredAgain {
        /// How many.
        events: u64,
    },
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Each stream, and what became of it.
    pub streams: Vec<(StreamName, Outcome)>,
    /// The epoch from now on.
    pub epoch: u64,
    /// Let nobody send before this much has passed: a client that did not hear of its last events
    /// sends them again, and the stream would not know them.
    pub wait: Duration,
}

/// A stream as it is found.
struct Found {
    stream: StreamName,
    archived: Option<(ArchiveHead, Vec<SegmentName>)>,
    /// `None`: there is no such stream.
    last: Option<Seq>,
}

impl Found {
    fn archived(&self) -> Seq {
        self.archived.as_ref().map_or(Seq::ZERO, |(head, _)| head.last)
    }
}

/// Restores a deployment from its object store. Everything is looked at and compared first: when
/// that finds a fault, nothing was changed. May be run again at any time; while it runs, no role
/// may.
///
/// # Errors
/// [`RestoreError`]
pub async fn restore(
    connection: &Connection,
    objects: &Objects,
    replicas: usize,
) -> Result<Restored, RestoreError> {
    let marker = objects.marker().await?.ok_or(RestoreError::NoArchive)?;
    let recorded = recorded(connection).await?;
    let has_record = recorded.is_some();
    if let Some(recorded) = recorded.filter(|recorded| recorded.salt != marker.salt) {
        return Err(RestoreError::Other { archive: marker.salt, nats: recorded.salt });
    }
    let wanted = Deployment { partitions: marker.partitions, epoch: 0, salt: marker.salt };
    let log = Log::open(connection, &wanted, LogClock::new());
    let segments = Segments::of(objects);
    let mut found = Vec::new();
    for stream in streams(wanted.partitions) {
        found.push(examine(&segments, &log, stream, has_record).await?);
    }
    let next = |stream| {
        let found = found.iter().find(|found| found.stream == stream)?;
        Some(found.archived().next()).filter(|next| *next > Seq(1))
    };
    let record = recreate(connection, &wanted, replicas, next).await?;
    let mut outcomes = Vec::new();
    let mut newest = LogTime::default();
    for found in &found {
        let outcome = apply(connection, &segments, &log, found).await?;
        tracing::info!(stream = %found.stream, ?outcome, "restored");
        if let (Some((_, chain)), false) =
            (&found.archived, matches!(outcome, Outcome::Whole { .. }))
            && let Some(last) = chain.last()
        {
            newest = newest.max(segments.header(last).await?.to);
        }
        outcomes.push((found.stream, outcome));
    }
    let epoch = raise_epoch(connection, record.epoch).await?;
    let now = log.extent(StreamName::Accounts).await?.now.unwrap_or(newest);
    let wait = newest.plus(FORGOTTEN_WITHIN).since(now);
    Ok(Restored { streams: outcomes, epoch, wait })
}

fn streams(partitions: PartitionCount) -> impl Iterator<Item = StreamName> {
    partitions.partitions().map(StreamName::Events).chain([StreamName::Accounts])
}

/// Reads all of a stream's archive, and compares it with what the stream holds.
async fn examine(
    segments: &Segments,
    log: &Log,
    stream: StreamName,
    has_record: bool,
) -> Result<Found, RestoreError> {
    // What the objects tell of may go on behind the head, which NATS may have lost; but not beside.
    let mut archived = segments.longest(stream).await?;
    let head = if has_record {
        deployment::archive_head(log.connection(), stream).await?.value
    } else {
        None
    };
    if let Some(head) = head {
        let name = name_of(stream, &head);
        if archived.as_ref().is_none_or(|(_, chain)| !chain.contains(&name)) {
            let chain = segments.link(&segments.list(stream).await?, name).await?;
            archived = Some((head, chain));
        }
    }
    let name = archived.as_ref().map(|(head, _)| name_of(stream, head));
    let verified = walk(segments, None, stream, name).await?;
    if let Some(first) = verified.findings.into_iter().next() {
        return Err(RestoreError::Damaged { stream, first });
    }
    let extent = log.find_extent(stream).await?;
    if let (Some((_, chain)), Some(extent)) = (&archived, extent) {
        let overlap = chain.iter().filter(|name| name.last >= extent.first);
        for name in overlap {
            if let Some(seq) = first_difference(segments, log, name).await? {
                return Err(RestoreError::Diverged { stream, seq });
            }
        }
    }
    Ok(Found { stream, archived, last: extent.map(|extent| extent.last) })
}

/// The first event that a segment and the stream hold differently.
async fn first_difference(
    segments: &Segments,
    log: &Log,
    name: &SegmentName,
) -> Result<Option<Seq>, RestoreError> {
    let extent = log.extent(name.stream).await?;
    let first = extent.first.max(name.first);
    if first > extent.last {
        return Ok(None);
    }
    let mut reader = log.follow_stream(name.stream, Seq(first.0 - 1));
    for archived in events(segments, name).await? {
        if archived.seq < first {
            continue;
        }
        if archived.seq > extent.last {
            break;
        }
        let stored = tokio::time::timeout(EVENT_WITHIN, reader.next_stored()).await;
        let Ok(stored) = stored else { return Ok(Some(archived.seq)) };
        let stored = stored?;
        if !is_same(name.stream, &archived, &stored) {
            return Ok(Some(archived.seq));
        }
    }
    Ok(None)
}

async fn events(segments: &Segments, name: &SegmentName) -> Result<Vec<StoredEvent>, ReadError> {
    let file = segments.fetch(name).await?;
    let of = name.clone();
    let decoded = decoding(move || Decoder::new(&of, file)?.collect::<Result<_, _>>()).await;
    decoded.map_err(|source| ReadError::Segment { object: name.to_string(), source })
}

async fn apply(
    connection: &Connection,
    segments: &Segments,
    log: &Log,
    found: &Found,
) -> Result<Outcome, RestoreError> {
    let Found { stream, archived, last } = found;
    if let Some((head, _)) = archived {
        let recorded = deployment::archive_head(connection, *stream).await?;
        if recorded.value.is_none_or(|recorded| recorded.last < head.last) {
            let revision = recorded.revision;
            deployment::replace_archive_head(connection, *stream, Some(head), revision).await?;
        }
    }
    let reached = found.archived();
    let outcome = match (stream, *last) {
        (StreamName::Accounts, last) => {
            let events =
                store_accounts_again(segments, log, found, last.unwrap_or_default()).await?;
            match (events, last) {
                (0, Some(last)) => Outcome::Whole { last },
                (0, None) => Outcome::Created { archived: reached },
                (events, _) => Outcome::StoredAgain { events },
            }
        }
        (StreamName::Events(_), None) => Outcome::Created { archived: reached },
        (StreamName::Events(_), Some(last)) if last < reached => {
            log.continue_from(*stream, reached.next()).await?;
            Outcome::Continued { last, archived: reached }
        }
        (StreamName::Events(_), Some(last)) => Outcome::Whole { last },
    };
    Ok(outcome)
}

/// Stores accounts again from just after `last`. Returns how many.
async fn store_accounts_again(
    segments: &Segments,
    log: &Log,
    found: &Found,
    last: Seq,
) -> Result<u64, RestoreError> {
    let Some((_, chain)) = &found.archived else { return Ok(0) };
    let mut count = 0;
    for name in chain.iter().filter(|name| name.last > last) {
        for event in events(segments, name).await?.iter().filter(|event| event.seq > last) {
            // One after the other: their order is their meaning.
            if log.store_again(event).await? != event.seq {
                return Err(RestoreError::Contended);
            }
            count += 1;
        }
    }
    Ok(count)
}
