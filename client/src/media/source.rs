//! Bytes that can be read again from anywhere: an upload that was cut off goes on in the middle.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::media::MediaError;
use crate::store::journal::Fingerprint;

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Reads ahead of the network.
const READS_AHEAD: usize = 2;

/// What can be uploaded.
pub trait Source: Send + Sync + 'static {
    /// How many bytes it has.
    fn length(&self) -> u64;

    /// Its bytes from `offset` on.
    ///
    /// # Errors
    /// [`MediaError`] when they cannot be had, or are others than before.
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, MediaError>;
}

impl Source for Bytes {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, MediaError> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        Ok(Box::new(self.slice(offset..).reader()))
    }
}

/// A file that has to stay as it was.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
    fingerprint: Fingerprint,
}

impl FileSource {
    /// This file, as long as it looks like this.
    pub fn new(path: PathBuf, fingerprint: Fingerprint) -> Self {
        Self { path, fingerprint }
    }
}

impl Source for FileSource {
    fn length(&self) -> u64 {
        self.fingerprint.length
    }

    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, MediaError> {
        if Fingerprint::of(&self.path)? != self.fingerprint {
            return Err(MediaError::Changed);
        }
        let mut file = File::open(&self.path).map_err(MediaError::Read)?;
        file.seek(SeekFrom::Start(offset)).map_err(MediaError::Read)?;
        Ok(Box::new(file))
    }
}

impl Fingerprint {
    /// How a file looks now.
    ///
    /// # Errors
    /// [`MediaError::Read`], [`MediaError::NotAFile`]
    pub fn of(path: &Path) -> Result<Self, MediaError> {
        let metadata = std::fs::metadata(path).map_err(MediaError::Read)?;
        if !metadata.is_file() {
            return Err(MediaError::NotAFile);
        }
        let modified =
            metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map(|since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        Ok(Self { length: metadata.len(), modified_ns: modified.unwrap_or_default() })
    }
}

/// Reads exactly `length` bytes on a thread where blocking is allowed; it stops when nobody takes
/// them any more.
pub(super) fn read_ahead(
    mut reader: Box<dyn Read + Send>,
    mut length: u64,
) -> mpsc::Receiver<io::Result<Bytes>> {
    let (queue, chunks) = mpsc::channel(READS_AHEAD);
    tokio::task::spawn_blocking(move || {
        while length > 0 {
            let wanted = READ_BYTES.min(usize::try_from(length).unwrap_or(READ_BYTES));
            let mut chunk = BytesMut::zeroed(wanted);
            let read = reader.read_exact(&mut chunk).map(|()| chunk.freeze());
            let failed = read.is_err();
            if queue.blocking_send(read).is_err() || failed {
                return;
            }
            length -= wanted as u64;
        }
    });
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_read_from_the_middle_and_no_further_than_told() {
        let source = Bytes::from((0..1_000_000u32).map(|n| n as u8).collect::<Vec<_>>());
        let mut chunks = read_ahead(source.open(7).expect("open"), 600_000);
        let mut read = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            read.extend_from_slice(&chunk.expect("read"));
        }
        assert_eq!(read, source[7..600_007]);
    }

    #[tokio::test]
    async fn a_source_that_is_too_short_is_an_error_and_no_end() {
        let source = Bytes::from_static(b"abc");
        let mut chunks = read_ahead(source.open(1).expect("open"), 5);
        assert!(chunks.recv().await.expect("an answer").is_err());
    }

    #[test]
    fn a_file_that_changed_is_not_gone_on_with() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "one").expect("written");
        let source = FileSource::new(path.clone(), Fingerprint::of(&path).expect("a file"));
        assert!(source.open(1).is_ok());
        std::fs::write(&path, "another").expect("written");
        assert!(matches!(source.open(1), Err(MediaError::Changed)));
        assert!(matches!(Fingerprint::of(directory.path()), Err(MediaError::NotAFile)));
    }
}
