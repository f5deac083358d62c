//! The directory that belongs to one nats-server.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A predecessor that was just killed may take a moment to let go of its lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// How much of the end of a log is looked at for the reason of a failure.
const LOG_TAIL_BYTES: u64 = 64 * 1024;

#[derive(Clone, Debug)]
pub(super) struct DataDir {
    path: PathBuf,
}

/// Held for as long as this process runs a server in the directory.
#[derive(Debug)]
pub(super) struct DataDirLock {
    _file: File,
}

/// Why the directory cannot be had.
#[derive(Debug)]
pub(super) enum LockFailure {
    Held,
    Io(io::Error),
}

impl DataDir {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Creates the directory if need be and shuts everybody else out of it: it holds passwords and
    /// messages.
    pub(super) fn prepare(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let path = path.canonicalize()?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(Self::at(path))
    }

    /// Two servers on one directory would destroy each other's streams.
    pub(super) fn lock(&self) -> Result<DataDirLock, LockFailure> {
        let path = self.path.join("server.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(LockFailure::Io)?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(DataDirLock { _file: file }),
                Err(TryLockError::Error(cause)) => return Err(LockFailure::Io(cause)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(LockFailure::Held);
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn conf_file(&self) -> PathBuf {
        self.path.join("server.conf")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.path.join("server.log")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.path.join("server.pid")
    }

    /// What the server prints outside its log: mistakes in the configuration, the stack traces of a
    /// crash. The file of the start before is kept as `.1`, so a crash can still be read after the
    /// restart.
    pub(super) fn open_console(&self) -> io::Result<File> {
        let path = self.console_file();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
            fs::rename(&path, path.with_extension("console.1"))?;
        }
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)
    }

    /// Bytes logged so far, to find later what one start has added.
    pub(super) fn log_bytes(&self) -> u64 {
        fs::metadata(self.log_file()).map_or(0, |metadata| metadata.len())
    }

    /// The errors that a start has logged, or else the end of what it printed; empty if it left no
    /// word.
    pub(super) fn complaint_since(&self, log_bytes: u64) -> String {
        let logged = tail_from(&self.log_file(), log_bytes).unwrap_or_default();
        let errors: Vec<&str> = logged
            .lines()
            .filter_map(|line| {
                Some(line.split_once("[FTL] ").or_else(|| line.split_once("[ERR] "))?.1)
            })
            .collect();
        if errors.is_empty() {
            let printed = tail_from(&self.console_file(), 0).unwrap_or_default();
            return printed.lines().take(3).collect::<Vec<_>>().join("; ");
        }
        errors[errors.len().saturating_sub(3)..].join("; ")
    }

    fn console_file(&self) -> PathBuf {
        self.path.join("server.console")
    }
}

fn tail_from(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // The server starts a new file when this one is full.
    let start = if start > length { 0 } else { start };
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(LOG_TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
