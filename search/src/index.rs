//! The index of one partition: its files, its one writer, and what is searchable of it.
//!
//! Invariant: a commit has the documents and the position that they bring the index to, or neither.
//! Who dies before it begins again at the position before.

mod one;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_model::{ConversationId, Seq, UserId};
use tantivy::directory::error::{LockError, OpenReadError};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};
use tantivy::{
    DocAddress, DocSet, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher,
    TERMINATED, TantivyDocument, TantivyError,
};

use self::one::OneMessage;
use crate::analysis::Analysis;
use crate::columns::{AllColumns, Columns, Conversations};
use crate::document::{Document, Key, Membership};
use crate::files::Files;
use crate::position::{Position, boot};
use crate::query::Lexicon;
use crate::schema::{ANALYSIS, Fields, Tag, schema};
use crate::snapshot::Staged;

/// Memory of the writer for documents that are not in a file yet: the least that tantivy takes. A
/// commit of a second is far below it, and partitions commit one after the other.
const WRITER_BYTES: usize = 15_000_000;
/// Decompressed blocks of documents that a segment keeps: only edits, reactions and deletions read
/// documents.
const DOCUMENT_BLOCKS: usize = 4;
/// Segments of about the same size that are merged to one.
const MERGED_SEGMENTS_MIN: usize = 6;
/// Segments of fewer documents count as of the same size: what a second or two bring.
const SMALL_SEGMENT_DOCUMENTS: u32 = 1_000;
/// A segment with more documents is not merged any more: rewriting it would take too long at once.
const MERGED_DOCUMENTS_MAX: usize = 5_000_000;
/// With more of its documents gone a segment is written anew, so that what was deleted leaves the
/// disk.
const DELETED_SHARE_MAX: f32 = 0.2;
/// How long the writer before may take to end, in the same process or another.
const LOCKED_FOR_MAX: Duration = Duration::from_secs(5);
/// What the library calls the file that names the others.
const META: &str = "meta.json";
/// Attempts to hold the files of a commit while merges replace them.
const STAGE_ATTEMPTS: u32 = 5;
/// The file that says that something was wrong with the others.
pub(crate) const SUSPECT: &str = "suspect";
/// Between two attempts to become the writer.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// The library says so.
    #[error("the index cannot be read or written")]
    Tantivy(#[from] TantivyError),
    /// The directory cannot be used.
    #[error("the directory of the index cannot be used")]
    Directory(#[from] io::Error),
    /// A document is not one.
    #[error("a document of the index cannot be read")]
    Document(#[from] postcard::Error),
    /// The position is not one.
    #[error("the position of the index cannot be read")]
    Position(#[from] serde_json::Error),
    /// Files are not what was written.
    #[error("{0} files of the index are damaged")]
    Damaged(usize),
    /// Somebody else writes it.
    #[error("the index is written by somebody else")]
    Locked,
}

impl IndexError {
    /// The index is of other fields: another version wrote it.
    pub(crate) fn is_of_the_form(&self) -> bool {
        matches!(
            self,
            Self::Tantivy(TantivyError::SchemaError(_) | TantivyError::IncompatibleIndex(_))
        )
    }

    /// The files are not what was written, so opening them again does not help.
    pub(crate) fn is_of_the_files(&self) -> bool {
        // A file that was cut short.
        let is_cut = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        };
        match self {
            Self::Damaged(_) | Self::Document(_) | Self::Position(_) => true,
            Self::Tantivy(TantivyError::OpenReadError(OpenReadError::IoError {
                io_error, ..
            })) => is_cut(io_error),
            Self::Tantivy(TantivyError::IoError(error)) => is_cut(error),
            Self::Tantivy(error) => matches!(
                error,
                TantivyError::DataCorruption(_)
                    | TantivyError::OpenReadError(
                        OpenReadError::FileDoesNotExist(_) | OpenReadError::IncompatibleIndex(_)
                    )
            ),
            Self::Directory(_) | Self::Locked => false,
        }
    }
}

/// An index that is written.
pub(crate) struct Index {
    index: tantivy::Index,
    path: PathBuf,
    writer: IndexWriter,
    reader: IndexReader,
    view: View,
    fields: Fields,
    position: Option<Position>,
}

/// What is searchable of an index at a moment; clones share it.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) searcher: Searcher,
    pub(crate) columns: AllColumns,
    pub(crate) lexicon: Arc<Lexicon>,
    pub(crate) fields: Fields,
}

/// A document that changed, and whether the last commit has one of the same key.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// `None`: there is none any more.
    pub(crate) now: Option<Document>,
    pub(crate) was_committed: bool,
}

