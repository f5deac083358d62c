//! A plain copy as far apart as client and service are: one connection over loopback, no protocol,
//! no hash, nobody between.

use anyhow::ensure;
use bytes::Bytes;
use hansard_archive::Objects;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{PART_BYTES, get_part, put_part};

/// Bytes that a client reads at a time.
const READ_BYTES: usize = 256 * 1024;

/// Sends a file to a task that puts it, part after part; returns when it has put the last one.
pub(super) async fn put(objects: &Objects, round: usize, file: &Bytes) -> anyhow::Result<()> {
    let (mut client, mut server) = connected().await?;
    let (objects, size) = (objects.clone(), file.len());
    let storing = tokio::spawn(async move {
        for (number, offset) in (0..size).step_by(PART_BYTES).enumerate() {
            let mut part = vec![0; PART_BYTES.min(size - offset)];
            server.read_exact(&mut part).await?;
            put_part(&objects, (round, number), part.into()).await?;
        }
        anyhow::Ok(())
    });
    client.write_all(file).await?;
    storing.await?
}

/// Receives a file from a task that gets it, part after part.
pub(super) async fn get(objects: &Objects, round: usize, size: usize) -> anyhow::Result<()> {
    let (mut client, mut server) = connected().await?;
    let objects = objects.clone();
    let fetching = tokio::spawn(async move {
        for number in 0..size.div_ceil(PART_BYTES) {
            let part = get_part(&objects, (round, number)).await?;
            server.write_all(&part).await?;
        }
        anyhow::Ok(())
    });
    let (mut buffer, mut read) = (vec![0; READ_BYTES], 0);
    while read < size {
        match client.read(&mut buffer).await? {
            0 => break,
            more => read += more,
        }
    }
    ensure!(read == size, "{read} bytes of {size}");
    fetching.await?
}

async fn connected() -> anyhow::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    Ok((client?, accepted?.0))
}
