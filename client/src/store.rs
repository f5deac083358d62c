//! What survives a restart: the outbox, the cursor, a cache of timelines, and the transfers of
//! files that have begun.
//!
//! `SQLite` in WAL mode on a thread of its own, behind a bounded queue. One turn of the engine is
//! one transaction, so a cursor is never ahead of the events it covers. Only a transaction with a
//! promise in it (a send that joins the outbox) waits for the disk; the others are consistent
//! after a power cut and come again from the server.

pub(crate) mod journal;
mod schema;

use std::path::Path;

use hansard_model::{ConversationId, LogTime, MessageId, Seq};
use hansard_protocol::http::{Conversation, User};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::event::StoredEvent;
use crate::machine::action::{Change, OutboxEntry, Snapshot};
use crate::machine::receipts::Marks;
use hansard_protocol::server::EventFrame;

/// Jobs waiting for the store's thread; more wait at the caller.
const JOBS_MAX: usize = 64;
/// Events cached of each conversation; older ones are read from the server.
const CACHED_EVENTS_MAX: u32 = 500;

enum Job {
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
    Close(oneshot::Sender<()>),
}

/// A store. Clones share it; it closes when the last one is gone.
#[derive(Clone, Debug)]
pub struct Store {
    /// `None`: nothing is kept.
    jobs: Option<mpsc::Sender<Job>>,
}

/// The store cannot do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database says no.
    #[error("the client's database failed")]
    Database(#[from] rusqlite::Error),
    /// It was written by a later version.
    #[error("the database was written by a later version ({0})")]
    Later(u32),
    /// Another process has it open.
    #[error("the database is in use by another process")]
    InUse,
    /// The file cannot be made private.
    #[error("the database file cannot be made private")]
    Private(#[source] std::io::Error),
    /// Its thread is gone.
    #[error("the store is closed")]
    Closed,
}

impl Store {
    /// Opens or creates a database file that only its owner can read. One process at a time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        Self::start(move || {
            make_private(&path).map_err(StoreError::Private)?;
            let connection = Connection::open(&path)?;
            schema::prepare(&connection, true)?;
            Ok(connection)
        })
        .await
    }

    /// The same, in memory: for tests, and for clients that may forget.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn in_memory() -> Result<Self, StoreError> {
        Self::start(|| {
            let connection = Connection::open_in_memory()?;
            schema::prepare(&connection, false)?;
            Ok(connection)
        })
        .await
    }

    /// Keeps nothing at all: for measuring without a database. A restart loses the outbox.
    pub fn none() -> Self {
        Self { jobs: None }
    }

    /// Writes what is left and lets go of the file: it can be moved or opened when this returns.
    /// Every clone is closed.
    pub async fn close(self) {
        let Some(jobs) = &self.jobs else { return };
        let (done, closed) = oneshot::channel();
        if jobs.send(Job::Close(done)).await.is_ok() {
            // The thread answers when the file is closed, or is gone already.
            let _ = closed.await;
        }
    }

    async fn start(
        open: impl FnOnce() -> Result<Connection, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(JOBS_MAX);
        let (opened, outcome) = oneshot::channel();
        let thread = std::thread::Builder::new().name("hansard-store".to_owned());
        let run = move || {
            let mut connection = match open() {
                Ok(connection) => connection,
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(())).is_ok() {
                while let Some(job) = queue.blocking_recv() {
                    match job {
                        Job::Run(job) => job(&mut connection),
                        Job::Close(done) => {
                            drop(connection);
                            let _ = done.send(());
                            return;
                        }
                    }
                }
            }
        };
        thread.spawn(run).map_err(StoreError::Private)?;
        outcome.await.map_err(|_| StoreError::Closed)??;
        Ok(Self { jobs: Some(jobs) })
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let Some(jobs) = &self.jobs else { return Ok(None) };
        let (done, outcome) = oneshot::channel();
        let job = Job::Run(Box::new(move |connection| drop(done.send(job(connection)))));
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?.map(Some)
    }

    /// What the machine goes on from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(self.run(|connection| load(connection)).await?.unwrap_or_default())
    }

    /// Writes the changes of one turn in one transaction; a promise among them is on disk when
    /// this returns.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() || self.jobs.is_none() {
            return Ok(());
        }
        self.run(move |connection| commit(connection, &changes)).await.map(drop)
    }

    /// Cached events of a conversation, the newest `limit`, ascending.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events(
        &self,
        conversation: ConversationId,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let events = self.run(move |connection| cached(connection, conversation, limit)).await?;
        Ok(events.unwrap_or_default())
    }

    /// Cached views of conversations.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conversations(&self) -> Result<Vec<Conversation>, StoreError> {
        self.rows("SELECT view FROM conversations").await
    }

    /// Cached people.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.rows("SELECT profile FROM users").await
    }

    /// Sends without an answer, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn outbox(&self) -> Result<Vec<OutboxEntry>, StoreError> {
        Ok(self.run(|connection| outbox(connection)).await?.unwrap_or_default())
    }

    /// A value that the application keeps here under a name of its own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        let read =
            move |connection: &mut Connection| Ok(meta(connection, &format!("note.{name}"))?);
        Ok(self.run(read).await?.flatten())
    }

    /// Keeps a value of the application's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_note(&self, name: &'static str, value: String) -> Result<(), StoreError> {
        let write = move |connection: &mut Connection| {
            Ok(set_meta(connection, &format!("note.{name}"), &value)?)
        };
        self.run(write).await.map(drop)
    }

    async fn rows<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        query: &'static str,
    ) -> Result<Vec<T>, StoreError> {
        let read = move |connection: &mut Connection| {
            let mut statement = connection.prepare_cached(query)?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            let texts = rows.collect::<Result<Vec<_>, _>>()?;
            // What an earlier version wrote and this one cannot read is a cache miss.
            Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
        };
        Ok(self.run(read).await?.unwrap_or_default())
    }
}

