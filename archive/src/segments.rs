//! Segments in an object store: which there are, which of them count, and their bytes. Needs no
//! NATS.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hansard_model::Seq;
use hansard_nats::deployment::ArchiveHead;
use hansard_nats::log::StoredEvent;
use hansard_nats::streams::StreamName;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};

use crate::segment::{self, Decoder, HEADER_BYTES_MAX, Header, SegmentName, folder};
use crate::{HEADERS_AT_ONCE, Objects, ReadError};

/// Files kept for those who look for one event after another: a few megabytes each.
const FILES_KEPT_MAX: usize = 4;

/// The segments of a deployment; clones share them.
#[derive(Clone)]
pub(crate) struct Segments {
    objects: Objects,
    /// The last chain of each stream: about 150 bytes for a segment of 32,768 events.
    chains: Arc<Mutex<HashMap<StreamName, Chain>>>,
    files: Arc<Mutex<VecDeque<(SegmentName, Bytes)>>>,
}

/// Segments in order, each continuing the one before.
pub(crate) type Chain = Arc<Vec<SegmentName>>;

/// An object that is named like a segment.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: SegmentName,
    pub(crate) bytes: u64,
}

impl Segments {
    pub(crate) fn of(objects: &Objects) -> Self {
        Self { objects: objects.clone(), chains: Arc::default(), files: Arc::default() }
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(crate) fn path(&self, name: &SegmentName) -> Path {
        self.objects.path(&name.to_string())
    }

    /// Every segment of a stream that there is, whether it counts or not, by first sequence.
    pub(crate) async fn list(&self, stream: StreamName) -> Result<Vec<Listed>, ReadError> {
        let folder = self.objects.path(&folder(stream));
        let mut listed: Vec<Listed> = self
            .objects
            .store
            .list(Some(&folder))
            .try_filter_map(|object| async move {
                let name = object.location.filename();
                let name = name.and_then(|file| SegmentName::parse(stream, file));
                Ok(name.map(|name| Listed { name, bytes: object.size }))
            })
            .try_collect()
            .await
            .map_err(ReadError::Store)?;
        listed.sort_unstable_by(|a, b| {
            let key = |listed: &Listed| (listed.name.first, listed.name.last);
            key(a).cmp(&key(b)).then_with(|| a.name.sha256.cmp(&b.name.sha256))
        });
        Ok(listed)
    }

    /// The segments that are reachable from a head, in order.
    pub(crate) async fn chain(
        &self,
        stream: StreamName,
        head: &ArchiveHead,
    ) -> Result<Chain, ReadError> {
        let known =
            self.chains.lock().unwrap_or_else(PoisonError::into_inner).get(&stream).cloned();
        if let Some(chain) = known
            && chain.last().is_some_and(|last| last.sha256 == head.sha256)
        {
            return Ok(chain);
        }
        let listed = self.list(stream).await?;
        let chain = Arc::new(self.link(&listed, name_of(stream, head)).await?);
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        chains.insert(stream, Arc::clone(&chain));
        Ok(chain)
    }

    /// The segments up to `head`, found by their names; where several would fit, the header of the
    /// next one says which.
    pub(crate) async fn link(
        &self,
        listed: &[Listed],
        head: SegmentName,
    ) -> Result<Vec<SegmentName>, ReadError> {
        let missing = |name: &SegmentName| ReadError::Missing { object: name.to_string() };
        if !listed.iter().any(|listed| listed.name == head) {
            return Err(missing(&head));
        }
        let mut by_last: HashMap<Seq, Vec<&SegmentName>> = HashMap::new();
        for Listed { name, .. } in listed {
            by_last.entry(name.last).or_default().push(name);
        }
        let mut next = head;
        let mut chain = Vec::new();
        while next.first > Seq(1) {
            let candidates = by_last.get(&Seq(next.first.0 - 1)).map_or(&[][..], Vec::as_slice);
            let previous = if let [one] = candidates {
                (*one).clone()
            } else {
                // Also at the beginning of a chain that does not begin with the stream.
                let Some(sha256) = self.header(&next).await?.previous else { break };
                let found = candidates.iter().find(|name| name.sha256 == sha256);
                let unlinked = || ReadError::Unlinked { object: next.to_string(), sha256 };
                (**found.ok_or_else(unlinked)?).clone()
            };
            chain.push(std::mem::replace(&mut next, previous));
        }
        chain.push(next);
        chain.reverse();
        Ok(chain)
    }

    /// The longest chain that the objects themselves tell of: what there is to go by when the head
    /// is lost, or NATS is not asked.
    pub(crate) async fn longest(
        &self,
        stream: StreamName,
    ) -> Result<Option<(ArchiveHead, Vec<SegmentName>)>, ReadError> {
        let listed = self.list(stream).await?;
        let names: Vec<SegmentName> = listed.into_iter().map(|listed| listed.name).collect();
        // By index: of a closure over borrowed names the compiler cannot say that it may be spawned.
        let named = &names;
        let headers: Vec<Option<Header>> = futures_util::stream::iter(0..names.len())
            .map(|index| async move {
                match self.header(&named[index]).await {
                    Ok(header) => Ok(Some(header)),
                    Err(error) if error.is_transient() => Err(error),
                    // Damaged: no part of a chain.
                    Err(_) => Ok(None),
                }
            })
            .buffered(HEADERS_AT_ONCE)
            .try_collect()
            .await?;
        // By first sequence, so that what a segment continues stands before it.
        let mut reached: HashMap<&str, Vec<SegmentName>> = HashMap::new();
        for (name, header) in names.iter().zip(&headers) {
            let Some(header) = header else { continue };
            let before = match &header.previous {
                None => Vec::new(),
                Some(sha256) => match reached.get(sha256.as_str()) {
                    Some(chain) if chain.last().is_some_and(|l| l.last.next() == name.first) => {
                        // Each prefix is needed once, but for forks.
                        reached.remove(sha256.as_str()).unwrap_or_default()
                    }
                    Some(_) | None => continue,
                },
            };
            let mut chain = before;
            chain.push(name.clone());
            reached.insert(&name.sha256, chain);
        }
        let longest = reached.into_values().max_by_key(|chain| chain.last().map(|name| name.last));
        Ok(longest.and_then(|chain| Some((head_of(&chain)?, chain))))
    }

    pub(crate) async fn header(&self, name: &SegmentName) -> Result<Header, ReadError> {
        let range = Some(GetRange::Bounded(0..HEADER_BYTES_MAX));
        let options = GetOptions { range, ..GetOptions::default() };
        let found = self.objects.store.get_opts(&self.path(name), options).await;
        let beginning = found.map_err(|error| missing(name, error))?.bytes().await;
        let beginning = beginning.map_err(ReadError::Store)?;
        segment::header(name, &beginning)
            .map_err(|source| ReadError::Segment { object: name.to_string(), source })
    }

    /// The bytes of a segment, as the store has them now and as their hash says they must be.
    pub(crate) async fn fetch(&self, name: &SegmentName) -> Result<Bytes, ReadError> {
        let found = self.objects.store.get(&self.path(name)).await;
        let file = found.map_err(|error| missing(name, error))?.bytes().await;
        let file = file.map_err(ReadError::Store)?;
        segment::check_hash(name, &file)
            .map_err(|source| ReadError::Segment { object: name.to_string(), source })?;
        Ok(file)
    }

    /// One event of a segment.
    pub(crate) async fn find(
        &self,
        name: &SegmentName,
        seq: Seq,
    ) -> Result<Option<StoredEvent>, ReadError> {
        let kept = {
            let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.iter().find(|(of, _)| of == name).map(|(_, file)| file.clone())
        };
        let file = match kept {
            Some(file) => file,
            None => {
                let file = self.fetch(name).await?;
                let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                files.truncate(FILES_KEPT_MAX - 1);
                files.push_front((name.clone(), file.clone()));
                file
            }
        };
        let of = name.clone();
        let found = decoding(move || Decoder::new(&of, file)?.find(seq)).await;
        found.map_err(|source| ReadError::Segment { object: name.to_string(), source })
    }
}

/// Runs what takes milliseconds of a processor beside the tasks.
pub(crate) async fn decoding<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Whether a stream holds an event as its archive does. Accounts that a restore has stored again
/// have its time, and not the conditions of the first time.
pub(crate) fn is_same(stream: StreamName, archived: &StoredEvent, stored: &StoredEvent) -> bool {
    match stream {
        StreamName::Events(_) => archived == stored,
        StreamName::Accounts => {
            let of =
                |event: &StoredEvent| (event.seq, event.subject.clone(), event.payload.clone());
            of(archived) == of(stored)
        }
    }
}

pub(crate) fn name_of(stream: StreamName, head: &ArchiveHead) -> SegmentName {
    let ArchiveHead { first, last, sha256, .. } = head;
    SegmentName { stream, first: *first, last: *last, sha256: sha256.clone() }
}

pub(crate) fn head_of(chain: &[SegmentName]) -> Option<ArchiveHead> {
    let SegmentName { first, last, sha256, .. } = chain.last()?.clone();
    Some(ArchiveHead { first, last, sha256, segments: chain.len() as u64 })
}

fn missing(name: &SegmentName, error: object_store::Error) -> ReadError {
    match error {
        object_store::Error::NotFound { .. } => ReadError::Missing { object: name.to_string() },
        error => ReadError::Store(error),
    }
}
