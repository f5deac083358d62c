//! Files in `hansard chat`: sent, shown, fetched, and gone on with after a kill.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::gate::Gate;
use super::{files, noise, write};
use crate::harness::{Dice, Serve};

const LINE_WITHIN: Duration = Duration::from_secs(60);

/// Somebody at a terminal; killed when dropped.
pub(super) struct Terminal {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// All that it has said.
    said: Vec<String>,
}

impl Terminal {
    /// Starts, with a profile that is kept in this directory.
    pub(super) fn start(handle: &str, server: SocketAddr, home: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hansard"))
            .args(["chat", "--lines", "--handle", handle, "--server", &server.to_string()])
            .env("HANSARD_PASSWORD", "correct horse battery")
            .env("XDG_DATA_HOME", home)
            .env("HANSARD_DOWNLOADS", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), child, lines, said: Vec::new() }
    }

    /// The same, once it is online and has an account.
    pub(super) async fn online(handle: &str, server: SocketAddr, home: &Path) -> Self {
        let mut terminal = Self::start(handle, server, home);
        terminal.types(&format!("/open {handle}")).await;
        terminal.types("a note to myself").await;
        terminal.says("a note to myself").await;
        terminal
    }

    /// Types a line.
    pub(super) async fn types(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line with this in it.
    pub(super) async fn says(&mut self, part: &str) -> String {
        let find = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.said.push(line.clone());
                if line.contains(part) {
                    return line;
                }
            }
            panic!("it ended without {part:?}")
        };
        timeout(LINE_WITHIN, find).await.unwrap_or_else(|_| panic!("it does not say {part:?}"))
    }

    /// Kills it.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Ends the input, and waits until it has done all it was told.
    pub(super) async fn ends(mut self) {
        drop(self.input.take());
        let ended = timeout(LINE_WITHIN, self.child.wait()).await;
        assert!(ended.expect("it does not end").unwrap().success(), "a line failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_sent_and_fetched_from_a_terminal() {
    let serve = Serve::start().await;
    let home = TempDir::new().unwrap();
    let picture = files::jpeg(640, 480);
    let path = write(home.path(), "my cat.jpg", &picture);
    let mut ben = Terminal::online("ben", serve.address, home.path()).await;
    let mut ana = Terminal::start("ana", serve.address, home.path());
    ana.types("/open ben").await;
    ana.types(&format!("/send \"{}\" look, a cat", path.display())).await;
    ana.says("[picture my cat.jpg").await;
    let line = ben.says("[picture my cat.jpg").await;
    assert!(line.contains("/get 1] look, a cat"), "{line}");

    // An edit of its text keeps the file.
    ana.types("/edit look, my cat").await;
    let line = ben.says("edited").await;
    assert!(line.contains("/get 1] look, my cat"), "{line}");

    let fetched = home.path().join("fetched.jpg");
    ben.types(&format!("/get 1 {}", fetched.display())).await;
    ben.says("saved ").await;
    assert_eq!(std::fs::read(&fetched).unwrap(), picture);
    // A second time it stands beside the first.
    ben.types(&format!("/get 1 {}", fetched.display())).await;
    ben.says("fetched (1).jpg").await;
    tokio::join!(ana.ends(), ben.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_is_killed_goes_on_with_its_files_and_sends_each_once() {
    let serve = Serve::start().await;
    let (home, mut dice) = (TempDir::new().unwrap(), Dice::new());
    let gate = Gate::before(serve.address).await;
    let mut ben = Terminal::online("ben", serve.address, home.path()).await;
    for round in 0..5 {
        let bytes = noise(&mut dice, 3 << 20);
        let path = write(home.path(), &format!("noise-{round}"), &bytes);
        let mut ana = Terminal::start("ana", gate.address, home.path());
        ana.types("/open ben").await;
        ana.types(&format!("before {round}")).await;
        ben.says(&format!("before {round}")).await;
        let at = dice.below(bytes.len() as u64);
        gate.up.let_through(at);
        ana.types(&format!("/send {} file {round}", path.display())).await;
        gate.up.reached().await;
        ana.kill().await;
        gate.open();
        let mut ana = Terminal::start("ana", gate.address, home.path());
        ana.types("/open ben").await;
        ana.says(&format!("file {round}")).await;
        ana.types(&format!("after {round}")).await;
        ana.ends().await;
        let line = ben.says(&format!("noise-{round}")).await;
        let number = line.split("/get ").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
        let fetched = home.path().join(format!("fetched-{round}"));
        ben.types(&format!("/get {number} {}", fetched.display())).await;
        ben.says("saved ").await;
        assert_eq!(std::fs::read(&fetched).unwrap(), bytes, "killed at {at}");
    }
    let mut ana = Terminal::start("ana", gate.address, home.path());
    ana.types("/open ben").await;
    ana.types("that was all").await;
    ana.ends().await;
    ben.says("that was all").await;
    for round in 0..5 {
        let file = format!("[file noise-{round}");
        let times = ben.said.iter().filter(|line| line.contains(&file)).count();
        assert_eq!(times, 1, "{:#?}", ben.said);
    }
}
