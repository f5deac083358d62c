//! Events out of segments: fetched ahead, checked, decoded beside the tasks, in bounded batches.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use hansard_model::Seq;
use hansard_nats::log::StoredEvent;
use hansard_nats::streams::StreamName;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::segment::{Decoder, SegmentError, SegmentName};
use crate::segments::{Segments, decoding};
use crate::{Archive, ReadError};

/// Events of one batch.
const BATCH_EVENTS: usize = 256;
/// Batches that wait for the reader.
const BATCHES_AHEAD_MAX: usize = 4;
/// Segments that are fetched before their turn, a few megabytes each.
const FETCHED_AHEAD_MAX: usize = 2;
/// Pauses before something that did not answer is asked again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What segments give.
pub(crate) enum Part {
    /// The next events.
    Events(Vec<StoredEvent>),
    /// All up to here was given, and nothing follows.
    End(Seq),
}

/// A segment to read, and the one before it, if there is one.
struct Turn {
    name: SegmentName,
    previous: Option<SegmentName>,
}

/// The events in `after < seq <= to` that are in segments, then how far they reach. Ends with the
/// receiver.
pub(crate) fn read_segments(
    archive: &Archive,
    stream: StreamName,
    after: Seq,
    to: Seq,
) -> mpsc::Receiver<Result<Part, ReadError>> {
    let (sender, parts) = mpsc::channel(BATCHES_AHEAD_MAX);
    let archive = archive.clone();
    tokio::spawn(async move {
        let work = async {
            let end = run(&archive, stream, after, to, &sender).await;
            // Nobody may be left to hear of it.
            let _ = sender.send(end.map(Part::End)).await;
        };
        tokio::select! {
            () = work => {}
            () = sender.closed() => {}
        }
    });
    parts
}

async fn run(
    archive: &Archive,
    stream: StreamName,
    after: Seq,
    to: Seq,
    sender: &mpsc::Sender<Result<Part, ReadError>>,
) -> Result<Seq, ReadError> {
    let Some(head) = patiently(|| archive.head_of(stream)).await? else { return Ok(after) };
    let chain = patiently(|| archive.segments.chain(stream, &head)).await?;
    let begin = chain.partition_point(|name| name.last <= after);
    let turns = chain.iter().enumerate().skip(begin).take_while(|(_, name)| name.first <= to);
    let turns: Vec<Turn> = turns
        .map(|(index, name)| Turn {
            name: name.clone(),
            previous: index.checked_sub(1).map(|before| chain[before].clone()),
        })
        .collect();
    let mut fetched = futures_util::stream::iter(turns)
        .map(|turn| {
            let fetching = tokio::spawn(fetch(archive.segments.clone(), turn));
            AbortOnDropHandle::new(fetching)
        })
        .buffered(FETCHED_AHEAD_MAX);
    while let Some(ended) = fetched.next().await {
        let Ok(fetched) = ended else { return std::future::pending().await };
        let (turn, file) = fetched?;
        let object = turn.name.to_string();
        let sender = sender.clone();
        decoding(move || decode(&turn, file, (after, to), &sender))
            .await
            .map_err(|source| ReadError::Segment { object, source })?;
    }
    Ok(head.last.min(to).max(after))
}

async fn fetch(segments: Segments, turn: Turn) -> Result<(Turn, Bytes), ReadError> {
    let file = patiently(|| segments.fetch(&turn.name)).await?;
    Ok((turn, file))
}

fn decode(
    turn: &Turn,
    file: Bytes,
    (after, to): (Seq, Seq),
    sender: &mpsc::Sender<Result<Part, ReadError>>,
) -> Result<(), SegmentError> {
    let mut decoder = Decoder::new(&turn.name, file)?;
    decoder.check_previous(turn.previous.as_ref())?;
    let mut batch = Vec::with_capacity(BATCH_EVENTS);
    loop {
        let event = decoder.next().transpose()?;
        let is_end = event.as_ref().is_none_or(|event| event.seq > to);
        batch.extend(event.filter(|event| event.seq > after && !is_end));
        if batch.len() == BATCH_EVENTS || (is_end && !batch.is_empty()) {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_EVENTS));
            if sender.blocking_send(Ok(Part::Events(full))).is_err() {
                return Ok(());
            }
        }
        if is_end {
            return Ok(());
        }
    }
}

/// Asks until there is an answer that will not change.
async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let mut pause = PAUSE_MIN;
    loop {
        match ask().await {
            Err(error) if error.is_transient() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "archive not available");
            }
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
