use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

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
pub(crate) trait Stream: Read + Seek + Send {}
impl<T: Read + Seek + Send> Stream for T {}

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

impl<'a> Source<'a> {
    pub(crate) fn bytes_total(&self) -> io::Result<u64> {
        match self {
            Self::Path(path) => Ok(path.metadata()?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    pub(crate) fn open(&self) -> io::Result<Box<dyn Stream + 'a>> {
        Ok(match self {
            Self::Path(path) => Box::new(BufReader::with_capacity(64 << 10, File::open(path)?)),
            Self::Bytes(bytes) => Box::new(Cursor::new(*bytes)),
        })
    }

    /// The first `max` bytes, or all if there are fewer.
    pub(crate) fn head(&self, max: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::with_capacity(max);
        self.open()?.take(max as u64).read_to_end(&mut head)?;
        Ok(head)
    }

    /// The path is absolute: it cannot be taken for an option or a protocol.
    pub(crate) fn on_disk(&self) -> io::Result<OnDisk> {
        match self {
            Self::Path(path) => Ok(OnDisk::Given(path.canonicalize()?)),
            Self::Bytes(bytes) => {
                let mut file = NamedTempFile::new()?;
                file.write_all(bytes)?;
                file.flush()?;
                Ok(OnDisk::Copied(file))
            }
        }
    }
}

/// Reads exactly so many bytes at a place, or nothing if the file ends before.
pub(crate) fn read_at<const N: usize>(stream: &mut dyn Stream, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.seek(SeekFrom::Start(at)).ok()?;
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}
