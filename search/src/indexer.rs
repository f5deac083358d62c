//! The index of a partition and what is on its way into it. It computes and writes files, so its
//! steps run where blocking is allowed: [`Indexer`] goes into each and comes out of it.

use std::path::Path;
use std::sync::Arc;

use hansard_model::Seq;

use crate::fold::{Fold, Tally};
use crate::incoming::Incoming;
use crate::index::{Index, IndexError, View};
use crate::metrics;
use crate::position::Position;
use crate::query::Lexicon;
use crate::snapshot::Staged;

/// An index, and the events since its last commit.
pub(crate) struct Indexer {
    index: Index,
    fold: Fold,
}

impl Indexer {
    /// Opens an index, to go on from its last commit, or from the beginning of the log.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn open(
        directory: &Path,
        epoch: u64,
        lexicon: Arc<Lexicon>,
    ) -> Result<Self, IndexError> {
        let index = Index::open(directory, lexicon)?;
        let position = index.position().cloned().unwrap_or_else(|| Position::beginning(epoch));
        let fold = Fold::new(position, index.view());
        Ok(Self { index, fold })
    }

    /// Where it goes on.
    pub(crate) fn position(&self) -> &Position {
        self.fold.position()
    }

    /// All of the partition up to here was applied.
    pub(crate) fn applied(&self) -> Seq {
        self.fold.applied()
    }

    /// All of the partition up to here is searchable: what changed nothing is so at once.
    pub(crate) fn searchable(&self) -> Seq {
        if self.fold.changes().is_empty() { self.fold.applied() } else { self.committed() }
    }

    /// A new start goes on from here.
    pub(crate) fn committed(&self) -> Seq {
        self.index.position().map_or(Seq::ZERO, |position| position.seq)
    }

    /// About how many bytes wait to be committed.
    pub(crate) fn weight(&self) -> usize {
        self.fold.weight()
    }

    /// What is searchable.
    pub(crate) fn view(&self) -> View {
        self.index.view()
    }

    /// Applies a batch.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn apply(&mut self, batch: &[Incoming]) -> Result<Tally, IndexError> {
        let tally = self.fold.apply(batch)?;
        metrics::applied(tally);
        Ok(tally)
    }

    /// Makes what was applied searchable.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn commit(&mut self) -> Result<(), IndexError> {
        let began = std::time::Instant::now();
        self.index.commit(self.fold.changes(), self.fold.position().clone())?;
        self.fold.committed(self.index.view());
        metrics::committed(began.elapsed());
        Ok(())
    }

    /// Holds the files of the last commit for a snapshot.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn stage(&self, into: &Path) -> Result<Option<Staged>, IndexError> {
        self.index.stage(into)
    }

    /// Ends the writing; merges that run are waited for.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn close(self) -> Result<(), IndexError> {
        self.index.close()
    }
}
