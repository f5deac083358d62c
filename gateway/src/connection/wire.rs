//! The socket of a connection, shared by its reader and its writer, which are one task.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Bytes taken from the socket before the reader's own buffer is allocated: most messages are
/// shorter.
const SIP_BYTES: usize = 4 * 1024;

/// A socket, and what was read from it too early.
pub(super) struct Wire {
    stream: TcpStream,
    ahead: Mutex<Bytes>,
    /// Bytes given to the reader so far.
    given: AtomicU64,
}

/// The reader's side of a [`Wire`].
pub(super) struct WireReader(pub(super) Arc<Wire>);

impl Wire {
    /// `ahead` is what came behind the upgrade request.
    pub(super) fn new(stream: TcpStream, ahead: Bytes) -> Self {
        Self { stream, ahead: Mutex::new(ahead), given: AtomicU64::new(0) }
    }

    /// Waits until there is something to read, and takes the first of it. `false`: the other side
    /// has ended. Safe to drop while it waits.
    pub(super) async fn sip(&self) -> io::Result<bool> {
        loop {
            if !self.lock().is_empty() {
                return Ok(true);
            }
            self.stream.readable().await?;
            match self.try_sip() {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Not async, so that the buffer is on the stack and in no future.
    fn try_sip(&self) -> io::Result<bool> {
        let mut buffer = [0; SIP_BYTES];
        let read = self.stream.try_read(&mut buffer)?;
        *self.lock() = Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(read > 0)
    }

    /// Bytes given to the reader so far.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Writes what the socket takes at once.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.try_write_vectored(slices)
    }

    /// Waits until the socket takes more. Safe to drop while it waits.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Gives the socket back.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Bytes> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for WireReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &self.0;
        let before = buffer.filled().len();
        {
            let mut ahead = wire.lock();
            if !ahead.is_empty() {
                let part = ahead.len().min(buffer.remaining());
                buffer.put_slice(&ahead[..part]);
                ahead.advance(part);
                if ahead.is_empty() {
                    // Lets go of the memory, too.
                    *ahead = Bytes::new();
                }
                wire.given.fetch_add(part as u64, Ordering::Relaxed);
                return Poll::Ready(Ok(()));
            }
        }
        loop {
            ready!(wire.stream.poll_read_ready(context))?;
            match wire.stream.try_read_buf(buffer) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let read = buffer.filled().len() - before;
        wire.given.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}
