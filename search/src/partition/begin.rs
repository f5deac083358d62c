//! The beginning of an ownership: which index there is, whether it is of this log and of this form,
//! and the rest of the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_model::{PartitionId, Seq};
use hansard_nats::deployment::{self, ReplaceError, SearchView, Versioned, replace_search_view};
use hansard_nats::log::digest;
use hansard_nats::ownership::Tenure;
use hansard_nats::search::{self, Questions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::rebuild::Rebuilding;
use super::source::Source;
use super::{Indexing, Owner, RETRY_PAUSE, Shared, Snapshot, StopReason, patiently};
use crate::index::{IndexError, position_of};
use crate::indexer::Indexer;
use crate::metrics;
use crate::position::{Position, hex};
use crate::query::Lexicon;
use crate::schema::SCHEMA;

/// What an index is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is of this log.
    Good,
    /// It is of another form: the log says the same, in other documents.
    OtherForm,
    /// It is of another log.
    OtherLog,
}

/// An index to go on from.
struct Opened {
    indexer: Indexer,
    epoch: u64,
    view: Versioned<SearchView>,
    directory: PathBuf,
}

/// Events that an index on the disk may be behind of a snapshot: to read them from the log is less
/// than to fetch the files.
const SNAPSHOT_AHEAD_MIN: u64 = 100_000;

impl Owner {
    /// Goes on from the index there is, up to what is in the log, and takes questions only then:
    /// before, an answer could be older than one of the predecessor. `None` when it was asked to
    /// end.
    pub(super) async fn begin(
        shared: Shared,
        partition: PartitionId,
        tenure: Tenure,
        ending: &CancellationToken,
    ) -> Result<Option<(Self, Source, Questions)>, StopReason> {
        let Opened { indexer, epoch, view: pointer, directory } = tokio::select! {
            opened = open(&shared, partition) => opened?,
            () = ending.cancelled() => return Ok(None),
        };
        let to = patiently(|| shared.log.last_seq(partition)).await;
        let searching = shared.searching.clone();
        let (view, searchable) = (indexer.view(), indexer.searchable());
        let desk = Desk::new(partition, tenure.clone(), searching, view, searchable);
        let after = indexer.applied();
        let mut source = Source::start(shared.archive.follow(&shared.log, partition, after));
        let snapshot = Snapshot::first(partition, shared.snapshot_every);
        let mut owner = Self {
            shared,
            snapshot,
            partition,
            tenure,
            epoch,
            pointer,
            directory,
            rebuilding: Rebuilding::default(),
            standing: (indexer.applied(), indexer.committed()),
            indexing: Indexing::Idle(Box::new(indexer)),
            ahead: None,
            desk,
            last_known: to,
            committed_at: Instant::now(),
            waiting_since: None,
            serving: false,
        };
        owner.report();
        let caught_up = tokio::select! {
            caught_up = owner.catch_up(&mut source, to) => Some(caught_up?),
            () = ending.cancelled() => None,
        };
        if caught_up.is_none() {
            drop(source);
            owner.finish().await;
            return Ok(None);
        }
        let connection = owner.shared.connection.clone();
        let questions = patiently(|| search::serve(&connection, partition)).await;
        owner.serving = true;
        owner.report();
        Ok(Some((owner, source, questions)))
    }

    /// Applies the log up to a position that is in it, and commits.
    async fn catch_up(&mut self, source: &mut Source, to: Seq) -> Result<(), StopReason> {
        let catching_up = self.shared.catching_up.clone();
        // The semaphore is never closed.
        let _place = catching_up.acquire().await;
        loop {
            self.work_on(true);
            if let Indexing::Idle(indexer) = &self.indexing {
                let (applied, searchable) = (indexer.applied(), indexer.searchable());
                if applied >= to && searchable == applied {
                    return Ok(());
                }
                if applied >= to {
                    self.commit_now();
                }
            }
            tokio::select! {
                done = self.indexing.done() => self.settle(done?),
                batch = source.next(), if self.ahead.is_none() => {
                    self.ahead = Some(batch.ok_or(StopReason::Closed)??);
                }
            }
            self.report();
        }
    }
}

/// Opens the generation that counts, or begins one if its index is not of this log.
async fn open(shared: &Shared, partition: PartitionId) -> Result<Opened, StopReason> {
    let connection = &shared.connection;
    loop {
        let found = patiently(|| deployment::search_view(connection, partition)).await;
        let Some(view) = found.value else {
            point(shared, partition, SearchView { generation: 1 }, found.revision).await;
            continue;
        };
        let epoch = patiently(|| deployment::epoch(connection)).await;
        let generation = view.generation;
        let directory = shared.directory_of(partition, generation);
        forget_others(&directory).await;
        restore(shared, partition, generation, epoch, &directory).await;
        let indexer = open_or_begin(&directory, partition, epoch, &shared.lexicon).await?;
        let verdict = examine(shared, partition, indexer.position(), epoch).await;
        let reason = match verdict {
            Verdict::Good => {
                let view = Versioned { value: view, revision: found.revision };
                return Ok(Opened { indexer, epoch, view, directory });
            }
            Verdict::OtherForm => "other_form",
            Verdict::OtherLog => "other_log",
        };
        metrics::begun_anew(reason);
        tracing::warn!(%partition, generation = view.generation, reason, "the index is built anew");
        drop(indexer);
        let next = SearchView { generation: view.generation + 1 };
        point(shared, partition, next, found.revision).await;
    }
}

