//! One upload, from its beginning to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use hansard_model::UploadId;
use hansard_model::media::Declared;
use hansard_protocol::media::{MediaInfo, MediaState};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::http::HttpError;
use crate::http::media::Received;
use crate::media::digest::sha256;
use crate::media::patience::Patience;
use crate::media::source::{Source, read_ahead};
use crate::media::{Media, MediaError, Progress, off_the_loop};
use crate::store::journal::Unfinished;

/// How often an upload that has ended at the server, because it took too long, begins anew.
const ANEW_MAX: u32 = 3;
/// A connection that takes no bytes for so long is given up. The server ends it earlier.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An upload under way. It stops when this is dropped; one in the journal goes on with
/// [`Media::resume`].
#[derive(Debug)]
pub struct Upload {
    paused: watch::Sender<bool>,
    progress: watch::Receiver<Progress>,
    task: AbortOnDropHandle<Result<MediaInfo, MediaError>>,
}

impl Upload {
    /// Lets the connection go until [`Upload::unpause`]. What has arrived stays.
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Goes on.
    pub fn unpause(&self) {
        self.paused.send_replace(false);
    }

    /// How far it is, and what to wait for to know when that changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until all bytes are there and the server says the same of them. The file may be sent
    /// then; what there is to show of it comes a moment later.
    ///
    /// # Errors
    /// [`MediaError`]; [`MediaError::is_final`] tells whether to try again later.
    pub async fn done(self) -> Result<MediaInfo, MediaError> {
        let ended = self.task.await;
        ended.map_err(|error| MediaError::Read(std::io::Error::other(error)))?
    }
}

/// Begins at once.
pub(super) fn start(
    media: Media,
    source: Box<dyn Source>,
    file: Declared,
    journal: Option<Unfinished>,
) -> Upload {
    let (paused, pausing) = watch::channel(false);
    let total = source.length();
    let (progress, seen) = watch::channel(Progress { done: 0, total });
    let run = Run {
        upload: journal.as_ref().and_then(|unfinished| unfinished.upload),
        row: journal.map(|unfinished| unfinished.row),
        media,
        source: Arc::from(source),
        file,
        offset: None,
        begun_anew: 0,
        progress: Arc::new(progress),
    };
    let task = AbortOnDropHandle::new(tokio::spawn(run.run(pausing)));
    Upload { paused, progress: seen, task }
}

struct Run {
    media: Media,
    source: Arc<dyn Source>,
    file: Declared,
    /// In the journal.
    row: Option<u64>,
    upload: Option<UploadId>,
    /// What the server has; `None`: it has to be asked.
    offset: Option<u64>,
    begun_anew: u32,
    progress: Arc<watch::Sender<Progress>>,
}

impl Run {
    async fn run(mut self, mut pausing: watch::Receiver<bool>) -> Result<MediaInfo, MediaError> {
        let mut patience = Patience::new();
        let mut furthest = None;
        loop {
            // Whoever could say that it goes on has dropped this task with its handle.
            let _ = pausing.wait_for(|paused| !paused).await;
            let step = tokio::select! {
                step = self.step() => step,
                Ok(_) = pausing.wait_for(|paused| *paused) => {
                    self.offset = None;
                    continue;
                }
            };
            if let Some(offset) = self.offset
                && furthest.is_none_or(|furthest| offset > furthest)
            {
                furthest = Some(offset);
                patience.renew();
            }
            match step {
                Ok(Some(info)) => return Ok(info),
                Ok(None) => {}
                Err(failure) => {
                    self.offset = None;
                    tokio::time::sleep(patience.after(failure)?).await;
                }
            }
        }
    }

    /// Takes one step; the last one tells what became of the file.
    async fn step(&mut self) -> Result<Option<MediaInfo>, MediaError> {
        let length = self.source.length();
        let Some(upload) = self.upload else {
            let upload = self.media.http().create_upload(length, &self.file).await?;
            self.named(Some(upload)).await?;
            self.offset = Some(0);
            return Ok(None);
        };
        let Some(offset) = self.offset else {
            match self.media.http().received(upload).await? {
                Received::Bytes(offset) => self.reached(offset),
                Received::Gone if self.begun_anew < ANEW_MAX => {
                    self.begun_anew += 1;
                    self.named(None).await?;
                }
                Received::Gone => return Err(MediaError::Damaged),
            }
            return Ok(None);
        };
        if offset < length {
            let sent = self.append(upload, offset).await;
            return match sent {
                Ok(offset) => {
                    self.reached(offset);
                    Ok(None)
                }
                // Somebody else has appended, or what was sent before arrived after all.
                Err(MediaError::Http(HttpError::Refused(refusal)))
                    if refusal.known() == Some(hansard_protocol::ErrorCode::Conflict) =>
                {
                    Err(MediaError::Unfinished)
                }
                Err(failure) => Err(failure),
            };
        }
        self.compare(upload).await.map(Some)
    }

    /// Notes what the server calls it, before anything goes there.
    async fn named(&mut self, upload: Option<UploadId>) -> Result<(), MediaError> {
        if let Some(row) = self.row {
            self.media.store.note_upload_id(row, upload).await?;
        }
        self.upload = upload;
        Ok(())
    }

    fn reached(&mut self, offset: u64) {
        self.offset = Some(offset);
        self.progress.send_modify(|progress| progress.done = offset);
    }

    async fn append(&self, upload: UploadId, offset: u64) -> Result<u64, MediaError> {
        let rest = self.source.length().saturating_sub(offset);
        let source = Arc::clone(&self.source);
        let reader = off_the_loop(move || source.open(offset)).await?;
        let chunks = read_ahead(reader, rest);
        let progress = Arc::clone(&self.progress);
        let frames = stream::unfold(chunks, move |mut chunks| {
            let progress = Arc::clone(&progress);
            async move {
                let chunk = chunks.recv().await?;
                if let Ok(chunk) = &chunk {
                    progress.send_modify(|progress| progress.done += chunk.len() as u64);
                }
                Some((chunk.map(Frame::<Bytes>::data), chunks))
            }
        });
        self.progress.send_modify(|progress| progress.done = offset);
        let http = self.media.http();
        let append = http.append(upload, offset, rest, StreamBody::new(Box::pin(frames)));
        let mut taken = self.progress.subscribe();
        tokio::pin!(append);
        loop {
            tokio::select! {
                sent = &mut append => return Ok(sent?),
                moved = tokio::time::timeout(SILENCE_MAX, taken.changed()) => {
                    if moved.is_err() {
                        return Err(HttpError::TimedOut.into());
                    }
                }
            }
        }
    }

    /// Asks what the server has, and whether that is what was sent.
    async fn compare(&mut self, upload: UploadId) -> Result<MediaInfo, MediaError> {
        let info = self.media.info(upload).await?;
        if info.state == MediaState::Uploading {
            return Err(MediaError::Unfinished);
        }
        // What was taken out of the file changes its bytes.
        let Some(theirs) = info.sha256.filter(|_| !info.stripped) else { return Ok(info) };
        let source = Arc::clone(&self.source);
        let ours = off_the_loop(move || sha256(source.open(0)?).map_err(MediaError::Read));
        if ours.await? == theirs {
            return Ok(info);
        }
        // Nobody is to see it; what cannot be ended now ends by itself.
        let _ = self.media.http().end_upload(upload).await;
        Err(MediaError::Damaged)
    }
}
