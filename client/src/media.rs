//! Files: uploads that go on where they were cut off, by the network or by the end of the process,
//! and downloads that are whole or not there.
//!
//! Code map, in reading order: `source` (what is uploaded), `upload` and `download` (one of them,
//! from its beginning to its end), `patience` (when to try again), `digest` (whether it is the
//! same), `name` (what a file may be called here). What has to survive the process is in the store.
//!
//! Invariant: a download has its name only once its SHA-256 is what the server said.
//! Invariant: an upload of a file leaves the journal when it is refused for good, given up by the
//! person, or in the transaction that puts its message into the outbox.

mod digest;
mod download;
mod name;
mod patience;
mod source;
mod upload;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hansard_model::UploadId;
use hansard_model::media::{Declared, Variant};
use hansard_protocol::media::{MediaInfo, MediaState};
use serde_json::{Map, Value};

use crate::engine::Current;
use crate::http::{Http, HttpError};
use crate::store::{Store, StoreError};

pub use download::Download;
pub use name::safe_name;
pub use source::{FileSource, Source};
pub use upload::Upload;

pub use crate::store::journal::{Draft, Fingerprint, UNFINISHED_MAX, Unfinished};

/// How long between two questions whether a file is ready, at first.
const READY_POLL: Duration = Duration::from_millis(50);
/// And at most.
const READY_POLL_MAX: Duration = Duration::from_millis(500);

/// How far a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are over. It goes back when some of them turn out not to have arrived.
    pub done: u64,
    /// Bytes in all; 0 while that is not known.
    pub total: u64,
}

/// A transfer did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The server said no, or said nothing for as long as it was worth waiting.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// The file is not what it was when its upload began.
    #[error("the file was changed since its upload began")]
    Changed,
    /// The file has no name in UTF-8, or is none.
    #[error("not a file that can be uploaded")]
    NotAFile,
    /// Too many uploads of files are unfinished.
    #[error("{UNFINISHED_MAX} uploads are unfinished already")]
    JournalFull,
    /// All bytes were sent, and the server has not put them together in time.
    #[error("the server has not put the file together yet")]
    Unfinished,
    /// What arrived is not what was sent.
    #[error("the bytes that arrived are not those that were sent")]
    Damaged,
    /// The file cannot be written.
    #[error("the file cannot be written")]
    Write(#[source] io::Error),
    /// The client's store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Uploads and downloads of one person. Clones share the journal.
#[derive(Clone, Debug)]
pub struct Media {
    current: Current,
    store: Store,
}

impl Media {
    /// By one gateway, without a [`crate::Client`].
    pub fn new(http: Http, store: Store) -> Self {
        Self { current: Current::new(http), store }
    }

    pub(crate) fn of(current: Current, store: Store) -> Self {
        Self { current, store }
    }

    /// Writes down that a file is to be uploaded, and then perhaps to be sent. Nothing goes out
    /// before [`Media::resume`]; what was written down goes on after a restart.
    ///
    /// # Errors
    /// [`MediaError`]
    pub async fn prepare(
        &self,
        path: &Path,
        file: Declared,
        message: Option<Draft>,
    ) -> Result<Unfinished, MediaError> {
        let path = std::path::absolute(path).map_err(MediaError::Read)?;
        if path.to_str().is_none() {
            return Err(MediaError::NotAFile);
        }
        let (fingerprint, path) =
            off_the_loop(move || Fingerprint::of(&path).map(|fingerprint| (fingerprint, path)))
                .await?;
        let unfinished = Unfinished { row: 0, path, fingerprint, file, upload: None, message };
        let row = self.store.note_upload(unfinished.clone()).await?;
        let row = row.ok_or(MediaError::JournalFull)?;
        Ok(Unfinished { row, ..unfinished })
    }

    /// What was prepared and has not come to its end.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        self.store.uploads().await
    }

    /// Begins or goes on with what was prepared. It runs until it is dropped.
    pub fn resume(&self, unfinished: Unfinished) -> Upload {
        let source = FileSource::new(unfinished.path.clone(), unfinished.fingerprint);
        upload::start(self.clone(), Box::new(source), unfinished.file.clone(), Some(unfinished))
    }

    /// Uploads what is not a file of this device: it goes on after failures of the network, and
    /// not after the end of the process.
    pub fn upload(&self, source: impl Source, file: Declared) -> Upload {
        upload::start(self.clone(), Box::new(source), file, None)
    }

    /// Forgets what was prepared, and ends it at the server if it has begun there.
    ///
    /// # Errors
    /// [`StoreError`]: it goes on at the next start.
    pub async fn give_up(&self, unfinished: &Unfinished) -> Result<(), StoreError> {
        // As the journal has it now: it may have begun meanwhile.
        let noted = self.store.uploads().await?;
        let noted = noted.iter().find(|noted| noted.row == unfinished.row);
        self.store.forget_upload(unfinished.row).await?;
        if let Some(upload) = noted.and_then(|noted| noted.upload) {
            // What is not ended now ends by itself.
            let _ = self.current.http().end_upload(upload).await;
        }
        Ok(())
    }

    /// Fetches a file to `path`, or beside it if something is there already. What arrives is kept
    /// in `<path>.part` until it is whole; a later call with the same path goes on there.
    pub fn download(&self, upload: UploadId, variant: Variant, path: PathBuf) -> Download {
        download::start(self.clone(), upload, variant, path)
    }

    /// What is known of an upload.
    ///
    /// # Errors
    /// [`HttpError`]
    pub async fn info(&self, upload: UploadId) -> Result<MediaInfo, HttpError> {
        self.current.http().media_info(upload).await
    }

    /// Waits until everything is known of a file that is uploaded, at most so long; what is known
    /// by then.
    pub async fn ready(&self, info: MediaInfo, within: Duration) -> MediaInfo {
        let id = info.id;
        let mut known = info;
        let wait = async {
            let mut pause = READY_POLL;
            while known.state != MediaState::Ready {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(READY_POLL_MAX);
                if let Ok(info) = self.info(id).await {
                    known = info;
                }
            }
        };
        // What is not known in time is not known.
        let _ = tokio::time::timeout(within, wait).await;
        known
    }

    fn http(&self) -> Http {
        self.current.http()
    }
}

/// Runs what blocks where blocking is allowed.
async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
) -> Result<T, MediaError> {
    let work = tokio::task::spawn_blocking(work).await;
    work.map_err(|error| MediaError::Read(io::Error::other(error)))?
}

/// How a message refers to an upload.
pub(crate) fn entry(info: &MediaInfo) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("id".to_owned(), Value::from(info.id.to_string()));
    entry.insert("type".to_owned(), Value::from(info.media_type.as_str()));
    entry.insert("size".to_owned(), Value::from(info.size));
    let facts = [
        ("name", info.name.as_deref().map(Value::from)),
        ("width", info.width.map(Value::from)),
        ("height", info.height.map(Value::from)),
        ("duration_ms", info.duration_ms.map(Value::from)),
        ("placeholder", info.placeholder.as_deref().map(Value::from)),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            entry.insert(name.to_owned(), fact);
        }
    }
    entry
}
