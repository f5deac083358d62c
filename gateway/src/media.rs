//! Files: to whom they belong, who may read them, and which service has their bytes.
//!
//! A gateway holds no bytes. It says in a grant on whose behalf a request comes, and passes
//! through, both ways, what a client and a media service say to each other. Reading order:
//!
//! 1. `readers`: who may read a file, by its record and the membership of that moment;
//! 2. `claims`: a file belongs to the conversation before the message that sends it is stored;
//! 3. `signature`: URLs that need no token; `avatars`: pictures of people;
//! 4. `services`, `transfer`, `patience`: where the bytes are, and how they get there;
//! 5. `notices`: what is ready now.
//!
//! Invariant: nobody is told that a file exists which they may not read.

mod avatars;
mod claims;
pub(crate) mod notices;
mod patience;
mod readers;
mod services;
mod signature;
mod transfer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hansard_model::media::{Allows, Grant, MediaKey, Position, Reconciled, Upload};
use hansard_model::{PartitionId, Seq, UploadId, UserId};
use hansard_nats::accounts::AccountLog;
use hansard_nats::log::{NotSynchronized, ReadError};
use hansard_nats::media::{GrantSecret, MediaBucket, UpdateError};
use hansard_nats::{Connection, LogClock, grant};
use tokio::sync::OnceCell;

pub(crate) use avatars::AvatarError;
pub(crate) use claims::{ClaimError, Claims};
pub(crate) use readers::{Purpose, Unreadable};
pub(crate) use signature::{SignatureError, Signed, variant_name};
pub(crate) use transfer::{Passed, TransferError};

use avatars::Turns;
use services::Services;
use transfer::Transfer;

/// The epoch of a deployment that was never restored: its log was read from its beginning.
const FIRST_EPOCH: u64 = 1;
/// How long a grant lets a request begin.
const GRANTED_FOR: Duration = Duration::from_secs(60);

/// Files, for all requests of a gateway; clones share it.
#[derive(Clone)]
pub(crate) struct Media {
    bucket: MediaBucket,
    clock: LogClock,
    /// It never changes once it is made.
    secret: Arc<OnceCell<GrantSecret>>,
    services: Arc<Services>,
    transfer: Transfer,
    /// The epoch in which the records are known to have all that messages refer to.
    settled: Arc<AtomicU64>,
    /// Which avatars accounts name.
    accounts: AccountLog,
    /// Who changes their avatar.
    pub(crate) avatars: Arc<Turns>,
}

/// Why nothing can be granted now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    /// The secret cannot be read.
    #[error(transparent)]
    Secret(#[from] UpdateError),
    /// Log time is not known.
    #[error(transparent)]
    Clock(#[from] NotSynchronized),
}

impl Media {
    /// The files of a deployment.
    pub(crate) fn new(connection: &Connection, clock: LogClock) -> Self {
        let bucket = MediaBucket::open(connection);
        Self {
            services: Arc::new(Services::new(bucket.clone())),
            bucket,
            clock,
            secret: Arc::default(),
            transfer: Transfer::new(),
            settled: Arc::new(AtomicU64::new(FIRST_EPOCH)),
            accounts: AccountLog::open(connection),
            avatars: Arc::new(Turns::new()),
        }
    }

    /// The record of a file, as the leader has it.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub(crate) async fn upload(&self, id: UploadId) -> Result<Option<Upload>, ReadError> {
        Ok(self.bucket.get(MediaKey::Upload(id)).await?.0)
    }

    /// A grant as text, for a request that begins now.
    ///
    /// # Errors
    /// [`GrantError`]
    pub(crate) async fn grant(&self, user: UserId, allows: Allows) -> Result<String, GrantError> {
        let until = self.clock.now()?.plus(GRANTED_FOR);
        Ok(grant::seal(self.secret().await?, &Grant { user, allows, until }))
    }

    /// Whether the records have all that messages of the log of `epoch` refer to, or did so once. Not
    /// so after a restore, from an older copy of the records: a file may seem to be its uploader's that
    /// a message has already.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub(crate) async fn is_settled(&self, epoch: u64) -> Result<bool, ReadError> {
        if self.settled.load(Ordering::Relaxed) == epoch {
            return Ok(true);
        }
        let found = self.bucket.get::<Reconciled>(MediaKey::Epoch).await?.0;
        let is_settled = found.is_some_and(|found| found.epoch == epoch && found.swept);
        if is_settled {
            self.settled.store(epoch, Ordering::Relaxed);
        }
        Ok(is_settled)
    }

    async fn secret(&self) -> Result<&GrantSecret, UpdateError> {
        self.secret.get_or_try_init(|| self.bucket.grant_secret()).await
    }

    /// Up to where the references of a partition are in the records, in the log of `epoch`.
    async fn referenced(&self, partition: PartitionId, epoch: u64) -> Result<Seq, ReadError> {
        let position = self.bucket.get::<Position>(MediaKey::Position(partition)).await?.0;
        Ok(position.filter(|at| at.epoch == epoch).map_or(Seq::ZERO, |at| at.seq))
    }
}
