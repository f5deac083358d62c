//! What may begin.

use hansard_model::media::{Declared, Home, MediaKey, State, Upload};
use hansard_model::{UploadId, UserId};
use hansard_nats::log::ReadError;
use hansard_nats::media::Change;

use super::Uploads;
use crate::fault::Fault;
use crate::holdings::Exceeded;
use crate::{metrics, watch};

/// What somebody wants to upload.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    /// Who.
    pub(crate) user: UserId,
    /// How many bytes.
    pub(crate) length: u64,
    /// What they say of it.
    pub(crate) declared: Declared,
}

/// Why it may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is longer than uploads may be.
    TooLong,
    /// They have as much as they may.
    Exceeded(Exceeded),
}

impl Uploads {
    /// Creates an upload without bytes.
    pub(crate) async fn create(
        &self,
        creation: Creation,
    ) -> Result<Result<Upload, Refusal>, Fault> {
        let Creation { user, length, declared } = creation;
        if length > self.bounds.bytes_max {
            return Ok(Err(Refusal::TooLong));
        }
        let id = mint()?;
        if let Err(exceeded) = self.holdings.reserve(user, id, length).await? {
            return Ok(Err(Refusal::Exceeded(exceeded)));
        }
        let now = self.now()?;
        let keep_until = now.plus(self.bounds.keep);
        let upload = Upload {
            id,
            uploader: user,
            length,
            declared,
            state: State::Receiving,
            created: now,
            keep_until,
            generation: 0,
            parts: Vec::new(),
            sha256: None,
            original: None,
            contents: [].into(),
            facts: hansard_model::media::Facts::default(),
            home: Home::Uploader,
            claimed: None,
            references: [].into(),
            edits: [].into(),
            attempts: 0,
            faults: 0,
            missing: 0,
            withheld: false,
        };
        watch::put(&self.bucket, keep_until, now, id).await?;
        // Ids do not meet: what is there is its own, written without an answer.
        let create = |found: Option<&Upload>| match found {
            Some(_) => (Change::Keep, ()),
            None => (Change::Put(upload.clone()), ()),
        };
        self.bucket.update(MediaKey::Upload(id), create).await?;
        metrics::upload("created");
        Ok(Ok(upload))
    }

    /// An upload of unknown length turns out to have no more bytes than it has.
    pub(crate) async fn end_at(
        &self,
        id: UploadId,
        user: UserId,
        length: u64,
    ) -> Result<(), Fault> {
        let end = |found: Option<&Upload>| match found {
            Some(found) if found.state == State::Receiving && found.length > length => {
                (Change::Put(Upload { length, ..found.clone() }), ())
            }
            Some(_) | None => (Change::Keep, ()),
        };
        self.bucket.update(MediaKey::Upload(id), end).await?;
        // In this order: it never has more bytes than are reserved.
        self.holdings.shrink(user, id, length).await
    }
}

fn mint() -> Result<UploadId, Fault> {
    let mut entropy = [0; UploadId::LEN];
    getrandom::fill(&mut entropy)
        .map_err(|error| ReadError::Unexpected(format!("no randomness: {error}")))?;
    Ok(UploadId::from_entropy(entropy))
}
