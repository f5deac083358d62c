//! The files of an index: memory maps, written without waiting for the disk.
//!
//! An index is a view: what a crash of the machine takes from it is made again of the log. Eight
//! files a second for each partition, each synced, would be in the way of the log itself. So nothing
//! is synced here, and an index that was written before the machine was started is looked at before
//! it is used (see [`crate::index`]).

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, DirectoryLock, FileHandle, Lock, MmapDirectory, TerminatingWrite, WatchCallback,
    WatchHandle, WritePtr,
};

/// What a file is called until it is whole.
const DRAFT: &str = "draft";

/// A directory of memory-mapped files.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    maps: MmapDirectory,
    root: PathBuf,
}

impl Files {
    /// Opens a directory that is there.
    pub(crate) fn open(root: &Path) -> tantivy::Result<Self> {
        Ok(Self { maps: MmapDirectory::open(root)?, root: root.to_owned() })
    }
}

/// A file that is being written.
struct Unsynced(File);

impl Write for Unsynced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl TerminatingWrite for Unsynced {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        self.0.flush()
    }
}

impl Directory for Files {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.maps.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.maps.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.maps.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let opened = OpenOptions::new().write(true).create_new(true).open(self.root.join(path));
        let file = opened.map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                OpenWriteError::FileAlreadyExists(path.to_owned())
            } else {
                OpenWriteError::wrap_io_error(error, path.to_owned())
            }
        })?;
        Ok(BufWriter::new(Box::new(Unsynced(file))))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.maps.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let (place, mut draft) = (self.root.join(path), self.root.join(path));
        draft.as_mut_os_string().push(format!(".{DRAFT}"));
        // Who reads sees the one or the other: a kill leaves no half of it.
        std::fs::write(&draft, data)?;
        std::fs::rename(draft, place)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.maps.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.maps.watch(callback)
    }
}
