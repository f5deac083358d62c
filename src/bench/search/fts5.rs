//! SQLite's FTS5 beside the searcher: a process of Python, whose library has it.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, BufWriter, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::super::machine;
use super::texts::Texts;
use super::world::{Said, World};

const SCRIPT: &str = include_str!("fts5.py");

/// A database that is open. Dropping it kills its process.
pub(super) struct Fts5 {
    child: Child,
    into: BufWriter<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it says of its versions.
    pub(super) versions: Value,
}

/// What has been committed.
#[derive(Debug, Deserialize)]
pub(super) struct Committed {
    pub(super) messages: u64,
    /// Of the whole process, and of that what SQLite took.
    pub(super) cpu_s: f64,
    pub(super) sqlite_cpu_s: f64,
    pub(super) peak_rss_bytes: u64,
}

/// All merged into one, and in one file.
#[derive(Debug, Deserialize)]
pub(super) struct Optimized {
    pub(super) seconds: f64,
    pub(super) bytes: u64,
}

/// What was found.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    /// Time of the query alone.
    pub(super) nanos: u64,
    pub(super) ids: Vec<u64>,
}

/// A query.
pub(super) struct Match<'a> {
    pub(super) user: usize,
    pub(super) words: &'a str,
    pub(super) sender: Option<usize>,
    pub(super) since_ms: Option<u64>,
}

impl Fts5 {
    /// Opens a database, or makes one.
    pub(super) async fn open(path: &Path, core: Option<usize>) -> anyhow::Result<Self> {
        let mut command = Command::new("python3");
        command
            .args(["-c", SCRIPT])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let child = machine::on_core(core, || command.spawn())?;
        let mut child = child.context("FTS5 needs python3; --no-fts5 leaves it out")?;
        let into = BufWriter::with_capacity(1 << 16, child.stdin.take().context("no input")?);
        let stdout = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let versions = serde_json::from_str(&answer(&mut lines).await?)?;
        Ok(Self { child, into, lines, versions })
    }

    /// Messages of a world from one on, up to another.
    pub(super) async fn add(
        &mut self,
        world: &World,
        texts: &Texts,
        numbers: std::ops::Range<usize>,
        now_ms: u64,
    ) -> anyhow::Result<()> {
        for number in numbers {
            let Said { conversation, sender, text } = world.said(texts, number);
            let mut line = serde_json::to_vec(&(number, conversation, sender, now_ms, text))?;
            line.push(b'\n');
            self.into.write_all(&line).await?;
        }
        Ok(())
    }

    /// Who may read what: the readers alone.
    pub(super) async fn add_members(&mut self, world: &World) -> anyhow::Result<()> {
        let rows = (0..)
            .zip(&world.of_readers)
            .flat_map(|(reader, chats): (usize, _)| chats.iter().map(move |chat| (reader, *chat)));
        let rows: Vec<(usize, usize)> = rows.collect();
        let _: Value = self.tell(&json!({"do": "members", "rows": rows})).await?;
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> anyhow::Result<Committed> {
        self.tell(&json!({"do": "commit"})).await
    }

    pub(super) async fn optimize(&mut self) -> anyhow::Result<Optimized> {
        self.tell(&json!({"do": "optimize"})).await
    }

    pub(super) async fn find(&mut self, asked: &Match<'_>) -> anyhow::Result<Found> {
        let Match { user, words, sender, since_ms } = asked;
        let order = json!({
            "do": "find", "user": user, "match": words, "sender": sender, "since": since_ms,
        });
        self.tell(&order).await
    }

    async fn tell<T: DeserializeOwned>(&mut self, order: &Value) -> anyhow::Result<T> {
        self.into.write_all(format!("{order}\n").as_bytes()).await?;
        self.into.flush().await?;
        Ok(serde_json::from_str(&answer(&mut self.lines).await?)?)
    }

    /// Closes it.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.into.shutdown().await?;
        drop(self.into);
        self.child.wait().await?;
        Ok(())
    }
}

async fn answer(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<String> {
    lines.next_line().await?.context("FTS5 ended: see above")
}