/// Takes the last snapshot in place of what is on the disk, when that is nothing, or far behind.
/// Without one, the log is read.
async fn restore(
    shared: &Shared,
    partition: PartitionId,
    generation: u64,
    epoch: u64,
    directory: &Path,
) {
    let here = position_of(directory).map(|position| position.seq);
    let latest = shared.snapshots.latest(partition).await;
    let restored = match latest {
        Ok(None) => return,
        Ok(Some(manifest)) => {
            let Position { schema, epoch: of, seq, .. } = manifest.position;
            let is_ahead = here.is_none_or(|here| seq.0 > here.0 + SNAPSHOT_AHEAD_MIN);
            let fits = (manifest.generation, schema, of) == (generation, SCHEMA, epoch);
            if !is_ahead || !fits {
                return;
            }
            tracing::info!(%partition, event.seq = seq.0, "an index is fetched from its snapshot");
            shared.snapshots.restore(partition, &manifest, directory).await
        }
        Err(error) => Err(error),
    };
    match restored {
        Ok(()) => metrics::snapshot("restored"),
        Err(error) => {
            metrics::snapshot("not_restored");
            tracing::warn!(%partition, %error, "the snapshot of an index cannot be used");
        }
    }
}

/// Opens what is there. What cannot be opened is of no use to anybody: it is removed, and made again
/// of the log.
async fn open_or_begin(
    directory: &Path,
    partition: PartitionId,
    epoch: u64,
    lexicon: &Arc<Lexicon>,
) -> Result<Indexer, StopReason> {
    let attempt = || {
        let (path, lexicon) = (directory.to_owned(), Arc::clone(lexicon));
        tokio::task::spawn_blocking(move || Indexer::open(&path, epoch, lexicon))
    };
    let reason = match attempt().await {
        Ok(Err(error)) if error.is_of_the_form() => "other_form",
        Ok(Err(error)) if error.is_of_the_files() => {
            tracing::warn!(%partition, %error, "the index cannot be opened");
            "damaged"
        }
        Ok(opened) => return Ok(opened?),
        // What the library does with files that are not what it wrote.
        Err(_) => "damaged",
    };
    metrics::begun_anew(reason);
    tracing::warn!(%partition, reason, "the index is built anew");
    tokio::fs::remove_dir_all(directory).await.map_err(IndexError::Directory)?;
    let again = attempt().await;
    Ok(again.map_err(|panic| StopReason::Panicked(panic.to_string()))??)
}

/// Removes the indexes of other generations: what does not count is not answered from.
async fn forget_others(directory: &Path) {
    let (Some(parent), Some(own)) = (directory.parent(), directory.file_name()) else { return };
    let Ok(mut entries) = tokio::fs::read_dir(parent).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        if entry.file_name() != own
            && let Err(error) = tokio::fs::remove_dir_all(entry.path()).await
        {
            tracing::warn!(%error, "an index that does not count is left");
        }
    }
}

/// Points searchers to a generation, unless somebody else was faster.
async fn point(shared: &Shared, partition: PartitionId, view: SearchView, revision: u64) {
    loop {
        match replace_search_view(&shared.connection, partition, view, revision).await {
            Ok(_) | Err(ReplaceError::Conflict) => return,
            Err(ReplaceError::Unavailable(error)) => tracing::debug!(%error, "not yet"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Compares an index with the log: its epoch, its end, and the event at its position.
async fn examine(
    shared: &Shared,
    partition: PartitionId,
    position: &Position,
    epoch: u64,
) -> Verdict {
    if position.schema != SCHEMA {
        return Verdict::OtherForm;
    }
    let last = patiently(|| shared.log.last_seq(partition)).await;
    if position.epoch != epoch || position.seq > last {
        return Verdict::OtherLog;
    }
    if position.seq > Seq::ZERO {
        let same = loop {
            match shared.archive.read(&shared.log, partition, position.seq).await {
                Ok(record) => {
                    break record.is_some_and(|record| hex(&digest(&record)) == position.digest);
                }
                Err(error) => tracing::debug!(%error, "not yet"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        };
        if !same {
            return Verdict::OtherLog;
        }
    }
    Verdict::Good
}
