//! The end of a connection: what is owed is written, the close is said, the socket is closed in a
//! way that lets the other side read all of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::wire::Wire;
use super::writer::{Writer, Written};
use crate::frame::Frame;
use crate::outbox::{Closing, Outbox};

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(2);
/// How long it may take with a reader that is slow, who must first take what the system holds for
/// them to learn that they are to resume.
const SLOW_READER_WITHIN: Duration = Duration::from_secs(15);
/// Close code of a slow reader.
const SLOW_READER: u16 = 4008;

/// Ends a connection. `answered`: the other side has said its close already.
pub(super) async fn say(
    wire: Arc<Wire>,
    mut writer: Writer,
    outbox: Arc<Outbox>,
    closing: Closing,
    answered: bool,
) {
    let ending = async {
        if !closing.flush {
            writer.drop_waiting();
        }
        write_all(&wire, &mut writer, &outbox).await?;
        writer.queue(Frame::close(closing.code, closing.reason));
        write_all(&wire, &mut writer, &outbox).await?;
        // The reader is gone: nobody else holds it.
        let Some(wire) = Arc::into_inner(wire) else { return Ok(()) };
        wind_up(wire, answered).await
    };
    let within = if closing.code == SLOW_READER { SLOW_READER_WITHIN } else { WITHIN };
    match tokio::time::timeout(within, ending).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!(%error, "the socket ended before the close"),
        Err(_) => tracing::trace!("the socket did not take the close in time"),
    }
}

async fn write_all(wire: &Wire, writer: &mut Writer, outbox: &Outbox) -> std::io::Result<()> {
    loop {
        match writer.pump(wire, outbox)? {
            Written::All => return Ok(()),
            Written::Blocked => wire.writable().await?,
            Written::More => tokio::task::yield_now().await,
        }
    }
}

async fn wind_up(wire: Wire, answered: bool) -> std::io::Result<()> {
    let mut stream: TcpStream = wire.into_stream();
    stream.shutdown().await?;
    if answered {
        return Ok(());
    }
    // A socket closed with unread input is reset, and the reset can overtake what was written:
    // what still comes is read and forgotten, until the other side has ended too.
    loop {
        stream.readable().await?;
        if !discard(&stream)? {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

/// Not async, so that the buffer is on the stack. `false`: the other side has ended.
fn discard(stream: &TcpStream) -> std::io::Result<bool> {
    let mut buffer = [0; 8 * 1024];
    match stream.try_read(&mut buffer) {
        Ok(read) => Ok(read > 0),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}
