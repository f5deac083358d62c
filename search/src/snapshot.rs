//! Snapshots of indexes in the object store, so that a new machine need not read the whole log.
//!
//! A snapshot is a manifest, and the objects that it names by the hash of what they hold. Objects
//! never change and are written first; then the manifest is replaced, and what it no longer names is
//! removed once it is old. Whoever dies on the way leaves objects that the next one removes. A
//! snapshot that cannot be read, or is not what its hashes say, is no snapshot: the log has it all.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use hansard_archive::Objects;
use hansard_model::PartitionId;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, PutPayload, WriteMultipart};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

use crate::metrics;
use crate::position::{Position, hex};

/// The form of a manifest.
const VERSION: u32 = 1;
/// Bytes that are read and sent at a time.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Parts of an object on their way at a time.
const PARTS_AT_ONCE: usize = 2;
/// Objects that no manifest names are left for so long: another owner may be about to name them.
const UNNAMED_FOR: Duration = Duration::from_secs(3_600);
/// Files whose hashes are remembered; beyond, all are forgotten.
const HASHES_MAX: usize = 16_384;
/// A manifest is smaller.
const MANIFEST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What the library calls the file that names the others, and the one that says which to remove.
const META: &str = "meta.json";
const MANAGED: &str = ".managed.json";

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The object store does not answer.
    #[error("the object store does not answer")]
    Store(#[from] Error),
    /// A file cannot be read or written.
    #[error("a file of a snapshot cannot be read or written")]
    File(#[from] io::Error),
    /// The manifest is not one.
    #[error("the manifest of a snapshot cannot be read")]
    Manifest(#[from] serde_json::Error),
    /// An object is not what its name says.
    #[error("{0} is damaged")]
    Damaged(Path),
    /// Somebody else owns the partition.
    #[error("the lease is lost")]
    Lost,
}

/// What a snapshot consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    v: u32,
    /// Of the index.
    pub(crate) generation: u64,
    /// How far it is.
    pub(crate) position: Position,
    files: Vec<Stored>,
    /// What the library says of the files.
    meta: String,
}

/// A file in the object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    name: String,
    sha256: String,
    bytes: u64,
}

/// Files of a commit, held in a directory of their own while merges go on.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) directory: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) meta: String,
    pub(crate) position: Position,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::debug!(%error, "a staged snapshot is left");
        }
    }
}

/// A file as it was written once: device, number and time. Names are not enough, as an index that
/// begins again at an older commit may give a name to something else.
type Identity = (u64, u64, i64, i64);

/// The snapshots of a deployment; clones share it.
#[derive(Clone)]
pub(crate) struct Snapshots {
    objects: Objects,
    /// One at a time: it competes with people who chat.
    taking: Arc<Semaphore>,
    /// Of files that were looked at.
    hashes: Arc<Mutex<HashMap<Identity, String>>>,
}