/// Documents that changed since the last commit.
pub(crate) type Changes = BTreeMap<Key, Change>;

impl Index {
    /// Opens the index of a directory, or begins one. What another process left half-written is
    /// not looked at. Indexes that are asked the same share a lexicon.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn open(path: &Path, lexicon: Arc<Lexicon>) -> Result<Self, IndexError> {
        std::fs::create_dir_all(path)?;
        let (schema, fields) = schema();
        let builder = tantivy::Index::builder().schema(schema).settings(settings());
        let mut index = builder.open_or_create(Files::open(path)?)?;
        let tokenizers = TokenizerManager::default();
        tokenizers.register(ANALYSIS, TextAnalyzer::from(Analysis::default()));
        index.set_tokenizers(tokenizers);
        let payload = index.load_metas()?.payload;
        let position: Option<Position> =
            payload.map(|payload| serde_json::from_str(&payload)).transpose()?;
        let suspect = path.join(SUSPECT);
        let is_suspect = suspect.try_exists()?;
        if is_suspect || position.as_ref().is_some_and(|position| position.boot != boot()) {
            let damaged = index.validate_checksum()?;
            if !damaged.is_empty() {
                return Err(IndexError::Damaged(damaged.len()));
            }
        }
        if is_suspect {
            std::fs::remove_file(suspect)?;
        }
        let options = IndexWriterOptions::builder()
            .memory_budget_per_thread(WRITER_BYTES)
            .num_worker_threads(1)
            .num_merge_threads(1)
            .build();
        let began = Instant::now();
        let writer: IndexWriter = loop {
            match index.writer_with_options(options.clone()) {
                Ok(writer) => break writer,
                Err(TantivyError::LockFailure(LockError::LockBusy, _)) => {
                    if began.elapsed() > LOCKED_FOR_MAX {
                        return Err(IndexError::Locked);
                    }
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        };
        writer.set_merge_policy(Box::new(merges()));
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(DOCUMENT_BLOCKS)
            .try_into()?;
        let path = path.to_owned();
        let searcher = reader.searcher();
        let columns = Columns::open_all(&searcher, &[])?;
        let view = View { searcher, columns, lexicon, fields };
        Ok(Self { index, path, writer, reader, view, fields, position })
    }

    /// How far the last commit was; `None` when there was none.
    pub(crate) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// What is searchable now.
    pub(crate) fn view(&self) -> View {
        self.view.clone()
    }

    /// Makes changes searchable, together with the position that they lead to. What merges left
    /// over is removed.
    ///
    /// # Errors
    /// [`IndexError`]: whether it was committed is not known, so the index must be opened again.
    pub(crate) fn commit(
        &mut self,
        changes: &Changes,
        position: Position,
    ) -> Result<(), IndexError> {
        for (key, change) in changes {
            if change.was_committed {
                self.delete(*key)?;
            }
            if let Some(document) = &change.now {
                self.writer.add_document(document.to_index(&self.fields)?)?;
            }
        }
        let mut prepared = self.writer.prepare_commit()?;
        prepared.set_payload(&serde_json::to_string(&position)?);
        prepared.commit()?;
        self.reader.reload()?;
        let searcher = self.reader.searcher();
        self.view.columns = Columns::open_all(&searcher, &self.view.columns)?;
        self.view.searcher = searcher;
        self.position = Some(position);
        Ok(())
    }

    fn delete(&self, key: Key) -> Result<(), IndexError> {
        match key {
            Key::Message(seq) => {
                self.writer.delete_query(Box::new(OneMessage::new(seq, self.fields)))?;
            }
            Key::Group(group) => {
                self.writer.delete_term(Tag::Fold(group).term(&self.fields));
            }
            Key::Member(group, user) => {
                self.writer.delete_term(Tag::Member(group, user).term(&self.fields));
            }
        }
        Ok(())
    }

    /// Ends the writing, and waits for merges that run.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn close(self) -> Result<(), IndexError> {
        Ok(self.writer.wait_merging_threads()?)
    }

