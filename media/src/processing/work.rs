//! What a worker does with one upload. Every step can be the last before the process dies: the
//! blobs that are joined or left are named by a watch before, and the record says when it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use hansard_media_processing::{
    FileType, HEAD_BYTES, Kind, Limits, Processed, Programs, Source, process, process_blindly,
    sniff,
};
use hansard_model::UploadId;
use hansard_model::media::{Content, Facts, MediaKey, Sha256, State, Upload, Variant};
use hansard_nats::media::Change;
use tempfile::NamedTempFile;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::digest;
use crate::fault::Fault;
use crate::parts::Writer;
use crate::references::tell_ready;
use crate::uploads::Uploads;
use crate::watch::{self, hour_of};

/// Attempts before an upload of which nothing is to be removed is ready as it is; attempts that took
/// their worker with them before a picture is stripped without a look at its pixels.
const ATTEMPTS_MAX: u32 = 3;
/// Attempts in a row, with pauses that grow, before bytes that are not there count as lost: four
/// minutes.
const LOST_AFTER: u32 = 8;
/// How long a file may take to come out of the object store.
const READ_MAX: Duration = Duration::from_secs(5 * 60);
/// How long anybody may look at it: far beyond the limits of what is decoded.
const DECODE_MAX: Duration = Duration::from_secs(5 * 60);
/// How long what was made of it may take to be stored and recorded.
const STORE_MAX: Duration = Duration::from_secs(5 * 60);
/// How long it is tried to record that an attempt failed: while NATS starts again.
const COUNT_WITHIN: Duration = Duration::from_secs(60);
/// Between two tries of that.
const COUNT_PAUSE: Duration = Duration::from_secs(1);
/// The reason there is no preview then.
const FAILED: &str = "failed";
/// The reason that a file cannot be read at all.
const LOST: &str = "lost";
/// The reason, if there is no other, that a picture still has what its camera wrote.
const NOT_STRIPPED: &str = "not_stripped";

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is ready.
    Ready,
    /// It is ready, without anything worked out: each attempt failed.
    GivenUp,
    /// Somebody else did it, or it is gone.
    NotNeeded,
}

impl Outcome {
    /// For metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::GivenUp => "given_up",
            Self::NotNeeded => "not_needed",
        }
    }
}

/// What workers need.
pub(super) struct Work {
    pub(super) uploads: Uploads,
    pub(super) limits: Limits,
    pub(super) programs: Programs,
    /// Attempts are to end: this process does.
    pub(super) stop: CancellationToken,
}

/// Why an attempt came to nothing.
enum Failed {
    /// Bytes of the file are missing or damaged.
    Lost(Fault),
    /// Something failed that has nothing to do with the file.
    Fault(Fault),
    /// This process ends: the attempt shows nothing.
    Interrupted,
    /// Nobody could look at the file in time. It counts as if it had taken its worker with it.
    Endless(Fault),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What of a file is looked at.
enum Input {
    /// Its first bytes.
    Head(Bytes),
    /// A copy of all of it.
    Whole(NamedTempFile),
}

/// Bytes that were made of a file.
struct Made {
    variant: Variant,
    bytes: Bytes,
    sha256: Sha256,
    media_type: &'static str,
    inline: bool,
    size: Option<(u32, u32)>,
}

impl Work {
    /// Works out what can be known and shown of an upload, and makes it ready.
    ///
    /// Invariant: that attempts fail never lets others read what is to be removed from a picture.
    pub(super) async fn process(&self, id: UploadId) -> Result<Outcome, Fault> {
        let Some((upload, missing)) = self.begin(id).await? else {
            return Ok(Outcome::NotNeeded);
        };
        let done = tokio::select! {
            done = self.attempt(&upload) => done,
            () = self.stop.cancelled() => Err(Failed::Interrupted),
        };
        let (mut fault, missing) = match done {
            Ok(outcome) => return Ok(outcome),
            Err(Failed::Endless(fault)) => return Err(fault),
            Err(Failed::Fault(fault)) => (fault, 0),
            Err(Failed::Lost(fault)) => (fault, missing.saturating_add(1)),
            Err(Failed::Interrupted) => {
                let interrupted = std::io::Error::from(std::io::ErrorKind::Interrupted);
                // Only a look at the bytes says that they are lost.
                (interrupted.into(), missing.min(LOST_AFTER - 1))
            }
        };
        if missing >= LOST_AFTER {
            tracing::error!(upload.id = %id, "the bytes of a file are lost");
            // Should they come back, they still have what was to be removed.
            let file = upload.contents.get(&Variant::File);
            let withheld = !upload.declared.original && file.is_some_and(is_to_be_stripped);
            match self.give_up(&upload, LOST, withheld).await {
                Ok(outcome) => return Ok(outcome),
                Err(not_recorded) => fault = not_recorded,
            }
        }
        self.count_fault(&upload, missing).await;
        Err(fault)
    }

