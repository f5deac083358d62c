//! The operating system's side of a nats-server process: everything unsafe about it is in this file
//! (docs/adr/0001-the-embedded-server-dies-with-its-parent.md).

use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::data_dir::DataDir;

/// Starts the server, so that it dies with the **thread** that calls this, however that thread
/// ends.
///
/// Must be called from a thread that lives as long as the server shall, never from a worker of a
/// thread pool.
pub(super) fn spawn(program: &Path, data_dir: &DataDir) -> io::Result<Child> {
    let console = data_dir.open_console()?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(data_dir.conf_file())
        .current_dir(data_dir.path())
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        // Ctrl-C at a terminal goes to the whole group: the server must outlive the gateway's
        // orderly end.
        .process_group(0)
        .kill_on_drop(true);
    die_with_this_thread(&mut command);
    command.spawn()
}

/// Asks the process to end in order, or ends it at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Terminate,
    Kill,
}

/// Sends a signal to a process that the caller knows to be a nats-server.
pub(super) fn send(signal: Signal, pid: u32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // 0 and negative numbers address whole groups of processes.
    if pid <= 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let signal = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    #[expect(
        unsafe_code,
        reason = "the standard library can only kill; an orderly end needs SIGTERM"
    )]
    // SAFETY: kill takes two integers and touches no memory of this process.
    let outcome = unsafe { libc::kill(pid, signal) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(target_os = "linux")]
fn die_with_this_thread(command: &mut Command) {
    let parent = std::process::id();
    #[expect(
        unsafe_code,
        reason = "only the child itself can ask the kernel to die with its parent"
    )]
    // SAFETY: between fork and exec the closure makes two system calls that are async-signal-safe,
    // allocates nothing (both error values are plain numbers) and takes no lock.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before the line above: then nobody would ever send the
            // signal.
            if u32::try_from(libc::getppid()).ok() != Some(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Elsewhere the next start ends what was left behind (see `leftover`).
#[cfg(not(target_os = "linux"))]
fn die_with_this_thread(_command: &mut Command) {}
