use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{Program, Programs};
use crate::{Limits, NoPreview};

/// Between two looks at whether a child is done.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Files that a child may have open.
const OPEN_FILES_MAX: u64 = 64;
/// A user, a network and a memory of its own: nothing to connect to, nobody to talk with.
const APART: [&str; 5] = ["--user", "--map-current-user", "--net", "--ipc", "--uts"];

pub(super) fn can_unshare(unshare: &Path) -> bool {
    let mut command = Command::new(unshare);
    command.args(APART).args(["--", "/bin/true"]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a program in a folder, with what it prints going into a file of the folder, and waits for
/// it. It has no environment, no input, no network where the system lets us take it, and the
/// limits; past its time it and its children are killed.
///
/// The outer error is of this machine: that no process could be started.
pub(crate) fn run(
    programs: &Programs,
    program: Program,
    arguments: &[&OsStr],
    folder: &Path,
    printed: &Path,
    limits: &Limits,
) -> io::Result<Result<(), NoPreview>> {
    let missing = |program| Ok(Err(NoPreview::NotInstalled(program)));
    let Some(path) = programs.path(program) else { return missing(program) };
    let Some(prlimit) = programs.path(Program::Prlimit) else { return missing(Program::Prlimit) };

    let mut command = Command::new(prlimit);
    command.arg(format!("--cpu={}", limits.child_cpu_secs_max));
    command.arg(format!("--as={}", limits.child_memory_max));
    command.arg(format!("--fsize={}", limits.child_output_max));
    command.arg(format!("--nofile={OPEN_FILES_MAX}"));
    command.args(["--core=0", "--"]);
    if let Some(unshare) = programs.path(Program::Unshare) {
        command.arg(unshare).args(APART).arg("--");
    }
    command.arg(path).args(arguments).current_dir(folder);
    command.env_clear().env("HOME", folder).env("TMPDIR", folder).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(File::create(printed)?).stderr(Stdio::null());
    // A group of its own, so that nothing it starts outlives it.
    command.process_group(0);
    let mut child = command.spawn()?;
    let in_time = wait(&child, limits.child_max);
    // While its id is surely still its own. Also when it has ended: of its children nobody knows.
    // It cannot fail: the child itself is in the group until it is waited for.
    let _killed = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let status = child.wait()?;
    Ok(if in_time? { outcome(status) } else { Err(NoPreview::TimedOut) })
}

/// Whether it has ended in time. It is left to be waited for.
fn wait(child: &Child, time: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + time;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        if waitid(WaitId::Pid(Pid::from_child(child)), options)?.is_some() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn outcome(status: ExitStatus) -> Result<(), NoPreview> {
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    if status.success() {
        Ok(())
    } else if is(Signal::XCPU) || is(Signal::KILL) {
        Err(NoPreview::TimedOut)
    } else if is(Signal::XFSZ) {
        Err(NoPreview::TooLarge)
    } else if status.signal().is_some() {
        Err(NoPreview::DecoderFailed)
    } else {
        Err(NoPreview::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    /// A program of this name that is this script, beside the system's own for the limits.
    fn scripted(script: &str) -> (TempDir, Programs) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ffmpeg");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let programs = Programs::find_in(&[folder.path(), Path::new("/usr/bin")]);
        (folder, programs)
    }

    fn run_script(script: &str, limits: &Limits) -> (Result<(), NoPreview>, String) {
        let (folder, programs) = scripted(script);
        let printed = folder.path().join("printed");
        let folder = folder.path();
        let result = run(&programs, Program::Ffmpeg, &[], folder, &printed, limits).unwrap();
        (result, std::fs::read_to_string(printed).unwrap_or_default())
    }

    #[test]
    fn a_child_that_succeeds_has_printed_and_knows_nothing_of_our_environment() {
        let (result, printed) = run_script("env; echo done", &Limits::default());
        assert_eq!(result, Ok(()));
        assert!(printed.contains("done") && !printed.contains("CARGO"), "{printed}");
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed_with_its_children() {
        let limits = Limits { child_max: Duration::from_millis(300), ..Limits::default() };
        let started = Instant::now();
        let (result, printed) = run_script("sleep 60 & echo $!; sleep 60", &limits);
        assert_eq!(result, Err(NoPreview::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(30));
        // A killed process whom nobody has waited for yet is a zombie, without a command line.
        let gone = || {
            let line = std::fs::read(format!("/proc/{}/cmdline", printed.trim()));
            line.map_or(true, |line| line.is_empty())
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !gone() && Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(gone(), "the child of the child lives");
    }

    #[test]
    fn a_child_that_uses_too_much_is_stopped() {
        let cpu = Limits { child_cpu_secs_max: 1, ..Limits::default() };
        assert_eq!(run_script("while :; do :; done", &cpu).0, Err(NoPreview::TimedOut));
        let output = Limits { child_output_max: 10_000, ..Limits::default() };
        let (result, printed) = run_script("exec head -c 100000 /dev/zero", &output);
        assert!(matches!(result, Err(NoPreview::TooLarge | NoPreview::Unreadable)), "{result:?}");
        assert!(printed.len() <= 10_000);
        let memory = Limits { child_memory_max: 64 << 20, ..Limits::default() };
        let script = "exec dd if=/dev/zero of=/dev/null bs=512M count=1";
        assert_eq!(run_script(script, &memory).0, Err(NoPreview::Unreadable));
    }

    #[test]
    fn a_child_sees_no_network_where_the_system_allows_it() {
        let programs = Programs::find();
        let (result, printed) = run_script("cat /proc/net/dev", &Limits::default());
        assert_eq!(result, Ok(()));
        let others = printed.lines().skip(2).filter(|line| !line.trim().starts_with("lo:"));
        if programs.has(Program::Unshare) {
            assert_eq!(others.count(), 0, "{printed}");
        }
    }

    #[test]
    fn how_a_child_ends_is_told_apart() {
        assert_eq!(run_script("exit 3", &Limits::default()).0, Err(NoPreview::Unreadable));
        assert_eq!(
            run_script("kill -SEGV $$", &Limits::default()).0,
            Err(NoPreview::DecoderFailed)
        );
        let (_folder, programs) = scripted("");
        let here = Path::new("/tmp");
        let printed = tempfile::NamedTempFile::new().unwrap();
        let limits = Limits::default();
        let result = run(&programs, Program::Pdftoppm, &[], here, printed.path(), &limits);
        if !programs.has(Program::Pdftoppm) {
            assert_eq!(result.unwrap(), Err(NoPreview::NotInstalled(Program::Pdftoppm)));
        }
        let result = run(&Programs::none(), Program::Ffmpeg, &[], here, printed.path(), &limits);
        assert_eq!(result.unwrap(), Err(NoPreview::NotInstalled(Program::Ffmpeg)));
    }
}