    /// One attempt. It dies with its worker when that runs out of memory or is killed, or when to
    /// look at the file takes too long: what did so thrice is looked at no closer than it must be,
    /// and what did so even then, not at all. A store that is late is a fault like others.
    async fn attempt(&self, upload: &Upload) -> Result<Outcome, Failed> {
        let unreadable = || Fault::Missing { object: format!("the file of {}", upload.id) };
        let file = upload.contents.get(&Variant::File);
        let file = file.ok_or_else(|| Failed::Lost(unreadable()))?;
        if upload.attempts > ATTEMPTS_MAX
            && reading(self.may_be_read_as_it_is(upload, file)).await?
        {
            return Ok(self.give_up(upload, FAILED, false).await?);
        }
        // This one counts among the attempts, and has not died yet.
        let died = upload.attempts.saturating_sub(upload.faults).saturating_sub(1);
        if died > ATTEMPTS_MAX {
            tracing::error!(upload.id = %upload.id, "a picture cannot be worked on");
            return Ok(self.give_up(upload, FAILED, true).await?);
        }
        let input = reading(self.read(file)).await?;
        let mut processed = self.look_at(input, died == ATTEMPTS_MAX).await?;
        let made = self.made(upload, &mut processed).await;
        let finished = timeout(STORE_MAX, self.finish(upload, file, processed, made)).await;
        Ok(finished.unwrap_or_else(|late| Err(Fault::late(late)))?)
    }

    /// Makes an upload ready without anything worked out; `withheld`: for nobody but its uploader.
    async fn give_up(
        &self,
        upload: &Upload,
        reason: &str,
        withheld: bool,
    ) -> Result<Outcome, Fault> {
        let facts = Facts { reason: Some(reason.to_owned()), ..Facts::default() };
        let upload = Upload { withheld, ..upload.clone() };
        let (_, is_ready) = self.make_ready(&upload, upload.contents.clone(), facts).await?;
        Ok(if is_ready { Outcome::GivenUp } else { Outcome::NotNeeded })
    }

    /// Notes that an attempt lived to say what failed, and how many in a row by now found that
    /// bytes are missing. It would count as dead otherwise, so this is tried for a while.
    async fn count_fault(&self, upload: &Upload, missing: u32) {
        let count = |found: Option<&Upload>| match found {
            Some(found)
                if found.state == State::Processing && found.generation == upload.generation =>
            {
                let faults = found.faults.saturating_add(1);
                (Change::Put(Upload { faults, missing, ..found.clone() }), ())
            }
            Some(_) | None => (Change::Keep, ()),
        };
        let counted = async {
            while let Err(error) =
                self.uploads.bucket.update(MediaKey::Upload(upload.id), count).await
            {
                tracing::debug!(upload.id = %upload.id, %error, "an attempt is not counted yet");
                sleep(COUNT_PAUSE).await;
            }
        };
        if timeout(COUNT_WITHIN, counted).await.is_err() {
            tracing::warn!(upload.id = %upload.id, "an attempt counts as if it had died");
        }
    }

    /// One more attempt, and how many before it, in a row, found that bytes are missing; `None`: it
    /// is not to be processed. Whatever it comes to, unless it says so, that row is over.
    async fn begin(&self, id: UploadId) -> Result<Option<(Upload, u32)>, Fault> {
        let bucket = &self.uploads.bucket;
        let (found, _) = self.uploads.get(id).await?;
        if found.is_none_or(|found| found.state != State::Processing) {
            return Ok(None);
        }
        // Whoever looks at it now leaves it alone for a while.
        let now = self.uploads.clock.now()?;
        watch::put(bucket, now, now, id).await?;
        let begin = |found: Option<&Upload>| match found {
            Some(found) if found.state == State::Processing => {
                let mut next = found.clone();
                next.attempts = next.attempts.saturating_add(1);
                next.generation += Upload::WRITER_STEP;
                let missing = std::mem::take(&mut next.missing);
                (Change::Put(next), Some(missing))
            }
            Some(_) | None => (Change::Keep, None),
        };
        let (upload, missing) = bucket.update(MediaKey::Upload(id), begin).await?;
        Ok(upload.zip(missing))
    }

