//! The tables, and how a file of an earlier version becomes one of this.

use std::time::Duration;

use rusqlite::Connection;

use crate::store::StoreError;

/// The version of the tables; a file of a later one is refused.
const VERSION: u32 = 3;

/// A file that another process lets go of just now is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE outbox (
        row INTEGER PRIMARY KEY, conversation TEXT NOT NULL, id TEXT NOT NULL,
        event TEXT NOT NULL, attempts INTEGER NOT NULL);
    CREATE TABLE timelines (
        conversation TEXT PRIMARY KEY, last INTEGER NOT NULL, view_from INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE events (
        conversation TEXT NOT NULL, seq INTEGER NOT NULL, prev INTEGER NOT NULL, n INTEGER NOT NULL,
        ts_ms INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (conversation, seq)) WITHOUT ROWID;
    CREATE TABLE conversations (conversation TEXT PRIMARY KEY, view TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE users (user TEXT PRIMARY KEY, profile TEXT NOT NULL) WITHOUT ROWID;
";

/// Since version 2.
const MARKS: &str = "
    CREATE TABLE marks (
        conversation TEXT PRIMARY KEY, delivered INTEGER NOT NULL, read INTEGER NOT NULL,
        own INTEGER NOT NULL, stored_delivered INTEGER NOT NULL, stored_read INTEGER NOT NULL,
        stored_own INTEGER NOT NULL) WITHOUT ROWID;
";

/// Since version 3. Numbers are not used again: whoever holds one means the same for ever.
const TRANSFERS: &str = "
    CREATE TABLE uploads (row INTEGER PRIMARY KEY AUTOINCREMENT, record TEXT NOT NULL);
    CREATE TABLE downloads (
        row INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
";

/// Takes the file for this process and brings its tables up to date.
pub(super) fn prepare(connection: &Connection, on_disk: bool) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if on_disk {
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let mode: Result<String, _> =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        mode.map_err(in_use)?;
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let version: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(in_use)?;
    let missing = match version {
        0 => [TABLES, MARKS, TRANSFERS].concat(),
        1 => [MARKS, TRANSFERS].concat(),
        2 => TRANSFERS.to_owned(),
        VERSION => String::new(),
        later => return Err(StoreError::Later(later)),
    };
    let batch = format!("BEGIN IMMEDIATE; {missing} PRAGMA user_version = {VERSION}; COMMIT;");
    connection.execute_batch(&batch).map_err(in_use)
}

fn in_use(error: rusqlite::Error) -> StoreError {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) {
        StoreError::InUse
    } else {
        StoreError::Database(error)
    }
}
