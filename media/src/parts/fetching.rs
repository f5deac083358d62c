//! The bytes of an object, and their hash, which is made while they are read.

use std::fs::File;
use std::io::{self, Read as _};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use hansard_model::media::Sha256;
use object_store::{Error, GetResultPayload};

use super::buffers::Buffer;
use crate::digest::{self, Digest};
use crate::fault::Fault;

/// Bytes that are read before they are hashed: they are still in a core's cache.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Reads into an empty buffer what an object has, or one byte more than `len`: then it is too long.
pub(super) async fn fetch(
    payload: GetResultPayload,
    buffer: Buffer,
    len: u64,
) -> Result<(Buffer, Sha256), Fault> {
    match payload {
        GetResultPayload::File(file, _) => {
            let reading = tokio::task::spawn_blocking(move || from_file(&file, buffer, len));
            let read = reading.await.map_err(Fault::of_task)?;
            read.map_err(|error| {
                Fault::Store(Error::Generic { store: "file", source: error.into() })
            })
        }
        GetResultPayload::Stream(chunks) => from_stream(chunks, buffer, len).await,
    }
}

fn from_file(file: &File, mut buffer: Buffer, len: u64) -> io::Result<(Buffer, Sha256)> {
    let mut digest = Digest::default();
    let mut rest = file.take(len + 1);
    loop {
        let before = buffer.as_ref().len();
        if rest.by_ref().take(BLOCK_BYTES).read_to_end(buffer.bytes())? == 0 {
            return Ok((buffer, digest.finish()));
        }
        digest.update(&buffer.as_ref()[before..]);
    }
}

async fn from_stream(
    mut chunks: BoxStream<'static, object_store::Result<Bytes>>,
    mut buffer: Buffer,
    len: u64,
) -> Result<(Buffer, Sha256), Fault> {
    while let Some(chunk) = chunks.try_next().await? {
        buffer.bytes().extend_from_slice(&chunk);
        if buffer.as_ref().len() as u64 > len {
            break;
        }
    }
    Ok(digest::of_buffer(buffer).await)
}