/// Creates the file for its owner alone before `SQLite` opens it (its -wal and -shm inherit that).
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))
    }
    #[cfg(not(unix))]
    options.open(path).map(drop)
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    statement.query_row([key], |row| row.get(0)).optional()
}

fn set_meta(connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
    statement.execute([key, value]).map(drop)
}

fn load(connection: &Connection) -> Result<Snapshot, StoreError> {
    let mut statement =
        connection.prepare("SELECT conversation, last, view_from FROM timelines")?;
    let rows = statement.query_map([], |row| {
        let (id, last, from): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((id, Seq(last), Seq(from)))
    })?;
    let mut timelines = Vec::new();
    for row in rows {
        let (id, last, from) = row?;
        if let Ok(id) = id.parse() {
            timelines.push((id, last, from));
        }
    }
    let next_row = meta(connection, "next_row")?.and_then(|text| text.parse().ok()).unwrap_or(1);
    Ok(Snapshot {
        cursor: meta(connection, "cursor")?,
        timelines,
        outbox: outbox(connection)?,
        next_row,
        marks: marks(connection)?,
    })
}

fn marks(connection: &Connection) -> Result<Vec<(ConversationId, Marks, Marks)>, StoreError> {
    let mut statement = connection.prepare("SELECT * FROM marks")?;
    let mut rows = statement.query([])?;
    let mut marks = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let of = |first: usize| -> rusqlite::Result<Marks> {
            let seq = |column: usize| row.get(column).map(Seq);
            Ok(Marks { delivered: seq(first)?, read: seq(first + 1)?, own: seq(first + 2)? })
        };
        if let Ok(id) = id.parse() {
            marks.push((id, of(1)?, of(4)?));
        }
    }
    Ok(marks)
}

fn outbox(connection: &Connection) -> Result<Vec<OutboxEntry>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT row, conversation, id, event, attempts FROM outbox ORDER BY row")?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let (conversation, id): (String, String) = (row.get(1)?, row.get(2)?);
        let event: String = row.get(3)?;
        let (Ok(conversation), Ok(id), Ok(event)) =
            (conversation.parse(), id.parse::<MessageId>(), RawValue::from_string(event))
        else {
            tracing::error!("an entry of the outbox cannot be read and is left alone");
            continue;
        };
        entries.push(OutboxEntry {
            row: row.get(0)?,
            conversation,
            id,
            event,
            attempts: row.get(4)?,
        });
    }
    Ok(entries)
}

