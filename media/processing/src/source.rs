use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tempfile::NamedTempFile;

/// The bytes of a file.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A file of the local machine that nobody changes meanwhile.
    Path(&'a Path),
    /// A file in memory.
    Bytes(&'a [u8]),
}

/// What the decoders read from.
pub(crate) trait Stream: Read + Seek {}
impl<T: Read + Seek> Stream for T {}

/// A file that a child process can open.
pub(crate) enum OnDisk {
    Given(PathBuf),
    Copied(NamedTempFile),
}

impl OnDisk {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Copied(file) => file.path(),
        }
    }
}

/// A file that is being read. Decoders tell no difference between a damaged file and a damaged
/// disk; this one remembers.
pub(crate) struct Reading<'a> {
    source: Source<'a>,
    failed: Arc<OnceLock<io::Error>>,
}

impl<'a> Reading<'a> {
    pub(crate) fn of(source: Source<'a>) -> Self {
        Self { source, failed: Arc::default() }
    }

    /// The first failure of the machine to read, of all streams.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.failed.get().map(|error| io::Error::new(error.kind(), error.to_string()))
    }

    pub(crate) fn bytes_total(&self) -> io::Result<u64> {
        match self.source {
            Source::Path(path) => Ok(path.metadata()?.len()),
            Source::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    pub(crate) fn open(&self) -> io::Result<Box<dyn Stream + 'a>> {
        Ok(match self.source {
            Source::Path(path) => {
                let file = Noting { inner: File::open(path)?, failed: Arc::clone(&self.failed) };
                Box::new(BufReader::with_capacity(64 << 10, file))
            }
            Source::Bytes(bytes) => Box::new(Cursor::new(bytes)),
        })
    }

    /// The first `max` bytes, or all if there are fewer.
    pub(crate) fn head(&self, max: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::with_capacity(max);
        self.open()?.take(max as u64).read_to_end(&mut head)?;
        Ok(head)
    }

    /// All bytes, of a file that is not too large for it.
    pub(crate) fn whole(&self) -> io::Result<Cow<'a, [u8]>> {
        match self.source {
            Source::Path(path) => Ok(Cow::Owned(fs::read(path)?)),
            Source::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// The path is absolute: it cannot be taken for an option or a protocol.
    pub(crate) fn on_disk(&self) -> io::Result<OnDisk> {
        match self.source {
            Source::Path(path) => Ok(OnDisk::Given(path.canonicalize()?)),
            Source::Bytes(bytes) => {
                let mut file = NamedTempFile::new()?;
                file.write_all(bytes)?;
                file.flush()?;
                Ok(OnDisk::Copied(file))
            }
        }
    }
}

struct Noting<R> {
    inner: R,
    failed: Arc<OnceLock<io::Error>>,
}

impl<R: Read> Read for Noting<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.inner.read(bytes).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                // Of several, the first is the cause.
                let _later = self.failed.set(error);
            }
            io::Error::from(kind)
        })
    }
}

impl<R: Seek> Seek for Noting<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Reads exactly so many bytes at a place, or nothing if the file ends before.
pub(crate) fn read_at<const N: usize>(stream: &mut dyn Stream, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.seek(SeekFrom::Start(at)).ok()?;
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }

    #[test]
    fn a_disk_that_fails_is_no_damaged_file() {
        let reading = Reading::of(Source::Bytes(b""));
        assert!(reading.failure().is_none());
        let mut stream = Noting { inner: Broken, failed: Arc::clone(&reading.failed) };
        assert!(stream.read(&mut [0; 8]).is_err());
        assert!(stream.read(&mut [0; 8]).is_err());
        assert_eq!(reading.failure().unwrap().to_string(), "the disk is gone");
    }
}
