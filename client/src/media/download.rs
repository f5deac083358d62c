//! One download, from its beginning to its end.

use std::fs::File;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use hansard_model::UploadId;
use hansard_model::media::{Sha256, Variant};
use http::{HeaderMap, StatusCode, header};
use tokio::fs::OpenOptions;
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::http::HttpError;
use crate::http::media::{etag, number};
use crate::http::streamed::Streamed;
use crate::media::digest::sha256;
use crate::media::patience::Patience;
use crate::media::{Media, MediaError, Progress, off_the_loop};
use crate::store::journal::Beginning;

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 * 1024;
/// Names that are tried when there is a file of that name.
const NAMES_MAX: u32 = 1_000;

/// A download under way. It stops when this is dropped, and goes on with the next one to the same
/// path.
#[derive(Debug)]
pub struct Download {
    progress: watch::Receiver<Progress>,
    task: AbortOnDropHandle<Result<PathBuf, MediaError>>,
}

impl Download {
    /// How far it is, and what to wait for to know when that changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until the file is there, whole, and tells where.
    ///
    /// # Errors
    /// [`MediaError`]: what has arrived stays in the `.part` file, unless it was damaged.
    pub async fn done(self) -> Result<PathBuf, MediaError> {
        let ended = self.task.await;
        ended.map_err(|error| MediaError::Write(io::Error::other(error)))?
    }
}

/// Begins at once.
pub(super) fn start(media: Media, upload: UploadId, variant: Variant, path: PathBuf) -> Download {
    let (progress, seen) = watch::channel(Progress::default());
    let mut part = path.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let run = Run { media, upload, variant, path, part, beginning: None, progress };
    let task = AbortOnDropHandle::new(tokio::spawn(run.run()));
    Download { progress: seen, task }
}

struct Run {
    media: Media,
    upload: UploadId,
    variant: Variant,
    path: PathBuf,
    part: PathBuf,
    /// Whose bytes the `.part` file has.
    beginning: Option<Beginning>,
    progress: watch::Sender<Progress>,
}

impl Run {
    async fn run(mut self) -> Result<PathBuf, MediaError> {
        let is_mine = |beginning: &Beginning| {
            (beginning.upload, beginning.variant) == (self.upload, self.variant)
        };
        self.beginning = self.media.store.beginning(self.journal_name()).await?.filter(is_mine);
        let mut patience = Patience::new();
        let mut damaged = false;
        loop {
            let before = self.progress.borrow().done;
            let failure = match self.fetch().await {
                Ok(()) => match self.keep().await? {
                    Some(path) => return Ok(path),
                    // What was in the file already may have been the damage: once more, anew.
                    None if !damaged => {
                        damaged = true;
                        continue;
                    }
                    None => return Err(MediaError::Damaged),
                },
                Err(failure) => failure,
            };
            if self.progress.borrow().done > before {
                patience.renew();
            }
            tokio::time::sleep(patience.after(failure)?).await;
        }
    }

    /// Fetches what is missing into the `.part` file.
    async fn fetch(&mut self) -> Result<(), MediaError> {
        let have = match &self.beginning {
            Some(_) => tokio::fs::metadata(&self.part).await.map_or(0, |metadata| metadata.len()),
            None => 0,
        };
        let known = self.beginning.as_ref().map(|beginning| (beginning.size, beginning.sha256));
        let from = match known {
            Some((size, _)) if have == size => {
                self.progress.send_replace(Progress { done: have, total: size });
                return Ok(());
            }
            Some((size, sha256)) if 0 < have && have < size => Some((have, sha256)),
            _ => None,
        };
        let answer = self.media.http().media(self.upload, self.variant, from).await?;
        let answer = answer.accepted().await?;
        let foreign = || HttpError::Foreign(answer.status.as_u16());
        let sha256 = answer.headers.get(header::ETAG).and_then(etag).ok_or_else(foreign)?;
        let length = number(&answer.headers, "content-length").ok_or_else(foreign)?;
        let (offset, size) = match (answer.status, from) {
            (StatusCode::OK, _) => (0, length),
            (StatusCode::PARTIAL_CONTENT, Some((have, known))) => {
                let range = content_range(&answer.headers).ok_or_else(foreign)?;
                if range.0 != have || sha256 != known {
                    return Err(foreign().into());
                }
                range
            }
            _ => return Err(foreign().into()),
        };
        self.begins(sha256, size).await?;
        self.progress.send_replace(Progress { done: offset, total: size });
        self.write(offset, answer).await
    }

