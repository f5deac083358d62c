//! Runs one nats-server, on a thread of its own, and starts it again whenever it dies.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::binary::Binary;
use super::data_dir::{DataDir, DataDirLock};
use super::options::ServerOptions;
use super::process::{self, Signal};
use super::readiness::Probe;
use super::{StartServerError, conf, leftover, metrics};

/// A large store is read before the server answers.
const READY_DEADLINE: Duration = Duration::from_secs(120);
/// Time to write everything down at an orderly end.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// A server that lived this long was well: the next death is a first one.
const SETTLED: Duration = Duration::from_secs(30);

/// Ports to choose from. They are below the range from which Linux serves outgoing connections:
/// while the server is down, a client that keeps trying to reach a port of that range can connect
/// to itself and so occupy it.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;
const PORT_ATTEMPTS: u32 = 8;

pub(super) struct Supervisor {
    pub(super) binary: Binary,
    pub(super) data_dir: DataDir,
    /// Released only after the last process has ended.
    pub(super) lock: DataDirLock,
    pub(super) options: ServerOptions,
    pub(super) server_name: String,
    pub(super) probe: Probe,
    pub(super) pid: watch::Sender<Option<u32>>,
    pub(super) stopping: CancellationToken,
}

/// How waiting for a fresh process ended.
enum Launch {
    Ready,
    Exited(StartServerError),
    Slow,
    Stopped,
}