fn cached(
    connection: &Connection,
    conversation: ConversationId,
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, prev, n, ts_ms, body FROM events WHERE conversation = ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let mut rows = statement.query(params![conversation.to_string(), limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let Ok(body) = RawValue::from_string(row.get(4)?) else { continue };
        let frame = EventFrame {
            conversation,
            seq: Seq(row.get(0)?),
            prev: Seq(row.get(1)?),
            n: row.get(2)?,
            ts: LogTime::from_millis(row.get(3)?),
            body,
            state: None,
        };
        events.extend(StoredEvent::of(frame).ok());
    }
    events.reverse();
    Ok(events)
}

fn commit(connection: &mut Connection, changes: &[Change]) -> Result<(), StoreError> {
    let waits = changes.iter().any(Change::is_promise);
    connection.pragma_update(None, "synchronous", if waits { "FULL" } else { "NORMAL" })?;
    let transaction = connection.transaction()?;
    for change in changes {
        apply(&transaction, change)?;
    }
    Ok(transaction.commit()?)
}

fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql)?.execute(values).map(drop)
    };
    match change {
        Change::Enqueue(entry) => {
            let (to, id) = (entry.conversation.to_string(), entry.id.to_string());
            run(
                "INSERT INTO outbox VALUES (?1, ?2, ?3, ?4, 0)",
                params![entry.row, to, id, entry.event.get()],
            )?;
            set_meta(connection, "next_row", &(entry.row + 1).to_string())
        }
        Change::Attempted { row } => run("UPDATE outbox SET attempts = 1 WHERE row = ?1", params![row]),
        Change::Rename { row, id } => run(
            "UPDATE outbox SET id = ?2, attempts = 0 WHERE row = ?1",
            params![row, id.to_string()],
        ),
        Change::Uploaded { row } => journal::forget_upload(connection, *row),
        Change::Settle { row } => run("DELETE FROM outbox WHERE row = ?1", params![row]),
        Change::Event(event) => apply_event(connection, event),
        Change::Skip { conversation, through } => {
            let id = conversation.to_string();
            run("DELETE FROM events WHERE conversation = ?1", params![id])?;
            set_last(connection, &id, *through)
        }
        Change::Conversation(view) => {
            let id = view.conversation.to_string();
            let text = serde_json::to_string(view.as_ref()).unwrap_or_default();
            run("INSERT OR REPLACE INTO conversations VALUES (?1, ?2)", params![id, text])?;
            run(
                "INSERT INTO timelines VALUES (?1, 0, ?2) ON CONFLICT (conversation) DO UPDATE SET view_from = ?2",
                params![id, view.view_from.0],
            )
        }
        Change::User(user) => {
            let text = serde_json::to_string(user.as_ref()).unwrap_or_default();
            run("INSERT OR REPLACE INTO users VALUES (?1, ?2)", params![user.user.to_string(), text])
        }
        Change::Marks { conversation, marks, stored } => run(
            "INSERT OR REPLACE INTO marks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                conversation.to_string(),
                marks.delivered.0,
                marks.read.0,
                marks.own.0,
                stored.delivered.0,
                stored.read.0,
                stored.own.0
            ],
        ),
        Change::Cursor(cursor) => set_meta(connection, "cursor", cursor),
        Change::Reset => connection.execute_batch(
            "DELETE FROM events; DELETE FROM timelines; DELETE FROM conversations; DELETE FROM marks; DELETE FROM meta WHERE key = 'cursor';",
        ),
    }
}

fn set_last(connection: &Connection, conversation: &str, last: Seq) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO timelines VALUES (?1, ?2, 0) ON CONFLICT (conversation) DO UPDATE SET last = ?2",
    )?;
    statement.execute(params![conversation, last.0]).map(drop)
}

fn apply_event(connection: &Connection, event: &StoredEvent) -> rusqlite::Result<()> {
    let id = event.conversation.to_string();
    connection
        .prepare_cached("INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            id,
            event.seq.0,
            event.prev.0,
            event.n,
            event.ts.as_millis(),
            event.body.get()
        ])?;
    if event.n.is_multiple_of(64) {
        let mut trim = connection.prepare_cached(
            "DELETE FROM events WHERE conversation = ?1 AND seq <= (SELECT seq FROM events WHERE conversation = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        )?;
        trim.execute(params![id, CACHED_EVENTS_MAX])?;
    }
    set_last(connection, &id, event.seq)
}

#[cfg(test)]
mod tests;