    /// The names of the files that the last commit consists of, without the one that names them.
    /// Some of them may not be there: they would be, if the commit had anything to say in them.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, IndexError> {
        Ok(self.index.load_metas()?.list_segment_files().into_iter().collect())
    }

    /// Holds the files of the last commit in a directory of their own, by links; `None` when there
    /// was no commit, or merges replaced files all the while.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn stage(&self, into: &Path) -> Result<Option<Staged>, IndexError> {
        let Some(position) = &self.position else { return Ok(None) };
        for _ in 0..STAGE_ATTEMPTS {
            match std::fs::remove_dir_all(into) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => std::fs::create_dir_all(into)?,
            }
            let meta = std::fs::read_to_string(self.path.join(META))?;
            let mut staged = Staged {
                directory: into.to_owned(),
                files: Vec::new(),
                meta,
                position: position.clone(),
            };
            for name in self.files()? {
                match std::fs::hard_link(self.path.join(&name), into.join(&name)) {
                    Ok(()) => staged.files.push(name),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // Files go after what names them was replaced: while it is the same, none has gone.
            if std::fs::read_to_string(self.path.join(META))? == staged.meta {
                return Ok(Some(staged));
            }
        }
        Ok(None)
    }
}

fn settings() -> IndexSettings {
    IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() }
}

fn merges() -> LogMergePolicy {
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(MERGED_SEGMENTS_MIN);
    policy.set_min_layer_size(SMALL_SEGMENT_DOCUMENTS);
    policy.set_max_docs_before_merge(MERGED_DOCUMENTS_MAX);
    policy.set_del_docs_ratio_before_merge(DELETED_SHARE_MAX);
    policy
}

/// How far the index of a directory is, if there is one that was committed.
pub(crate) fn position_of(directory: &Path) -> Option<Position> {
    #[derive(serde::Deserialize)]
    struct Meta {
        payload: Option<String>,
    }
    let meta = std::fs::read(directory.join(META)).ok()?;
    let Meta { payload } = serde_json::from_slice(&meta).ok()?;
    serde_json::from_str(&payload?).ok()
}

impl View {
    /// The document of a key.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn find(&self, key: Key) -> Result<Option<Document>, IndexError> {
        let (tag, exactly) = match key {
            Key::Message(seq) => (Tag::Near(seq), Some(seq)),
            Key::Group(group) => (Tag::Fold(group), None),
            Key::Member(group, user) => (Tag::Member(group, user), None),
        };
        let mut found = None;
        self.each(tag, |address, seq| {
            if exactly.is_none_or(|exactly| exactly == seq) {
                found = Some(address);
            }
        })?;
        found.map(|address| self.document(address)).transpose()
    }

    /// The groups of a user, and from where on they see each; 0: all of it.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn memberships(&self, user: UserId) -> Result<Vec<Membership>, IndexError> {
        let mut found = Vec::new();
        self.each(Tag::MemberOf(user), |address, view_from| found.push((address, view_from)))?;
        let mut conversations = Conversations::new(&self.columns);
        let mut of = |(address, view_from): (DocAddress, Seq)| {
            let group = conversations.of(address)?.and_then(|id| match id {
                ConversationId::Group(group) => Some(group),
                ConversationId::Direct(..) => None,
            });
            Ok(group.map(|group| Membership { group, user, view_from }))
        };
        found.into_iter().filter_map(|found| of(found).transpose()).collect()
    }

    /// Every document with a tag that is still there, with what its column says of a position.
    fn each(&self, tag: Tag, mut take: impl FnMut(DocAddress, Seq)) -> Result<(), IndexError> {
        let term = tag.term(&self.fields);
        let segments = self.searcher.segment_readers().iter().zip(self.columns.iter());
        for (segment_ord, (segment, columns)) in (0..).zip(segments) {
            let terms = segment.inverted_index(self.fields.tag)?;
            let Some(mut postings) = terms.read_postings(&term, IndexRecordOption::Basic)? else {
                continue;
            };
            let mut doc_id = postings.doc();
            while doc_id != TERMINATED {
                if !segment.is_deleted(doc_id) {
                    take(DocAddress { segment_ord, doc_id }, columns.seq(doc_id));
                }
                doc_id = postings.advance();
            }
        }
        Ok(())
    }

    fn document(&self, address: DocAddress) -> Result<Document, IndexError> {
        let found: TantivyDocument = self.searcher.doc(address)?;
        let bytes = found.get_first(self.fields.document).and_then(|value| value.as_bytes());
        Ok(Document::decode(bytes.unwrap_or_default())?)
    }

    /// Every document, in no order: for comparing two indexes.
    ///
    /// # Errors
    /// [`IndexError`]; or what `take` says, which ends it.
    #[cfg(test)]
    pub(crate) fn documents(&self, mut take: impl FnMut(Document)) -> Result<(), IndexError> {
        for (segment_ord, segment) in (0..).zip(self.searcher.segment_readers()) {
            for doc_id in segment.doc_ids_alive() {
                take(self.document(DocAddress { segment_ord, doc_id })?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
