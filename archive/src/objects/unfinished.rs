//! What a process that was killed left of objects that it was about to write to a directory.
//!
//! The library writes an object to a file beside it, `<name>#<number>`, and gives it its name once
//! it is whole. No list shows such files, and no object has such a name.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Objects;

/// Nobody writes to one object for longer: the largest parts take minutes.
const UNFINISHED_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Files that are removed at a time; the next time goes on.
const REMOVED_MAX: usize = 10_000;

impl Objects {
    /// Removes what was left a day before `now` or earlier, and tells how many there were. A store that
    /// is no directory keeps nothing of the kind.
    ///
    /// # Errors
    /// When a directory cannot be read; what was removed is removed.
    pub async fn remove_unfinished(&self, now: SystemTime) -> std::io::Result<usize> {
        let Some(directory) = self.directory.clone() else { return Ok(0) };
        let before = now.checked_sub(UNFINISHED_MAX).unwrap_or(SystemTime::UNIX_EPOCH);
        let removing = tokio::task::spawn_blocking(move || remove(&directory, before));
        removing.await.map_err(std::io::Error::other)?
    }
}

fn remove(directory: &Path, before: SystemTime) -> std::io::Result<usize> {
    let mut removed = 0;
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            // It went meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let file_type = entry.file_type()?;
            if file_type.is_dir() {
                directories.push(entry.path());
            } else if file_type.is_file() && is_unfinished(&entry.file_name()) {
                let is_old = |modified| modified <= before;
                if !entry.metadata().and_then(|found| found.modified()).is_ok_and(is_old) {
                    continue;
                }
                match std::fs::remove_file(entry.path()) {
                    Ok(()) => removed += 1,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                if removed >= REMOVED_MAX {
                    return Ok(removed);
                }
            }
        }
    }
    Ok(removed)
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
}
