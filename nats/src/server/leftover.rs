//! Ends a nats-server that an earlier process left behind in the same data directory.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::data_dir::DataDir;
use super::process::{self, Signal};

const ORDERLY_PATIENCE: Duration = Duration::from_secs(10);
const KILL_PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Returns once no process of the directory is left. Call it with the directory's lock held.
///
/// # Errors
/// With the process id, if even SIGKILL did not end it.
pub(super) async fn stop(data_dir: &DataDir) -> Result<(), u32> {
    let Some(pid) = recorded_pid(data_dir) else { return Ok(()) };
    if !serves(pid, data_dir) {
        return Ok(());
    }
    tracing::warn!(pid, "ending a nats-server that was left behind in the data directory");
    for (signal, patience) in [(Signal::Terminate, ORDERLY_PATIENCE), (Signal::Kill, KILL_PATIENCE)]
    {
        if let Err(cause) = process::send(signal, pid) {
            tracing::warn!(pid, ?signal, %cause, "cannot signal it");
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !serves(pid, data_dir) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Err(pid)
}

/// Notes the process for whoever starts next.
pub(super) fn record(data_dir: &DataDir, pid: u32) -> io::Result<()> {
    fs::write(data_dir.pid_file(), pid.to_string())
}

/// The server has ended: its number may soon be another process's.
pub(super) fn forget(data_dir: &DataDir) {
    // A stale file does no harm: the command line is checked before anything is done to the
    // process.
    let _ = fs::remove_file(data_dir.pid_file());
}

fn recorded_pid(data_dir: &DataDir) -> Option<u32> {
    fs::read_to_string(data_dir.pid_file()).ok()?.trim().parse().ok()
}

/// Whether the process runs with this directory's configuration. A process that has ended, and
/// waits for its parent to notice, has no command line any more.
fn serves(pid: u32, data_dir: &DataDir) -> bool {
    command_line(pid).is_some_and(|arguments| {
        let conf_file = data_dir.conf_file();
        arguments.windows(2).any(|pair| pair[0] == "-c" && Path::new(&pair[1]) == conf_file)
    })
}

#[cfg(target_os = "linux")]
fn command_line(pid: u32) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(
        bytes
            .split(|byte| *byte == 0)
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect(),
    )
}

/// Arguments with spaces come out in pieces here; such a directory's leftover is not recognised.
#[cfg(not(target_os = "linux"))]
fn command_line(pid: u32) -> Option<Vec<String>> {
    let pid = pid.to_string();
    let output = std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid])
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect())
}