    /// Whether nothing would be removed from a file. One whose type cannot be read is waited for.
    async fn may_be_read_as_it_is(&self, upload: &Upload, file: &Content) -> Result<bool, Fault> {
        if upload.declared.original {
            return Ok(true);
        }
        let head = self.uploads.blobs.head(file, HEAD_BYTES).await?;
        Ok(!sniff(&head).is_stripped())
    }

    /// What of a file is needed. Only what may be shown is read as a whole.
    async fn read(&self, file: &Content) -> Result<Input, Fault> {
        let blobs = &self.uploads.blobs;
        let head = blobs.head(file, HEAD_BYTES).await?;
        if !is_shown(sniff(&head)) {
            return Ok(Input::Head(head));
        }
        let copy = tokio::task::spawn_blocking(NamedTempFile::new);
        let mut copy = copy.await.map_err(std::io::Error::other)??;
        let mut reading = blobs.read(file).await?;
        while let Some(bytes) = reading.next().await {
            let bytes = bytes?;
            let write = move || {
                copy.write_all(&bytes)?;
                Ok::<_, std::io::Error>(copy)
            };
            copy = tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other)??;
        }
        Ok(Input::Whole(copy))
    }

    /// What can be known and shown of a file; `blindly`: no more than takes no decoder.
    async fn look_at(&self, input: Input, blindly: bool) -> Result<Processed, Failed> {
        let (limits, programs) = (self.limits.clone(), self.programs.clone());
        let looking = tokio::task::spawn_blocking(move || match &input {
            Input::Head(head) => process(Source::Bytes(head), &limits, &programs),
            Input::Whole(copy) if blindly => process_blindly(Source::Path(copy.path()), &limits),
            Input::Whole(copy) => process(Source::Path(copy.path()), &limits, &programs),
        });
        match timeout(DECODE_MAX, looking).await {
            Ok(looked) => {
                let looked = looked.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
                Ok(looked.map_err(Fault::from)?)
            }
            Err(late) => Err(Failed::Endless(std::io::Error::from(late).into())),
        }
    }

    /// The bytes that the upload is to hold besides the file, or in its place.
    async fn made(&self, upload: &Upload, processed: &mut Processed) -> Vec<Made> {
        let mut made = Vec::new();
        for thumbnail in std::mem::take(&mut processed.thumbnails) {
            let variant = match thumbnail.name {
                "thumb" => Variant::Thumb,
                _ => Variant::Preview,
            };
            let bytes = Bytes::from(thumbnail.webp);
            made.push(Made {
                variant,
                sha256: digest::of_part(bytes.clone()).await,
                bytes,
                media_type: FileType::WebP.mime(),
                inline: FileType::WebP.may_be_inline(),
                size: Some((thumbnail.size.width, thumbnail.size.height)),
            });
        }
        if let Some(stripped) = processed.stripped.take()
            && !upload.declared.original
        {
            let bytes = Bytes::from(stripped.bytes);
            made.push(Made {
                variant: Variant::File,
                sha256: digest::of_part(bytes.clone()).await,
                bytes,
                media_type: processed.file_type.mime(),
                inline: processed.file_type.may_be_inline(),
                size: processed.size.map(|size| (size.width, size.height)),
            });
        }
        made
    }