    /// Notes whose bytes follow, before they do.
    async fn begins(&mut self, sha256: Sha256, size: u64) -> Result<(), MediaError> {
        let (upload, variant) = (self.upload, self.variant);
        let beginning = Some(Beginning { upload, variant, sha256, size });
        if self.beginning != beginning {
            // Until the name of the new bytes is noted there are none of the old ones.
            let emptied = tokio::fs::File::create(&self.part).await;
            emptied.map_err(MediaError::Write)?;
            self.media.store.note_beginning(self.journal_name(), beginning.clone()).await?;
            self.beginning = beginning;
        }
        Ok(())
    }

    async fn write(&self, offset: u64, mut answer: Streamed) -> Result<(), MediaError> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(&self.part).await;
        let mut file = file.map_err(MediaError::Write)?;
        file.set_len(offset).await.map_err(MediaError::Write)?;
        file.seek(SeekFrom::Start(offset)).await.map_err(MediaError::Write)?;
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
        let ended = loop {
            match answer.next().await {
                Ok(None) => break Ok(()),
                Ok(Some(bytes)) => {
                    file.write_all(&bytes).await.map_err(MediaError::Write)?;
                    self.progress.send_modify(|progress| progress.done += bytes.len() as u64);
                }
                Err(error) => break Err(error.into()),
            }
        };
        // Also what came before the connection broke is kept.
        file.flush().await.map_err(MediaError::Write)?;
        ended
    }

    /// Gives the whole file its name; `None` when it is not what the server said.
    async fn keep(&mut self) -> Result<Option<PathBuf>, MediaError> {
        let Some(wanted) = self.beginning.as_ref().map(|beginning| beginning.sha256) else {
            return Ok(None);
        };
        let (part, path) = (self.part.clone(), self.path.clone());
        let kept = off_the_loop(move || {
            let file = File::open(&part).map_err(MediaError::Write)?;
            if sha256(&file).map_err(MediaError::Write)? != wanted {
                std::fs::remove_file(&part).map_err(MediaError::Write)?;
                return Ok(None);
            }
            file.sync_all().map_err(MediaError::Write)?;
            give_name(&part, &path).map_err(MediaError::Write).map(Some)
        })
        .await?;
        self.media.store.note_beginning(self.journal_name(), None).await?;
        self.beginning = None;
        Ok(kept)
    }

    fn journal_name(&self) -> String {
        self.part.display().to_string()
    }
}

/// Where the bytes of a partial answer begin, and how many there are in all.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.parse().ok()?, size.parse().ok()?))
}

/// Names the file as wanted, or with a number before the ending: never over another file.
fn give_name(part: &Path, wanted: &Path) -> io::Result<PathBuf> {
    for number in 0..NAMES_MAX {
        let path = numbered(wanted, number);
        match link(part, &path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A link is made only where there is nothing, at once.
fn link(part: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(part, path) {
        Ok(()) => std::fs::remove_file(part),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links: the name is taken first.
        Err(_) => {
            File::create_new(path)?;
            std::fs::rename(part, path)
        }
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem} ({number}).{}", extension.to_string_lossy()),
        None => format!("{stem} ({number})"),
    };
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_never_takes_the_place_of_another_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let wanted = directory.path().join("cat.tar.gz");
        let mut names = Vec::new();
        for text in ["one", "two", "three"] {
            let part = directory.path().join("cat.tar.gz.part");
            std::fs::write(&part, text).expect("written");
            let path = give_name(&part, &wanted).expect("a name");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
            assert!(!part.exists());
            names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
        assert_eq!(names, ["cat.tar.gz", "cat.tar (1).gz", "cat.tar (2).gz"]);
    }

    #[test]
    fn ranges_are_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(content_range(&headers), None);
        headers.insert(header::CONTENT_RANGE, "bytes 7-99/100".parse().expect("a header"));
        assert_eq!(content_range(&headers), Some((7, 100)));
        headers.insert(header::CONTENT_RANGE, "bytes */100".parse().expect("a header"));
        assert_eq!(content_range(&headers), None);
    }
}
