//! One process of the product.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process may take to say that it is ready; the first start fetches nothing, but
/// compiles nothing either.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long an orderly end may take: the drain period and some.
const END_WITHIN: Duration = Duration::from_secs(30);
/// How much of its log a process shows when its test fails.
const LOG_TAIL_BYTES: u64 = 6_000;

/// A variable of the environment: its name and its value.
pub(crate) type Variable = (String, String);

/// A running `hansard`; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    pid: u32,
    log: PathBuf,
}

/// What a process can be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// End in order.
    Terminate,
    /// End now.
    Kill,
    /// Stand still.
    Stop,
    /// Go on.
    Continue,
}

impl Process {
    /// Starts `hansard` with these arguments and variables and waits for its one line; returns what
    /// the line says after `ready`.
    pub(crate) async fn start(
        name: &str,
        arguments: &[String],
        variables: &[Variable],
        log_dir: &Path,
        ready: &str,
    ) -> (Self, String) {
        let log = log_dir.join(format!("{name}.log"));
        let errors = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = command(arguments)
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pid = child.id().unwrap();
        let process = Self { name: name.to_owned(), child, pid, log };
        let line = timeout(READY_WITHIN, lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{name} is not ready in {READY_WITHIN:?}"));
        let line = line.unwrap().unwrap_or_else(|| panic!("{name} ended before it was ready"));
        let said = line.strip_prefix(ready);
        let said = said.unwrap_or_else(|| panic!("{name} says {line:?}, not {ready:?}"));
        (process, said.to_owned())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, what: Signal) {
        signal(self.pid, what);
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::Kill);
        self.ended().await;
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::Terminate);
        self.ended().await
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(END_WITHIN, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} does not end in {END_WITHIN:?}", self.name)).unwrap()
    }

    fn log_tail(&self) -> String {
        let Ok(mut file) = File::open(&self.log) else { return String::new() };
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let mut bytes = Vec::new();
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)));
        let _ = file.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.start_kill();
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        if std::thread::panicking() {
            eprintln!("--- the end of the log of {} ---\n{}", self.name, self.log_tail());
        }
    }
}

/// Runs `hansard` to its end.
pub(crate) async fn run(arguments: &[&str], within: Duration) -> Output {
    run_among(&[], arguments, within).await
}

/// Runs `hansard` with these variables too.
pub(crate) async fn run_among(
    variables: &[Variable],
    arguments: &[&str],
    within: Duration,
) -> Output {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let mut command = command(&arguments);
    command.envs(variables.iter().cloned()).kill_on_drop(true);
    let ended = timeout(within, command.output()).await;
    ended.unwrap_or_else(|_| panic!("{arguments:?} does not end in {within:?}")).unwrap()
}

fn command(arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hansard"));
    command.args(arguments);
    command
}

/// Sends a signal to a process by its id.
pub(crate) fn signal(pid: u32, what: Signal) {
    let name = match what {
        Signal::Terminate => "TERM",
        Signal::Kill => "KILL",
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
    };
    let line = format!("kill -{name} {pid}");
    let sent = std::process::Command::new("sh").args(["-c", &line]).status().unwrap();
    assert!(sent.success(), "{line}");
}

/// Whether a process runs. One that has ended but was not collected has no command line any more.
pub(crate) fn is_running(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The memory that a process holds now.
pub(crate) fn memory_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
