//! The values of the bucket one by one: comparing them with what they should be, putting them
//! right, and removing what is of another log.

use async_nats::jetstream::context::PublishErrorKind;
use bytes::Bytes;
use hansard_model::inbox::InboxKey;
use hansard_model::{PartitionId, Seq};

use super::{InboxBucket, PutError, Stamp, compare_and_set, key_of, value_of};
use crate::direct::{self, BATCH_MAX, BatchRequest, LeaderRequest, ReadError, Stored, unavailable};
use crate::streams::{INBOX_BUCKET, bucket_stream, bucket_subject};

/// A value as the bucket holds it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key.
    pub key: InboxKey,
    /// Its bytes.
    pub value: Bytes,
    /// By which it is replaced.
    pub revision: u64,
    /// The position it is a copy at; 0 when it cannot be read.
    pub as_of: Seq,
}

impl Entry {
    fn of(key: InboxKey, stored: &Stored) -> Self {
        let as_of = value_of::<Stamp>(stored).map_or(Seq::ZERO, |stamp| stamp.seq);
        Self { key, value: stored.payload.clone(), revision: stored.seq.0, as_of }
    }
}

impl InboxBucket {
    /// Everything that the bucket holds of one partition, but its position, one by one.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn entries(
        &self,
        partition: PartitionId,
        mut take: impl FnMut(Entry),
    ) -> Result<(), ReadError> {
        let stream = bucket_stream(INBOX_BUCKET);
        let mut after = Seq::ZERO;
        loop {
            let request = BatchRequest {
                seq: Some(after.next().0),
                next_by_subj: Some(bucket_subject(INBOX_BUCKET, ">")),
                batch: BATCH_MAX,
                ..BatchRequest::default()
            };
            let (stored, _) = direct::batch(&self.connection, &stream, &request).await?;
            let Some(last) = stored.last() else { return Ok(()) };
            after = last.seq;
            for stored in &stored {
                let Some(key) = key_of(stored) else { continue };
                let of = match key {
                    InboxKey::Head(id) | InboxKey::Member(_, id) => id.partition(self.partitions),
                    InboxKey::Position(_) => continue,
                };
                if of == partition {
                    take(Entry::of(key, stored));
                }
            }
        }
    }

    /// What the bucket holds under a key, by the leader.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn entry(&self, key: InboxKey) -> Result<Option<Entry>, ReadError> {
        let subject = bucket_subject(INBOX_BUCKET, &key.to_string());
        let request = LeaderRequest { last_by_subj: Some(subject), ..LeaderRequest::default() };
        let stream = bucket_stream(INBOX_BUCKET);
        let found = direct::leader_get(&self.connection, &stream, &request).await?;
        Ok(found.map(|stored| Entry::of(key, &stored)))
    }

    /// Replaces a value whatever position it carries; `revision` is the one it was read with, 0
    /// for none. `false`: it changed meanwhile.
    ///
    /// # Errors
    /// [`PutError`] when the bucket does not answer.
    pub async fn replace(
        &self,
        key: InboxKey,
        value: Vec<u8>,
        revision: u64,
    ) -> Result<bool, PutError> {
        let subject = bucket_subject(INBOX_BUCKET, &key.to_string());
        match compare_and_set(&self.connection, &subject, value.into(), revision).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(error) => Err(PutError::Unavailable(error.into())),
        }
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn remove(&self, key: InboxKey) -> Result<(), ReadError> {
        let stream = bucket_stream(INBOX_BUCKET);
        let stream =
            self.connection.jetstream.get_stream_no_info(stream).await.map_err(unavailable)?;
        let subject = bucket_subject(INBOX_BUCKET, &key.to_string());
        stream.purge().filter(subject).await.map_err(unavailable)?;
        Ok(())
    }

    /// Removes everything of one partition, the position first: the log is another now.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer; some may be removed then.
    pub async fn forget(&self, partition: PartitionId) -> Result<(), ReadError> {
        self.remove(InboxKey::Position(partition)).await?;
        let mut keys = Vec::new();
        self.entries(partition, |entry| keys.push(entry.key)).await?;
        for key in keys {
            self.remove(key).await?;
        }
        Ok(())
    }
}