impl Supervisor {
    /// Starts the thread. `started` gets the address once the server answers; the returned channel
    /// closes when all is over.
    pub(super) fn start(
        self,
        started: oneshot::Sender<Result<SocketAddr, StartServerError>>,
    ) -> io::Result<oneshot::Receiver<()>> {
        let (ended, when_ended) = oneshot::channel();
        // The server dies with the thread that spawned it, so it must be one that nobody else ends.
        std::thread::Builder::new().name("nats-server".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(self.run(started)),
                Err(cause) => drop(started.send(Err(StartServerError::Thread(cause)))),
            }
            drop(ended);
        })?;
        Ok(when_ended)
    }

    async fn run(self, started: oneshot::Sender<Result<SocketAddr, StartServerError>>) {
        let program = self.binary.path.display();
        tracing::info!(%program, version = %self.binary.version, "starting nats-server");
        match self.first_start().await {
            Err(cause) => drop(started.send(Err(cause))),
            Ok((child, address)) => {
                tracing::info!(pid = child.id(), %address, "nats-server answers");
                drop(started.send(Ok(address)));
                self.keep_running(child, address).await;
            }
        }
        leftover::forget(&self.data_dir);
        drop(self.lock);
    }

    async fn first_start(&self) -> Result<(Child, SocketAddr), StartServerError> {
        leftover::stop(&self.data_dir).await.map_err(|pid| StartServerError::Leftover { pid })?;
        let mut attempts = if self.options.port == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            let port = if self.options.port == 0 { free_port() } else { self.options.port };
            match self.start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await {
                Err(StartServerError::PortInUse { .. }) if attempts > 0 => {}
                outcome => return outcome,
            }
        }
    }

    async fn start_on(&self, address: SocketAddr) -> Result<(Child, SocketAddr), StartServerError> {
        let text = conf::render(&self.options, &self.data_dir, &self.server_name, address);
        conf::write_private(&self.data_dir.conf_file(), &text).map_err(|cause| {
            StartServerError::DataDir { path: self.data_dir.conf_file(), cause }
        })?;
        let (mut child, launch) = self.launch(address).await.map_err(StartServerError::Spawn)?;
        match launch {
            Launch::Ready => Ok((child, address)),
            Launch::Exited(cause) => Err(cause),
            Launch::Slow => {
                self.end(&mut child).await;
                Err(StartServerError::NotReady { seconds: READY_DEADLINE.as_secs() })
            }
            Launch::Stopped => {
                self.end(&mut child).await;
                Err(StartServerError::Stopped)
            }
        }
    }

    async fn keep_running(&self, mut child: Child, address: SocketAddr) {
        let mut backoff = Backoff::default();
        let mut running_since = Instant::now();
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return self.end(&mut child).await,
                status = child.wait() => {
                    let status = status.map(|status| status.to_string()).unwrap_or_default();
                    tracing::warn!(%status, "nats-server died");
                }
            }
            self.pid.send_replace(None);
            if running_since.elapsed() >= SETTLED {
                backoff.reset();
            }
            let Some(restarted) = self.restart(&mut backoff, address).await else { return };
            (child, running_since) = (restarted, Instant::now());
        }
    }

    /// Tries until a process runs; `None` if the server is to stop.
    async fn restart(&self, backoff: &mut Backoff, address: SocketAddr) -> Option<Child> {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
            metrics::restarted();
            let died_at = Instant::now();
            match self.launch(address).await {
                Ok((child, Launch::Ready)) => {
                    let elapsed_ms = died_at.elapsed().as_millis();
                    tracing::info!(pid = child.id(), elapsed_ms, "nats-server answers again");
                    return Some(child);
                }
                Ok((child, Launch::Slow)) => {
                    // To end it would only make it begin again: its store may be large, or the
                    // machine slow.
                    tracing::error!(pid = child.id(), "nats-server runs, but does not answer yet");
                    return Some(child);
                }
                Ok((mut child, Launch::Stopped)) => {
                    self.end(&mut child).await;
                    return None;
                }
                Ok((_, Launch::Exited(cause))) => {
                    tracing::error!(%cause, "nats-server does not start")
                }
                Err(cause) => tracing::error!(%cause, "nats-server cannot be run"),
            }
        }
    }

    async fn launch(&self, address: SocketAddr) -> io::Result<(Child, Launch)> {
        let log_bytes = self.data_dir.log_bytes();
        let mut child = process::spawn(&self.binary.path, &self.data_dir)?;
        if let Some(pid) = child.id() {
            leftover::record(&self.data_dir, pid)?;
        }
        self.pid.send_replace(child.id());
        let launch = tokio::select! {
            status = child.wait() => {
                self.pid.send_replace(None);
                let status = status.map(|status| status.to_string()).unwrap_or_default();
                let complaint = self.data_dir.complaint_since(log_bytes);
                Launch::Exited(exit_cause(status, complaint, address))
            }
            () = self.probe.answered(address) => Launch::Ready,
            () = tokio::time::sleep(READY_DEADLINE) => Launch::Slow,
            () = self.stopping.cancelled() => Launch::Stopped,
        };
        Ok((child, launch))
    }

    /// Returns when the process is gone.
    async fn end(&self, child: &mut Child) {
        if let Some(pid) = child.id() {
            if let Err(cause) = process::send(Signal::Terminate, pid) {
                tracing::warn!(pid, %cause, "cannot ask nats-server to stop");
            }
            if tokio::time::timeout(STOP_DEADLINE, child.wait()).await.is_err() {
                tracing::warn!(pid, "nats-server did not stop in time and is killed");
            }
        }
        if let Err(cause) = child.kill().await {
            tracing::error!(%cause, "cannot kill nats-server");
        }
        self.pid.send_replace(None);
    }
}

fn exit_cause(status: String, complaint: String, address: SocketAddr) -> StartServerError {
    if complaint.contains("address already in use") {
        return StartServerError::PortInUse { port: address.port() };
    }
    StartServerError::Exited { status, complaint }
}

/// A loopback port that nobody uses now. Somebody may take it before the server does: then the
/// start is repeated.
fn free_port() -> u16 {
    let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
    let start = (random % u32::from(PORTS)) as u16;
    (0..PORTS)
        .map(|step| FIRST_PORT + (start + step) % PORTS)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap_or(FIRST_PORT)
}