impl Snapshots {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { objects, taking: Arc::new(Semaphore::new(1)), hashes: Arc::default() }
    }

    fn prefix(&self, partition: PartitionId) -> Path {
        self.objects.path(&format!("search/{partition}"))
    }

    fn manifest(&self, partition: PartitionId) -> Path {
        self.prefix(partition).join("manifest.json")
    }

    fn object(&self, partition: PartitionId, sha256: &str) -> Path {
        self.prefix(partition).join("files").join(sha256)
    }

    /// The last snapshot of a partition.
    ///
    /// # Errors
    /// [`SnapshotError`]
    pub(crate) async fn latest(
        &self,
        partition: PartitionId,
    ) -> Result<Option<Manifest>, SnapshotError> {
        let path = self.manifest(partition);
        let found = match self.objects.store.get(&path).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if found.meta.size > MANIFEST_BYTES_MAX {
            return Err(SnapshotError::Damaged(path));
        }
        let manifest: Manifest = serde_json::from_slice(&found.bytes().await?)?;
        Ok(Some(manifest).filter(|manifest| manifest.v == VERSION))
    }

    /// Stores what is staged, while `is_held`, and removes what no snapshot needs any more.
    ///
    /// # Errors
    /// [`SnapshotError`]; the snapshot before is as it was.
    pub(crate) async fn take(
        &self,
        partition: PartitionId,
        generation: u64,
        staged: Staged,
        is_held: impl Fn() -> bool,
    ) -> Result<(), SnapshotError> {
        // The semaphore is never closed.
        let _turn = self.taking.acquire().await;
        let held = || if is_held() { Ok(()) } else { Err(SnapshotError::Lost) };
        let prefix = self.prefix(partition).join("files");
        let mut there: HashSet<Path> = HashSet::new();
        let mut listed = self.objects.store.list(Some(&prefix));
        while let Some(object) = listed.next().await {
            there.insert(object?.location);
        }
        let mut files = Vec::with_capacity(staged.files.len());
        for name in &staged.files {
            let path = staged.directory.join(name);
            let bytes = tokio::fs::metadata(&path).await?.len();
            let sha256 = self.hash(&path).await?;
            let object = self.object(partition, &sha256);
            held()?;
            if !there.contains(&object) {
                self.upload(&path, &object).await?;
                metrics::snapshot_written(bytes);
            }
            files.push(Stored { name: name.to_string_lossy().into_owned(), sha256, bytes });
        }
        let manifest = Manifest {
            v: VERSION,
            generation,
            position: staged.position.clone(),
            files,
            meta: staged.meta.clone(),
        };
        held()?;
        let payload = PutPayload::from(serde_json::to_vec(&manifest)?);
        self.objects.store.put(&self.manifest(partition), payload).await?;
        self.remove_unnamed(partition, &manifest, &held).await
    }

    async fn remove_unnamed(
        &self,
        partition: PartitionId,
        manifest: &Manifest,
        held: &impl Fn() -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let named: HashSet<Path> =
            manifest.files.iter().map(|file| self.object(partition, &file.sha256)).collect();
        let prefix = self.prefix(partition).join("files");
        let listed: Vec<_> = self.objects.store.list(Some(&prefix)).try_collect().await?;
        // By the store's own clock.
        let Some(now) = listed.iter().map(|object| object.last_modified).max() else {
            return Ok(());
        };
        for object in listed {
            let age = (now - object.last_modified).to_std().unwrap_or_default();
            if age >= UNNAMED_FOR && !named.contains(&object.location) {
                held()?;
                self.objects.store.delete(&object.location).await?;
            }
        }
        Ok(())
    }

    /// The hash of a file.
    async fn hash(&self, path: &FilePath) -> Result<String, SnapshotError> {
        let of = tokio::fs::metadata(path).await?;
        let identity: Identity = (of.dev(), of.ino(), of.mtime(), of.mtime_nsec());
        let known = |hashes: &Mutex<HashMap<Identity, String>>| {
            hashes.lock().unwrap_or_else(PoisonError::into_inner).get(&identity).cloned()
        };
        if let Some(known) = known(&self.hashes) {
            return Ok(known);
        }
        let path = path.to_owned();
        let hashing = tokio::task::spawn_blocking(move || {
            let (mut file, mut hash) = (std::fs::File::open(path)?, Sha256::new());
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                let count = file.read(&mut chunk)?;
                if count == 0 {
                    return Ok::<_, io::Error>(hex(&hash.finalize()));
                }
                hash.update(&chunk[..count]);
            }
        });
        let hash = hashing.await.map_err(io::Error::other)??;
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if hashes.len() >= HASHES_MAX {
            hashes.clear();
        }
        hashes.insert(identity, hash.clone());
        Ok(hash)
    }

    async fn upload(&self, path: &FilePath, object: &Path) -> Result<(), SnapshotError> {
        let mut file = tokio::fs::File::open(path).await?;
        let upload = self.objects.store.put_multipart(object).await?;
        let mut write = WriteMultipart::new_with_chunk_size(upload, 2 * CHUNK_BYTES);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = file.read(&mut chunk).await?;
            if count == 0 {
                break;
            }
            write.wait_for_capacity(PARTS_AT_ONCE).await?;
            write.write(&chunk[..count]);
        }
        write.finish().await?;
        Ok(())
    }

    /// Makes a directory with the index of a snapshot; what was there is replaced.
    ///
    /// # Errors
    /// [`SnapshotError`]; nothing was replaced.
    pub(crate) async fn restore(
        &self,
        partition: PartitionId,
        manifest: &Manifest,
        into: &FilePath,
    ) -> Result<(), SnapshotError> {
        let draft = into.with_extension("restored");
        match tokio::fs::remove_dir_all(&draft).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        tokio::fs::create_dir_all(&draft).await?;
        for file in &manifest.files {
            let plain = FilePath::new(&file.name)
                .file_name()
                .is_some_and(|name| name == file.name.as_str());
            let object = self.object(partition, &file.sha256);
            if !plain {
                return Err(SnapshotError::Damaged(object));
            }
            self.download(&object, file, &draft.join(&file.name)).await?;
        }
        let mut managed: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
        managed.push(META);
        tokio::fs::write(draft.join(MANAGED), serde_json::to_vec(&managed)?).await?;
        tokio::fs::write(draft.join(META), &manifest.meta).await?;
        match tokio::fs::remove_dir_all(into).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        tokio::fs::rename(&draft, into).await?;
        Ok(())
    }

    async fn download(
        &self,
        object: &Path,
        stored: &Stored,
        path: &FilePath,
    ) -> Result<(), SnapshotError> {
        let mut stream = self.objects.store.get(object).await?.into_stream();
        let (mut file, mut hash) = (std::fs::File::create(path)?, Sha256::new());
        while let Some(chunk) = stream.try_next().await? {
            hash.update(&chunk);
            file.write_all(&chunk)?;
        }
        if hex(&hash.finalize()) == stored.sha256 {
            Ok(())
        } else {
            Err(SnapshotError::Damaged(object.clone()))
        }
    }
}
