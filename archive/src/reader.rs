//! The one reader of the log: segments as far as the stream is trimmed, then the stream.

mod source;

use std::vec;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hansard_model::{Record, Seq};
use hansard_nats::log::{self, StoredEvent};
use hansard_nats::streams::StreamName;
use hansard_nats::{Log, LogClock};
use tokio::sync::mpsc;

pub(crate) use source::{Part, read_segments};

use crate::{Archive, ReadError};

/// Why a reader stopped. It does not skip.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The stream is not what it should be.
    #[error(transparent)]
    Stream(#[from] log::FollowError),
    /// The archive is not what it should be.
    #[error(transparent)]
    Archive(#[from] ReadError),
}

impl FollowError {
    /// Whether the log ends before the position the reader was given: it is another log, restored
    /// or truncated.
    pub fn is_truncated(&self) -> bool {
        matches!(self, Self::Stream(log::FollowError::Truncated { .. }))
    }
}

/// A reader of one partition. It survives lost connections, servers and object stores by itself.
pub struct LogReader {
    archive: Archive,
    log: Log,
    stream: StreamName,
    after: Seq,
    last_known: Seq,
    source: Source,
}

/// Where the next event is looked for. The stream is asked first: only it knows where it begins.
enum Source {
    Stream(Box<log::LogReader>),
    Segments {
        parts: mpsc::Receiver<Result<Part, ReadError>>,
        here: vec::IntoIter<StoredEvent>,
        /// Where the stream began when it was asked last.
        first: Seq,
    },
}

impl LogReader {
    pub(crate) fn new(archive: &Archive, log: &Log, stream: StreamName, after: Seq) -> Self {
        Self {
            archive: archive.clone(),
            log: log.clone(),
            stream,
            after,
            last_known: after,
            source: Source::Stream(Box::new(log.follow_stream(stream, after))),
        }
    }

    /// The last event that was returned (or confirmed as deleted).
    pub fn position(&self) -> Seq {
        self.after
    }

    /// The last event of the log as last heard: the rest is lag.
    pub fn last_known(&self) -> Seq {
        self.last_known
    }

    /// The clock of the log.
    pub fn clock(&self) -> &LogClock {
        self.log.clock()
    }

    /// The next event. Waits for ever; safe to drop while it waits.
    ///
    /// # Errors
    /// [`FollowError`]: the reader must not be used further.
    pub async fn next(&mut self) -> Result<Record<Bytes>, FollowError> {
        loop {
            if let Some(event) = self.archived().await? {
                let (stream, seq) = (self.stream, event.seq);
                let foreign = log::FollowError::Foreign { stream, seq };
                return event.record().ok_or_else(|| foreign.into());
            }
            let Source::Stream(reader) = &mut self.source else { continue };
            let next = reader.next().await;
            self.last_known = self.last_known.max(reader.last_known());
            match next {
                Ok(record) => {
                    self.after = record.seq;
                    return Ok(record);
                }
                Err(error) => self.turn_to_segments(error)?,
            }
        }
    }

    /// As [`LogReader::next`], with everything that the stream stored, and whatever it is.
    ///
    /// # Errors
    /// As [`LogReader::next`].
    pub async fn next_stored(&mut self) -> Result<StoredEvent, FollowError> {
        loop {
            if let Some(event) = self.archived().await? {
                return Ok(event);
            }
            let Source::Stream(reader) = &mut self.source else { continue };
            let next = reader.next_stored().await;
            self.last_known = self.last_known.max(reader.last_known());
            match next {
                Ok(event) => {
                    self.after = event.seq;
                    return Ok(event);
                }
                Err(error) => self.turn_to_segments(error)?,
            }
        }
    }

    /// The next event out of a segment; `None` when the stream has the next.
    async fn archived(&mut self) -> Result<Option<StoredEvent>, ReadError> {
        while let Source::Segments { parts, here, first } = &mut self.source {
            if let Some(event) = here.next() {
                self.after = event.seq;
                return Ok(Some(event));
            }
            let first = *first;
            match parts.recv().await {
                Some(part) => match part? {
                    Part::Events(events) => *here = events.into_iter(),
                    Part::End(reached) if reached.next() < first => {
                        let (stream, archived) = (self.stream, reached);
                        return Err(ReadError::Gap { stream, archived, first });
                    }
                    Part::End(reached) => self.turn_to_stream(reached),
                },
                // Its task ended by itself, which it does not: again, from where we are.
                None => self.turn_to_stream(self.after),
            }
        }
        Ok(None)
    }

    /// The next event if it is here already: drains a batch without waiting.
    ///
    /// # Errors
    /// As [`LogReader::next`].
    pub fn try_next(&mut self) -> Result<Option<Record<Bytes>>, FollowError> {
        self.next().now_or_never().transpose()
    }

    /// What was trimmed from the stream is in segments; every other error is one.
    fn turn_to_segments(&mut self, error: log::FollowError) -> Result<(), FollowError> {
        let log::FollowError::Trimmed { first, .. } = error else { return Err(error.into()) };
        let to = Seq(first.0.saturating_sub(1));
        let parts = read_segments(&self.archive, self.stream, self.after, to);
        self.source = Source::Segments { parts, here: Vec::new().into_iter(), first };
        Ok(())
    }

    fn turn_to_stream(&mut self, reached: Seq) {
        self.after = self.after.max(reached);
        self.source = Source::Stream(Box::new(self.log.follow_stream(self.stream, self.after)));
    }
}