    /// Stores what was made, and makes the upload ready.
    async fn finish(
        &self,
        upload: &Upload,
        file: &Content,
        processed: Processed,
        made: Vec<Made>,
    ) -> Result<Outcome, Fault> {
        let Uploads { bucket, blobs, clock, .. } = &self.uploads;
        let is_replaced = made.iter().any(|made| made.variant == Variant::File);
        let mut joining: BTreeSet<Sha256> = made.iter().map(|made| made.sha256).collect();
        joining.extend(is_replaced.then_some(file.blob));
        let now = clock.now()?;
        if !joining.is_empty() {
            watch::put_joining(bucket, now, now, upload.id, &joining).await?;
        }
        let mut facts = facts_of(&processed, is_replaced);
        if processed.file_type.is_stripped() && !is_replaced && !upload.declared.original {
            facts.reason.get_or_insert_with(|| NOT_STRIPPED.to_owned());
        }
        let mut contents = BTreeMap::from([(Variant::File, as_known(file, &processed))]);
        let writer = Writer { upload: upload.id, generation: upload.generation };
        for Made { variant, bytes, media_type, inline, size, .. } in made {
            let stored = blobs.store(writer, bytes).await?;
            if joining.insert(stored.blob) {
                // It is one of several copies: the first has as many holders as it may.
                watch::put_joining(bucket, now, now, upload.id, &joining).await?;
            }
            contents.insert(variant, stored.content(media_type, inline, size));
        }
        let held = |upload: &Upload| -> BTreeSet<Sha256> {
            upload.contents.values().map(|content| content.blob).collect()
        };
        let (found, is_ready) = self.make_ready(upload, contents, facts).await?;
        let Some(found) = found else {
            self.leave(upload.id, &joining).await?;
            return Ok(Outcome::NotNeeded);
        };
        if is_ready {
            self.uploads.manifests.put(&blobs.manifest(&found).await?).await?;
        }
        self.leave(upload.id, &(&joining - &held(&found))).await?;
        // An attempt before may have left something: then the collector looks at it once more.
        if is_ready && upload.attempts == 1 && !joining.is_empty() {
            watch::settled(bucket, hour_of(now), upload.id).await?;
        }
        Ok(if is_ready { Outcome::Ready } else { Outcome::NotNeeded })
    }

    /// Makes an upload ready, or withheld, as `upload` is; `false`: it is not being processed any more.
    /// Returns its record.
    async fn make_ready(
        &self,
        upload: &Upload,
        contents: BTreeMap<Variant, Content>,
        facts: Facts,
    ) -> Result<(Option<Upload>, bool), Fault> {
        let bucket = &self.uploads.bucket;
        let ready = |found: Option<&Upload>| match found {
            Some(found) if found.state == State::Processing => {
                let (contents, facts) = (contents.clone(), facts.clone());
                let (state, withheld) = (State::Ready, upload.withheld);
                let ready = Upload { state, contents, facts, withheld, ..found.clone() };
                (Change::Put(ready), true)
            }
            Some(_) | None => (Change::Keep, false),
        };
        let (found, is_ready) = bucket.update(MediaKey::Upload(upload.id), ready).await?;
        if is_ready && let Some(upload) = found.clone() {
            tell_ready(bucket, upload).await;
        }
        Ok((found, is_ready))
    }

    async fn leave(&self, upload: UploadId, blobs: &BTreeSet<Sha256>) -> Result<(), Fault> {
        for &blob in blobs {
            self.uploads.blobs.drop_holder(upload, blob).await?;
        }
        Ok(())
    }
}

/// What comes of reading a file, within the time that the store has for it.
async fn reading<T>(read: impl Future<Output = Result<T, Fault>>) -> Result<T, Failed> {
    match timeout(READ_MAX, read).await {
        Ok(Err(lost @ (Fault::Missing { .. } | Fault::Damaged { .. }))) => Err(Failed::Lost(lost)),
        Ok(read) => Ok(read?),
        Err(late) => {
            let late = object_store::Error::Generic { store: "get", source: late.into() };
            Err(Failed::Fault(late.into()))
        }
    }
}

/// Whether metadata is taken out of files of the type that was found when it was finished.
fn is_to_be_stripped(file: &Content) -> bool {
    let types = [FileType::Jpeg, FileType::Png, FileType::Gif, FileType::WebP];
    types.iter().any(|file_type| file_type.is_stripped() && file_type.mime() == file.media_type)
}

/// Whether anything is to be made of files of this type.
fn is_shown(file_type: FileType) -> bool {
    match file_type.kind() {
        Kind::Image => file_type.is_stripped(),
        Kind::Audio | Kind::Video | Kind::Document => true,
        Kind::File => false,
    }
}

/// The file itself, with what is known of it now.
fn as_known(file: &Content, processed: &Processed) -> Content {
    let size = processed.size.map(|size| (size.width, size.height));
    let (width, height) = size.unzip();
    Content {
        media_type: processed.file_type.mime().to_owned(),
        inline: processed.file_type.may_be_inline(),
        width,
        height,
        ..file.clone()
    }
}

fn facts_of(processed: &Processed, stripped: bool) -> Facts {
    Facts {
        duration_ms: processed.duration_ms,
        waveform: processed.waveform.map(|peaks| peaks.to_vec()),
        placeholder: processed.placeholder.clone(),
        pages: None,
        reason: processed.no_preview.map(|reason| reason.code().to_owned()),
        stripped,
    }
}
