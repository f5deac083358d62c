//! Where a stream begins and ends, and making it begin later.

use hansard_model::{LogTime, Seq};

use super::stored::{self, StoredEvent};
use super::{Log, ReadError};
use crate::direct::{self, LeaderRequest, StreamState};
use crate::streams::StreamName;

/// What a stream holds now, by its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first sequence there is; just behind `last` when there is none.
    pub first: Seq,
    /// The last sequence there is or was; 0 for a stream that never held anything.
    pub last: Seq,
    /// Bytes stored.
    pub bytes: u64,
    /// The server's clock.
    pub now: Option<LogTime>,
}

impl From<StreamState> for Extent {
    fn from(state: StreamState) -> Self {
        let StreamState { first, last, bytes, ts } = state;
        Self { first, last, bytes, now: ts }
    }
}

/// Why a stream was not trimmed.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    /// It would cut off events that were never there: the sequences after them would be lost.
    #[error("{stream} ends at {last}, before {to}")]
    Beyond {
        /// Which.
        stream: StreamName,
        /// Up to where it was to be trimmed.
        to: Seq,
        /// Its last event.
        last: Seq,
    },
    /// The leader did not answer: perhaps trimmed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Log {
    /// What a stream holds now, by its leader.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn extent(&self, stream: StreamName) -> Result<Extent, ReadError> {
        Ok(direct::leader_info(&self.connection, &stream.name()).await?.into())
    }

    /// As [`Log::extent`]; `None` when there is no such stream.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn find_extent(&self, stream: StreamName) -> Result<Option<Extent>, ReadError> {
        let state = direct::stream_state(&self.connection, &stream.name()).await?;
        Ok(state.map(Extent::from))
    }

    /// What a stream stored at `seq`, whole, from the leader; `None` when there is nothing.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn stored(
        &self,
        stream: StreamName,
        seq: Seq,
    ) -> Result<Option<StoredEvent>, ReadError> {
        let request = LeaderRequest { seq: Some(seq.0), ..LeaderRequest::default() };
        let stored = direct::leader_get(&self.connection, &stream.name(), &request).await?;
        Ok(stored.map(|found| StoredEvent {
            seq: found.seq,
            ts: found.ts,
            subject: found.subject,
            headers: stored::headers(Some(&found.headers)),
            payload: found.payload,
        }))
    }

    /// Removes every event up to and including `to` from a stream. Whoever calls this has seen
    /// them in the archive.
    ///
    /// # Errors
    /// [`TrimError`]
    pub async fn trim(&self, stream: StreamName, to: Seq) -> Result<(), TrimError> {
        let Extent { first, last, .. } = self.extent(stream).await?;
        if to > last {
            return Err(TrimError::Beyond { stream, to, last });
        }
        if to < first {
            return Ok(());
        }
        Ok(direct::purge_before(&self.connection, &stream.name(), to.next()).await?)
    }
}
