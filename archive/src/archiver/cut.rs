//! Making a segment, and making sure of it.

use std::time::Duration;

use hansard_model::Seq;
use hansard_nats::log::StoredEvent;
use object_store::{ObjectStore as _, PutMode, PutOptions, PutPayload};

use super::{ArchiveError, Task};
use crate::ReadError;
use crate::segment::{Content, Decoder, Encoder, Segment, SegmentError};
use crate::segments::decoding;

/// A stream that has an event gives it within this, or is asked anew.
pub(super) const EVENT_WITHIN: Duration = Duration::from_secs(30);

/// A segment, and its last event.
pub(super) struct Cut {
    pub(super) segment: Segment,
    pub(super) last: StoredEvent,
}

/// Reads the stream from just after `after`, a segment at most, not beyond `to`.
pub(super) async fn cut(
    task: &Task<'_>,
    after: Seq,
    to: Seq,
    previous: Option<String>,
) -> Result<Cut, ArchiveError> {
    let settings = task.settings;
    // Never closed.
    let _permit = task.archive.cutting.acquire().await.ok();
    let mut reader = task.log.follow_stream(task.stream, after);
    let mut encoder = Encoder::new(task.stream)?;
    loop {
        task.check_held()?;
        let next = tokio::time::timeout(EVENT_WITHIN, reader.next_stored()).await;
        let event = next.map_err(|_| ArchiveError::Slow)??;
        encoder.push(&event)?;
        let is_full =
            encoder.count() >= settings.segment_events || encoder.bytes() >= settings.segment_bytes;
        if is_full || event.seq >= to {
            let segment = encoder.finish(after.next(), previous, &task.archive.deployment)?;
            return Ok(Cut { segment, last: event });
        }
    }
}

/// Writes a segment and reads it back.
pub(super) async fn write(task: &Task<'_>, segment: &Segment) -> Result<(), ArchiveError> {
    task.archive.objects().check(&task.archive.deployment).await?;
    put(task, segment, PutMode::Create).await?;
    match read_back(task, segment).await {
        Ok(()) => Ok(()),
        // One of this name was there, and damaged: this is what it should be.
        Err(ArchiveError::ReadBack { .. }) => {
            put(task, segment, PutMode::Overwrite).await?;
            read_back(task, segment).await
        }
        Err(error) => Err(error),
    }
}

async fn put(task: &Task<'_>, segment: &Segment, mode: PutMode) -> Result<(), ArchiveError> {
    task.check_held()?;
    let path = task.archive.segments.path(&segment.name);
    let payload = PutPayload::from_bytes(segment.file.clone());
    let put = task.archive.objects().store.put_opts(&path, payload, PutOptions::from(mode)).await;
    match put {
        // Its name has its hash: it is the same.
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(ArchiveError::Store(error)),
    }
}

async fn read_back(task: &Task<'_>, segment: &Segment) -> Result<(), ArchiveError> {
    let object = segment.name.to_string();
    let file = match task.archive.segments.fetch(&segment.name).await {
        Ok(file) => file,
        Err(ReadError::Segment { object, .. } | ReadError::Missing { object }) => {
            return Err(ArchiveError::ReadBack { object });
        }
        Err(error) => return Err(error.into()),
    };
    let name = segment.name.clone();
    let content = decoding(move || {
        let mut content = Content::default();
        for event in Decoder::new(&name, file)? {
            content.add(&event?);
        }
        Ok::<_, SegmentError>(content.finish())
    });
    if content.await? == segment.content { Ok(()) } else { Err(ArchiveError::ReadBack { object }) }
}
