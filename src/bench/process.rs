//! One process of the bench: started, awaited, paused, killed, and never left behind.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::machine;

/// How long a process gets until it says that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a process gets to end after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// How to start a process, and to start it again.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// For its log file and for messages.
    pub(super) name: String,
    /// Arguments to this program.
    pub(super) args: Vec<String>,
    /// How its ready line begins; `None`: it says none.
    pub(super) ready: Option<&'static str>,
    /// Where its log goes.
    pub(super) logs: PathBuf,
    /// The one core that it runs on; `None`: all that there are.
    pub(super) core: Option<usize>,
}

/// A running process. Dropping it kills it.
pub(super) struct Process {
    recipe: Recipe,
    child: Child,
    pid: u32,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Recipe {
    pub(super) fn new(name: &str, logs: &Path, ready: Option<&'static str>, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { name: name.to_owned(), args, ready, logs: logs.to_owned(), core: None }
    }

    /// Starts the process and waits until it is ready.
    pub(super) async fn start(&self) -> anyhow::Result<Process> {
        let log = self.logs.join(format!("{}.log", self.name));
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut child = machine::on_core(self.core, || command.spawn())?
            .with_context(|| format!("starting {}", self.name))?;
        let pid = child.id().context("it ended at once")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        if let Some(prefix) = self.ready {
            let line = tokio::time::timeout(READY_WITHIN, lines.next_line())
                .await
                .with_context(|| format!("{} is not ready", self.name))??;
            let line = line.with_context(|| format!("{} ended: see its log", self.name))?;
            if !line.starts_with(prefix) {
                bail!("{} said {line:?}", self.name);
            }
        }
        Ok(Process { recipe: self.clone(), child, pid, lines: Some(lines) })
    }
}

impl Process {
    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its standard input goes; once.
    pub(super) fn take_stdin(&mut self) -> anyhow::Result<ChildStdin> {
        self.child.stdin.take().context("no standard input")
    }

    /// What it says after the ready line; once.
    pub(super) fn take_lines(&mut self) -> anyhow::Result<Lines<BufReader<ChildStdout>>> {
        self.lines.take().context("no standard output")
    }

    /// Ends it in order, then starts the same again.
    pub(super) async fn begin_anew(self) -> anyhow::Result<Self> {
        self.end().await?.start().await
    }

    /// Ends it in order; how to start it again.
    pub(super) async fn end(self) -> anyhow::Result<Recipe> {
        let recipe = self.recipe.clone();
        self.stop().await?;
        Ok(recipe)
    }

    /// Ends it in order, by force after 20 s.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        signal(self.pid, Signal::TERM)?;
        if tokio::time::timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            super::say(&format!("{} does not stop: killing it", self.recipe.name));
            self.child.kill().await?;
        }
        Ok(())
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        tokio::time::timeout(within, self.child.wait())
            .await
            .with_context(|| format!("{} does not end", self.recipe.name))?
            .context("waiting for it")
    }

    /// `kill -9`, then the same again.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        *self = self.recipe.start().await?;
        Ok(())
    }

    /// `kill -9`, and waits for the end.
    pub(super) async fn kill(mut self) -> anyhow::Result<Recipe> {
        self.child.kill().await?;
        Ok(self.recipe)
    }
}

/// Sends a signal to a process of this bench.
pub(super) fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no such process")?;
    kill_process(pid, signal).context("signal")
}
