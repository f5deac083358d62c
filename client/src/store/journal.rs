//! Transfers of files that have begun: what is needed to go on after the end of the process.

use std::path::PathBuf;

use hansard_model::media::{Declared, Sha256, Variant};
use hansard_model::{ConversationId, UploadId};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};

/// Uploads of files that may be unfinished; one more is refused.
pub const UNFINISHED_MAX: usize = 100;
/// Downloads whose beginnings are known; of older ones nothing is known and they begin anew.
const DOWNLOADS_MAX: usize = 100;

/// How a file looks, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Bytes.
    pub length: u64,
    /// When it was changed, in nanoseconds since the Unix epoch; 0 where that is not known.
    pub modified_ns: u64,
}

/// A message that is sent once its file is uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Where.
    pub conversation: ConversationId,
    /// What it says besides the file; may be empty.
    pub text: String,
}

/// An upload of a file that has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Its number in this store, rising.
    #[serde(skip)]
    pub row: u64,
    /// The file.
    pub path: PathBuf,
    /// How it looked when this began.
    pub fingerprint: Fingerprint,
    /// What is said of it.
    pub file: Declared,
    /// What the server calls it; `None` while that has not been asked.
    #[serde(default)]
    pub upload: Option<UploadId>,
    /// What is sent once it is uploaded.
    #[serde(default)]
    pub message: Option<Draft>,
}

/// Whose bytes a `.part` file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beginning {
    pub(crate) upload: UploadId,
    pub(crate) variant: Variant,
    pub(crate) sha256: Sha256,
    pub(crate) size: u64,
}

impl Store {
    /// Writes an upload down and tells its number; `None`: there are [`UNFINISHED_MAX`] already.
    pub(crate) async fn note_upload(
        &self,
        unfinished: Unfinished,
    ) -> Result<Option<u64>, StoreError> {
        let write = move |connection: &mut Connection| {
            durably(connection)?;
            let noted: usize =
                connection.query_row("SELECT count(*) FROM uploads", [], |row| row.get(0))?;
            if noted >= UNFINISHED_MAX {
                return Ok(None);
            }
            let record = text(&unfinished)?;
            connection.execute("INSERT INTO uploads (record) VALUES (?1)", [record])?;
            Ok(u64::try_from(connection.last_insert_rowid()).ok())
        };
        // Where nothing is kept, every upload has the number 0.
        Ok(self.run(write).await?.unwrap_or(Some(0)))
    }

    /// Writes down what the server calls an upload, or that it has to begin anew.
    pub(crate) async fn note_upload_id(
        &self,
        row: u64,
        upload: Option<UploadId>,
    ) -> Result<(), StoreError> {
        let write = move |connection: &mut Connection| {
            durably(connection)?;
            let query = "SELECT record FROM uploads WHERE row = ?1";
            let record: Option<String> =
                connection.query_row(query, [row], |row| row.get(0)).optional()?;
            let Some(Ok(unfinished)) = record.map(|record| serde_json::from_str(&record)) else {
                return Ok(());
            };
            let unfinished = Unfinished { upload, ..unfinished };
            let query = "UPDATE uploads SET record = ?2 WHERE row = ?1";
            connection.execute(query, params![row, text(&unfinished)?])?;
            Ok(())
        };
        self.run(write).await.map(drop)
    }

    /// Uploads that are not finished, oldest first.
    pub(crate) async fn uploads(&self) -> Result<Vec<Unfinished>, StoreError> {
        let read = |connection: &mut Connection| {
            let mut statement =
                connection.prepare_cached("SELECT row, record FROM uploads ORDER BY row")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows = rows.collect::<Result<Vec<(u64, String)>, _>>()?;
            let read = |(row, record): (u64, String)| match serde_json::from_str(&record) {
                Ok(unfinished) => Some(Unfinished { row, ..unfinished }),
                Err(error) => {
                    tracing::error!(%error, "an upload in the journal cannot be read and is left alone");
                    None
                }
            };
            Ok(rows.into_iter().filter_map(read).collect())
        };
        Ok(self.run(read).await?.unwrap_or_default())
    }

    /// Takes an upload out of the journal.
    pub(crate) async fn forget_upload(&self, row: u64) -> Result<(), StoreError> {
        let write = move |connection: &mut Connection| {
            durably(connection)?;
            Ok(forget_upload(connection, row)?)
        };
        self.run(write).await.map(drop)
    }

    /// Whose bytes the unfinished download to `path` has.
    pub(crate) async fn beginning(&self, path: String) -> Result<Option<Beginning>, StoreError> {
        let read = move |connection: &mut Connection| {
            let query = "SELECT record FROM downloads WHERE path = ?1";
            let record: Option<String> =
                connection.query_row(query, [path], |row| row.get(0)).optional()?;
            Ok(record.and_then(|record| serde_json::from_str(&record).ok()))
        };
        Ok(self.run(read).await?.flatten())
    }

    /// Writes down whose bytes follow; `None`: it is over.
    pub(crate) async fn note_beginning(
        &self,
        path: String,
        beginning: Option<Beginning>,
    ) -> Result<(), StoreError> {
        let write = move |connection: &mut Connection| {
            connection.execute("DELETE FROM downloads WHERE path = ?1", [&path])?;
            if let Some(beginning) = beginning {
                connection.execute(
                    "INSERT INTO downloads (path, record) VALUES (?1, ?2)",
                    params![path, text(&beginning)?],
                )?;
                connection.execute(
                    "DELETE FROM downloads WHERE row <= (SELECT max(row) FROM downloads) - ?1",
                    [DOWNLOADS_MAX],
                )?;
            }
            Ok(())
        };
        self.run(write).await.map(drop)
    }
}

/// Takes an upload out of the journal, in the transaction of the caller's.
pub(super) fn forget_upload(connection: &Connection, row: u64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM uploads WHERE row = ?1", [row]).map(drop)
}

/// What follows is on disk when it returns.
fn durably(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")
}

fn text(record: &impl Serialize) -> Result<String, StoreError> {
    let text = serde_json::to_string(record);
    text.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)).into())
}
