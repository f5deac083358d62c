//! What a process that was killed left of objects that it was about to write to a directory.
//!
//! The library writes an object to a file beside it, `<name>#<number>`, and gives it its name once
//! it is whole. No list shows such files, and no object has such a name.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Objects;

/// Nobody writes to one object for longer: the largest parts take minutes.
const UNFINISHED_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Files that are removed at a time; the next time goes on.
const REMOVED_MAX: usize = 10_000;

impl Objects {
    /// Removes what was left a day before `now` or earlier, and tells how many there were. A store that
    /// is no directory keeps nothing of the kind. Directories within it that cannot be read, such as
    /// `lost+found`, and files that cannot be removed are left alone, and told of in the log.
    ///
    /// # Errors
    /// When the directory itself cannot be read.
    pub async fn remove_unfinished(&self, now: SystemTime) -> io::Result<usize> {
        let Some(directory) = self.directory.clone() else { return Ok(0) };
        let before = now.checked_sub(UNFINISHED_MAX).unwrap_or(SystemTime::UNIX_EPOCH);
        let removing =
            tokio::task::spawn_blocking(move || Sweep::default().run(&directory, before));
        removing.await.map_err(io::Error::other)?
    }
}

/// One look at everything in a directory.
#[derive(Default)]
struct Sweep {
    directories: Vec<PathBuf>,
    removed: usize,
    left_alone: usize,
}

impl Sweep {
    fn run(mut self, root: &Path, before: SystemTime) -> io::Result<usize> {
        match self.look_into(root, before) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            looked => looked?,
        }
        while self.removed < REMOVED_MAX
            && let Some(directory) = self.directories.pop()
        {
            if let Err(error) = self.look_into(&directory, before) {
                self.leave_alone(&directory, &error);
            }
        }
        if self.left_alone > 1 {
            tracing::warn!(count = self.left_alone, "paths in the object store were left alone");
        }
        Ok(self.removed)
    }

    /// Removes what is in one directory, and notes which others are in it.
    fn look_into(&mut self, directory: &Path, before: SystemTime) -> io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let file_type = entry.file_type()?;
            if file_type.is_dir() {
                self.directories.push(entry.path());
            } else if file_type.is_file() && is_unfinished(&entry.file_name()) {
                let is_old = |modified| modified <= before;
                if !entry.metadata().and_then(|found| found.modified()).is_ok_and(is_old) {
                    continue;
                }
                let path = entry.path();
                match std::fs::remove_file(&path) {
                    Ok(()) => self.removed += 1,
                    Err(error) => self.leave_alone(&path, &error),
                }
                if self.removed >= REMOVED_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What went meanwhile is nobody's concern. The log tells which was the first of all others.
    fn leave_alone(&mut self, path: &Path, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        if self.left_alone == 0 {
            tracing::warn!(path = %path.display(), %error, "left alone in the object store");
        }
        self.left_alone += 1;
    }
}

/// Whether a file is none that the library would list.
fn is_unfinished(name: &std::ffi::OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.split_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt as _, PutPayload};

    use super::*;
    use crate::objects::ObjectsUrl;

    #[tokio::test]
    async fn what_was_being_written_goes_a_day_later_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = ObjectsUrl::Directory(directory.path().to_owned());
        let objects = Objects::open(&url).expect("a store");
        let path = objects.path("media/a/object");
        objects.store.put(&path, PutPayload::from_static(b"whole")).await.expect("put");
        // As a kill leaves it: neither completed nor dropped.
        let mut unfinished = objects.store.put_multipart(&path).await.expect("begun");
        unfinished.put_part(PutPayload::from_static(b"a part")).await.expect("put");
        std::mem::forget(unfinished);
        let others = ["media/a/b#c", "media/a/#", "media/a/5"];
        for other in others {
            std::fs::write(directory.path().join(other), "other").expect("written");
        }
        let left = directory.path().join("media/a/object#1");
        assert!(left.exists(), "the library names them otherwise by now");
        let written = left.metadata().and_then(|file| file.modified()).expect("a time");
        let later = written + UNFINISHED_MAX;
        let early = later - Duration::from_secs(1);
        assert_eq!(objects.remove_unfinished(early).await.expect("removed"), 0);
        assert_eq!(objects.remove_unfinished(later).await.expect("removed"), 1);
        assert!(!left.exists());
        let whole = objects.store.get(&path).await.expect("there").bytes().await.expect("read");
        assert_eq!(&whole[..], b"whole");
        assert!(others.iter().all(|other| directory.path().join(other).exists()));
        assert_eq!(Objects::none().remove_unfinished(later).await.expect("none"), 0);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_read_ends_no_sweep() {
        let directory = tempfile::tempdir().expect("a directory");
        let objects = Objects::open(&ObjectsUrl::Directory(directory.path().to_owned()));
        let objects = objects.expect("a store");
        // Nobody can name what is so deep, not even who may read everything.
        let deep = |name: &str| -> PathBuf {
            let top = directory.path().join(name);
            let path = top.join(vec!["d".repeat(250); 9].join("/"));
            std::fs::create_dir_all(&path).expect("directories");
            path
        };
        let bottom = deep("media");
        deep("other");
        std::fs::rename(directory.path().join("other"), bottom.join("other")).expect("moved");
        let left = ["media/object#1", "object#2"].map(|name| directory.path().join(name));
        for file in &left {
            std::fs::write(file, "a part").expect("written");
        }
        let written = left[1].metadata().and_then(|file| file.modified()).expect("a time");
        let later = written + UNFINISHED_MAX;
        assert_eq!(objects.remove_unfinished(later).await.expect("removed"), left.len());
        assert!(!left.iter().any(|file| file.exists()));
    }
}
